use std::sync::Arc;

use topology::MemberId;

use super::*;
use crate::testing::{aor, names};

const NOW: Timestamp = Timestamp(1_000);

fn state(revision: u64, endpoints: &[(&str, bool)]) -> UserBindings {
    let binding = |(name, lync): &(&str, bool)| {
        Arc::new(store::Binding {
            endpoint: Arc::from(*name),
            epoch: 7,
            member: MemberId::new("fe1"),
            connection: 3,
            contact: "sip:alice@192.0.2.1".into(),
            instance: None,
            epid: None,
            reg_id: None,
            gruu: None,
            lync: *lync,
            session: *lync,
            user_agent: None,
            call_id: "call".into(),
            cseq: 1,
            granted: 600,
            was_new: true,
            deadline: NOW.plus_seconds(600),
        })
    };
    let tombstone = binding(&("gone", false)).tombstone(false, NOW);
    UserBindings {
        revision: Revision(revision),
        bindings: endpoints.iter().map(binding).collect(),
        tombstones: vec![Arc::new(tombstone)],
    }
}

fn found(locations: &Locations) -> Option<Vec<String>> {
    locations.get(&aor("alice")).map(|(_, bindings)| names(&bindings))
}

fn apply(locations: &Locations, state: &UserBindings) {
    locations.apply(&aor("alice"), state, &Arc::from("Alice"), NOW);
}

#[test]
fn the_newest_state_is_found_in_whatever_order_states_arrive() {
    let locations = Locations::new();
    assert_eq!(found(&locations), None);
    apply(&locations, &state(2, &[("e1", false), ("e2", true)]));
    apply(&locations, &state(1, &[("e1", false)]));
    assert_eq!(found(&locations), Some(vec!["e1".to_owned(), "e2".to_owned()]));

    // A removal overtakes the change before it.
    apply(&locations, &state(4, &[]));
    apply(&locations, &state(3, &[("e3", false)]));
    assert_eq!(found(&locations), None);
    apply(&locations, &state(5, &[("e4", false)]));
    assert_eq!(found(&locations), Some(vec!["e4".to_owned()]));
}

#[test]
fn a_user_the_store_has_forgotten_takes_no_place() {
    let locations = Locations::new();
    apply(&locations, &state(1, &[("e1", false)]));
    apply(&locations, &state(2, &[]));
    let mut forgotten = state(3, &[]);
    forgotten.tombstones.clear();
    apply(&locations, &forgotten);
    assert!(locations.shards.iter().all(|shard| shard.read().is_empty()));
    assert_eq!(locations.online(), Online::default());
}

#[test]
fn totals_follow_what_is_found() {
    let locations = Locations::new();
    let online = |users, simple, lync| Online { users, simple, lync };
    apply(
        &locations,
        &state(1, &[("e1", false), ("e2", true), ("e3", true)]),
    );
    assert_eq!(locations.online(), online(1, 1, 2));
    apply(&locations, &state(2, &[("e2", true)]));
    assert_eq!(locations.online(), online(1, 0, 1));
    apply(&locations, &state(3, &[]));
    assert_eq!(locations.online(), online(0, 0, 0));
}

#[test]
fn a_binding_tells_what_is_left_of_it_and_one_past_its_deadline_is_not_told() {
    let state = state(1, &[("e1", true)]);
    let later = Timestamp(NOW.0 + 100_001);
    let [binding] = &bindings_of(&aor("alice"), &state, later)[..] else {
        panic!("not one binding")
    };
    assert_eq!(binding.expires_in, 500, "rounded up");
    assert_eq!(
        (binding.family, binding.mode),
        (ClientFamily::Lync, ImMode::Session)
    );
    assert_eq!(
        (binding.address.epoch, binding.address.connection),
        (Epoch(7), ConnectionId(3))
    );
    assert!(bindings_of(&aor("alice"), &state, NOW.plus_seconds(600)).is_empty());
}

#[test]
fn a_new_name_is_seen_at_once() {
    let locations = Locations::new();
    apply(&locations, &state(1, &[("e1", false)]));
    locations.rename(&aor("alice"), "Alice B.");
    locations.rename(&aor("nobody"), "Nobody");
    assert_eq!(
        locations.get(&aor("alice")).map(|(name, _)| name.to_string()),
        Some("Alice B.".to_owned())
    );
}
