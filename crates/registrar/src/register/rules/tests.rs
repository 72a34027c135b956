use rpc::{ConnectionId, EndpointId, Epoch};
use store::Revision;
use topology::MemberId;

use super::*;
use crate::policy::registration_kind;
use crate::testing::{endpoint, removal as unregistration, request};

const NOW: Timestamp = Timestamp(10_000_000);

fn limits() -> Limits {
    Limits::of(&rpc::EffectivePolicy {
        kind: "registration".into(),
        scope: None,
        reason: String::new(),
        values: registration_kind().defaults(),
    })
}

fn context<'a>(state: &'a UserBindings, limits: &'a Limits) -> Context<'a> {
    Context {
        state,
        limits,
        now: NOW,
        epoch: 100,
        random: 0,
    }
}

/// The binding that `request` makes, with this epoch.
fn bound(request: &Register, epoch: u64) -> Arc<Binding> {
    let (state, limits) = (UserBindings::none(), limits());
    let decision = register(
        &Context {
            epoch,
            ..context(&state, &limits)
        },
        request,
    );
    let Ok(Decision::Change(change)) = decision else {
        panic!("{decision:?}")
    };
    Arc::new(change.update.put.unwrap())
}

fn state(bindings: Vec<Arc<Binding>>) -> UserBindings {
    UserBindings {
        revision: Revision(1),
        bindings,
        tombstones: Vec::new(),
    }
}

fn with_tombstone(tombstone: Tombstone) -> UserBindings {
    UserBindings {
        tombstones: vec![Arc::new(tombstone)],
        ..state(Vec::new())
    }
}

fn decide(state: &UserBindings, request: &Register) -> Result<Decision, RegisterError> {
    register(&context(state, &limits()), request)
}

fn change(state: &UserBindings, request: &Register) -> Change {
    match decide(state, request) {
        Ok(Decision::Change(change)) => *change,
        other => panic!("{other:?}"),
    }
}

fn is_out_of_order(state: &UserBindings, request: &Register) -> bool {
    matches!(decide(state, request), Err(RegisterError::OutOfOrder))
}

/// The same client again: its next CSeq.
fn again(request: &Register) -> Register {
    Register {
        cseq: request.cseq + 1,
        ..request.clone()
    }
}

/// The same client on another connection.
fn reconnected(request: &Register) -> Register {
    Register {
        connection: ConnectionId(request.connection.0 + 1),
        ..request.clone()
    }
}

#[test]
fn an_unbound_endpoint_is_added() {
    let request = request("alice", "e1");
    let change = change(&state(Vec::new()), &request);
    assert!(change.is_new && change.is_visible && change.ended.is_empty());
    assert_eq!(
        (change.epoch, change.granted, change.operation),
        (100, 540, Operation::Added)
    );
    let put = change.update.put.unwrap();
    assert_eq!(put.deadline, NOW.plus_seconds(540));
    assert_eq!((put.epoch, put.cseq, put.was_new), (100, 1, true));
}

#[test]
fn a_refresh_keeps_epoch_and_is_seen_by_nobody() {
    let request = request("alice", "e1");
    let change = change(&state(vec![bound(&request, 50)]), &again(&request));
    assert!(!change.is_new && !change.is_visible && change.ended.is_empty());
    assert_eq!((change.epoch, change.operation), (50, Operation::Refreshed));
    assert_eq!(
        change.update.put.map(|put| (put.epoch, put.cseq, put.was_new)),
        Some((50, 2, false))
    );
    assert!(change.update.tombstones.is_empty());
}

#[test]
fn a_refresh_with_another_call_id_is_a_refresh() {
    let request = request("alice", "e1");
    let other = Register {
        call_id: "another".into(),
        ..request.clone()
    };
    assert_eq!(change(&state(vec![bound(&request, 50)]), &other).epoch, 50);
}

