//! Who is told what, and when.

use rpc::presence::{FollowRefusal, MemberChanges};

use super::fakes::{next, next_shown};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_publish_reaches_every_front_end_that_follows_once() {
    let fixture = Fixture::new().await;
    let (mut fe1, mut fe2, mut fe3) = (
        fixture.news("fe1").await,
        fixture.news("fe2").await,
        fixture.news("fe3").await,
    );
    let document = fixture.follow("fe1", "alice", false).await;
    let view = document.view(AccessLevel::Colleagues);
    assert_eq!(view.availability, Availability::OFFLINE);
    assert_eq!(view.card.display_name, "alice");
    fixture.follow("fe2", "alice", false).await;
    fixture.follow("fe2", "alice", false).await;
    fixture.follow("fe3", "bob", false).await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    assert_eq!(next_shown(&mut fe1).await, Some(Availability::AVAILABLE));
    assert_eq!(next_shown(&mut fe2).await, Some(Availability::AVAILABLE));
    assert_eq!(next_shown(&mut fe2).await, None);
    assert_eq!(next_shown(&mut fe3).await, None);
    let events = fixture.service.snapshot().events;
    assert!(events.contains(&("document_sent", 2)), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn several_changes_are_one_document_a_second_and_the_newest_is_sent() {
    let fixture = Fixture::new().await;
    let mut news = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", false).await;
    for availability in [Availability::AVAILABLE, Availability::IDLE, Availability::AWAY] {
        fixture.publish(vec![machine(availability)]).await.unwrap();
    }
    assert_eq!(next_shown(&mut news).await, Some(Availability::AVAILABLE));
    assert_eq!(next_shown(&mut news).await, None);
    tokio::time::sleep(Duration::from_millis(970)).await;
    assert_eq!(next_shown(&mut news).await, None);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(next_shown(&mut news).await, Some(Availability::AWAY));
    assert_eq!(next_shown(&mut news).await, None);
    // After a quiet second the first change goes out at once again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    fixture.publish(vec![machine(Availability::IDLE)]).await.unwrap();
    assert_eq!(next_shown(&mut news).await, Some(Availability::IDLE));
    let events = fixture.service.snapshot().events;
    assert!(events.contains(&("document_conflated", 1)), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn own_endpoints_are_told_of_publications_at_once_and_others_are_not() {
    let fixture = Fixture::new().await;
    let (mut own, mut other) = (fixture.news("fe1").await, fixture.news("fe2").await);
    fixture.follow("fe1", "alice", true).await;
    fixture.follow("fe2", "alice", false).await;
    let note = set(
        category::NOTE,
        None,
        Bound::Static,
        PublicationContent::Notes(
            [Note {
                kind: NoteKind::Personal,
                text: "At lunch".to_owned(),
                language: None,
            }]
            .into(),
        ),
    );
    for version in [1, 2] {
        let published = fixture.publish(vec![note.clone()]).await.unwrap();
        let Some(PresenceNews::Own(told)) = next(&mut own).await else {
            panic!("own data goes first");
        };
        assert_eq!(told, published.own);
        assert_eq!(told.categories, Some(vec![category::NOTE.into()]));
        assert_eq!(told.publications[0].version, version);
        if version == 1 {
            assert!(matches!(next(&mut own).await, Some(PresenceNews::Document(_))));
        }
    }
    assert_eq!(next_shown(&mut other).await, Some(Availability::OFFLINE));
    assert!(next(&mut other).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_lags_loses_the_stream_and_follows_again() {
    let limits = Limits {
        news: 2,
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let mut slow = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", true).await;
    // Each is a document and own data; of documents the newest waits.
    for availability in [
        Availability::AVAILABLE,
        Availability::IDLE,
        Availability::AWAY,
        Availability::AVAILABLE,
    ] {
        fixture.publish(vec![machine(availability)]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mut read = 0;
    while tokio_stream::StreamExt::next(&mut slow).await.is_some() {
        read += 1;
    }
    assert_eq!(read, 2, "what was under way, and nothing that waited");
    let snapshot = fixture.service.snapshot();
    assert!(snapshot.events.contains(&("front_end_lagged", 1)));
    assert_eq!(snapshot.front_ends, 0);
    let without = fixture.service.follow(&MemberId::new("fe1"), Vec::new()).await;
    assert_eq!(without.unwrap_err().code, ErrorCode::Unavailable);
    let mut again = fixture.news("fe1").await;
    let document = fixture.follow("fe1", "alice", false).await;
    assert_eq!(
        document.view(AccessLevel::Colleagues).availability,
        Availability::AVAILABLE
    );
    fixture.publish(vec![machine(Availability::AWAY)]).await.unwrap();
    assert_eq!(next_shown(&mut again).await, Some(Availability::AWAY));
}

#[tokio::test(start_paused = true)]
async fn of_documents_that_wait_for_a_slow_front_end_the_newest_is_left_and_the_stream_stands() {
    let limits = Limits {
        news: 2,
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let mut slow = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", false).await;
    for availability in [
        Availability::AVAILABLE,
        Availability::IDLE,
        Availability::AWAY,
        Availability::AVAILABLE,
        Availability::IDLE,
        Availability::AWAY,
    ] {
        fixture.publish(vec![machine(availability)]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    // Two were under way, and the newest waited.
    let mut shown = Vec::new();
    while let Some(availability) = next_shown(&mut slow).await {
        shown.push(availability);
    }
    assert_eq!(
        shown,
        [Availability::AVAILABLE, Availability::IDLE, Availability::AWAY]
    );
    let events = fixture.service.snapshot().events;
    assert!(events.contains(&("front_end_lagged", 0)), "{events:?}");
    assert!(events.contains(&("document_conflated", 3)), "{events:?}");
    // Caught up, it is told at once again.
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    assert_eq!(next_shown(&mut slow).await, Some(Availability::AVAILABLE));
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_through_a_stream_that_was_replaced_counts_for_nothing() {
    let fixture = Fixture::new().await;
    let member = MemberId::new("fe1");
    let old = fixture.news("fe1").await;
    let busy = fixture.store.busy.lock().await;
    let (service, front_end) = (fixture.service.clone(), member.clone());
    let follow = tokio::spawn(async move {
        let follow = Follow {
            presentity: aor("alice"),
            own: true,
        };
        service.follow(&front_end, vec![follow]).await
    });
    let (service, front_end) = (fixture.service.clone(), member.clone());
    let watched = tokio::spawn(async move {
        let seen = SeenWatcher {
            watcher: aor("bob"),
            display_name: String::new(),
            status: WatcherStatus::Active,
        };
        service.watched(&front_end, &aor("alice"), vec![seen]).await
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut new = fixture.news("fe1").await;
    drop((old, busy));
    assert_eq!(follow.await.unwrap().unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(watched.await.unwrap().unwrap_err().code, ErrorCode::Unavailable);
    fixture.follow("fe1", "alice", false).await;
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    assert_eq!(next_shown(&mut new).await, Some(Availability::AVAILABLE));
}

#[tokio::test(start_paused = true)]
async fn answers_to_a_follow_end_before_whoever_cannot_be_followed_now() {
    let fixture = Fixture::new().await;
    let _news = fixture.news("fe1").await;
    *fixture.registrar.fails.lock() = Some(aor("bob"));
    let member = MemberId::new("fe1");
    let follow = async |users: &[&str]| {
        let follow = users.iter().map(|user| Follow {
            presentity: aor(user),
            own: false,
        });
        fixture.service.follow(&member, follow.collect()).await
    };
    let answers = follow(&["nobody", "alice", "bob", "alice"]).await.unwrap();
    assert_eq!(answers.len(), 2);
    assert!(answers[1].is_ok());
    // Another owner would do no better, so nobody is to look for one.
    assert_eq!(
        follow(&["bob", "alice"]).await.unwrap_err().code,
        ErrorCode::Timeout
    );
    *fixture.registrar.fails.lock() = None;
    assert_eq!(follow(&["bob", "alice"]).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_exist_is_not_followed_and_whoever_unfollows_is_not_told() {
    let fixture = Fixture::new().await;
    let mut news = fixture.news("fe1").await;
    let follow = |user| Follow {
        presentity: aor(user),
        own: false,
    };
    let member = MemberId::new("fe1");
    let answers = fixture
        .service
        .follow(&member, vec![follow("nobody"), follow("alice")])
        .await
        .unwrap();
    assert_eq!(answers[0], Err(FollowRefusal::NoSuchUser));
    assert!(answers[1].is_ok());
    // An endpoint of his watched bob through a front end that died without a word.
    let itself = SeenWatcher {
        watcher: aor("bob"),
        display_name: String::new(),
        status: WatcherStatus::Active,
    };
    let gone = MemberId::new("fe2");
    let dead = fixture.news("fe2").await;
    fixture
        .service
        .watched(&gone, &aor("bob"), vec![itself])
        .await
        .unwrap();
    drop(dead);
    fixture
        .service
        .unfollow(&member, vec![aor("alice"), aor("bob")])
        .await
        .unwrap();
    fixture
        .publish(vec![machine(Availability::AVAILABLE)])
        .await
        .unwrap();
    assert_eq!(next_shown(&mut news).await, None);
    // Somebody nobody needs is forgotten; somebody with an endpoint is not.
    fixture.service.own(&aor("bob")).await.unwrap().unwrap();
    assert_eq!(fixture.service.snapshot().presentities, 2);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(fixture.service.snapshot().presentities, 1);
    assert_eq!(fixture.shown().await, Availability::AVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn new_watchers_are_prompted_for_until_they_are_acknowledged_for_good() {
    let fixture = Fixture::new().await;
    let mut own = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", true).await;
    let bob = SeenWatcher {
        watcher: aor("bob"),
        display_name: "Bob".to_owned(),
        status: WatcherStatus::Active,
    };
    let member = MemberId::new("fe1");
    let alice = aor("alice");
    let watched = || fixture.service.watched(&member, &alice, vec![bob.clone()]);
    watched().await.unwrap();
    let Some(PresenceNews::Own(told)) = next(&mut own).await else {
        panic!("the watcher is told of");
    };
    assert_eq!(told.prompts, Some(vec![bob.clone()]));
    assert_eq!(told.watchers, Some(vec![bob.clone()]));
    watched().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(next(&mut own).await.is_none());
    fixture
        .service
        .acknowledge(&aor("alice"), vec![aor("bob")])
        .await
        .unwrap();
    let Some(PresenceNews::Own(told)) = next(&mut own).await else {
        panic!("the acknowledgement is told of");
    };
    assert_eq!(told.prompts, Some(Vec::new()));
    drop(own);
    let fixture = fixture.restart().await;
    let mut own = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", true).await;
    fixture
        .service
        .watched(&member, &aor("alice"), vec![bob.clone()])
        .await
        .unwrap();
    let Some(PresenceNews::Own(told)) = next(&mut own).await else {
        panic!("the watcher is told of");
    };
    assert_eq!(told.prompts, Some(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_watcher_sees_nothing_from_the_next_document_on_and_the_membership_says_why() {
    let fixture = Fixture::new().await;
    let mut news = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", true).await;
    let bob = ContainerMember::User(aor("bob"));
    let changes = MemberChanges {
        containers: vec![(32_000, Some(0), vec![MemberChange::Add(bob.clone())])],
    };
    let rules = fixture
        .service
        .change_members(&aor("alice"), changes.clone())
        .await
        .unwrap()
        .unwrap();
    let Some(PresenceNews::Own(own)) = next(&mut news).await else {
        panic!("the rules are told first");
    };
    assert_eq!(own.rules, Some(rules));
    let Some(PresenceNews::Document(document)) = next(&mut news).await else {
        panic!("a document with the new rules");
    };
    let level = document.rules.level_of(&aor("bob"), Origin::SameEnterprise);
    assert_eq!(level, AccessLevel::Blocked);
    let again = fixture.service.change_members(&aor("alice"), changes).await;
    assert_eq!(again.unwrap(), Err(PublishRefusal::Conflict(vec![(0, 0, 1)])));
    drop(news);
    let fixture = fixture.restart().await;
    let rules = fixture.document().await.rules.clone();
    assert_eq!(
        rules.explain(&aor("bob"), Origin::SameEnterprise),
        (AccessLevel::Blocked, Some(&bob))
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_needed_by_many_at_once_is_read_once_and_again_if_the_account_changes_meanwhile() {
    let fixture = Fixture::new().await;
    fixture.registrar.sign_in("bob", "e2", "fe1");
    for (changes, reads) in [("bob", 1), ("alice", 2), ("policies", 2)] {
        let busy = fixture.store.busy.lock().await;
        let before = fixture.store.reads.load(Ordering::SeqCst);
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let service = fixture.service.clone();
                tokio::spawn(async move { service.own(&aor("alice")).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        match changes {
            "policies" => fixture.registrar.announce(rpc::RegistrarChange::Policies).await,
            user => fixture.registrar.rename(user, "Another name").await,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(busy);
        for own in waiting {
            assert!(own.await.unwrap().unwrap().is_some());
        }
        let after = fixture.store.reads.load(Ordering::SeqCst);
        assert_eq!(after - before, reads, "{changes} changed");
        // Nobody needs her any more.
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
}
