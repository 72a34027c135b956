//! What callers of the presence role may rely on is the same whichever way it is reached.

#![cfg(test)]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use presence::{Limits, PresenceService, SystemClock};
use rig::{Rig, Served, Way, aor, register, serve, tls};
use rpc::presence::{
    AccessLevel, Availability, Bound, ContactChange, ContactChanged, ContactRefusal, ContainerMember, Follow,
    FollowRefusal, Lifetime, MemberChange, MemberChanges, PresenceNews, PublicationContent, PublicationKey,
    Publish, PublishOne, PublishRefusal, SeenWatcher, Source, StateInput, WatcherStatus, category,
};
use rpc::{EndpointId, ErrorCode, PresenceClient};
use rpc_wire::transport::Connector;
use rpc_wire::{Carrier, RemotePresence, RpcServer};
use sip_types::AddressOfRecord;
use store::memory::MemoryDirectory;
use store::{Account, AccountStore, PlaceStore, StoredAccount};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use topology::MemberId;

macro_rules! every_way {
    ($($behaviour:ident,)+) => {
        $(mod $behaviour {
            use super::Way;

            #[tokio::test]
            async fn directly() {
                super::run($crate::$behaviour, Way::Direct).await;
            }

            #[tokio::test]
            async fn through_the_codec() {
                super::run($crate::$behaviour, Way::Codec).await;
            }

            #[tokio::test]
            async fn over_the_wire() {
                super::run($crate::$behaviour, Way::Tcp).await;
            }

            #[tokio::test]
            async fn over_mutual_tls() {
                super::run($crate::$behaviour, Way::Tls).await;
            }

        })+
    };
}

every_way! {
    publications_have_versions_and_refusals_their_reasons,
    publications_made_at_once_are_taken_in_their_order,
    who_follows_is_told_and_who_left_is_not,
    watchers_are_told_of_and_acknowledged,
    levels_change_under_their_versions,
    contact_lists_change_under_their_numbers,
    whoever_is_too_fast_is_told_when_to_come_again,
    an_owner_that_stops_says_so,
}

/// The role over a registrar where alice is signed in at `one`, and a way to it.
struct Bench {
    rig: Rig,
    service: PresenceService,
    presence: PresenceClient,
    served: Option<Served>,
}

async fn run<F: Future<Output = Bench>>(behaviour: impl FnOnce(Bench) -> F, way: Way) {
    let bench = behaviour(Bench::new(way).await).await;
    drop(bench.presence);
    if let Some(served) = bench.served {
        served.end().await;
    }
    bench.service.stop().await;
    bench.rig.end().await;
}

impl Bench {
    async fn new(way: Way) -> Self {
        let rig = Rig::new(Way::Direct).await;
        rig.registrar.register(register("alice", "one")).await.unwrap();
        let store = MemoryDirectory::new();
        store.add_domain("example.test").await.unwrap();
        for user in ["alice", "bob"] {
            let account = Account {
                aor: aor(user),
                display_name: user.to_owned(),
                site: topology::SiteId::new("main"),
                enabled: true,
                created_at: 0,
            };
            let stored = StoredAccount {
                account,
                credentials: Vec::new(),
            };
            store.create_account(stored).await.unwrap();
        }
        let (registrar, clock) = (rig.registrar.clone(), Arc::new(SystemClock));
        let service = PresenceService::start(registrar, Arc::new(store), clock, Limits::default());
        let local = PresenceClient::local(Arc::new(service.clone()));
        let (presence, served) = match way {
            Way::Direct => (local, None),
            Way::Codec => (remote(server(local).await.in_process(), &rig), None),
            Way::Tcp | Way::Tls => {
                let tls = |member| (way == Way::Tls).then(|| tls(&[[9; 32]], member));
                let served = serve(server(local).await, tls("pres1")).await;
                let connector = Connector::new(tls("fe2"));
                let address = served.address.to_string();
                let channel = connector.channel_to(&MemberId::new("pres1"), &address).unwrap();
                (remote(channel, &rig), Some(served))
            }
        };
        Bench {
            rig,
            service,
            presence,
            served,
        }
    }

    async fn publish(&self, user: &str, change: PublishOne) -> Result<u32, PublishRefusal> {
        let publish = Publish {
            user: aor(user),
            endpoint: Some(EndpointId::new("one")),
            changes: vec![change],
        };
        let published = self.presence.publish(publish).await.unwrap()?;
        assert_eq!(published.own.user, aor(user));
        Ok(published.versions[0].version)
    }

    async fn follow(&self, users: &[&str], own: bool) -> Vec<Result<Availability, FollowRefusal>> {
        let follow = users.iter().map(|user| Follow {
            presentity: aor(user),
            own,
        });
        let answers = self.presence.follow(&fe2(), follow.collect()).await.unwrap();
        let shown = answers
            .into_iter()
            .map(|answer| answer.map(|document| document.view(AccessLevel::Colleagues).availability));
        shown.collect()
    }
}

