//! What a lease store must do.

use std::slice::from_ref;

use async_trait::async_trait;
use topology::{MemberId, Partition, Partitioned, Role};

use super::Outcome;
use crate::{Incarnation, Lease, LeaseStore, Owner, OwnerTable, PoolView, StoreError, UNKNOWN_TABLES};

/// A lease store on the bench: what the suite must be able to do to it from outside.
#[async_trait]
pub trait LeaseBench: Send + Sync {
    /// The store.
    fn store(&self) -> &dyn LeaseStore;

    /// How long its leases last, in milliseconds. A backend whose clock cannot be set makes them short, but not below a
    /// second: the suite lets half of it pass and trusts that less than all of it passed.
    fn ttl_ms(&self) -> u64;

    /// Lets this much time pass on the store's clock, by setting it or by waiting.
    async fn pass(&self, ms: u64);

    /// Takes everything from it: a flush, or a new server at the old address.
    async fn lose_everything(&self);
}

const KEYS: Partitioned = Partitioned::Users;

/// What a life of a member says of itself.
pub fn lease(name: &str, incarnation: u64) -> Lease {
    Lease {
        member: MemberId::new(name),
        incarnation: Incarnation(incarnation),
        roles: vec![Role::Registrar, Role::ImMcu],
        address: Some(format!("{name}.example.test:5070")),
        draining: false,
        version: "1.2.3".to_owned(),
    }
}

fn holder(lease: &Lease) -> (&MemberId, Incarnation) {
    (&lease.member, lease.incarnation)
}

fn partitions(numbers: impl IntoIterator<Item = u16>) -> Vec<Partition> {
    numbers.into_iter().filter_map(Partition::new).collect()
}

fn numbers(owned: &[(Partition, u64)]) -> Vec<u16> {
    let mut numbers: Vec<_> = owned.iter().map(|(partition, _)| partition.number()).collect();
    numbers.sort_unstable();
    numbers
}

/// What the pool looks like to a member, with both tables.
async fn view(store: &dyn LeaseStore, lease: &Lease) -> Result<PoolView, StoreError> {
    store.renew(lease, UNKNOWN_TABLES).await
}

fn table(view: &PoolView, keys: Partitioned) -> Result<&OwnerTable, StoreError> {
    view.owners[keys.index()]
        .as_ref()
        .ok_or_else(|| StoreError::Inconsistent("a table is missing".to_owned()))
}

/// Whom the table names for each of some partitions.
async fn owners(
    store: &dyn LeaseStore,
    lease: &Lease,
    numbers: impl IntoIterator<Item = u16>,
) -> Result<Vec<Option<Owner>>, StoreError> {
    let view = view(store, lease).await?;
    let table = table(&view, KEYS)?;
    Ok(partitions(numbers)
        .into_iter()
        .map(|partition| table.owner(partition).cloned())
        .collect())
}

fn owner(lease: &Lease, epoch: u64) -> Option<Owner> {
    Some(Owner {
        member: lease.member.clone(),
        incarnation: lease.incarnation,
        epoch,
    })
}

/// The one epoch of a call about one partition.
fn only(owned: &[(Partition, u64)]) -> Result<u64, StoreError> {
    match owned {
        [(_, epoch)] => Ok(*epoch),
        other => Err(StoreError::Inconsistent(format!("not one partition: {other:?}"))),
    }
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

pub async fn a_lease_is_seen_by_others_as_it_was_renewed(bench: &impl LeaseBench) -> Outcome {
    let (fe1, mut fe2) = (lease("fe1", 7), lease("fe2", 8));
    assert_eq!(view(bench.store(), &fe1).await?.members, from_ref(&fe1));
    assert_eq!(
        view(bench.store(), &fe2).await?.members,
        [fe1.clone(), fe2.clone()]
    );
    fe2.draining = true;
    fe2.address = None;
    fe2.roles = vec![Role::FrontEnd];
    view(bench.store(), &fe2).await?;
    assert_eq!(view(bench.store(), &fe1).await?.members, [fe1, fe2]);
    Ok(())
}

pub async fn a_renewed_lease_goes_on_and_one_that_is_not_ends(bench: &impl LeaseBench) -> Outcome {
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    let before = view(bench.store(), &fe1).await?;
    view(bench.store(), &fe2).await?;
    for _ in 0..3 {
        bench.pass(bench.ttl_ms() / 2).await;
        view(bench.store(), &fe1).await?;
    }
    let after = view(bench.store(), &fe1).await?;
    assert_eq!(after.members, [fe1]);
    assert!(
        after.now_ms >= before.now_ms + bench.ttl_ms(),
        "its clock goes on"
    );
    assert_eq!(after.history, before.history);
    Ok(())
}

pub async fn a_lease_that_ran_out_can_be_renewed_and_owns_what_nobody_took(
    bench: &impl LeaseBench,
) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    let owned = store.claim(KEYS, holder(&fe1), &partitions([1, 2])).await?;
    bench.pass(bench.ttl_ms() + 1).await;
    assert_eq!(view(store, &fe2).await?.members, from_ref(&fe2));
    let taken = store.claim(KEYS, holder(&fe2), &partitions([2])).await?;
    assert_eq!(view(store, &fe1).await?.members, [fe1.clone(), fe2.clone()]);
    assert_eq!(
        owners(store, &fe1, [1, 2]).await?,
        [owner(&fe1, owned[0].1), owner(&fe2, only(&taken)?)]
    );
    Ok(())
}

