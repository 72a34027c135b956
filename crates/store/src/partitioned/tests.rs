use std::pin::Pin;
use std::task::Poll;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::memory::MemoryCopy;
use crate::{Binding, BindingStore, BindingTotals, BindingUpdate};

const NOW: Timestamp = Timestamp(1_000_000);

/// Every partition owned, under an epoch like the lease store's.
async fn fresh() -> Box<PartitionedBindings> {
    let store = PartitionedBindings::new(Arc::new(MemoryCopy::default()));
    for partition in Partition::all() {
        store.take(partition, 1, NOW).await.unwrap();
    }
    Box::new(store)
}

crate::binding_suite!(super::fresh);

/// A copy behind a line that can be held: writes wait until the test lets them pass, one by one.
struct Line {
    copy: Arc<MemoryCopy>,
    passes: Semaphore,
}

#[async_trait]
impl BindingCopy for Line {
    async fn take(
        &self,
        partition: Partition,
        epoch: u64,
        now: Timestamp,
    ) -> Result<Vec<(AddressOfRecord, UserBindings)>, StoreError> {
        self.copy.take(partition, epoch, now).await
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        self.passes.acquire().await.unwrap().forget();
        self.copy.write(partition, epoch, users, now).await
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        as_of: Revision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.copy.replace(partition, epoch, users, as_of, now).await
    }
}

fn alice() -> AddressOfRecord {
    AddressOfRecord::parse("alice@example.test").unwrap()
}

fn home() -> Partition {
    Partition::of_user(alice().as_str())
}

fn binding(endpoint: &str, epoch: u64, deadline: Timestamp) -> Binding {
    Binding {
        deadline,
        ..crate::suite::bindings::binding(endpoint, epoch, 0)
    }
}

fn put(binding: Binding) -> BindingUpdate {
    BindingUpdate {
        put: Some(binding),
        ..BindingUpdate::default()
    }
}

/// Binds an endpoint for ten minutes from [`NOW`].
async fn bind(
    store: &PartitionedBindings,
    endpoint: &str,
    epoch: u64,
) -> Result<Arc<UserBindings>, StoreError> {
    let state = store.load(&alice()).await?;
    let update = put(binding(endpoint, epoch, NOW.plus_seconds(600)));
    store.commit(&alice(), state.revision, update, NOW).await
}

fn endpoints(state: &UserBindings) -> Vec<&str> {
    state.bindings.iter().map(|binding| &*binding.endpoint).collect()
}

/// Two members with one copy between them.
fn two() -> (Arc<MemoryCopy>, PartitionedBindings, PartitionedBindings) {
    let copy = Arc::new(MemoryCopy::default());
    let member = || PartitionedBindings::new(copy.clone());
    let (one, other) = (member(), member());
    (copy, one, other)
}

/// Starts what waits at the line. It is not over.
async fn is_waiting<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

fn is_not_owner<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotOwner(_)))
}

#[tokio::test]
async fn a_user_of_a_partition_that_is_not_owned_is_somebody_elses() {
    let (_, store, _) = two();
    assert!(is_not_owner(store.load(&alice()).await));
    let commit = store
        .commit(&alice(), Revision::NONE, BindingUpdate::default(), NOW)
        .await;
    assert!(is_not_owner(commit));
    assert_eq!(store.owned(), []);
}

