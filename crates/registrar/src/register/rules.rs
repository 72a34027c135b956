//! The rules of REGISTER as pure functions: a state and a request in, a change out.
//!
//! | Found | Came on | Result |
//! |---|---|---|
//! | bound | the same connection, CSeq higher or another Call-ID | refreshed: epoch and place stay |
//! | bound | the same connection, same Call-ID and CSeq | the same answer again |
//! | bound | another connection, not ordered before | replaced: a newer epoch, the old connection is fenced |
//! | not bound | a connection that is not fenced, not ordered before | added; one endpoint too many displaces the oldest |
//! | anything | same Call-ID and a CSeq not higher (RFC 3261 section 10.3 item 7) | out of order |
//! | anything | a fenced connection: it was replaced, displaced, rejected or is dead | out of order |
//!
//! A refresh keeps its epoch on purpose. An epoch says which connection of an endpoint is the right one; as long as that
//! does not change, addresses that others hold stay valid, nobody needs to be told, and the end of the connection cannot
//! miss its binding because a refresh was under way.

use std::sync::Arc;

use rpc::{BindingEnd, ClientFamily, Error, ErrorCode, ImMode, Register, RegisterError, Unregister, Which};
use store::{Binding, BindingUpdate, Timestamp, Tombstone, UserBindings};

use crate::counters::Operation;
use crate::gruu::gruu;
use crate::policy::Limits;

/// What a decision is made on, beside the request.
pub(crate) struct Context<'a> {
    /// The user's bindings.
    pub(crate) state: &'a UserBindings,
    /// The user's policy.
    pub(crate) limits: &'a Limits,
    /// Now.
    pub(crate) now: Timestamp,
    /// An epoch larger than any in `state` and any given before, in case one is needed.
    pub(crate) epoch: u64,
    /// Spreads what is granted.
    pub(crate) random: u64,
}

/// What a REGISTER does.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It was obeyed before; the answer is the same.
    Repeat(Arc<Binding>),
    /// It changes this.
    Change(Box<Change>),
}

/// A change by a REGISTER.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) update: BindingUpdate,
    /// Bindings that end by it.
    pub(crate) ended: Vec<(Arc<Binding>, BindingEnd)>,
    /// False for a refresh that changes nothing but the deadline: nobody needs to be told.
    pub(crate) is_visible: bool,
    /// The endpoint was not bound.
    pub(crate) is_new: bool,
    pub(crate) epoch: u64,
    pub(crate) granted: u32,
    pub(crate) operation: Operation,
}

/// Bindings that are to end.
#[derive(Debug)]
pub(crate) struct Removal {
    pub(crate) update: BindingUpdate,
    pub(crate) ended: Vec<Arc<Binding>>,
    pub(crate) end: BindingEnd,
}

/// What the endpoint of a request is found to be.
enum Found<'a> {
    /// Bound on the connection the request came on.
    Here(&'a Arc<Binding>),
    /// Bound on another connection.
    Elsewhere(&'a Arc<Binding>),
    /// Bound until its deadline passed, which the sweep has not seen yet.
    Lapsed(&'a Arc<Binding>),
    /// Not bound.
    Nowhere,
}

/// Decides a REGISTER that adds or refreshes.
pub(crate) fn register(context: &Context<'_>, request: &Register) -> Result<Decision, RegisterError> {
    if request.expires == Some(0) {
        // Removal has a verb of its own; as a refresh it would have to be refused for being too brief.
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "a register that expires at once is an unregister",
        )
        .into());
    }
    let lync = request.family == ClientFamily::Lync;
    let granted = context.limits.grant(request.expires, lync, context.random)?;
    let found = find(context, request);
    if let Found::Here(binding) = found {
        if binding.call_id == request.call_id && binding.cseq == request.cseq {
            return Ok(Decision::Repeat(binding.clone()));
        }
        in_order(&binding.call_id, binding.cseq, request)?;
        return Ok(Decision::Change(Box::new(refresh(
            context, request, binding, granted,
        ))));
    }
    if let Found::Elsewhere(binding) | Found::Lapsed(binding) = found {
        in_order(&binding.call_id, binding.cseq, request)?;
    }
    check_tombstones(context, request)?;
    Ok(Decision::Change(Box::new(bind(
        context, request, &found, granted,
    ))))
}