pub async fn a_later_life_supersedes_the_earlier_which_is_told(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (early, late, other) = (lease("fe1", 1), lease("fe1", 2), lease("fe2", 1));
    view(store, &other).await?;
    view(store, &early).await?;
    let owned = store.claim(KEYS, holder(&early), &partitions([1])).await?;
    view(store, &late).await?;

    let some = partitions([1, 2]);
    assert!(is_conflict(&view(store, &early).await));
    assert!(is_conflict(&store.claim(KEYS, holder(&early), &some).await));
    let transfer = store.transfer(KEYS, holder(&early), holder(&other), &some).await;
    assert!(is_conflict(&transfer));
    assert!(is_conflict(&store.reassert(KEYS, holder(&early), &owned).await));
    assert!(is_conflict(&store.leave(holder(&early)).await));
    assert_eq!(view(store, &other).await?.members, [late, other]);
    Ok(())
}

pub async fn what_the_earlier_life_owned_is_free_for_the_later(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (early, late) = (lease("fe1", 1), lease("fe1", 2));
    view(store, &early).await?;
    let before = only(&store.claim(KEYS, holder(&early), &partitions([1])).await?)?;
    view(store, &late).await?;
    let after = only(&store.claim(KEYS, holder(&late), &partitions([1])).await?)?;
    assert!(after > before);
    assert_eq!(owners(store, &late, [1]).await?, [owner(&late, after)]);
    Ok(())
}

pub async fn what_nobody_owns_is_claimed_once(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let first = store.claim(KEYS, holder(&fe1), &partitions([1, 2])).await?;
    assert_eq!(numbers(&first), [1, 2]);
    assert!(first.iter().all(|(_, epoch)| *epoch > 0));
    let second = store.claim(KEYS, holder(&fe2), &partitions([2, 3])).await?;
    assert_eq!(numbers(&second), [3]);
    let again = store.claim(KEYS, holder(&fe1), &partitions([1, 2, 3])).await?;
    assert_eq!(again, first, "repeated, with the same epochs");
    assert_eq!(
        owners(store, &fe2, [0, 2, 3]).await?,
        [None, owner(&fe1, first[1].1), owner(&fe2, only(&second)?)]
    );
    Ok(())
}

pub async fn of_claimants_at_the_same_time_one_wins_each_partition(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2, fe3) = (lease("fe1", 1), lease("fe2", 1), lease("fe3", 1));
    for lease in [&fe1, &fe2, &fe3] {
        view(store, lease).await?;
    }
    let wanted = partitions(0..200);
    let (one, two, three) = tokio::join!(
        store.claim(KEYS, holder(&fe1), &wanted),
        store.claim(KEYS, holder(&fe2), &wanted),
        store.claim(KEYS, holder(&fe3), &wanted),
    );
    let mut all = numbers(&[one?, two?, three?].concat());
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>(), "each by one of them");
    Ok(())
}

pub async fn a_partition_of_a_dead_owner_is_claimed_with_a_larger_epoch(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    let before = only(&store.claim(KEYS, holder(&fe1), &partitions([1])).await?)?;
    bench.pass(bench.ttl_ms() + 1).await;
    let seen = view(store, &fe2).await?;
    let named = table(&seen, KEYS)?.owner(partitions([1])[0]);
    assert_eq!(named, owner(&fe1, before).as_ref(), "the table still names it");
    assert!(named.is_some_and(|named| !seen.is_live(named)));
    let after = only(&store.claim(KEYS, holder(&fe2), &partitions([1])).await?)?;
    assert!(after > before);
    Ok(())
}

pub async fn a_claim_without_a_lease_takes_nothing(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    assert!(
        store
            .claim(KEYS, holder(&fe1), &partitions([1]))
            .await?
            .is_empty()
    );
    view(store, &fe1).await?;
    bench.pass(bench.ttl_ms() + 1).await;
    assert!(
        store
            .claim(KEYS, holder(&fe1), &partitions([1]))
            .await?
            .is_empty()
    );
    let asserted = store
        .reassert(KEYS, holder(&fe1), &[(partitions([1])[0], 5)])
        .await?;
    assert!(asserted.is_empty());
    assert_eq!(owners(store, &fe2, [1]).await?, [None]);
    Ok(())
}

