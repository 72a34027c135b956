//! What becomes of what is told on a stream, from one end to the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream;
use rpc::presence::{PublicationKey, Publish, PublishOne, PublishRefusal};
use rpc::{Presence, PresenceClient};
use sip_types::AddressOfRecord;
use tokio::task::JoinHandle;
use topology::MemberId;

use super::*;
use crate::client::RemotePresence;
use crate::codec::presence;
use crate::test_owner::{Owner, owner};
use crate::transport::{Channel, Connector, listen};
use crate::work::ITEMS_PER_SERVICE;
use crate::{RpcServer, StreamCounters};

/// Longer than anything here takes.
const PATIENT: Duration = Duration::from_secs(60);

fn publish(user: &str) -> Publish {
    Publish {
        user: AddressOfRecord::parse(&format!("{user}@example.test")).unwrap(),
        endpoint: None,
        changes: Vec::new(),
    }
}

/// A server of that owner, and what its streams count.
async fn server(owner: &Arc<Owner>) -> (RpcServer, Arc<StreamCounters>) {
    let counters = Arc::new(StreamCounters::default());
    let role = PresenceClient::local(owner.clone());
    let server = RpcServer::builder().presence(role, counters.clone());
    (server.build().await, counters)
}

fn remote<T: Carrier>(carrier: T, deadline: Duration) -> RemotePresence<T> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    RemotePresence::new(carrier, Arc::default(), tasks, stop).deadline(deadline)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), waiting).await.expect(what);
}

#[tokio::test]
async fn many_are_under_way_on_one_stream_and_each_gets_its_answer() {
    let owner = Arc::new(owner(None));
    let (server, counters) = server(&owner).await;
    let remote = remote(server.in_process(), PATIENT);
    let all = join_all((0..200).map(|_| remote.publish(publish("alice"))));
    let release = async {
        until("all are asked", || owner.asked.load(Ordering::SeqCst) == 200).await;
        assert_eq!(owner.published.load(Ordering::SeqCst), 0);
        owner.publications.add_permits(200);
    };
    let (answers, ()) = tokio::join!(all, release);
    for answer in answers {
        assert_eq!(answer.unwrap(), Err(PublishRefusal::NoSuchUser));
    }
    assert_eq!(counters.snapshot().connected, 1);
    // What uses the stream is gone, and the stream with it.
    drop(remote);
    until("the stream ends", || counters.snapshot().broken == 1).await;
}

/// A server with a listener.
struct Served {
    address: SocketAddr,
    counters: Arc<StreamCounters>,
    stop: CancellationToken,
    /// Who aborts it breaks all connections.
    task: JoinHandle<()>,
}

async fn serve(owner: &Arc<Owner>, address: SocketAddr) -> Served {
    let (server, counters) = server(owner).await;
    let bound = listen(address, None).await.unwrap();
    let (address, stop) = (bound.local_address(), CancellationToken::new());
    let serving = server.serve(bound, stop.clone());
    Served {
        address,
        counters,
        stop,
        task: tokio::spawn(async move { serving.await.unwrap() }),
    }
}

fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn remote_at(address: SocketAddr) -> RemotePresence<Channel> {
    let channel = Connector::new(None).channel_to(&MemberId::new("pres1"), &address.to_string());
    remote(channel.unwrap(), PATIENT)
}

#[tokio::test]
async fn whose_stream_breaks_learns_it_at_once_and_the_next_one_opens_another() {
    let owner = Arc::new(owner(None));
    let served = serve(&owner, anywhere()).await;
    let remote = remote_at(served.address);
    let break_it = async {
        until("it is asked", || owner.asked.load(Ordering::SeqCst) == 1).await;
        served.task.abort();
    };
    let both = async { tokio::join!(remote.publish(publish("alice")), break_it) };
    let (answer, ()) = timeout(PATIENT / 2, both)
        .await
        .expect("long before the deadline");
    assert_eq!(answer.unwrap_err().code, ErrorCode::Unavailable);
    // What began goes on without whoever asked for it.
    assert_eq!(owner.published.load(Ordering::SeqCst), 0);
    owner.publications.add_permits(2);
    until("it is done", || owner.published.load(Ordering::SeqCst) == 1).await;

    let again = serve(&owner, served.address).await;
    assert_eq!(
        remote.publish(publish("alice")).await.unwrap(),
        Err(PublishRefusal::NoSuchUser)
    );
    again.stop.cancel();
    again.task.await.unwrap();
}

