//! What changes a presentity, and what survives.

use rpc::PolicyValue;
use rpc::RegistrarChange;
use rpc::presence::{Contact, ContactChanged};
use store::{PublicationWrite, StoredPublication};

use super::fakes::{next, next_shown};
use super::*;

fn busy(known: Option<u32>) -> PublishOne {
    let content = state(Source::User, Availability::BUSY);
    match set(category::STATE, known, Bound::Static, content) {
        PublishOne::Set {
            mut key,
            known,
            lifetime,
            content,
            kept,
        } => {
            key.instance = 0x2000_0000;
            PublishOne::Set {
                key,
                known,
                lifetime,
                content,
                kept,
            }
        }
        other => other,
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_published_ends_with_it_and_the_users_choice_stays() {
    let fixture = Fixture::new().await;
    fixture.registrar.sign_in("alice", "e2", "fe2");
    fixture
        .publish(vec![machine(Availability::AVAILABLE), busy(None)])
        .await
        .unwrap();
    let mut other = machine(Availability::IDLE);
    if let PublishOne::Set { key, .. } = &mut other {
        key.instance = 2;
    }
    fixture.publish_as("e2", vec![other]).await.unwrap().unwrap();
    assert_eq!(fixture.shown().await, Availability::BUSY);
    fixture.registrar.sign_out("alice", "e1").await;
    fixture.until_shown(Availability::BUSY_IDLE).await;
    fixture.registrar.sign_out("alice", "e2").await;
    fixture.until_shown(Availability::OFFLINE).await;
    let own = fixture.service.own(&aor("alice")).await.unwrap().unwrap();
    assert_eq!(own.publications.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_earlier_registration_ends_nothing_of_the_present_one() {
    let fixture = Fixture::new().await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    let address = fixture.registrar.forget("alice", "e1");
    fixture.registrar.sign_in("alice", "e1", "fe2");
    fixture.registrar.tell_ended(address, BindingEnd::Replaced).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.shown().await, Availability::AVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn presence_does_not_flicker_when_a_front_end_dies() {
    // It stays away, signs in without a word, or publishes again.
    for (comes_back, publishes) in [(false, false), (true, false), (true, true)] {
        let fixture = Fixture::new().await;
        fixture
            .publish(vec![machine(Availability::AVAILABLE)])
            .await
            .unwrap();
        fixture.service.front_end_died(&MemberId::new("fe1"));
        fixture.registrar.sign_out("alice", "e1").await;
        tokio::time::sleep(Duration::from_secs(19)).await;
        assert_eq!(fixture.shown().await, Availability::AVAILABLE);
        if comes_back {
            fixture.registrar.sign_in("alice", "e1", "fe2");
        }
        if publishes {
            fixture
                .publish(vec![machine(Availability::AVAILABLE)])
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let expected = if comes_back {
            Availability::AVAILABLE
        } else {
            Availability::OFFLINE
        };
        assert_eq!(fixture.shown().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_the_registrar_was_not_heard_is_made_up_for() {
    let fixture = Fixture::new().await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    fixture.registrar.forget("alice", "e1");
    fixture.registrar.lose_watchers();
    fixture.until_shown(Availability::OFFLINE).await;
    let events = fixture.service.snapshot().events;
    assert!(events.contains(&("changes_missed", 1)), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_somebody_who_cannot_be_looked_up_holds_up_nobody_and_is_looked_at_later() {
    let fixture = Fixture::new().await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    let mut news = fixture.news("fe1").await;
    fixture.follow("fe1", "bob", false).await;
    let registrar = &fixture.registrar;
    *registrar.fails.lock() = Some(aor("bob"));
    let before = registrar.watches.load(Ordering::SeqCst);
    registrar.forget("alice", "e1");
    registrar.lose_watchers();
    registrar.rename("bob", "Bob B.").await;
    fixture.until_shown(Availability::OFFLINE).await;
    assert_eq!(registrar.watches.load(Ordering::SeqCst), before + 1);
    // What comes now is heard.
    fixture.follow("fe1", "alice", false).await;
    registrar.rename("alice", "Alice B.").await;
    let mut named = async || match next(&mut news).await {
        Some(PresenceNews::Document(document)) => {
            document.view(AccessLevel::Default).card.display_name.clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(named().await, "Alice B.");
    *registrar.fails.lock() = None;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(named().await, "Bob B.");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_signed_in_binds_nothing() {
    let fixture = Fixture::new().await;
    let outcome = fixture
        .publish_as("e9", vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    assert!(matches!(outcome, Err(PublishRefusal::Invalid(_))), "{outcome:?}");
    let publish = Publish {
        user: aor("nobody"),
        endpoint: None,
        changes: Vec::new(),
    };
    let outcome = fixture.service.publish(publish).await.unwrap();
    assert_eq!(outcome, Err(PublishRefusal::NoSuchUser));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_tells_the_current_version_and_a_storm_of_them_is_slowed_down() {
    let fixture = Fixture::new().await;
    fixture.publish(vec![busy(Some(0))]).await.unwrap();
    for _ in 0..5 {
        let outcome = fixture.publish(vec![busy(Some(0))]).await;
        assert_eq!(outcome, Err(PublishRefusal::Conflict(vec![(0, 0, 1)])));
    }
    let error = fixture.publish_as("e1", vec![busy(Some(0))]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TooMany);
    assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
    let operations = fixture.service.snapshot().operations;
    assert!(operations.contains(&("publish", "conflict", 5)));
    assert!(operations.contains(&("publish", "too_fast", 1)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let versions = fixture.publish(vec![busy(Some(1))]).await.unwrap().versions;
    let versions: Vec<u32> = versions.iter().map(|one: &StoredVersion| one.version).collect();
    assert_eq!(versions, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_what_is_static_and_its_version() {
    let fixture = Fixture::new().await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE), busy(None)])
        .await
        .unwrap();
    fixture.publish(vec![busy(Some(1))]).await.unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.shown().await, Availability::OFFLINE);
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    assert_eq!(fixture.shown().await, Availability::BUSY);
    let published = fixture.publish(vec![busy(Some(2))]).await.unwrap();
    assert_eq!(published.versions[0].version, 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_static_is_accepted_that_cannot_be_stored() {
    let fixture = Fixture::new().await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    fixture.store.is_away.store(true, Ordering::SeqCst);
    let error = fixture.publish_as("e1", vec![busy(None)]).await.unwrap_err();
    // Another owner would do no better, so nobody is to look for one.
    assert_eq!(error.code, ErrorCode::Timeout);
    assert_eq!(fixture.shown().await, Availability::AVAILABLE);
    // What need not survive goes on without the store.
    fixture.publish(vec![machine(Availability::IDLE)]).await.unwrap();
    assert_eq!(fixture.shown().await, Availability::IDLE);
    fixture.store.is_away.store(false, Ordering::SeqCst);
    fixture.publish(vec![busy(Some(0))]).await.unwrap();
    assert_eq!(fixture.shown().await, Availability::BUSY_IDLE);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_stored_is_read_before_anything_is_overwritten() {
    let fixture = Fixture::new().await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    let data = br#"{"endpoint":null,"expires_ms":null,"content":"Opaque","kept":null}"#;
    let elsewhere = PublicationWrite::Put {
        expected: 0,
        publication: StoredPublication {
            category: category::STATE.to_owned(),
            instance: 0x2000_0000,
            container: 2,
            version: 7,
            published_at: 1,
            expires_at: None,
            data: data.to_vec(),
        },
    };
    let store = &fixture.store.memory;
    store
        .write_publications(&aor("alice"), &[elsewhere])
        .await
        .unwrap();
    let error = fixture.publish_as("e1", vec![busy(Some(0))]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    let outcome = fixture.publish(vec![busy(Some(0))]).await;
    assert_eq!(outcome, Err(PublishRefusal::Conflict(vec![(0, 0, 7)])));
    // What is not stored was not lost by reading.
    assert_eq!(fixture.shown().await, Availability::AVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_publication_ends_when_it_said_so_also_in_the_store() {
    let fixture = Fixture::new().await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    let mut short = busy(None);
    if let PublishOne::Set { lifetime, .. } = &mut short {
        lifetime.expires = Some(Duration::from_secs(60));
    }
    fixture.publish(vec![short]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(fixture.shown().await, Availability::BUSY);
    // The store is away when it ends: it is removed when the store is back.
    fixture.store.is_away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    fixture.store.is_away.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fixture.shown().await, Availability::AVAILABLE);
    let stored = fixture.store.memory.presence(&aor("alice")).await.unwrap();
    assert_eq!(stored.publications, []);
}

#[tokio::test(start_paused = true)]
async fn a_new_name_is_shown_and_a_deleted_account_is_gone() {
    let fixture = Fixture::new().await;
    let mut news = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", false).await;
    fixture.registrar.rename("alice", "Alice B.").await;
    let Some(PresenceNews::Document(document)) = next(&mut news).await else {
        panic!("the name is shown");
    };
    assert_eq!(document.view(AccessLevel::Default).card.display_name, "Alice B.");
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    fixture.registrar.delete("alice").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut last = None;
    while let Some(shown) = next_shown(&mut news).await {
        last = Some(shown);
    }
    assert_eq!(last, Some(Availability::OFFLINE));
    assert_eq!(fixture.service.own(&aor("alice")).await.unwrap(), None);
    assert_eq!(fixture.service.snapshot().presentities, 0);
}

fn contact(user: &str) -> ContactChange {
    ContactChange::SetContact(Contact {
        uri: aor(user),
        name: String::new(),
        groups: Vec::new(),
        subscribed: true,
        external_uri: String::new(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_contact_list_changes_under_its_number_is_told_to_own_endpoints_and_survives() {
    let fixture = Fixture::new().await;
    let (mut own, mut other) = (fixture.news("fe1").await, fixture.news("fe2").await);
    fixture.follow("fe1", "alice", true).await;
    fixture.follow("fe2", "alice", false).await;
    let alice = aor("alice");
    let service = &fixture.service;
    assert_eq!(service.contacts(&alice).await.unwrap().delta, 1);
    let news = service
        .change_contacts(&alice, Some(1), contact("bob"))
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(news.changed, ContactChanged::AddedContact(_)));
    let Some(PresenceNews::Contacts(told)) = next(&mut own).await else {
        panic!("the change is told");
    };
    assert_eq!(*told, news);
    assert!(next(&mut other).await.is_none());
    let stale = service.change_contacts(&alice, Some(1), contact("carol")).await;
    assert_eq!(stale.unwrap(), Err(ContactRefusal::Stale(2)));
    let nobody = service
        .change_contacts(&aor("nobody"), None, contact("bob"))
        .await;
    assert_eq!(nobody.unwrap(), Err(ContactRefusal::NotFound("user")));
    drop((own, other));
    let fixture = fixture.restart().await;
    let list = fixture.service.contacts(&alice).await.unwrap();
    assert_eq!((list.delta, list.contacts.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn privacy_mode_comes_and_goes_with_the_policy_and_follows_the_contact_list() {
    let fixture = Fixture::new().await;
    let level = async || {
        let rules = fixture.document().await.rules.clone();
        rules.level_of(&aor("bob"), Origin::SameEnterprise)
    };
    let until = async |expected| {
        for _ in 0..1_000 {
            if level().await == expected {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{expected:?} is never shown");
    };
    assert_eq!(level().await, AccessLevel::Colleagues);
    let policy = |on| *fixture.registrar.policy.lock() = vec![("privacy_mode", PolicyValue::Bool(on))];
    policy(true);
    fixture.registrar.announce(RegistrarChange::Policies).await;
    until(AccessLevel::Default).await;
    let added = fixture
        .service
        .change_contacts(&aor("alice"), None, contact("bob"))
        .await;
    added.unwrap().unwrap();
    assert_eq!(level().await, AccessLevel::Colleagues);
    let removed = fixture
        .service
        .change_contacts(&aor("alice"), None, ContactChange::DeleteContact(aor("bob")))
        .await;
    removed.unwrap().unwrap();
    assert_eq!(level().await, AccessLevel::Default);
    policy(false);
    fixture.registrar.announce(RegistrarChange::Policies).await;
    until(AccessLevel::Colleagues).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_refuses_and_ends_its_streams() {
    let fixture = Fixture::new().await;
    let mut news = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", false).await;
    fixture.service.stop().await;
    assert!(tokio_stream::StreamExt::next(&mut news).await.is_none());
    let error = fixture.service.own(&aor("alice")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
}