pub async fn a_transfer_moves_only_what_the_giver_owns(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2, fe3) = (lease("fe1", 1), lease("fe2", 1), lease("fe3", 1));
    for lease in [&fe1, &fe2, &fe3] {
        view(store, lease).await?;
    }
    store.claim(KEYS, holder(&fe1), &partitions([1, 2])).await?;
    let third = only(&store.claim(KEYS, holder(&fe3), &partitions([3])).await?)?;
    let (giver, receiver) = (holder(&fe1), holder(&fe2));
    let gone = store
        .transfer(KEYS, giver, receiver, &partitions([1, 3, 4]))
        .await?;
    let epoch = only(&gone)?;
    assert_eq!(
        owners(store, &fe1, [1, 3, 4]).await?,
        [owner(&fe2, epoch), owner(&fe3, third), None]
    );
    let again = store.transfer(KEYS, giver, receiver, &partitions([1])).await?;
    assert!(again.is_empty(), "it is not the giver's any more");
    Ok(())
}

pub async fn a_transfer_goes_only_to_a_live_member(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 2));
    view(store, &fe1).await?;
    let epoch = only(&store.claim(KEYS, holder(&fe1), &partitions([1])).await?)?;
    let some = partitions([1]);
    assert!(
        store
            .transfer(KEYS, holder(&fe1), holder(&fe2), &some)
            .await?
            .is_empty()
    );
    view(store, &fe2).await?;
    let earlier = (&fe2.member, Incarnation(1));
    assert!(
        store
            .transfer(KEYS, holder(&fe1), earlier, &some)
            .await?
            .is_empty()
    );
    assert_eq!(owners(store, &fe1, [1]).await?, [owner(&fe1, epoch)]);
    Ok(())
}

pub async fn epochs_grow_with_every_change_of_owner(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let some = partitions([1]);
    let mut last = only(&store.claim(KEYS, holder(&fe1), &some).await?)?;
    for _ in 0..5 {
        for (from, to) in [(&fe1, &fe2), (&fe2, &fe1)] {
            let epoch = only(&store.transfer(KEYS, holder(from), holder(to), &some).await?)?;
            assert!(epoch > last, "{epoch} after {last}");
            last = epoch;
        }
    }
    Ok(())
}

pub async fn leaving_frees_at_once(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let before = only(&store.claim(KEYS, holder(&fe1), &partitions([1])).await?)?;
    store.leave(holder(&fe1)).await?;
    store.leave(holder(&fe1)).await?;
    assert_eq!(view(store, &fe2).await?.members, from_ref(&fe2));
    let after = only(&store.claim(KEYS, holder(&fe2), &partitions([1])).await?)?;
    assert!(after > before);
    Ok(())
}

pub async fn eviction_frees_at_once_but_not_a_later_life(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (early, late, fe2) = (lease("fe1", 1), lease("fe1", 2), lease("fe2", 1));
    view(store, &fe2).await?;
    view(store, &early).await?;
    store.claim(KEYS, holder(&early), &partitions([1])).await?;
    store.evict(&early.member, early.incarnation).await?;
    assert_eq!(view(store, &fe2).await?.members, from_ref(&fe2));
    let taken = store.claim(KEYS, holder(&fe2), &partitions([1])).await?;
    assert_eq!(numbers(&taken), [1]);
    view(store, &late).await?;
    store.evict(&early.member, early.incarnation).await?;
    assert_eq!(view(store, &fe2).await?.members, [late, fe2]);
    Ok(())
}

pub async fn known_versions_save_the_tables(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let fe1 = lease("fe1", 1);
    view(store, &fe1).await?;
    store.claim(KEYS, holder(&fe1), &partitions([1])).await?;
    let seen = view(store, &fe1).await?;
    let mut versions = UNKNOWN_TABLES;
    for keys in Partitioned::ALL {
        versions[keys.index()] = table(&seen, keys)?.version;
    }
    assert!(versions[0] > 0);
    let again = store.renew(&fe1, versions).await?;
    assert_eq!(again.owners[0], None);
    store.claim(KEYS, holder(&fe1), &partitions([1])).await?;
    let again = store.renew(&fe1, versions).await?;
    assert_eq!(
        again.owners[0], None,
        "a claim that takes nothing changes nothing"
    );
    store.claim(KEYS, holder(&fe1), &partitions([2])).await?;
    let changed = store.renew(&fe1, versions).await?;
    let newer = table(&changed, KEYS)?;
    assert!(newer.version > versions[0]);
    assert_eq!(newer.iter().filter(|(_, owner)| owner.is_some()).count(), 2);
    Ok(())
}

