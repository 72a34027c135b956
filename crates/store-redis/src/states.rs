//! How a user's bindings are written down: JSON with a version, times as what remained when they were written.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use store::{Binding, Revision, Timestamp, Tombstone, UserBindings};
use topology::MemberId;

/// What this version writes. A reader takes everything up to it; fields it does not know are passed over.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "b")]
    bindings: Vec<WrittenBinding>,
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    tombstones: Vec<WrittenTombstone>,
}

#[derive(Serialize, Deserialize)]
struct WrittenBinding {
    endpoint: String,
    epoch: u64,
    member: String,
    connection: u64,
    contact: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reg_id: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gruu: Option<String>,
    #[serde(default)]
    lync: bool,
    #[serde(default)]
    session: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    call_id: String,
    cseq: u32,
    granted: u32,
    #[serde(default)]
    was_new: bool,
    /// Milliseconds.
    remaining: u64,
}

#[derive(Serialize, Deserialize)]
struct WrittenTombstone {
    endpoint: String,
    epoch: u64,
    member: String,
    connection: u64,
    #[serde(default)]
    fenced: bool,
    call_id: String,
    cseq: u32,
    /// Milliseconds.
    remaining: u64,
}

fn remaining(until: Timestamp, now: Timestamp) -> u64 {
    until.0.saturating_sub(now.0)
}

/// The longest time in a state, in milliseconds.
pub(crate) fn longest(state: &UserBindings, now: Timestamp) -> u64 {
    let bound = state.bindings.iter().map(|binding| binding.deadline);
    let ended = state.tombstones.iter().map(|tombstone| tombstone.until);
    bound
        .chain(ended)
        .map(|until| remaining(until, now))
        .max()
        .unwrap_or(0)
}

/// A state as text; nothing for an empty one.
pub(crate) fn write(state: &UserBindings, now: Timestamp) -> Result<Vec<u8>, serde_json::Error> {
    if state.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::to_vec(&Written {
        version: VERSION,
        bindings: state
            .bindings
            .iter()
            .map(|one| written_binding(one, now))
            .collect(),
        tombstones: state
            .tombstones
            .iter()
            .map(|one| written_tombstone(one, now))
            .collect(),
    })
}

fn written_binding(binding: &Binding, now: Timestamp) -> WrittenBinding {
    let Binding {
        endpoint,
        epoch,
        member,
        connection,
        contact,
        instance,
        epid,
        reg_id,
        gruu,
        lync,
        session,
        user_agent,
        call_id,
        cseq,
        granted,
        was_new,
        deadline,
    } = binding;
    WrittenBinding {
        endpoint: endpoint.as_ref().to_owned(),
        epoch: *epoch,
        member: member.as_str().to_owned(),
        connection: *connection,
        contact: contact.clone(),
        instance: instance.clone(),
        epid: epid.clone(),
        reg_id: *reg_id,
        gruu: gruu.clone(),
        lync: *lync,
        session: *session,
        user_agent: user_agent.clone(),
        call_id: call_id.clone(),
        cseq: *cseq,
        granted: *granted,
        was_new: *was_new,
        remaining: remaining(*deadline, now),
    }
}

fn written_tombstone(tombstone: &Tombstone, now: Timestamp) -> WrittenTombstone {
    let Tombstone {
        endpoint,
        epoch,
        member,
        connection,
        fenced,
        call_id,
        cseq,
        until,
    } = tombstone;
    WrittenTombstone {
        endpoint: endpoint.as_ref().to_owned(),
        epoch: *epoch,
        member: member.as_str().to_owned(),
        connection: *connection,
        fenced: *fenced,
        call_id: call_id.clone(),
        cseq: *cseq,
        remaining: remaining(*until, now),
    }
}

/// Why a stored state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it has the form {0}, which a later version wrote")]
    Later(u32),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reads a state that was written `elapsed` milliseconds ago.
pub(crate) fn read(
    text: &[u8],
    revision: Revision,
    elapsed: u64,
    now: Timestamp,
) -> Result<UserBindings, Unreadable> {
    let written: Written = serde_json::from_slice(text)?;
    if written.version > VERSION {
        return Err(Unreadable::Later(written.version));
    }
    let time = |remaining: u64| Timestamp(now.0.saturating_add(remaining.saturating_sub(elapsed)));
    let bindings = written.bindings.into_iter().map(|one| Binding {
        endpoint: Arc::from(one.endpoint),
        epoch: one.epoch,
        member: MemberId::new(&one.member),
        connection: one.connection,
        contact: one.contact,
        instance: one.instance,
        epid: one.epid,
        reg_id: one.reg_id,
        gruu: one.gruu,
        lync: one.lync,
        session: one.session,
        user_agent: one.user_agent,
        call_id: one.call_id,
        cseq: one.cseq,
        granted: one.granted,
        was_new: one.was_new,
        deadline: time(one.remaining),
    });
    let tombstones = written.tombstones.into_iter().map(|one| Tombstone {
        endpoint: Arc::from(one.endpoint),
        epoch: one.epoch,
        member: MemberId::new(&one.member),
        connection: one.connection,
        fenced: one.fenced,
        call_id: one.call_id,
        cseq: one.cseq,
        until: time(one.remaining),
    });
    Ok(UserBindings {
        revision,
        bindings: bindings.map(Arc::new).collect(),
        tombstones: tombstones.map(Arc::new).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> UserBindings {
        let now = Timestamp(1_000_000);
        let binding = store::suite::bindings::binding("e1", 7, 600);
        UserBindings {
            revision: Revision(12),
            tombstones: vec![Arc::new(binding.tombstone(true, now))],
            bindings: vec![Arc::new(binding)],
        }
    }

    #[test]
    fn a_state_is_read_as_it_was_written_on_another_clock() {
        let now = Timestamp(1_000_000);
        let text = write(&state(), now).unwrap();
        assert_eq!(read(&text, Revision(12), 0, now).unwrap(), state());
        let later = read(&text, Revision(12), 60_001, Timestamp(5)).unwrap();
        assert_eq!(later.bindings[0].deadline, Timestamp(5 + 539_999));
        assert_eq!(later.tombstones[0].until, Timestamp(5));
        assert_eq!(longest(&state(), now), 600_000);
    }

    #[test]
    fn nothing_left_is_no_text() {
        assert!(write(&UserBindings::none(), Timestamp(0)).unwrap().is_empty());
    }

    #[test]
    fn a_later_form_is_not_guessed_at_and_unknown_fields_are_passed_over() {
        let now = Timestamp(0);
        let later = read(br#"{"v":2,"b":[]}"#, Revision(1), 0, now);
        assert!(matches!(later, Err(Unreadable::Later(2))));
        assert!(read(br#"{"v":1,"b":[],"new":1}"#, Revision(1), 0, now).is_ok());
        assert!(read(b"{", Revision(1), 0, now).is_err());
    }
}
