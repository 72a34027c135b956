//! What sources that are no endpoints say of a user: the calendar, an administrator.
//!
//! All of it is kept on disk and published to container 2, which counts for everybody.

use std::sync::Arc;
use std::time::Duration;

use rpc::PresenceClient;
use rpc::presence::{
    Availability, Bound, Lifetime, Note, NoteKind, Publication, PublicationContent, PublicationKey, Publish,
    PublishOne, Source, StateInput, category,
};
use sip_types::AddressOfRecord;

use super::{Refusal, api, invalid, not_found, now, refused};

/// The container for everybody.
const CONTAINER: u16 = 2;

/// Instances of meetings begin here; the rest is the minute in which they begin. Lync-family clients number states of the
/// calendar in this range too, by a hash of the mail address.
const MEETINGS: u32 = 0x4000_0000;

/// The instance of the out-of-office state and its text, in the range of the Lync family.
const OUT_OF_OFFICE: u32 = 0x5000_0000;

/// The instance of the note of an administrator. Clients have their note in other containers.
const NOTE: u32 = 0;

/// Longest note or text, characters.
const LONGEST: usize = 1_000;

/// Publishes a report, all of it or nothing.
pub(super) async fn publish(
    presence: &PresenceClient,
    user: &AddressOfRecord,
    report: &api::Report,
) -> Result<(), Refusal> {
    let mut changes = Vec::new();
    if let Some(calendar) = &report.calendar {
        if calendar.busy {
            changes.push(meeting(calendar, now())?);
        } else {
            let (from, until) = (time(calendar.from.as_deref())?, time(calendar.until.as_deref())?);
            let own = presence.own(user).await?.ok_or_else(|| not_found("user", user))?;
            let (from, until) = (from.unwrap_or(0), until.unwrap_or(u64::MAX));
            changes.extend(taken_back(&own.publications, from, until));
        }
    }
    if let Some(away) = &report.out_of_office {
        changes.extend(out_of_office(away, now())?);
    }
    if let Some(text) = &report.note {
        changes.push(note(NOTE, NoteKind::Personal, text, None)?);
    }
    if changes.is_empty() {
        return Ok(());
    }
    let publish = Publish {
        user: user.clone(),
        endpoint: None,
        changes,
    };
    presence.publish(publish).await?.map_err(refused)?;
    Ok(())
}

/// A meeting. Another that begins in the same minute replaces it.
fn meeting(meeting: &api::CalendarReport, now: u64) -> Result<PublishOne, Refusal> {
    let from = time(meeting.from.as_deref())?.unwrap_or(now);
    let until = time(meeting.until.as_deref())?.ok_or_else(|| invalid("a meeting needs its end: `until`"))?;
    let state = StateInput {
        meeting_subject: text(meeting.subject.as_deref())?,
        meeting_location: text(meeting.location.as_deref())?,
        starts_at: Some(from),
        ..StateInput::new(Source::Calendar, Availability::BUSY)
    };
    let instance = meeting_instance(from)?;
    Ok(set_state(instance, state, Some(rest(from, until, now)?)))
}

/// The end of all meetings of [`meeting`] that overlap a time, Unix seconds.
fn taken_back(publications: &[Arc<Publication>], from: u64, until: u64) -> Vec<PublishOne> {
    let meetings = publications.iter().filter(|publication| {
        let PublicationContent::States(states) = &publication.content else {
            return false;
        };
        let overlaps = |state: &StateInput| {
            let published_at = publication.published_at / 1_000;
            let begins = state.starts_at.unwrap_or(published_at);
            let ends = publication
                .lifetime
                .expires
                .map_or(u64::MAX, |expires| published_at.saturating_add(expires.as_secs()));
            state.source == Source::Calendar && begins < until && ends > from
        };
        publication.endpoint.is_none()
            && publication.key.container == CONTAINER
            && states.iter().any(overlaps)
    });
    meetings
        .map(|publication| PublishOne::Remove {
            key: publication.key.clone(),
            known: None,
        })
        .collect()
}

fn out_of_office(report: &api::OutOfOfficeReport, now: u64) -> Result<Vec<PublishOne>, Refusal> {
    if !report.away {
        let gone = [category::STATE, category::NOTE].map(|category| PublishOne::Remove {
            key: key(category, OUT_OF_OFFICE),
            known: None,
        });
        return Ok(gone.into());
    }
    let from = time(report.from.as_deref())?;
    let until = time(report.until.as_deref())?;
    let expires = match until {
        Some(until) => Some(rest(from.unwrap_or(now), until, now)?),
        None => None,
    };
    let state = StateInput {
        starts_at: from,
        ..StateInput::new(Source::OutOfOffice, Availability::AWAY)
    };
    let words = report.text.as_deref().unwrap_or_default();
    if !words.is_empty() && from.is_some_and(|from| from > now) {
        return Err(invalid(
            "a text is shown at once: give it when the time has come, or without `from`",
        ));
    }
    Ok(vec![
        set_state(OUT_OF_OFFICE, state, expires),
        note(OUT_OF_OFFICE, NoteKind::OutOfOffice, words, expires)?,
    ])
}

/// A note; an empty one removes it.
fn note(
    instance: u32,
    kind: NoteKind,
    words: &str,
    expires: Option<Duration>,
) -> Result<PublishOne, Refusal> {
    let key = key(category::NOTE, instance);
    let Some(text) = text(Some(words))? else {
        return Ok(PublishOne::Remove { key, known: None });
    };
    let note = Note {
        kind,
        text,
        language: None,
    };
    Ok(PublishOne::Set {
        key,
        known: None,
        lifetime: kept(expires),
        content: PublicationContent::Notes([note].into()),
        kept: None,
    })
}

fn set_state(instance: u32, state: StateInput, expires: Option<Duration>) -> PublishOne {
    PublishOne::Set {
        key: key(category::STATE, instance),
        known: None,
        lifetime: kept(expires),
        content: PublicationContent::States([state].into()),
        kept: None,
    }
}

fn key(category: &str, instance: u32) -> PublicationKey {
    PublicationKey {
        category: category.into(),
        instance,
        container: CONTAINER,
    }
}

fn kept(expires: Option<Duration>) -> Lifetime {
    Lifetime {
        bound: Bound::Static,
        expires,
    }
}

fn meeting_instance(from: u64) -> Result<u32, Refusal> {
    let minute = u32::try_from(from / 60)
        .ok()
        .filter(|minute| *minute < MEETINGS >> 2);
    let minute = minute.ok_or_else(|| invalid("a meeting begins within the next centuries"))?;
    Ok(MEETINGS | minute)
}

/// How long it is until the end of something that lasts from `from` to `until`.
fn rest(from: u64, until: u64, now: u64) -> Result<Duration, Refusal> {
    if until <= from {
        return Err(invalid("it ends before it begins"));
    }
    match until.saturating_sub(now) {
        0 => Err(invalid("it is over already")),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// A time in Unix seconds: RFC 3339, or the number itself.
fn time(text: Option<&str>) -> Result<Option<u64>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => Some(seconds),
        Err(_) => text
            .parse::<jiff::Timestamp>()
            .ok()
            .and_then(|time| u64::try_from(time.as_second()).ok()),
    };
    match seconds {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(invalid(format!(
            "`{text}` is not a time such as 2026-11-21T10:00:00Z or Unix seconds"
        ))),
    }
}

/// Words of a person; `None`: none.
fn text(text: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.chars().count() > LONGEST {
        return Err(invalid(format!("a text has at most {LONGEST} characters")));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests;
