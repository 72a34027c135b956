//! Where the owner of a partition is reached, for hot paths: one atomic load and a short search, no lock.

use std::sync::Arc;

use arc_swap::ArcSwap;
use store::{Incarnation, Lease, Owner, OwnerTable};
use tokio::sync::watch;
use topology::{MemberId, Partition, Partitioned};

/// The owner of a partition and the way to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The owner.
    pub member: MemberId,
    /// Which of its lives.
    pub incarnation: Incarnation,
    /// Under which it owns the partition. An answer with an older one comes from somebody who was replaced.
    pub epoch: u64,
    /// Where it is reached, as `host:port`; `None`: only from within its own process.
    pub address: Option<Arc<str>>,
    /// Whether the owner is this member itself.
    pub is_self: bool,
}

/// A member, with its address in a form that is cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
struct RoutedMember {
    lease: Lease,
    address: Option<Arc<str>>,
}

/// One state of the pool.
#[derive(Debug)]
struct Table {
    generation: u64,
    /// In order of their names.
    members: Vec<RoutedMember>,
    owners: [Arc<OwnerTable>; Partitioned::COUNT],
}

/// The shared view of who owns what. Cheap to clone; written by the membership alone.
///
/// It is the pool as the store last told it: while the store is away it stays as it was. It may be some time behind; the
/// owner itself has the last word ([`Ownership`](crate::Ownership)), and whoever asks the wrong member looks here again.
#[derive(Clone, Debug)]
pub struct Routes {
    this: MemberId,
    table: Arc<ArcSwap<Table>>,
    generation: Arc<watch::Sender<u64>>,
}

impl Routes {
    /// Knows nobody yet.
    pub(crate) fn new(this: MemberId) -> Self {
        let table = Table {
            generation: 0,
            members: Vec::new(),
            owners: Partitioned::ALL.map(|_| Arc::new(OwnerTable::empty())),
        };
        Routes {
            this,
            table: Arc::new(ArcSwap::from_pointee(table)),
            generation: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Of a process that is the whole pool: everything leads to itself, with epoch 1.
    pub fn sole(lease: Lease) -> Self {
        let routes = Routes::new(lease.member.clone());
        let mut table = OwnerTable::empty();
        for partition in Partition::all() {
            let owner = Owner {
                member: lease.member.clone(),
                incarnation: lease.incarnation,
                epoch: 1,
            };
            table.set(partition, Some(owner));
        }
        let table = Arc::new(table);
        routes.publish(vec![lease], Partitioned::ALL.map(|_| table.clone()));
        routes
    }

    /// The owner of a partition; `None`: nobody who lives, as far as is known. Somebody will be within seconds.
    pub fn owner(&self, keys: Partitioned, partition: Partition) -> Option<Route> {
        let table = self.table.load();
        let owner = table.owners[keys.index()].owner(partition)?;
        let found = table
            .members
            .binary_search_by(|one| one.lease.member.cmp(&owner.member))
            .ok()?;
        let member = &table.members[found];
        (member.lease.incarnation == owner.incarnation).then(|| Route {
            member: owner.member.clone(),
            incarnation: owner.incarnation,
            epoch: owner.epoch,
            address: member.address.clone(),
            is_self: owner.member == self.this,
        })
    }

    /// The live members, in order of their names, this one among them.
    pub fn members(&self) -> Vec<Lease> {
        let table = self.table.load();
        table.members.iter().map(|one| one.lease.clone()).collect()
    }

    /// The live members, each with how many partitions it owns, in the order of [`Partitioned::ALL`].
    pub(crate) fn shares(&self) -> Vec<(Lease, [usize; Partitioned::COUNT])> {
        let table = self.table.load();
        let mut owns = vec![[0; Partitioned::COUNT]; table.members.len()];
        for keys in Partitioned::ALL {
            for owner in table.owners[keys.index()].iter().filter_map(|(_, owner)| owner) {
                let found = table
                    .members
                    .binary_search_by(|one| one.lease.member.cmp(&owner.member));
                if let Ok(index) = found
                    && table.members[index].lease.incarnation == owner.incarnation
                {
                    owns[index][keys.index()] += 1;
                }
            }
        }
        let leases = table.members.iter().map(|one| one.lease.clone());
        leases.zip(owns).collect()
    }

    /// Grows whenever a member or an owner changed.
    pub fn generation(&self) -> u64 {
        self.table.load().generation
    }

    /// Tells each new generation to those who must react; changes that follow closely may be seen as one.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Replaces everything. `members` are in order of their names.
    pub(crate) fn publish(&self, members: Vec<Lease>, owners: [Arc<OwnerTable>; Partitioned::COUNT]) {
        let routed = |lease: Lease| RoutedMember {
            address: lease.address.as_deref().map(Arc::from),
            lease,
        };
        let generation = self.generation() + 1;
        self.table.store(Arc::new(Table {
            generation,
            members: members.into_iter().map(routed).collect(),
            owners,
        }));
        self.generation.send_replace(generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(name: &str, incarnation: u64) -> Lease {
        Lease {
            member: MemberId::new(name),
            incarnation: Incarnation(incarnation),
            roles: Vec::new(),
            address: Some(format!("{name}:5070")),
            draining: false,
            version: String::new(),
        }
    }

    #[test]
    fn a_route_leads_only_to_a_life_that_lives() {
        let routes = Routes::new(MemberId::new("fe1"));
        let mut table = OwnerTable::empty();
        let parts: Vec<_> = (0..4).filter_map(Partition::new).collect();
        for (index, (name, incarnation)) in [("fe1", 1), ("fe2", 1), ("fe3", 1)].into_iter().enumerate() {
            let owner = Owner {
                member: MemberId::new(name),
                incarnation: Incarnation(incarnation),
                epoch: 5,
            };
            table.set(parts[index], Some(owner));
        }
        let mut watch = routes.watch();
        assert_eq!(routes.owner(Partitioned::Users, parts[0]), None);
        routes.publish(
            vec![lease("fe1", 1), lease("fe2", 2), lease("fe3", 1)],
            [
                Arc::new(table),
                Arc::new(OwnerTable::empty()),
                Arc::new(OwnerTable::empty()),
            ],
        );
        assert!(watch.has_changed().unwrap());
        assert_eq!(*watch.borrow_and_update(), routes.generation());

        let own = routes.owner(Partitioned::Users, parts[0]).unwrap();
        assert!(own.is_self && own.epoch == 5);
        assert_eq!(
            routes.owner(Partitioned::Users, parts[1]),
            None,
            "an earlier life"
        );
        let other = routes.owner(Partitioned::Users, parts[2]).unwrap();
        assert_eq!(other.address.as_deref(), Some("fe3:5070"));
        assert!(!other.is_self);
        assert_eq!(routes.owner(Partitioned::Users, parts[3]), None, "nobody's");
        assert_eq!(routes.owner(Partitioned::Conversations, parts[0]), None);
    }

    #[test]
    fn in_a_pool_of_one_every_route_leads_home() {
        let routes = Routes::sole(lease("only", 3));
        for keys in Partitioned::ALL {
            let home = |one| {
                routes
                    .owner(keys, one)
                    .is_some_and(|route| route.is_self && route.epoch == 1)
            };
            assert!(Partition::all().all(home));
        }
        assert_eq!(routes.members(), [lease("only", 3)]);
    }
}
