//! What a shared copy of presence must do.

use bytes::Bytes;
use topology::Partition;

use super::{Outcome, aor};
use crate::{PresenceCopy, PresenceState, Revision, StoreError, Written};

/// Where the suite's users are; the copy does not check.
fn partition() -> Result<Partition, StoreError> {
    Partition::new(73).ok_or_else(|| StoreError::InvalidRequest("no such partition".into()))
}

/// A user whose state is the number of its revision, for ten minutes.
fn state(user: &str, revision: u64) -> Result<PresenceState, StoreError> {
    Ok(PresenceState {
        user: aor(user)?,
        revision: Revision(revision),
        // Whatever bytes an owner writes.
        text: Bytes::from(format!("{revision}\r\n\0\u{fc} ")),
        lives_ms: 600_000,
    })
}

/// A user of whom nothing is left.
fn gone(user: &str, revision: u64) -> Result<PresenceState, StoreError> {
    Ok(PresenceState {
        text: Bytes::new(),
        ..state(user, revision)?
    })
}

/// What the next owner finds: users and the revisions their states speak of, in order.
async fn found(copy: &impl PresenceCopy, epoch: u64) -> Result<Vec<(String, u64)>, StoreError> {
    let mut found = Vec::new();
    for one in copy.take(partition()?, epoch).await? {
        // A moment may have passed, never more than a test may take.
        assert!(one.age_ms < 60_000, "{} ms", one.age_ms);
        let text = std::str::from_utf8(&one.text)
            .ok()
            .and_then(|text| text.strip_suffix("\r\n\0\u{fc} "));
        let revision = text.and_then(|text| text.parse().ok());
        let Some(revision) = revision else {
            return Err(StoreError::Inconsistent(format!("{one:?}")));
        };
        found.push((one.user.as_str().to_owned(), revision));
    }
    found.sort();
    Ok(found)
}

fn users(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    let own = |(user, revision): &(&str, u64)| ((*user).to_owned(), *revision);
    expected.iter().map(own).collect()
}

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

pub async fn the_next_owner_finds_what_was_copied(copy: &impl PresenceCopy) -> Outcome {
    assert_eq!(found(copy, 10).await?, []);
    let states = [state(ALICE, 11)?, state(BOB, 12)?];
    assert_eq!(copy.write(partition()?, 10, &states).await?, Written::Kept);
    let expected = users(&[(ALICE, 11), (BOB, 12)]);
    assert_eq!(found(copy, 20).await?, expected);
    assert_eq!(found(copy, 20).await?, expected, "a repetition finds the same");
    Ok(())
}

pub async fn copies_may_arrive_out_of_order(copy: &impl PresenceCopy) -> Outcome {
    found(copy, 10).await?;
    for one in [state(ALICE, 13)?, state(ALICE, 12)?, state(ALICE, 13)?] {
        assert_eq!(copy.write(partition()?, 10, &[one]).await?, Written::Kept);
    }
    // What is gone does not come back by a write that was under way.
    for one in [gone(BOB, 15)?, state(BOB, 14)?] {
        assert_eq!(copy.write(partition()?, 10, &[one]).await?, Written::Kept);
    }
    assert_eq!(found(copy, 10).await?, users(&[(ALICE, 13)]));
    let again = copy.write(partition()?, 10, &[state(BOB, 16)?]).await?;
    assert_eq!(again, Written::Kept);
    assert_eq!(found(copy, 11).await?, users(&[(ALICE, 13), (BOB, 16)]));
    Ok(())
}

pub async fn an_owner_that_was_replaced_copies_nothing(copy: &impl PresenceCopy) -> Outcome {
    found(copy, 10).await?;
    let written = copy.write(partition()?, 10, &[state(ALICE, 11)?]).await?;
    assert_eq!(written, Written::Kept);
    found(copy, 20).await?;
    let late = [state(ALICE, 12)?];
    let write = copy.write(partition()?, 10, &late).await;
    assert!(matches!(write, Err(StoreError::Conflict(_))), "{write:?}");
    let replace = copy.replace(partition()?, 10, &late, Revision(12)).await;
    assert!(matches!(replace, Err(StoreError::Conflict(_))), "{replace:?}");
    let take = copy.take(partition()?, 10).await;
    assert!(matches!(take, Err(StoreError::Conflict(_))), "{take:?}");
    assert_eq!(found(copy, 20).await?, users(&[(ALICE, 11)]));
    Ok(())
}

pub async fn a_copy_that_forgot_its_owner_says_so(copy: &impl PresenceCopy) -> Outcome {
    let write = copy.write(partition()?, 10, &[state(ALICE, 11)?]).await?;
    assert_eq!(write, Written::HistoryLost);
    found(copy, 20).await?;
    let write = copy.write(partition()?, 30, &[state(ALICE, 31)?]).await?;
    assert_eq!(write, Written::HistoryLost, "the copy is from before epoch 30");
    assert_eq!(found(copy, 40).await?, []);
    Ok(())
}

pub async fn copying_anew_leaves_only_what_is_said_and_newer(copy: &impl PresenceCopy) -> Outcome {
    found(copy, 10).await?;
    let stale = [state("carol@example.test", 11)?];
    assert_eq!(copy.write(partition()?, 10, &stale).await?, Written::Kept);
    // From an older history: nothing of it stays.
    let owned = [state(ALICE, 21)?, state(BOB, 22)?];
    copy.replace(partition()?, 20, &owned, Revision(22)).await?;
    assert_eq!(found(copy, 20).await?, users(&[(ALICE, 21), (BOB, 22)]));
    // Of its own history: what was written while the list was under way stays.
    let newer = [state(ALICE, 24)?, state("dave@example.test", 25)?, gone(BOB, 26)?];
    assert_eq!(copy.write(partition()?, 20, &newer).await?, Written::Kept);
    let listed = [state(ALICE, 21)?, state(BOB, 23)?];
    copy.replace(partition()?, 20, &listed, Revision(23)).await?;
    let expected = users(&[(ALICE, 24), ("dave@example.test", 25)]);
    assert_eq!(found(copy, 30).await?, expected);
    Ok(())
}
