//! What a binding store must do.

use std::sync::Arc;

use topology::MemberId;

use super::{Outcome, aor};
use crate::{
    Binding, BindingStore, BindingTotals, BindingUpdate, MAX_TOMBSTONES, Revision, StoreError,
    TOMBSTONE_TTL_MS, Timestamp, UserBindings,
};

const NOW: Timestamp = Timestamp(1_000_000);

fn after(seconds: u32) -> Timestamp {
    NOW.plus_seconds(seconds)
}

/// A binding that ends `seconds` after [`NOW`].
pub fn binding(endpoint: &str, epoch: u64, seconds: u32) -> Binding {
    Binding {
        endpoint: Arc::from(endpoint),
        epoch,
        member: MemberId::new("fe1"),
        connection: epoch,
        contact: format!("sip:{endpoint}@192.0.2.1;transport=tls"),
        instance: Some("urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a".into()),
        epid: Some("b34afb6ebb23".into()),
        reg_id: Some(1),
        gruu: None,
        lync: false,
        session: true,
        user_agent: Some("suite/1.0".into()),
        call_id: "call".into(),
        cseq: 1,
        granted: seconds,
        was_new: true,
        deadline: after(seconds),
    }
}

fn put(binding: Binding) -> BindingUpdate {
    BindingUpdate {
        put: Some(binding),
        ..BindingUpdate::default()
    }
}

/// Commits `update` against the newest state, as a caller without competitors does.
async fn apply(
    store: &impl BindingStore,
    user: &str,
    update: BindingUpdate,
) -> Result<Arc<UserBindings>, StoreError> {
    let aor = aor(user)?;
    let state = store.load(&aor).await?;
    store.commit(&aor, state.revision, update, NOW).await
}

fn endpoints(state: &UserBindings) -> Vec<&str> {
    state.bindings.iter().map(|binding| &*binding.endpoint).collect()
}

const ALICE: &str = "alice@example.test";

pub async fn a_binding_is_read_back_as_it_was_committed(store: &impl BindingStore) -> Outcome {
    assert!(store.load(&aor(ALICE)?).await?.is_empty());
    let committed = apply(store, ALICE, put(binding("e1", 1, 600))).await?;
    let loaded = store.load(&aor(ALICE)?).await?;
    assert_eq!(loaded, committed);
    assert_eq!(loaded.bindings, [Arc::new(binding("e1", 1, 600))]);
    assert!(store.load(&aor("bob@example.test")?).await?.is_empty());
    Ok(())
}

pub async fn a_commit_against_another_revision_changes_nothing(store: &impl BindingStore) -> Outcome {
    let first = apply(store, ALICE, put(binding("e1", 1, 600))).await?;
    let second = apply(store, ALICE, put(binding("e1", 2, 600))).await?;
    for stale in [Revision::NONE, first.revision, Revision(second.revision.0 + 1)] {
        let result = store
            .commit(&aor(ALICE)?, stale, put(binding("e2", 3, 600)), NOW)
            .await;
        assert!(matches!(result, Err(StoreError::Conflict(_))), "{stale:?}");
    }
    assert_eq!(store.load(&aor(ALICE)?).await?, second);
    let unknown = aor("bob@example.test")?;
    let result = store
        .commit(&unknown, second.revision, put(binding("e2", 3, 600)), NOW)
        .await;
    assert!(matches!(result, Err(StoreError::Conflict(_))));
    assert!(store.load(&unknown).await?.is_empty());
    Ok(())
}

pub async fn revisions_grow_even_after_everything_is_forgotten(store: &impl BindingStore) -> Outcome {
    let first = apply(store, ALICE, put(binding("e1", 1, 600))).await?;
    let remove = BindingUpdate {
        remove: vec![Arc::from("e1")],
        ..BindingUpdate::default()
    };
    let removed = apply(store, ALICE, remove).await?;
    assert!(removed.is_empty());
    let again = apply(store, ALICE, put(binding("e1", 2, 600))).await?;
    assert!(first.revision > Revision::NONE);
    assert!(removed.revision > first.revision);
    assert!(again.revision > removed.revision);
    Ok(())
}