async fn server(presence: PresenceClient) -> RpcServer {
    RpcServer::builder()
        .presence(presence, Arc::default())
        .build()
        .await
}

fn remote<T: Carrier>(carrier: T, rig: &Rig) -> PresenceClient {
    let remote = RemotePresence::new(carrier, Arc::default(), rig.tasks.clone(), rig.stop.clone());
    PresenceClient::local(Arc::new(remote))
}

fn fe2() -> MemberId {
    MemberId::new("fe2")
}

fn machine(known: Option<u32>, availability: Availability) -> PublishOne {
    PublishOne::Set {
        key: key(),
        known,
        lifetime: Lifetime {
            bound: Bound::Endpoint,
            expires: Some(Duration::from_secs(600)),
        },
        content: PublicationContent::States([StateInput::new(Source::Machine, availability)].into()),
        kept: None,
    }
}

fn key() -> PublicationKey {
    PublicationKey {
        category: category::STATE.into(),
        instance: 1,
        container: 2,
    }
}

async fn next(news: &mut ReceiverStream<PresenceNews>) -> PresenceNews {
    let next = tokio::time::timeout(Duration::from_secs(5), news.next());
    next.await.expect("news within 5 s").expect("the stream stands")
}

async fn publications_have_versions_and_refusals_their_reasons(bench: Bench) -> Bench {
    let available = Availability::AVAILABLE;
    assert_eq!(bench.publish("alice", machine(Some(0), available)).await, Ok(1));
    assert_eq!(bench.publish("alice", machine(Some(1), available)).await, Ok(2));
    assert_eq!(
        bench.publish("alice", machine(Some(1), available)).await,
        Err(PublishRefusal::Conflict(vec![(0, 1, 2)]))
    );
    assert_eq!(
        bench.publish("nobody", machine(None, available)).await,
        Err(PublishRefusal::NoSuchUser)
    );
    let not_signed_in = bench.publish("bob", machine(None, available)).await;
    assert!(
        matches!(&not_signed_in, Err(PublishRefusal::Invalid(why)) if why.contains("signed in")),
        "{not_signed_in:?}"
    );
    let own = bench.presence.own(&aor("alice")).await.unwrap().unwrap();
    assert_eq!(own.categories, None);
    let [publication] = &own.publications[..] else {
        panic!("{own:?}");
    };
    assert_eq!((&publication.key, publication.version), (&key(), 2));
    assert_eq!(publication.endpoint, Some(EndpointId::new("one")));
    let removal = PublishOne::Remove {
        key: key(),
        known: Some(2),
    };
    assert_eq!(bench.publish("alice", removal).await, Ok(0));
    assert_eq!(bench.presence.own(&aor("nobody")).await.unwrap(), None);
    bench
}

async fn publications_made_at_once_are_taken_in_their_order(bench: Bench) -> Bench {
    let publish = |known| bench.publish("alice", machine(Some(known), Availability::AVAILABLE));
    let results = futures_util::future::join_all((0..8).map(publish)).await;
    assert_eq!(results, (1..=8).map(Ok).collect::<Vec<_>>());
    bench
}

async fn who_follows_is_told_and_who_left_is_not(bench: Bench) -> Bench {
    let early = Follow {
        presentity: aor("alice"),
        own: false,
    };
    let refused = bench.presence.follow(&fe2(), vec![early]).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable, "there are no news yet");
    let mut news = bench.presence.news(&fe2()).await.unwrap();
    assert_eq!(
        bench.follow(&["alice", "nobody", "bob"], false).await,
        [
            Ok(Availability::OFFLINE),
            Err(FollowRefusal::NoSuchUser),
            Ok(Availability::OFFLINE)
        ]
    );
    bench
        .publish("alice", machine(None, Availability::AVAILABLE))
        .await
        .unwrap();
    let PresenceNews::Document(document) = next(&mut news).await else {
        panic!("a document comes");
    };
    assert_eq!(document.presentity, aor("alice"));
    assert_eq!(
        document.view(AccessLevel::Friends).availability,
        Availability::AVAILABLE
    );
    assert_eq!(
        document.view(AccessLevel::Blocked).availability,
        Availability::OFFLINE
    );
    bench
        .presence
        .unfollow(&fe2(), vec![aor("alice"), aor("nobody")])
        .await
        .unwrap();
    bench
        .publish("alice", machine(None, Availability::AWAY))
        .await
        .unwrap();
    // Of Alice nothing comes before this.
    assert_eq!(bench.follow(&["bob"], true).await, [Ok(Availability::OFFLINE)]);
    let group = ContactChange::AddGroup {
        name: "Friends".to_owned(),
        external_uri: String::new(),
    };
    let bob = aor("bob");
    let changed = bench.presence.change_contacts(&bob, None, group).await;
    changed.unwrap().unwrap();
    let PresenceNews::Contacts(contacts) = next(&mut news).await else {
        panic!("contacts come");
    };
    assert_eq!((&contacts.user, contacts.previous + 1), (&bob, contacts.delta));
    bench
}