#[tokio::test]
async fn what_is_under_way_when_the_server_stops_is_answered() {
    let owner = Arc::new(owner(None));
    let served = serve(&owner, anywhere()).await;
    let remote = remote_at(served.address);
    let stop_it = async {
        until("it is asked", || owner.asked.load(Ordering::SeqCst) == 1).await;
        served.stop.cancel();
        until("nothing more is read", || served.counters.snapshot().broken == 1).await;
        owner.publications.add_permits(1);
    };
    let (answer, ()) = tokio::join!(remote.publish(publish("alice")), stop_it);
    assert_eq!(answer.unwrap(), Err(PublishRefusal::NoSuchUser));
    served.task.await.unwrap();
}

#[tokio::test]
async fn what_is_larger_than_a_message_is_refused_and_goes_nowhere() {
    let owner = Arc::new(owner(None));
    owner.publications.add_permits(1);
    let (server, counters) = server(&owner).await;
    let remote = remote(server.in_process(), PATIENT);
    let mut large = publish("alice");
    large.changes.push(PublishOne::Remove {
        key: PublicationKey {
            category: "x".repeat(MAX_ITEM).into(),
            instance: 0,
            container: 0,
        },
        known: None,
    });
    assert_eq!(
        remote.publish(large).await.unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    assert!(remote.publish(publish("alice")).await.is_ok());
    assert_eq!(counters.snapshot().broken, 0);
}

#[tokio::test]
async fn who_waits_no_longer_is_told_and_what_began_goes_on() {
    let owner = Arc::new(owner(None));
    let (server, _) = server(&owner).await;
    let hasty = remote(server.in_process(), Duration::from_millis(50));
    let late = hasty.publish(publish("alice")).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::Timeout);
    drop(hasty);
    owner.publications.add_permits(1);
    until("it is done", || owner.published.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn one_too_many_is_told_when_to_come_again() {
    let owner = Arc::new(owner(None));
    let (server, _) = server(&owner).await;
    let remote = remote(server.in_process(), PATIENT);
    let all = join_all((0..ITEMS_PER_SERVICE).map(|_| remote.publish(publish("alice"))));
    let one_more = async {
        until("all are asked", || {
            owner.asked.load(Ordering::SeqCst) == ITEMS_PER_SERVICE
        })
        .await;
        let refused = remote.publish(publish("bob")).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooMany);
        assert!(refused.retry_after.is_some());
        owner.publications.add_permits(ITEMS_PER_SERVICE);
    };
    let (answers, ()) = tokio::join!(all, one_more);
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn what_fails_on_a_stream_fails_alone() {
    let owner = Arc::new(owner(None));
    owner.publications.add_permits(2);
    let (server, counters) = server(&owner).await;
    let item = |sequence, publish: Option<Publish>| wire::TellItem {
        sequence,
        deadline_ms: 10_000,
        body: publish
            .as_ref()
            .map(|publish| Body::Publish(presence::publish_to_wire(publish))),
        ..wire::TellItem::default()
    };
    let items = vec![
        item(1, None),
        item(2, Some(publish("panic"))),
        item(3, Some(publish("alice"))),
    ];
    // It stays open behind its only batch: the second item is never answered, and the end of a stream is not what is tried here.
    let requests = stream::iter([wire::TellRequest { items }]).chain(stream::pending());
    let mut client = crate::proto::presence::v1::presence_client::PresenceClient::new(server.in_process());
    let mut answers = client.tell(requests).await.unwrap().into_inner();
    let mut outcomes = Vec::new();
    while outcomes.len() < 2 {
        let batch = timeout(Duration::from_secs(10), answers.next()).await;
        let batch = batch.expect("an answer").expect("the stream stands").unwrap();
        outcomes.extend(
            batch
                .items
                .into_iter()
                .map(|item| (item.answers, item.outcome.unwrap())),
        );
    }
    let [
        (1, Outcome::Error(malformed)),
        (3, Outcome::PublishResult(result)),
    ] = &outcomes[..]
    else {
        panic!("{outcomes:?}");
    };
    let malformed = Error::from(malformed.clone());
    assert_eq!(malformed.code, ErrorCode::InvalidRequest);
    assert!(malformed.message.contains("item.body"), "{malformed}");
    assert_eq!(
        presence::published(result.clone()).unwrap(),
        Err(PublishRefusal::NoSuchUser)
    );
    assert_eq!(counters.snapshot().malformed, 1);
}