pub async fn a_refresh_keeps_its_place_and_a_new_epoch_moves_to_the_end(
    store: &impl BindingStore,
) -> Outcome {
    for (endpoint, epoch) in [("e1", 1), ("e2", 2), ("e3", 3)] {
        apply(store, ALICE, put(binding(endpoint, epoch, 600))).await?;
    }
    let state = apply(store, ALICE, put(binding("e1", 1, 700))).await?;
    assert_eq!(endpoints(&state), ["e1", "e2", "e3"]);
    assert_eq!(state.binding("e1").map(|binding| binding.granted), Some(700));
    let state = apply(store, ALICE, put(binding("e1", 4, 700))).await?;
    assert_eq!(endpoints(&state), ["e2", "e3", "e1"]);
    assert_eq!(state.newest_epoch(), 4);
    Ok(())
}

pub async fn removal_and_tombstones_are_one_commit(store: &impl BindingStore) -> Outcome {
    apply(store, ALICE, put(binding("e1", 1, 600))).await?;
    let replacing = BindingUpdate {
        remove: vec![Arc::from("e1")],
        put: Some(binding("e2", 2, 600)),
        tombstones: vec![binding("e1", 1, 600).tombstone(true, NOW)],
    };
    let state = apply(store, ALICE, replacing).await?;
    assert_eq!(endpoints(&state), ["e2"]);
    let tombstone = binding("e1", 1, 600).tombstone(true, NOW);
    assert_eq!(state.tombstones, [Arc::new(tombstone)]);
    assert_eq!(store.load(&aor(ALICE)?).await?, state);

    let again = BindingUpdate {
        tombstones: vec![binding("e1", 1, 600).tombstone(false, NOW)],
        ..BindingUpdate::default()
    };
    let state = apply(store, ALICE, again).await?;
    let fenced: Vec<_> = state
        .tombstones
        .iter()
        .map(|tombstone| tombstone.fenced)
        .collect();
    assert_eq!(fenced, [false], "one per endpoint, connection and Call-ID");
    Ok(())
}

pub async fn tombstones_are_bounded_and_forgotten(store: &impl BindingStore) -> Outcome {
    for epoch in 0..=MAX_TOMBSTONES as u64 {
        let update = BindingUpdate {
            tombstones: vec![binding("e1", epoch, 600).tombstone(true, NOW)],
            ..BindingUpdate::default()
        };
        apply(store, ALICE, update).await?;
    }
    let state = store.load(&aor(ALICE)?).await?;
    assert_eq!(state.tombstones.len(), MAX_TOMBSTONES);
    assert_eq!(
        state.tombstones.first().map(|tombstone| tombstone.epoch),
        Some(1),
        "the oldest went"
    );

    let later = Timestamp(NOW.0 + TOMBSTONE_TTL_MS);
    let swept = store.sweep(later, 10).await?;
    assert_eq!(swept.ended.len(), 1);
    assert!(
        swept
            .ended
            .iter()
            .all(|ended| ended.expired.is_empty() && ended.left.is_empty())
    );
    assert!(store.load(&aor(ALICE)?).await?.is_empty());
    Ok(())
}

pub async fn the_sweep_ends_what_is_due_once(store: &impl BindingStore) -> Outcome {
    apply(store, ALICE, put(binding("short", 1, 300))).await?;
    apply(store, ALICE, put(binding("long", 2, 900))).await?;
    assert!(
        store
            .sweep(Timestamp(after(300).0 - 1), 10)
            .await?
            .ended
            .is_empty()
    );

    let swept = store.sweep(after(300), 10).await?;
    let [ended] = &swept.ended[..] else {
        return Err(StoreError::Inconsistent(format!("{swept:?}")));
    };
    assert_eq!(ended.aor, aor(ALICE)?);
    assert_eq!(ended.expired, [Arc::new(binding("short", 1, 300))]);
    assert_eq!(endpoints(&ended.left), ["long"]);
    assert_eq!(ended.left, store.load(&aor(ALICE)?).await?);
    let tombstone = binding("short", 1, 300).tombstone(false, after(300));
    assert_eq!(ended.left.tombstones, [Arc::new(tombstone)]);

    assert!(
        store.sweep(after(301), 10).await?.ended.is_empty(),
        "reported once"
    );
    Ok(())
}