async fn watchers_are_told_of_and_acknowledged(bench: Bench) -> Bench {
    let mut news = bench.presence.news(&fe2()).await.unwrap();
    bench.follow(&["alice"], true).await.remove(0).unwrap();
    let seen = SeenWatcher {
        watcher: aor("bob"),
        display_name: "Bob".to_owned(),
        status: WatcherStatus::Active,
    };
    let watched = |user: &str| {
        let (presence, user, seen) = (bench.presence.clone(), aor(user), seen.clone());
        async move { presence.watched(&fe2(), &user, vec![seen]).await }
    };
    watched("alice").await.unwrap();
    assert_eq!(watched("nobody").await.unwrap_err().code, ErrorCode::NotFound);
    let PresenceNews::Own(own) = next(&mut news).await else {
        panic!("own data comes");
    };
    assert_eq!(own.watchers, Some(vec![seen.clone()]));
    assert_eq!(own.prompts, Some(vec![seen.clone()]));
    let bob: Vec<AddressOfRecord> = vec![aor("bob")];
    for _ in 0..2 {
        bench
            .presence
            .acknowledge(&aor("alice"), bob.clone())
            .await
            .unwrap();
    }
    let own = bench.presence.own(&aor("alice")).await.unwrap().unwrap();
    assert_eq!(own.watchers, Some(vec![seen.clone()]));
    assert_eq!(own.prompts, Some(Vec::new()));
    bench
}

async fn levels_change_under_their_versions(bench: Bench) -> Bench {
    let change = |known| MemberChanges {
        containers: vec![(
            AccessLevel::Blocked.container(),
            known,
            vec![MemberChange::Add(ContainerMember::User(aor("bob")))],
        )],
    };
    let alice = aor("alice");
    let rules = bench.presence.change_members(&alice, change(Some(0))).await;
    let rules = rules.unwrap().unwrap();
    assert_eq!(
        rules.level_of(&aor("bob"), rpc::presence::Origin::SameEnterprise),
        AccessLevel::Blocked
    );
    let stale = bench.presence.change_members(&alice, change(Some(0))).await;
    assert!(matches!(stale, Ok(Err(PublishRefusal::Conflict(_)))), "{stale:?}");
    let nobody = bench.presence.change_members(&aor("nobody"), change(None)).await;
    assert!(
        matches!(nobody, Ok(Err(PublishRefusal::NoSuchUser))),
        "{nobody:?}"
    );
    let own = bench.presence.own(&alice).await.unwrap().unwrap();
    assert_eq!(own.rules, Some(rules));
    bench
}

async fn contact_lists_change_under_their_numbers(bench: Bench) -> Bench {
    let alice = aor("alice");
    let before = bench.presence.contacts(&alice).await.unwrap();
    assert_eq!(before.contacts, []);
    let group = || ContactChange::AddGroup {
        name: "Freunde & Co".to_owned(),
        external_uri: String::new(),
    };
    let change = async |known, change| {
        bench
            .presence
            .change_contacts(&alice, Some(known), change)
            .await
            .unwrap()
    };
    let news = change(before.delta, group()).await.unwrap();
    assert_eq!((news.previous, news.delta), (before.delta, before.delta + 1));
    let ContactChanged::AddedGroup(added) = news.changed else {
        panic!("{:?}", news.changed);
    };
    assert_eq!(added.name, "Freunde & Co");
    assert_eq!(
        change(before.delta, group()).await,
        Err(ContactRefusal::Stale(news.delta))
    );
    assert!(matches!(
        change(news.delta, ContactChange::DeleteGroup(77)).await,
        Err(ContactRefusal::NotFound(_))
    ));
    assert!(matches!(
        change(news.delta, ContactChange::DeleteGroup(1)).await,
        Err(ContactRefusal::Invalid(_))
    ));
    let after = bench.presence.contacts(&alice).await.unwrap();
    assert_eq!(after.delta, news.delta);
    assert!(after.groups.contains(&added));
    bench
}

async fn whoever_is_too_fast_is_told_when_to_come_again(bench: Bench) -> Bench {
    for _ in 0..10 {
        bench
            .publish("alice", machine(None, Availability::AVAILABLE))
            .await
            .unwrap();
    }
    let publish = Publish {
        user: aor("alice"),
        endpoint: Some(EndpointId::new("one")),
        changes: vec![machine(None, Availability::AWAY)],
    };
    let refused = bench.presence.publish(publish).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::TooMany);
    assert_eq!(refused.retry_after, Some(Duration::from_secs(2)));
    bench
}

async fn an_owner_that_stops_says_so(bench: Bench) -> Bench {
    let mut news = bench.presence.news(&fe2()).await.unwrap();
    bench.service.stop().await;
    assert!(
        tokio::time::timeout(Duration::from_secs(5), news.next())
            .await
            .unwrap()
            .is_none(),
        "news end"
    );
    let refused = bench.presence.own(&aor("alice")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    bench
}