#[test]
fn a_refresh_that_changes_what_others_see_is_told() {
    let request = request("alice", "e1");
    let moved = Register {
        contact: "sip:alice@198.51.100.1".into(),
        ..again(&request)
    };
    let change = change(&state(vec![bound(&request, 50)]), &moved);
    assert!(change.is_visible && change.ended.is_empty());
    assert_eq!(change.epoch, 50, "the connection is the same");
}

#[test]
fn a_refresh_that_is_a_moment_late_is_a_refresh() {
    let request = request("alice", "e1");
    let mut old = Binding::clone(&bound(&request, 50));
    old.deadline = NOW;
    let change = change(&state(vec![Arc::new(old)]), &again(&request));
    assert_eq!((change.epoch, change.operation), (50, Operation::Refreshed));
}

#[test]
fn a_repeated_request_of_the_connection_gets_the_same_answer() {
    let request = request("alice", "e1");
    let binding = bound(&request, 50);
    let decision = decide(&state(vec![binding.clone()]), &request);
    assert!(matches!(decision, Ok(Decision::Repeat(same)) if same == binding));
}

#[test]
fn an_older_request_is_out_of_order_on_whatever_connection() {
    let newest = Register {
        cseq: 5,
        ..request("alice", "e1")
    };
    let bound = state(vec![bound(&newest, 50)]);
    let older = Register {
        cseq: 4,
        ..newest.clone()
    };
    assert!(is_out_of_order(&bound, &older));
    assert!(is_out_of_order(&bound, &reconnected(&older)));
    assert!(
        is_out_of_order(&bound, &reconnected(&newest)),
        "an equal one from elsewhere too"
    );
}

#[test]
fn another_connection_of_the_endpoint_replaces() {
    let request = request("alice", "e1");
    let old = bound(&request, 50);
    let change = change(&state(vec![old.clone()]), &reconnected(&again(&request)));
    assert!(!change.is_new && change.is_visible);
    assert_eq!((change.epoch, change.operation), (100, Operation::Replaced));
    assert_eq!(change.ended, [(old.clone(), BindingEnd::Replaced)]);
    assert_eq!(change.update.tombstones, [old.tombstone(true, NOW)]);
    assert_eq!(change.update.put.map(|put| put.connection), Some(2));
}

#[test]
fn another_member_with_the_same_connection_number_is_another_connection() {
    let request = request("alice", "e1");
    let elsewhere = Register {
        member: MemberId::new("fe2"),
        ..again(&request)
    };
    assert_eq!(
        change(&state(vec![bound(&request, 50)]), &elsewhere).operation,
        Operation::Replaced
    );
}

#[test]
fn a_lapsed_binding_of_another_connection_has_expired() {
    let request = request("alice", "e1");
    let mut old = Binding::clone(&bound(&request, 50));
    old.deadline = NOW;
    let change = change(&state(vec![Arc::new(old)]), &reconnected(&again(&request)));
    assert!(change.is_new);
    assert_eq!(
        change.ended.iter().map(|(_, end)| *end).collect::<Vec<_>>(),
        [BindingEnd::Expired]
    );
}

#[test]
fn one_endpoint_too_many_displaces_the_oldest() {
    let bindings: Vec<_> = (1..=8)
        .map(|n| bound(&request("alice", &format!("e{n}")), n))
        .collect();
    let change = change(&state(bindings.clone()), &request("alice", "e9"));
    assert_eq!(change.ended, [(bindings[0].clone(), BindingEnd::Displaced)]);
    assert_eq!(change.update.remove, [bindings[0].endpoint.clone()]);
    assert!(change.update.tombstones.iter().all(|tombstone| tombstone.fenced));
    assert!(change.is_new);
}

#[test]
fn neither_a_refresh_nor_a_replacement_displaces() {
    let requests: Vec<_> = (1..=8).map(|n| request("alice", &format!("e{n}"))).collect();
    let state = state(
        requests
            .iter()
            .zip(1..)
            .map(|(request, epoch)| bound(request, epoch))
            .collect(),
    );
    assert!(change(&state, &again(&requests[0])).ended.is_empty());
    let replaced = change(&state, &reconnected(&again(&requests[0])));
    assert_eq!(replaced.ended.len(), 1);
    assert_eq!(replaced.ended[0].1, BindingEnd::Replaced);
}