fn find<'a>(context: &Context<'a>, request: &Register) -> Found<'a> {
    let Some(binding) = context.state.binding(request.endpoint.as_str()) else {
        return Found::Nowhere;
    };
    if is_same_connection(binding, request) {
        // A refresh that comes a moment late, before the sweep did, is a refresh.
        Found::Here(binding)
    } else if binding.has_expired(context.now) {
        Found::Lapsed(binding)
    } else {
        Found::Elsewhere(binding)
    }
}

fn is_same_connection(binding: &Binding, request: &Register) -> bool {
    binding.member == request.member && binding.connection == request.connection.0
}

/// RFC 3261 section 10.3 item 7: with an equal Call-ID the CSeq has to be higher.
fn in_order(call_id: &str, cseq: u32, request: &Register) -> Result<(), RegisterError> {
    if call_id == request.call_id && cseq >= request.cseq {
        Err(RegisterError::OutOfOrder)
    } else {
        Ok(())
    }
}

/// What ended lately is not brought back by a request that was made before it ended.
fn check_tombstones(context: &Context<'_>, request: &Register) -> Result<(), RegisterError> {
    let of_endpoint = |tombstone: &&Arc<Tombstone>| {
        &*tombstone.endpoint == request.endpoint.as_str() && tombstone.until > context.now
    };
    for tombstone in context.state.tombstones.iter().filter(of_endpoint) {
        let same_connection =
            tombstone.member == request.member && tombstone.connection == request.connection.0;
        if tombstone.fenced && same_connection {
            return Err(RegisterError::OutOfOrder);
        }
        in_order(&tombstone.call_id, tombstone.cseq, request)?;
    }
    Ok(())
}

fn refresh(context: &Context<'_>, request: &Register, old: &Arc<Binding>, granted: u32) -> Change {
    let new = Binding {
        was_new: false,
        ..binding_of(context, request, old.epoch, granted)
    };
    let is_visible = !says_the_same(old, &new);
    Change {
        update: BindingUpdate {
            put: Some(new),
            ..BindingUpdate::default()
        },
        ended: Vec::new(),
        is_visible,
        is_new: false,
        epoch: old.epoch,
        granted,
        operation: Operation::Refreshed,
    }
}

/// Whether two bindings of one connection look alike to everybody else.
fn says_the_same(old: &Binding, new: &Binding) -> bool {
    (
        &old.contact,
        &old.instance,
        &old.epid,
        old.reg_id,
        &old.gruu,
        old.lync,
        old.session,
        &old.user_agent,
    ) == (
        &new.contact,
        &new.instance,
        &new.epid,
        new.reg_id,
        &new.gruu,
        new.lync,
        new.session,
        &new.user_agent,
    )
}

fn bind(context: &Context<'_>, request: &Register, found: &Found<'_>, granted: u32) -> Change {
    let replaced = match found {
        Found::Elsewhere(old) => Some(((*old).clone(), BindingEnd::Replaced)),
        Found::Lapsed(old) => Some(((*old).clone(), BindingEnd::Expired)),
        Found::Here(_) | Found::Nowhere => None,
    };
    let is_new = !matches!(found, Found::Elsewhere(_));
    let displaced = if is_new {
        displaced(context, request)
    } else {
        Vec::new()
    };
    let remove = displaced.iter().map(|(old, _)| old.endpoint.clone()).collect();
    let ended: Vec<_> = replaced.into_iter().chain(displaced).collect();
    Change {
        update: BindingUpdate {
            remove,
            put: Some(Binding {
                was_new: is_new,
                ..binding_of(context, request, context.epoch, granted)
            }),
            tombstones: ended
                .iter()
                .map(|(old, _)| old.tombstone(true, context.now))
                .collect(),
        },
        ended,
        is_visible: true,
        is_new,
        epoch: context.epoch,
        granted,
        operation: if is_new {
            Operation::Added
        } else {
            Operation::Replaced
        },
    }
}