pub async fn the_sweep_names_the_next_deadline(store: &impl BindingStore) -> Outcome {
    assert_eq!(store.sweep(NOW, 10).await?.next, None);
    apply(store, ALICE, put(binding("e1", 1, 600))).await?;
    apply(store, "bob@example.test", put(binding("e1", 1, 400))).await?;
    let next = store.sweep(NOW, 10).await?.next;
    assert!(
        next.is_some_and(|next| next <= after(400) && next > NOW),
        "{next:?}"
    );
    Ok(())
}

pub async fn a_refreshed_binding_is_not_swept_at_its_old_deadline(store: &impl BindingStore) -> Outcome {
    apply(store, ALICE, put(binding("e1", 1, 300))).await?;
    apply(store, ALICE, put(binding("e1", 1, 900))).await?;
    let swept = store.sweep(after(300), 10).await?;
    assert!(swept.ended.is_empty(), "{swept:?}");
    assert_eq!(swept.next, Some(after(900)));
    // And one whose deadline moved nearer goes at the nearer one.
    apply(store, ALICE, put(binding("e1", 1, 600))).await?;
    let swept = store.sweep(after(600), 10).await?;
    assert_eq!(swept.ended.len(), 1);
    Ok(())
}

pub async fn the_sweep_stops_at_its_limit(store: &impl BindingStore) -> Outcome {
    for user in 0..5 {
        apply(
            store,
            &format!("user{user}@example.test"),
            put(binding("e1", 1, 300)),
        )
        .await?;
    }
    let mut seen = 0;
    loop {
        let swept = store.sweep(after(300), 2).await?;
        assert!(swept.ended.len() <= 2);
        seen += swept.ended.len();
        if swept.next.is_none_or(|next| next > after(300)) {
            break;
        }
    }
    assert_eq!(seen, 5);
    Ok(())
}

pub async fn totals_follow_what_is_bound(store: &impl BindingStore) -> Outcome {
    let totals = |users, endpoints| BindingTotals { users, endpoints };
    assert_eq!(store.binding_totals().await?, totals(0, 0));
    apply(store, ALICE, put(binding("e1", 1, 300))).await?;
    apply(store, ALICE, put(binding("e2", 2, 600))).await?;
    apply(store, ALICE, put(binding("e2", 2, 600))).await?;
    apply(store, "bob@example.test", put(binding("e1", 1, 600))).await?;
    assert_eq!(store.binding_totals().await?, totals(2, 3));
    store.sweep(after(300), 10).await?;
    assert_eq!(store.binding_totals().await?, totals(2, 2));
    let remove = BindingUpdate {
        remove: vec![Arc::from("e2"), Arc::from("absent")],
        ..BindingUpdate::default()
    };
    apply(store, ALICE, remove).await?;
    assert_eq!(store.binding_totals().await?, totals(1, 1));
    Ok(())
}

pub async fn users_are_found_by_the_member_that_holds_them(store: &impl BindingStore) -> Outcome {
    let fe2 = MemberId::new("fe2");
    let elsewhere = Binding {
        member: fe2.clone(),
        ..binding("e2", 2, 600)
    };
    apply(store, ALICE, put(binding("e1", 1, 600))).await?;
    let alice = apply(store, ALICE, put(elsewhere.clone())).await?;
    apply(store, "bob@example.test", put(binding("e1", 1, 600))).await?;
    assert_eq!(store.held_by(&fe2).await?, [(aor(ALICE)?, alice)]);
    assert_eq!(store.held_by(&MemberId::new("fe1")).await?.len(), 2);
    let ended = BindingUpdate {
        remove: vec![Arc::from("e2")],
        tombstones: vec![elsewhere.tombstone(true, NOW)],
        ..BindingUpdate::default()
    };
    apply(store, ALICE, ended).await?;
    assert_eq!(
        store.held_by(&fe2).await?,
        [],
        "a tombstone is nothing that is held"
    );
    Ok(())
}