#[test]
fn expired_endpoints_take_no_place() {
    let mut bindings: Vec<_> = (1..=8)
        .map(|n| bound(&request("alice", &format!("e{n}")), n))
        .collect();
    let mut lapsed = Binding::clone(&bindings[3]);
    lapsed.deadline = NOW;
    bindings[3] = Arc::new(lapsed);
    assert!(change(&state(bindings), &request("alice", "e9")).ended.is_empty());
}

#[test]
fn a_lowered_limit_displaces_as_many_as_are_too_many() {
    let bindings: Vec<_> = (1..=5)
        .map(|n| bound(&request("alice", &format!("e{n}")), n))
        .collect();
    let state = state(bindings);
    let mut limits = limits();
    limits.max_endpoints = 3;
    let decision = register(&context(&state, &limits), &request("alice", "e6"));
    let Ok(Decision::Change(change)) = decision else {
        panic!("{decision:?}")
    };
    let ended: Vec<_> = change
        .ended
        .iter()
        .map(|(binding, _)| &*binding.endpoint)
        .collect();
    assert_eq!(ended, ["e1", "e2", "e3"]);
}

#[test]
fn a_late_request_of_what_ended_does_not_bring_it_back() {
    let newest = Register {
        cseq: 5,
        ..request("alice", "e1")
    };
    let state = with_tombstone(bound(&newest, 50).tombstone(false, NOW));
    for cseq in [4, 5] {
        let late = Register {
            cseq,
            ..newest.clone()
        };
        assert!(is_out_of_order(&state, &late), "{cseq}");
    }
    assert!(
        change(&state, &again(&newest)).is_new,
        "but its own connection may sign in again"
    );
    let anew = Register {
        call_id: "another".into(),
        cseq: 1,
        ..newest
    };
    assert!(change(&state, &anew).is_new);
}

#[test]
fn a_fenced_connection_does_not_come_back_and_another_one_does() {
    let request = request("alice", "e1");
    let state = with_tombstone(bound(&request, 50).tombstone(true, NOW));
    let other_call = Register {
        call_id: "another".into(),
        ..again(&request)
    };
    assert!(is_out_of_order(&state, &again(&request)));
    assert!(is_out_of_order(&state, &other_call));
    assert!(change(&state, &reconnected(&again(&request))).is_new);
    let other_endpoint = Register {
        endpoint: EndpointId::new("e2"),
        ..request
    };
    assert!(change(&state, &other_endpoint).is_new);
}

#[test]
fn a_fenced_connection_does_not_take_the_endpoint_from_its_successor() {
    let request = request("alice", "e1");
    let successor = reconnected(&again(&request));
    let mut state = state(vec![bound(&successor, 60)]);
    state.tombstones = vec![Arc::new(bound(&request, 50).tombstone(true, NOW))];
    let refresh_of_the_old = Register {
        call_id: "another".into(),
        cseq: 9,
        ..request
    };
    assert!(is_out_of_order(&state, &refresh_of_the_old));
}

#[test]
fn a_tombstone_past_its_time_holds_nobody_back() {
    let request = request("alice", "e1");
    let mut tombstone = bound(&request, 50).tombstone(true, NOW);
    tombstone.until = NOW;
    assert!(change(&with_tombstone(tombstone), &request).is_new);
}

#[test]
fn what_is_asked_decides_what_is_granted() {
    let asking = |expires, family| Register {
        expires,
        family,
        ..request("alice", "e1")
    };
    let empty = state(Vec::new());
    let brief = decide(&empty, &asking(Some(299), ClientFamily::Simple));
    assert!(matches!(brief, Err(RegisterError::IntervalTooBrief(300))));
    assert_eq!(
        change(&empty, &asking(Some(299), ClientFamily::Lync)).granted,
        300
    );
    assert_eq!(
        change(&empty, &asking(Some(100_000), ClientFamily::Simple)).granted,
        810
    );
    let zero = decide(&empty, &asking(Some(0), ClientFamily::Simple));
    assert!(matches!(zero, Err(RegisterError::Failed(error)) if error.code == ErrorCode::InvalidRequest));
}