/// The oldest endpoints, as many as are too many beside one more.
fn displaced(context: &Context<'_>, request: &Register) -> Vec<(Arc<Binding>, BindingEnd)> {
    let others = context.state.bindings.iter().filter(|binding| {
        &*binding.endpoint != request.endpoint.as_str() && !binding.has_expired(context.now)
    });
    let others: Vec<_> = others.collect();
    let excess = (others.len() + 1).saturating_sub(context.limits.max_endpoints);
    others
        .into_iter()
        .take(excess)
        .map(|binding| (binding.clone(), BindingEnd::Displaced))
        .collect()
}

fn binding_of(context: &Context<'_>, request: &Register, epoch: u64, granted: u32) -> Binding {
    Binding {
        endpoint: Arc::from(request.endpoint.as_str()),
        epoch,
        member: request.member.clone(),
        connection: request.connection.0,
        contact: request.contact.clone(),
        instance: request.instance.clone(),
        epid: request.epid.clone(),
        reg_id: request.reg_id,
        gruu: gruu(
            &request.aor,
            request.family,
            request.instance.as_deref(),
            request.epid.as_deref(),
        ),
        lync: request.family == ClientFamily::Lync,
        session: request.mode == ImMode::Session,
        user_agent: request.user_agent.clone(),
        call_id: request.call_id.clone(),
        cseq: request.cseq,
        granted,
        was_new: false,
        deadline: context.now.plus_seconds(granted),
    }
}

/// Decides a removal by the client, or because its connection died. `None`: nothing to remove.
pub(crate) fn unregister(
    state: &UserBindings,
    request: &Unregister,
    now: Timestamp,
) -> Result<Option<Removal>, RegisterError> {
    let meant = |binding: &&Arc<Binding>| match &request.which {
        Which::Endpoint(endpoint) => &*binding.endpoint == endpoint.as_str(),
        Which::All => true,
        Which::Connection(endpoint, epoch) => {
            &*binding.endpoint == endpoint.as_str() && binding.epoch == epoch.0
        }
    };
    let ended: Vec<Arc<Binding>> = state.bindings.iter().filter(meant).cloned().collect();
    // Item 6 of RFC 3261 section 10.3 as for one binding: if one of them is ahead of the request, none is removed.
    let ahead = |binding: &Arc<Binding>| match &request.order {
        Some((call_id, cseq)) => binding.call_id == *call_id && binding.cseq >= *cseq,
        None => false,
    };
    if ended.iter().any(ahead) {
        return Err(RegisterError::OutOfOrder);
    }
    // The connection of a client that signed out may sign in again; a dead one may not.
    let fenced = matches!(request.which, Which::Connection(..));
    let mut removal = removal(ended, BindingEnd::Unregistered, fenced, now);
    if let (Some(removal), Some((call_id, cseq))) = (&mut removal, &request.order) {
        for tombstone in &mut removal.update.tombstones {
            tombstone.call_id.clone_from(call_id);
            tombstone.cseq = *cseq;
        }
    }
    Ok(removal)
}

/// Decides what an administrator ends: one endpoint or all. `None`: nothing there.
pub(crate) fn kick(state: &UserBindings, endpoint: Option<&str>, now: Timestamp) -> Option<Removal> {
    let meant = |binding: &&Arc<Binding>| endpoint.is_none_or(|endpoint| &*binding.endpoint == endpoint);
    let ended = state.bindings.iter().filter(meant).cloned().collect();
    removal(ended, BindingEnd::Rejected, true, now)
}

fn removal(ended: Vec<Arc<Binding>>, end: BindingEnd, fenced: bool, now: Timestamp) -> Option<Removal> {
    if ended.is_empty() {
        return None;
    }
    let update = BindingUpdate {
        remove: ended.iter().map(|binding| binding.endpoint.clone()).collect(),
        put: None,
        tombstones: ended
            .iter()
            .map(|binding| binding.tombstone(fenced, now))
            .collect(),
    };
    Some(Removal { update, ended, end })
}

#[cfg(test)]
mod tests;
