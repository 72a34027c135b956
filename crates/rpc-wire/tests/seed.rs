//! The seed of a pool without Redis: it passes what every store of leases and every copy of bindings passes, answers only
//! who means it, and forgets what was true elsewhere.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rpc_wire::RpcServer;
use rpc_wire::codec::seed as codec;
use rpc_wire::proto::pool::v1 as wire;
use rpc_wire::seed::{RemoteSeed, Seat, SeedTable};
use rpc_wire::transport::{Channel, Connector, listen};
use store::suite::leases::{LeaseBench, lease};
use store::{
    BindingCopy, Incarnation, LEASE_TTL_MS, LeaseStore, Owner, OwnerTable, StoreError, Timestamp,
    UNKNOWN_TABLES, Written,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use topology::{MemberId, PARTITIONS, Partition, Partitioned};

/// A seed behind a listener, and another member's way to it.
struct Bench {
    remote: RemoteSeed<Channel>,
    table: Arc<SeedTable>,
    now_ms: Arc<AtomicU64>,
    /// Where the seed believes to be, and where the other member believes it to be.
    seats: [watch::Sender<Option<Seat>>; 2],
    address: String,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::ops::Deref for Bench {
    type Target = RemoteSeed<Channel>;

    fn deref(&self) -> &Self::Target {
        &self.remote
    }
}

#[async_trait]
impl LeaseBench for Bench {
    fn store(&self) -> &dyn LeaseStore {
        &self.remote
    }

    fn ttl_ms(&self) -> u64 {
        LEASE_TTL_MS
    }

    async fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    async fn lose_everything(&self) {
        self.table.lose_everything();
    }
}

fn seat(address: &str, moves: u64) -> Option<Seat> {
    Some(Seat {
        address: Arc::from(address),
        moves,
    })
}

/// A member's way to the seed at the address it is told.
fn remote(seat: watch::Receiver<Option<Seat>>, address: &str) -> RemoteSeed<Channel> {
    let (connector, address) = (Connector::new(None), address.to_owned());
    // The name of the seat stands for the one listener of the test, whatever it is.
    RemoteSeed::new(seat, move |_| {
        connector.channel(&address).map_err(StoreError::driver)
    })
}

async fn fresh() -> Box<Bench> {
    let now_ms = Arc::new(AtomicU64::new(1_800_000_000_000));
    let clock = now_ms.clone();
    let (seeds, at_seed) = watch::channel(seat("seed:7000", 0));
    let (others, at_other) = watch::channel(seat("seed:7000", 0));
    let table = Arc::new(SeedTable::new(at_seed, move || clock.load(Ordering::Relaxed)));
    let server = RpcServer::builder().seed(table.clone()).build().await;
    let bound = listen("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let address = bound.local_address().to_string();
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(bound, stop.clone()));
    Box::new(Bench {
        remote: remote(at_other, &address),
        table,
        now_ms,
        seats: [seeds, others],
        address,
        stop,
    })
}

async fn fresh_copy() -> Bench {
    *fresh().await
}

store::lease_suite!(super::fresh);
store::copy_suite!(super::fresh_copy);
store::presence_copy_suite!(super::fresh_copy);

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, why: &str) {
    let Err(StoreError::Driver(error)) = result else {
        panic!("{result:?}");
    };
    assert!(error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn a_call_that_a_later_one_overtook_is_refused() {
    let bench = fresh().await;
    let fe1 = lease("fe1", 1);
    bench.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    bench.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    // The first call of the same life arrives only now.
    let late = remote(bench.seats[1].subscribe(), &bench.address);
    refused(late.leave((&fe1.member, fe1.incarnation)).await, "overtaken");
    assert_eq!(bench.renew(&fe1, UNKNOWN_TABLES).await.unwrap().members.len(), 1);
    let another = remote(bench.seats[1].subscribe(), &bench.address);
    assert_eq!(
        another
            .renew(&lease("fe2", 1), UNKNOWN_TABLES)
            .await
            .unwrap()
            .members
            .len(),
        2
    );
}

#[tokio::test]
async fn who_means_another_seat_is_refused() {
    let bench = fresh().await;
    let fe1 = lease("fe1", 1);
    bench.seats[1].send_replace(seat("other:7000", 1));
    refused(
        bench.renew(&fe1, UNKNOWN_TABLES).await,
        "the seed is at seed:7000, and not at other:7000",
    );
    refused(
        bench.take(Partition::new(3).unwrap(), 1, Timestamp(0)).await,
        "the seed is at seed:7000",
    );
    bench.seats[1].send_replace(None);
    refused(
        bench.renew(&fe1, UNKNOWN_TABLES).await,
        "nothing in rpc.members has an address yet",
    );
    bench.seats[1].send_replace(seat("seed:7000", 2));
    bench.seats[0].send_replace(None);
    refused(
        bench.renew(&fe1, UNKNOWN_TABLES).await,
        "does not know yet where the seed is",
    );
}

#[tokio::test]
async fn a_seed_that_saw_the_seat_move_and_come_back_has_forgotten_everything() {
    let bench = fresh().await;
    let fe1 = lease("fe1", 1);
    let before = bench.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    let some = [Partition::new(3).unwrap()];
    let holder = (&fe1.member, fe1.incarnation);
    let owned = bench.claim(Partitioned::Users, holder, &some).await.unwrap();
    let epoch = owned[0].1;
    bench.take(some[0], epoch, Timestamp(0)).await.unwrap();
    // Nobody asked while it was elsewhere.
    bench.seats[0].send_replace(seat("other:7000", 1));
    bench.seats[0].send_replace(seat("seed:7000", 2));
    bench.pass(1_000).await;
    let after = bench.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    assert_ne!(before.history, after.history);
    let table = after.owners[Partitioned::Users.index()].as_ref().unwrap();
    assert_eq!(table.owner(some[0]), None);
    let written = bench.write(some[0], epoch, &[], Timestamp(0)).await.unwrap();
    assert_eq!(written, Written::HistoryLost);
}

#[tokio::test]
async fn who_waits_for_changes_is_told_of_one() {
    let bench = fresh().await;
    bench.renew(&lease("fe1", 1), UNKNOWN_TABLES).await.unwrap();
    let mut changed = std::pin::pin!(bench.changed());
    let another = remote(bench.seats[1].subscribe(), &bench.address);
    // It is told of changes that come after it began to wait: until it is told, one more member comes.
    let told = async {
        let mut life = 0;
        loop {
            life += 1;
            another.renew(&lease("fe2", life), UNKNOWN_TABLES).await.unwrap();
            tokio::select! {
                () = &mut changed => return,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
}

#[tokio::test]
async fn a_seed_that_is_away_holds_up_one_write_and_not_each() {
    let (_sender, at) = watch::channel(seat("seed:7000", 0));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let remote = remote(at, &address);
    let partition = Partition::new(3).unwrap();
    refused(remote.write(partition, 1, &[], Timestamp(0)).await, "refused");
    refused(
        remote.write(partition, 1, &[], Timestamp(0)).await,
        "away a moment ago",
    );
    // Leases are asked for all the same: their own clock says how often.
    refused(remote.renew(&lease("fe1", 1), UNKNOWN_TABLES).await, "refused");
}

// === what is malformed ===

fn life() -> wire::Life {
    codec::life_to_wire((&MemberId::new("fe1"), Incarnation(3)))
}

fn owners() -> wire::Owners {
    let mut table = OwnerTable::empty();
    table.version = 5;
    for (number, member) in [(0, "fe1"), (1, "fe2"), (1023, "fe1")] {
        let owner = Owner {
            member: MemberId::new(member),
            incarnation: Incarnation(3),
            epoch: u64::from(number) + 9,
        };
        table.set(Partition::new(number).unwrap(), Some(owner));
    }
    let wire = wire::Owners::from(&table);
    assert_eq!(OwnerTable::try_from(wire.clone()), Ok(table));
    wire
}

#[test]
fn a_table_of_owners_that_is_cut_or_points_nowhere_is_malformed() {
    assert_eq!(owners().lives.len(), 2, "each life is told once");
    let spoiled: [fn(&mut wire::Owners); 5] = [
        |owners| owners.owners.truncate(1_023),
        |owners| owners.epochs.truncate(1_023),
        |owners| owners.owners[7] = 3,
        |owners| owners.owners.push(1),
        |owners| owners.lives[0].member.clear(),
    ];
    for spoil in spoiled {
        let mut wire = owners();
        spoil(&mut wire);
        assert!(OwnerTable::try_from(wire).is_err());
    }
}

#[test]
fn names_and_numbers_that_mean_nothing_are_malformed() {
    assert!(codec::life("life", Some(life())).is_ok());
    assert!(codec::life("life", None).is_err());
    let nameless = wire::Life {
        member: String::new(),
        ..life()
    };
    assert!(codec::life("life", Some(nameless)).is_err());
    assert!(codec::keys(wire::Keys::Users.into()).is_ok());
    for keys in [0, 4, -1] {
        assert!(codec::keys(keys).is_err(), "{keys}");
    }
    let all = u32::from(PARTITIONS);
    assert_eq!(
        codec::partitions((0..all).collect()).unwrap().len(),
        usize::from(PARTITIONS)
    );
    assert!(codec::partitions(vec![all]).is_err());
    assert!(codec::partitions(vec![0; usize::from(PARTITIONS) + 1]).is_err());
    let one = wire::OwnedPartition {
        partition: 1,
        epoch: 2,
    };
    assert!(codec::owned(vec![one; usize::from(PARTITIONS) + 1]).is_err());
    let user = wire::CopiedUser {
        aor: "alice@example.test".to_owned(),
        revision: 1,
        bindings: vec![wire::CopiedBinding::default()],
        tombstones: Vec::new(),
    };
    assert!(
        codec::user(user.clone(), Timestamp(0)).is_err(),
        "an endpoint without a name"
    );
    let tombstone = wire::CopiedUser {
        bindings: Vec::new(),
        tombstones: vec![wire::CopiedTombstone::default()],
        ..user.clone()
    };
    assert!(codec::user(tombstone, Timestamp(0)).is_err());
    let nobody = wire::CopiedUser {
        aor: "not an address".to_owned(),
        bindings: Vec::new(),
        ..user
    };
    assert!(codec::user(nobody, Timestamp(0)).is_err());
}

#[tokio::test]
async fn a_call_that_does_not_say_whom_it_means_is_refused() {
    let bench = fresh().await;
    let channel = Connector::new(None).channel(&bench.address).unwrap();
    let mut seed = wire::seed_client::SeedClient::new(channel);
    let nobody = wire::ClaimRequest {
        call: None,
        keys: wire::Keys::Users.into(),
        holder: Some(life()),
        partitions: vec![1],
    };
    let refused = seed.claim(nobody).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    let leaseless = seed.renew(wire::RenewRequest::default()).await.unwrap_err();
    assert_eq!(leaseless.code(), tonic::Code::InvalidArgument, "{leaseless}");
}
