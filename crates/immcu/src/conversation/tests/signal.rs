//! Typing indications.

use std::time::Duration;

use rpc::{Path, Signal, Target, Typing};

use crate::conversation::testing::{Script, text};
use crate::effect::Tell;

const ACTIVE: Typing = Typing::Active { refresh: 60 };

fn shown(script: &mut Script) -> Vec<(Signal, Vec<Target>)> {
    let tells = std::mem::take(&mut script.tells);
    tells
        .into_iter()
        .filter_map(|(_, tell)| match tell {
            Tell::Signal(signal, targets) => Some((signal, targets)),
            _ => None,
        })
        .collect()
}

#[test]
fn without_a_session_page_endpoints_see_typing_and_nobody_rings() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1", "p2@fe2", "s1@fe1"]);
    script.typing("alice/p", "bob", ACTIVE);
    let shown = shown(&mut script);
    assert_eq!(shown.len(), 2, "one call per front end");
    assert!(
        shown
            .iter()
            .all(|(_, targets)| targets.len() == 1 && targets[0].path == Path::Page)
    );
    assert!(script.ringing().is_empty());
}

#[test]
fn with_a_session_only_the_session_sees_typing() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1", "s1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    let leg = script.pick_up("s1", true);
    script.tells.clear();
    script.typing("alice/p", "bob", ACTIVE);
    let shown = shown(&mut script);
    assert_eq!(shown[0].1.len(), 1);
    assert_eq!(shown[0].1[0].path, Path::Leg(leg));
}

#[test]
fn the_newest_of_what_came_too_fast_is_shown_a_moment_later() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    for typing in [ACTIVE, Typing::Idle, ACTIVE, Typing::Idle] {
        script.typing("alice/p", "bob", typing);
    }
    assert_eq!(shown(&mut script).len(), 1);
    script.wait(Duration::from_secs(1));
    let later = shown(&mut script);
    assert_eq!(later.len(), 1);
    assert_eq!(later[0].0.typing, Typing::Idle);
    script.wait(Duration::from_secs(5));
    assert!(shown(&mut script).is_empty());
    assert!(
        script.conversation.is_idle(),
        "typing alone keeps no conversation"
    );
}

#[test]
fn what_was_typed_and_then_said_is_not_shown_as_typing_afterwards() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    script.typing("alice/p", "bob", ACTIVE);
    script.typing("alice/p", "bob", ACTIVE);
    script.submit(&text("alice/p", "bob", "m1"));
    shown(&mut script);
    script.wait(Duration::from_secs(2));
    assert!(shown(&mut script).is_empty());
}