pub async fn the_tables_are_apart(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let some = partitions([1]);
    let users = store.claim(Partitioned::Users, holder(&fe1), &some).await?;
    let conversations = store
        .claim(Partitioned::Conversations, holder(&fe2), &some)
        .await?;
    let seen = view(store, &fe1).await?;
    for (keys, member, owned) in [
        (Partitioned::Users, &fe1, users),
        (Partitioned::Conversations, &fe2, conversations),
    ] {
        let named = table(&seen, keys)?.owner(some[0]).cloned();
        assert_eq!(named, owner(member, only(&owned)?), "{keys}");
    }
    Ok(())
}

pub async fn losing_everything_changes_the_history(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    let before = view(store, &fe1).await?.history;
    assert_eq!(view(store, &fe2).await?.history, before, "the same for all");
    store.claim(KEYS, holder(&fe1), &partitions([1])).await?;
    bench.lose_everything().await;
    let seen = view(store, &fe2).await?;
    assert_ne!(seen.history, before);
    assert_eq!(seen.members, from_ref(&fe2));
    assert_eq!(table(&seen, KEYS)?.owner(partitions([1])[0]), None);
    assert_eq!(view(store, &fe1).await?.history, seen.history);
    Ok(())
}

pub async fn what_is_reasserted_stands_with_its_epoch(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let fe1 = lease("fe1", 1);
    view(store, &fe1).await?;
    let owned = store.claim(KEYS, holder(&fe1), &partitions([1, 2])).await?;
    bench.lose_everything().await;
    view(store, &fe1).await?;
    let standing = store.reassert(KEYS, holder(&fe1), &owned).await?;
    assert_eq!(standing, owned);
    let again = store.reassert(KEYS, holder(&fe1), &owned).await?;
    assert_eq!(again, owned, "repeated");
    assert_eq!(
        owners(store, &fe1, [1, 2]).await?,
        [owner(&fe1, owned[0].1), owner(&fe1, owned[1].1)]
    );
    Ok(())
}

pub async fn a_larger_epoch_stands_against_a_reassertion(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let [one, two, three] = [1, 2, 3].map(|number| partitions([number])[0]);
    let owned = store.claim(KEYS, holder(&fe2), &[one, two, three]).await?;
    let epoch = |partition| {
        let found = owned.iter().find(|(owned, _)| *owned == partition);
        found.map_or(0, |(_, epoch)| *epoch)
    };
    let claimed = [
        (one, epoch(one) - 1),
        (two, epoch(two)),
        (three, epoch(three) + 1),
    ];
    let standing = store.reassert(KEYS, holder(&fe1), &claimed).await?;
    assert_eq!(standing, [claimed[2]], "the same epoch is not enough");
    assert_eq!(
        owners(store, &fe1, [1, 2, 3]).await?,
        [
            owner(&fe2, epoch(one)),
            owner(&fe2, epoch(two)),
            owner(&fe1, epoch(three) + 1)
        ]
    );
    Ok(())
}

pub async fn epochs_grow_past_what_was_reasserted(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let some = partitions([1]);
    // As if the store's clock had gone back by some days when it was replaced.
    let ahead = only(&store.claim(KEYS, holder(&fe1), &some).await?)? + (1 << 40);
    bench.lose_everything().await;
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let standing = store.reassert(KEYS, holder(&fe1), &[(some[0], ahead)]).await?;
    assert_eq!(only(&standing)?, ahead);
    let given = store.transfer(KEYS, holder(&fe1), holder(&fe2), &some).await?;
    assert!(only(&given)? > ahead);
    store.leave(holder(&fe2)).await?;
    let claimed = store.claim(KEYS, holder(&fe1), &some).await?;
    assert!(only(&claimed)? > only(&given)?);
    Ok(())
}

pub async fn all_partitions_are_claimed_and_transferred_in_one_call(bench: &impl LeaseBench) -> Outcome {
    let store = bench.store();
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    view(store, &fe1).await?;
    view(store, &fe2).await?;
    let all: Vec<_> = Partition::all().collect();
    let owned = store.claim(KEYS, holder(&fe1), &all).await?;
    assert_eq!(owned.len(), all.len());
    let gone = store.transfer(KEYS, holder(&fe1), holder(&fe2), &all).await?;
    assert_eq!(gone.len(), all.len());
    let seen = view(store, &fe1).await?;
    let of_fe2 = |owner: Option<&Owner>| owner.is_some_and(|owner| owner.member == fe2.member);
    assert!(table(&seen, KEYS)?.iter().all(|(_, owner)| of_fe2(owner)));
    Ok(())
}