#[tokio::test]
async fn the_next_owner_goes_on_with_deadlines_tombstones_and_larger_revisions() {
    let (copy, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    bind(&one, "e1", 1).await.unwrap();
    let replacing = BindingUpdate {
        remove: vec![Arc::from("e1")],
        put: Some(binding("e2", 2, NOW.plus_seconds(600))),
        tombstones: vec![binding("e1", 1, NOW).tombstone(true, NOW)],
    };
    let revision = one.load(&alice()).await.unwrap().revision;
    let before = one.commit(&alice(), revision, replacing, NOW).await.unwrap();

    // A second later; the other member's clock started elsewhere.
    copy.advance(1_000);
    let now = Timestamp(77);
    assert_eq!(other.take(home(), 20, now).await.unwrap(), 1);
    let state = other.load(&alice()).await.unwrap();
    assert_eq!(state.revision, before.revision);
    assert_eq!(state.bindings[0].deadline, Timestamp(77 + 599_000));
    assert_eq!(state.tombstones[0].until, Timestamp(77 + 59_000));
    assert!(state.tombstones[0].fenced);
    let refreshed = put(binding("e2", 2, now.plus_seconds(700)));
    let after = other
        .commit(&alice(), state.revision, refreshed, now)
        .await
        .unwrap();
    assert!(after.revision > before.revision);
    assert_eq!(other.owned(), [(home(), 20)]);
}

#[tokio::test]
async fn what_ended_while_nobody_owned_it_is_swept_by_the_next_owner() {
    let (copy, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    bind(&one, "e1", 1).await.unwrap();
    copy.advance(700_000);
    let now = Timestamp(5_000);
    other.take(home(), 20, now).await.unwrap();
    let swept = other.sweep(now, 10).await.unwrap();
    let expired: Vec<_> = swept.ended.iter().flat_map(|ended| &ended.expired).collect();
    assert_eq!(expired.len(), 1);
    assert_eq!(&*expired[0].endpoint, "e1");
}

#[tokio::test]
async fn what_the_sweep_ended_is_ended_in_the_copy_too() {
    let (_, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    bind(&one, "e1", 1).await.unwrap();
    let later = NOW.plus_seconds(600);
    assert_eq!(one.sweep(later, 10).await.unwrap().ended.len(), 1);
    other.take(home(), 20, later).await.unwrap();
    let state = other.load(&alice()).await.unwrap();
    assert_eq!(endpoints(&state), [""; 0]);
    assert_eq!(state.tombstones.len(), 1);
}

#[tokio::test]
async fn a_fenced_owner_learns_it_by_his_next_commit() {
    let (_, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    bind(&one, "e1", 1).await.unwrap();
    other.take(home(), 20, NOW).await.unwrap();
    assert!(is_not_owner(bind(&one, "late", 2).await));
    assert_eq!(one.owned(), []);
    assert!(is_not_owner(one.load(&alice()).await));
    assert_eq!(one.binding_totals().await.unwrap(), BindingTotals::default());
    assert_eq!(one.dirty(), 0);
    assert_eq!(endpoints(&other.load(&alice()).await.unwrap()), ["e1"]);
    // He may own it again later, and then knows what happened meanwhile.
    bind(&other, "e2", 2).await.unwrap();
    one.take(home(), 30, NOW).await.unwrap();
    assert_eq!(endpoints(&one.load(&alice()).await.unwrap()), ["e1", "e2"]);
    assert!(is_not_owner(other.take(home(), 25, NOW).await));
}

#[tokio::test]
async fn a_fenced_owner_learns_it_by_the_sweep_and_ends_nobody() {
    let (_, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    bind(&one, "e1", 1).await.unwrap();
    other.take(home(), 20, NOW).await.unwrap();
    let swept = one.sweep(NOW.plus_seconds(600), 10).await.unwrap();
    assert!(swept.ended.is_empty(), "{swept:?}");
    assert_eq!(one.owned(), []);
}

#[tokio::test]
async fn commits_go_on_while_the_copy_is_away_and_are_flushed_afterwards() {
    let (copy, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    copy.set_failing(true);
    bind(&one, "e1", 1).await.unwrap();
    bind(&one, "e2", 2).await.unwrap();
    assert_eq!(one.dirty(), 1);
    let flushed = one.flush(NOW, 100).await;
    assert_eq!(flushed.written, 0);
    assert!(matches!(flushed.failed, Some(StoreError::Driver(_))));
    assert_eq!(one.dirty(), 1);

    copy.set_failing(false);
    let flushed = one.flush(NOW, 100).await;
    assert_eq!(flushed.written, 1);
    assert!(flushed.failed.is_none());
    assert_eq!(one.dirty(), 0);
    other.take(home(), 20, NOW).await.unwrap();
    assert_eq!(endpoints(&other.load(&alice()).await.unwrap()), ["e1", "e2"]);
}

#[tokio::test]
async fn a_user_who_left_while_the_copy_was_away_is_deleted_by_the_flush() {
    let (copy, one, _) = two();
    one.take(home(), 10, NOW).await.unwrap();
    let bound = bind(&one, "e1", 1).await.unwrap();
    assert_eq!(copy.users(), 1);
    copy.set_failing(true);
    let remove = BindingUpdate {
        remove: vec![Arc::from("e1")],
        ..BindingUpdate::default()
    };
    let left = one.commit(&alice(), bound.revision, remove, NOW).await.unwrap();
    assert!(left.is_empty());
    copy.set_failing(false);
    assert_eq!(one.flush(NOW, 100).await.written, 1);
    assert_eq!((copy.users(), one.dirty()), (0, 0));
}

#[tokio::test]
async fn the_flush_stops_near_its_limit() {
    let copy = Arc::new(MemoryCopy::default());
    let store = PartitionedBindings::new(copy.clone());
    for partition in Partition::all() {
        store.take(partition, 10, NOW).await.unwrap();
    }
    copy.set_failing(true);
    for user in 0..20 {
        let aor = AddressOfRecord::parse(&format!("user{user}@example.test")).unwrap();
        let update = put(binding("e1", 1, NOW.plus_seconds(600)));
        store.commit(&aor, Revision::NONE, update, NOW).await.unwrap();
    }
    copy.set_failing(false);
    assert_eq!(store.flush(NOW, 5).await.written, 5);
    assert_eq!(store.dirty(), 15);
    assert_eq!(store.flush(NOW, 100).await.written, 15);
}

#[tokio::test]
async fn a_copy_that_lost_its_history_is_written_anew() {
    let (copy, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    bind(&one, "e1", 1).await.unwrap();
    copy.lose_history();
    assert_eq!(copy.users(), 0);
    // Told by somebody who noticed...
    assert_eq!(one.reassert(home(), NOW).await.unwrap(), 1);
    assert_eq!(copy.users(), 1);
    // ...or noticed by the next write.
    copy.lose_history();
    bind(&one, "e2", 2).await.unwrap();
    assert_eq!(one.dirty(), 1);
    assert_eq!(one.flush(NOW, 100).await.written, 1);
    assert_eq!(one.dirty(), 0);
    other.take(home(), 20, NOW).await.unwrap();
    assert_eq!(endpoints(&other.load(&alice()).await.unwrap()), ["e1", "e2"]);
}

#[tokio::test]
async fn revisions_grow_also_where_the_copy_was_lost_before_the_take_over() {
    let (copy, one, other) = two();
    let seconds = |seconds: u64| seconds << 20;
    one.take(home(), seconds(1_000), NOW).await.unwrap();
    let before = bind(&one, "e1", 1).await.unwrap();
    copy.lose_history();
    other.take(home(), seconds(1_001), NOW).await.unwrap();
    let after = bind(&other, "e1", 2).await.unwrap();
    assert!(after.revision > before.revision);
}

#[tokio::test]
async fn giving_brings_over_what_is_dirty_and_takes_no_more() {
    let (copy, one, other) = two();
    one.take(home(), 10, NOW).await.unwrap();
    copy.set_failing(true);
    bind(&one, "e1", 1).await.unwrap();
    assert!(one.give(home(), NOW).await.is_err());
    // It serves on, and the sweep comes by.
    assert_eq!(one.owned(), [(home(), 10)]);
    bind(&one, "e2", 2).await.unwrap();
    copy.set_failing(false);
    let given = one.give(home(), NOW).await.unwrap();
    assert_eq!(given.len(), 1);
    assert_eq!(endpoints(&given[0].1), ["e1", "e2"]);
    assert!(is_not_owner(bind(&one, "e3", 3).await));
    assert!(one.give(home(), NOW).await.unwrap().is_empty());
    other.take(home(), 20, NOW).await.unwrap();
    assert_eq!(endpoints(&other.load(&alice()).await.unwrap()), ["e1", "e2"]);
}

#[tokio::test]
async fn a_partition_that_could_not_be_given_is_swept_as_before() {
    let copy = Arc::new(MemoryCopy::default());
    let line = Arc::new(Line {
        copy: copy.clone(),
        passes: Semaphore::new(0),
    });
    let store = PartitionedBindings::new(line.clone());
    store.take(home(), 10, NOW).await.unwrap();
    // A commit whose caller lost patience: done here, not in the copy.
    let mut commit = Box::pin(bind(&store, "e1", 1));
    assert!(is_waiting(&mut commit).await);
    drop(commit);
    assert_eq!(store.dirty(), 1);
    // While it is being given, a sweep passes over its users.
    let later = NOW.plus_seconds(600);
    let mut giving = Box::pin(store.give(home(), later));
    assert!(is_waiting(&mut giving).await);
    assert!(store.sweep(later, 10).await.unwrap().ended.is_empty());
    copy.set_failing(true);
    line.passes.add_permits(1);
    assert!(giving.await.is_err());
    line.passes.add_permits(1);
    let swept = store.sweep(later, 10).await.unwrap();
    assert_eq!(swept.ended.len(), 1, "{swept:?}");
}

#[tokio::test]
async fn a_commit_under_way_while_its_partition_is_given_is_carried_over() {
    let copy = Arc::new(MemoryCopy::default());
    let line = Arc::new(Line {
        copy: copy.clone(),
        passes: Semaphore::new(0),
    });
    let one = PartitionedBindings::new(line.clone());
    let other = PartitionedBindings::new(copy);
    one.take(home(), 10, NOW).await.unwrap();
    let mut late = Box::pin(bind(&one, "e1", 1));
    assert!(is_waiting(&mut late).await);
    let mut giving = Box::pin(one.give(home(), NOW));
    assert!(is_waiting(&mut giving).await);
    line.passes.add_permits(2);
    let (result, given) = tokio::join!(late, giving);
    let given = given.unwrap();
    other.take(home(), 20, NOW).await.unwrap();
    assert!(result.is_ok());
    assert_eq!(given.len(), 1);
    assert_eq!(endpoints(&other.load(&alice()).await.unwrap()), ["e1"]);
}

/// A pool of three members that do anything in any order, with a copy that fails and loses its history.
struct Chaos {
    copy: Arc<MemoryCopy>,
    members: Vec<PartitionedBindings>,
    /// Who owns the partition by the table of owners, and under which epoch.
    owner: usize,
    epoch: u64,
    /// What the owner answered last.
    told: Arc<UserBindings>,
    /// True if the copy lost its history under this owner.
    lost: bool,
    state: u64,
}

impl Chaos {
    /// SplitMix64.
    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    async fn sign_in(&mut self, number: u64) {
        let member = self.random(3) as usize;
        let endpoint = format!("e{}", number % 5);
        let answer = bind(&self.members[member], &endpoint, number).await;
        if member == self.owner {
            let Ok(state) = answer else {
                // It owns the partition by the table, and could not take it yet.
                assert!(is_not_owner(answer));
                return;
            };
            assert!(state.revision > self.told.revision, "revisions of a user grow");
            self.told = state;
        }
    }

    /// The table gets another owner; the one before may or may not give the partition in order.
    async fn hand_over(&mut self) {
        let orderly = self.random(2) == 0;
        let before = &self.members[self.owner];
        let held = before.owned().contains(&(home(), self.epoch));
        if orderly && before.give(home(), NOW).await.is_err() {
            return;
        }
        let lossless = held && before.dirty() == 0 && !self.lost;
        self.owner = self.random(3) as usize;
        self.epoch += 1 << 20;
        let taken = self.members[self.owner].take(home(), self.epoch, NOW).await;
        self.lost |= taken.is_err();
        if taken.is_ok() {
            self.lost = false;
            let state = self.members[self.owner].load(&alice()).await.unwrap();
            if lossless {
                assert_eq!(
                    state.bindings, self.told.bindings,
                    "nothing that was told is lost"
                );
            }
            // Revisions of what was lost are not given again.
            let revision = self.told.revision.max(state.revision);
            self.told = Arc::new(UserBindings {
                revision,
                ..UserBindings::clone(&state)
            });
        }
    }
}

#[tokio::test]
async fn whatever_happens_the_owner_keeps_what_it_told_and_its_copy_follows() {
    for seed in 0..300 {
        let copy = Arc::new(MemoryCopy::default());
        let mut chaos = Chaos {
            members: (0..3).map(|_| PartitionedBindings::new(copy.clone())).collect(),
            copy,
            owner: 0,
            epoch: 1 << 20,
            told: Arc::new(UserBindings::none()),
            lost: false,
            state: seed,
        };
        chaos.members[0].take(home(), chaos.epoch, NOW).await.unwrap();
        for step in 1..=100 {
            match chaos.random(20) {
                0 => chaos.copy.set_failing(true),
                1..=3 => chaos.copy.set_failing(false),
                4 => {
                    chaos.copy.lose_history();
                    chaos.lost = true;
                }
                5..=6 => chaos.hand_over().await,
                7..=9 => {
                    let member = chaos.random(3) as usize;
                    chaos.members[member].flush(NOW, 100).await;
                }
                _ => chaos.sign_in(step).await,
            }
        }
        // In the end all is well again: everybody knows his place, and the copy has what the owner told.
        chaos.copy.set_failing(false);
        let owner = &chaos.members[chaos.owner];
        owner.take(home(), chaos.epoch, NOW).await.unwrap();
        for member in &chaos.members {
            let flushed = member.flush(NOW, 100).await;
            assert!(flushed.failed.is_none(), "seed {seed}");
        }
        owner.reassert(home(), NOW).await.unwrap();
        assert_eq!(owner.dirty(), 0, "seed {seed}");
        let expected = owner.load(&alice()).await.unwrap();
        let next = PartitionedBindings::new(chaos.copy.clone());
        next.take(home(), chaos.epoch + 1, NOW).await.unwrap();
        assert_eq!(
            next.load(&alice()).await.unwrap().bindings,
            expected.bindings,
            "seed {seed}"
        );
        for member in &chaos.members {
            assert!(is_not_owner(bind(member, "late", 1).await), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_dropped_partition_leaves_nothing_behind() {
    let (_, one, _) = two();
    one.take(home(), 10, NOW).await.unwrap();
    bind(&one, "e1", 1).await.unwrap();
    let dropped = one.drop_partition(home());
    assert_eq!(dropped.len(), 1);
    assert_eq!(one.binding_totals().await.unwrap(), BindingTotals::default());
    assert!(
        one.sweep(NOW.plus_seconds(900), 10)
            .await
            .unwrap()
            .ended
            .is_empty()
    );
    assert!(one.drop_partition(home()).is_empty());
    // Taken again, it is swept once.
    one.take(home(), 20, NOW).await.unwrap();
    let swept = one.sweep(NOW.plus_seconds(900), 10).await.unwrap();
    assert_eq!(swept.ended.len(), 1);
}