#[test]
fn an_endpoint_with_an_instance_gets_a_gruu() {
    let lync = Register {
        family: ClientFamily::Lync,
        epid: Some("b34afb6ebb23".into()),
        ..request("alice", "e1")
    };
    let expected = "sip:alice@example.test;opaque=user:epid:CF4L2AMcWg2NmvFJquaVSgAA;gruu";
    assert_eq!(bound(&lync, 1).gruu.as_deref(), Some(expected));
    assert_eq!(bound(&request("alice", "e1"), 1).gruu, None);
}

fn two() -> UserBindings {
    state(vec![
        bound(&request("alice", "e1"), 1),
        bound(&request("alice", "e2"), 2),
    ])
}

fn removed(state: &UserBindings, which: Which, order: Option<(&str, u32)>) -> Vec<String> {
    let removal = unregister(state, &unregistration("alice", which, order), NOW).unwrap();
    let Some(removal) = removal else { return Vec::new() };
    assert_eq!(removal.end, BindingEnd::Unregistered);
    assert_eq!(removal.update.remove.len(), removal.ended.len());
    assert_eq!(removal.update.tombstones.len(), removal.ended.len());
    removal
        .ended
        .iter()
        .map(|binding| binding.endpoint.to_string())
        .collect()
}

#[test]
fn a_removal_ends_what_it_names() {
    let none: [&str; 0] = [];
    assert_eq!(removed(&two(), endpoint("e2"), Some(("call-of-e2", 2))), ["e2"]);
    assert_eq!(removed(&two(), endpoint("e3"), Some(("x", 1))), none);
    assert_eq!(removed(&two(), Which::All, Some(("x", 1))), ["e1", "e2"]);
    assert_eq!(
        removed(&two(), Which::Connection(EndpointId::new("e1"), Epoch(1)), None),
        ["e1"]
    );
    assert_eq!(
        removed(&two(), Which::Connection(EndpointId::new("e1"), Epoch(2)), None),
        none,
        "it was replaced"
    );
    assert_eq!(removed(&state(Vec::new()), Which::All, None), none);
}

#[test]
fn a_late_removal_is_out_of_order_and_removes_nothing() {
    for which in [endpoint("e1"), Which::All] {
        let request = unregistration("alice", which, Some(("call-of-e1", 1)));
        assert!(matches!(
            unregister(&two(), &request, NOW),
            Err(RegisterError::OutOfOrder)
        ));
    }
}

#[test]
fn a_signed_out_connection_may_come_back_and_a_dead_one_may_not() {
    let fenced = |which, order| {
        let removal = unregister(&two(), &unregistration("alice", which, order), NOW)
            .unwrap()
            .unwrap();
        removal.update.tombstones[0].clone()
    };
    let signed_out = fenced(endpoint("e1"), Some(("call-of-e1", 7)));
    assert!(!signed_out.fenced);
    assert_eq!(
        (&*signed_out.call_id, signed_out.cseq),
        ("call-of-e1", 7),
        "the removal is the last that was obeyed"
    );
    assert!(fenced(Which::Connection(EndpointId::new("e1"), Epoch(1)), None).fenced);
}

#[test]
fn an_administrator_ends_one_or_all() {
    let ended = |endpoint| {
        let removal = kick(&two(), endpoint, NOW)?;
        assert_eq!(removal.end, BindingEnd::Rejected);
        assert!(removal.update.tombstones.iter().all(|tombstone| tombstone.fenced));
        Some(removal.ended.len())
    };
    assert_eq!(ended(None), Some(2));
    assert_eq!(ended(Some("e1")), Some(1));
    assert_eq!(ended(Some("e9")), None);
}
