//! What a shared copy of bindings must do.

use std::sync::Arc;

use sip_types::AddressOfRecord;
use topology::Partition;

use super::bindings::binding;
use super::{Outcome, aor};
use crate::{BindingCopy, Revision, StoreError, Timestamp, UserBindings, Written};

const NOW: Timestamp = Timestamp(1_000_000);

type User = (AddressOfRecord, Arc<UserBindings>);

/// Where the suite's users are; the copy does not check.
fn partition() -> Result<Partition, StoreError> {
    Partition::new(73).ok_or_else(|| StoreError::InvalidRequest("no such partition".into()))
}

/// A user whose one endpoint is called after the revision.
fn bound(user: &str, revision: u64) -> Result<User, StoreError> {
    let binding = binding(&format!("e{revision}"), revision, 600);
    let state = UserBindings {
        revision: Revision(revision),
        tombstones: vec![Arc::new(binding.tombstone(true, NOW))],
        bindings: vec![Arc::new(binding)],
    };
    Ok((aor(user)?, Arc::new(state)))
}

/// A user of whom nothing is left.
fn gone(user: &str, revision: u64) -> Result<User, StoreError> {
    let state = UserBindings {
        revision: Revision(revision),
        ..UserBindings::none()
    };
    Ok((aor(user)?, Arc::new(state)))
}

/// What the next owner finds: users and revisions, in order.
async fn found(copy: &impl BindingCopy, epoch: u64) -> Result<Vec<(String, u64)>, StoreError> {
    let taken = copy.take(partition()?, epoch, NOW).await?;
    let mut found: Vec<_> = taken
        .into_iter()
        .map(|(aor, state)| (aor.as_str().to_owned(), state.revision.0))
        .collect();
    found.sort();
    Ok(found)
}

fn users(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    let own = |(user, revision): &(&str, u64)| ((*user).to_owned(), *revision);
    expected.iter().map(own).collect()
}

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

pub async fn the_next_owner_finds_what_was_written(copy: &impl BindingCopy) -> Outcome {
    assert_eq!(found(copy, 10).await?, []);
    let alice = bound(ALICE, 11)?;
    let written = copy
        .write(partition()?, 10, &[alice.clone(), bound(BOB, 12)?], NOW)
        .await?;
    assert_eq!(written, Written::Kept);
    // The next owner's clock has another zero.
    let later = Timestamp(5_000);
    let taken = copy.take(partition()?, 20, later).await?;
    assert_eq!(taken.len(), 2);
    let Some((_, state)) = taken.iter().find(|(aor, _)| *aor == alice.0) else {
        return Err(StoreError::Inconsistent(format!("{taken:?}")));
    };
    let mut expected = UserBindings::clone(&alice.1);
    for binding in &mut expected.bindings {
        let read = state.bindings.first().map(|one| one.deadline);
        let deadline = read.unwrap_or(later);
        // A moment may have passed, never more than a test may take.
        assert!(deadline <= later.plus_seconds(600) && deadline >= later.plus_seconds(540));
        Arc::make_mut(binding).deadline = deadline;
    }
    for tombstone in &mut expected.tombstones {
        let read = state.tombstones.first().map(|one| one.until);
        let until = read.unwrap_or(later);
        assert!(until <= later.plus_seconds(60) && until > later);
        Arc::make_mut(tombstone).until = until;
    }
    assert_eq!(*state, expected);
    Ok(())
}

pub async fn writes_may_arrive_out_of_order(copy: &impl BindingCopy) -> Outcome {
    found(copy, 10).await?;
    for user in [bound(ALICE, 13)?, bound(ALICE, 12)?, bound(ALICE, 13)?] {
        assert_eq!(copy.write(partition()?, 10, &[user], NOW).await?, Written::Kept);
    }
    // What is gone does not come back by a write that was under way.
    for user in [gone(BOB, 15)?, bound(BOB, 14)?] {
        assert_eq!(copy.write(partition()?, 10, &[user], NOW).await?, Written::Kept);
    }
    assert_eq!(found(copy, 10).await?, users(&[(ALICE, 13)]));
    let again = copy.write(partition()?, 10, &[bound(BOB, 16)?], NOW).await?;
    assert_eq!(again, Written::Kept);
    assert_eq!(found(copy, 11).await?, users(&[(ALICE, 13), (BOB, 16)]));
    Ok(())
}

pub async fn a_smaller_epoch_is_refused_everything(copy: &impl BindingCopy) -> Outcome {
    found(copy, 10).await?;
    let written = copy.write(partition()?, 10, &[bound(ALICE, 11)?], NOW).await?;
    assert_eq!(written, Written::Kept);
    found(copy, 20).await?;
    let late = [bound(ALICE, 12)?];
    let write = copy.write(partition()?, 10, &late, NOW).await;
    assert!(matches!(write, Err(StoreError::Conflict(_))), "{write:?}");
    let replace = copy.replace(partition()?, 10, &late, Revision(12), NOW).await;
    assert!(matches!(replace, Err(StoreError::Conflict(_))), "{replace:?}");
    let take = copy.take(partition()?, 10, NOW).await;
    assert!(matches!(take, Err(StoreError::Conflict(_))), "{take:?}");
    assert_eq!(found(copy, 20).await?, users(&[(ALICE, 11)]));
    Ok(())
}

pub async fn a_write_under_an_epoch_that_never_took_says_so(copy: &impl BindingCopy) -> Outcome {
    let write = copy.write(partition()?, 10, &[bound(ALICE, 11)?], NOW).await?;
    assert_eq!(write, Written::HistoryLost);
    found(copy, 20).await?;
    let write = copy.write(partition()?, 30, &[bound(ALICE, 31)?], NOW).await?;
    assert_eq!(write, Written::HistoryLost, "the copy is from before epoch 30");
    assert_eq!(found(copy, 40).await?, []);
    Ok(())
}

pub async fn replacing_leaves_only_what_is_said_and_newer(copy: &impl BindingCopy) -> Outcome {
    found(copy, 10).await?;
    let stale = [bound("carol@example.test", 11)?];
    let written = copy.write(partition()?, 10, &stale, NOW).await?;
    assert_eq!(written, Written::Kept);
    // From an older history: nothing of it stays.
    let owned = [bound(ALICE, 21)?, bound(BOB, 22)?];
    copy.replace(partition()?, 20, &owned, Revision(22), NOW).await?;
    assert_eq!(found(copy, 20).await?, users(&[(ALICE, 21), (BOB, 22)]));
    // Of its own history: what was written while the list was under way stays.
    let newer = [bound(ALICE, 24)?, bound("dave@example.test", 25)?, gone(BOB, 26)?];
    let written = copy.write(partition()?, 20, &newer, NOW).await?;
    assert_eq!(written, Written::Kept);
    let listed = [bound(ALICE, 21)?, bound(BOB, 23)?];
    copy.replace(partition()?, 20, &listed, Revision(23), NOW).await?;
    let expected = users(&[(ALICE, 24), ("dave@example.test", 25)]);
    assert_eq!(found(copy, 30).await?, expected);
    Ok(())
}
