//! The rules made true: what others see, when, and how time ends things. Time is virtual.

use std::time::Duration;

use rpc::{
    BindingEnd, ClientFamily, ConnectionId, Directory, EndpointId, Epoch, Freshness, PolicyScope, Register,
    Registrar, RegistrarChange, Which,
};
use tokio::time::advance;

use super::*;
use crate::testing::{Fixture, aor, endpoint, names, removal, request};

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn on(connection: u64, cseq: u32, request: Register) -> Register {
    Register {
        connection: ConnectionId(connection),
        cseq,
        ..request
    }
}

/// What the bindings in the answers and the lookups say of an endpoint's epoch.
async fn epoch_of(fixture: &Fixture, user: &str, endpoint: &str) -> Option<Epoch> {
    let bindings = fixture
        .service
        .lookup(&aor(user), Freshness::Cached)
        .await
        .unwrap()
        .unwrap()
        .bindings;
    let found = bindings
        .iter()
        .find(|binding| binding.address.endpoint.as_str() == endpoint);
    found.map(|binding| binding.address.epoch)
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_is_found_by_lookups_and_told_to_watchers() {
    let mut fixture = Fixture::new().await;
    let location = fixture
        .service
        .lookup(&aor("alice"), Freshness::Cached)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(location.display_name, "alice of the test");
    assert!(location.bindings.is_empty(), "known, signed in nowhere");
    assert!(
        fixture
            .service
            .lookup(&aor("nobody"), Freshness::Cached)
            .await
            .unwrap()
            .is_none()
    );

    let answer = fixture.register(request("alice", "e1")).await;
    assert!(answer.is_new && (540..=660).contains(&answer.expires));
    assert_eq!(answer.bindings[0].expires_in, answer.expires);
    assert_eq!(fixture.next_change().await, ("alice".into(), vec![]));
    let location = fixture
        .service
        .lookup(&aor("alice"), Freshness::Cached)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(location.display_name, "alice of the test");
    assert_eq!(names(&location.bindings), ["e1"]);
    assert_eq!(location.bindings[0].address.epoch, answer.epoch);
    assert_eq!(location.bindings[0].address.connection, ConnectionId(1));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_moves_the_end_and_nobody_is_told() {
    let mut fixture = Fixture::new().await;
    let first = fixture.register(request("alice", "e1")).await;
    fixture.next_change().await;
    let before = fixture
        .service
        .lookup(&aor("alice"), Freshness::Cached)
        .await
        .unwrap()
        .unwrap()
        .bindings;
    advance(seconds(500)).await;
    let second = fixture.register(on(1, 2, request("alice", "e1"))).await;
    assert_eq!((second.epoch, second.is_new), (first.epoch, false));
    assert_eq!(second.bindings[0].expires_in, second.expires);
    fixture.expect_no_change().await;
    let after = fixture
        .service
        .lookup(&aor("alice"), Freshness::Cached)
        .await
        .unwrap()
        .unwrap()
        .bindings;
    assert!(
        Arc::ptr_eq(&before, &after),
        "what lookups hand out is not made anew"
    );
    advance(seconds(500)).await;
    assert_eq!(fixture.endpoints("alice").await, ["e1"], "past the first end");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_register_gets_the_same_answer_from_its_connection_only() {
    let mut fixture = Fixture::new().await;
    let first = fixture.register(request("alice", "e1")).await;
    fixture.next_change().await;
    let again = fixture.register(request("alice", "e1")).await;
    assert_eq!(
        (again.epoch, again.expires, again.is_new),
        (first.epoch, first.expires, true)
    );
    let elsewhere = fixture.service.register(on(2, 1, request("alice", "e1"))).await;
    assert!(matches!(elsewhere, Err(RegisterError::OutOfOrder)));
    fixture.expect_no_change().await;
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_is_not_refreshed_expires_on_time() {
    let mut fixture = Fixture::new().await;
    let granted = fixture.register(request("alice", "e1")).await.expires;
    fixture.next_change().await;
    advance(seconds(granted) - Duration::from_millis(1)).await;
    assert_eq!(fixture.endpoints("alice").await, ["e1"]);
    advance(Duration::from_millis(1)).await;
    assert_eq!(
        fixture.next_change().await,
        ("alice".into(), vec![("e1".into(), 1, BindingEnd::Expired)])
    );
    assert!(fixture.endpoints("alice").await.is_empty());
    assert_eq!(fixture.service.totals().await.unwrap().get("endpoints"), Some(&0));
    fixture.expect_no_change().await;
}

#[tokio::test(start_paused = true)]
async fn a_shorter_binding_wakes_the_expiry_earlier() {
    let mut fixture = Fixture::new().await;
    fixture.register(request("alice", "long")).await;
    fixture.next_change().await;
    // The task sleeps until the end of the first one by now.
    advance(seconds(10)).await;
    let short = Register {
        expires: Some(300),
        ..request("bob", "short")
    };
    fixture.register(short).await;
    fixture.next_change().await;
    advance(seconds(300)).await;
    assert_eq!(
        fixture.next_change().await,
        ("bob".into(), vec![("short".into(), 1, BindingEnd::Expired)])
    );
    assert_eq!(fixture.endpoints("alice").await, ["long"]);
}

#[tokio::test(start_paused = true)]
async fn each_of_many_expires_once() {
    let mut fixture = Fixture::new().await;
    for number in 0..8 {
        fixture.register(request("alice", &format!("a{number}"))).await;
        fixture.register(request("bob", &format!("b{number}"))).await;
    }
    for _ in 0..16 {
        fixture.next_change().await;
    }
    let mut ended = Vec::new();
    for _ in 0..700 {
        advance(seconds(1)).await;
        tokio::task::yield_now().await;
        while let Ok(Some(change)) = tokio::time::timeout(
            Duration::ZERO,
            tokio_stream::StreamExt::next(&mut fixture.changes),
        )
        .await
        {
            let RegistrarChange::Bindings(change) = change else {
                continue;
            };
            ended.extend(
                change
                    .ended
                    .into_iter()
                    .map(|(address, end)| (address.endpoint, end)),
            );
        }
    }
    assert_eq!(ended.len(), 16);
    assert!(ended.iter().all(|(_, end)| *end == BindingEnd::Expired));
    assert!(fixture.service.counters().operations.contains(&("expired", 16)));
}

#[tokio::test(start_paused = true)]
async fn the_same_endpoint_on_another_connection_replaces_and_the_old_address_is_told() {
    let mut fixture = Fixture::new().await;
    let first = fixture.register(request("alice", "e1")).await;
    fixture.next_change().await;
    let second = fixture.register(on(2, 2, request("alice", "e1"))).await;
    assert!(second.epoch > first.epoch && !second.is_new);
    assert_eq!(
        fixture.next_change().await,
        ("alice".into(), vec![("e1".into(), 1, BindingEnd::Replaced)])
    );
    assert_eq!(epoch_of(&fixture, "alice", "e1").await, Some(second.epoch));

    // The old connection neither takes it back nor ends it.
    let late = fixture.service.register(on(1, 3, request("alice", "e1"))).await;
    assert!(matches!(late, Err(RegisterError::OutOfOrder)));
    let died = removal(
        "alice",
        Which::Connection(EndpointId::new("e1"), first.epoch),
        None,
    );
    assert_eq!(names(&fixture.service.unregister(died).await.unwrap()), ["e1"]);
    fixture.expect_no_change().await;
}

#[tokio::test(start_paused = true)]
async fn the_ninth_endpoint_displaces_the_oldest() {
    let mut fixture = Fixture::new().await;
    for number in 1..=8 {
        fixture
            .register(on(number, 1, request("alice", &format!("e{number}"))))
            .await;
        fixture.next_change().await;
    }
    // A refresh makes nobody younger, a new connection does.
    fixture.register(on(1, 2, request("alice", "e1"))).await;
    let ninth = fixture.register(on(9, 1, request("alice", "e9"))).await;
    assert_eq!(
        fixture.next_change().await.1,
        [("e1".into(), 1, BindingEnd::Displaced)]
    );
    assert_eq!(ninth.bindings.len(), 8);
    let late = fixture.service.register(on(1, 3, request("alice", "e1"))).await;
    assert!(
        matches!(late, Err(RegisterError::OutOfOrder)),
        "the displaced connection does not push back"
    );
    assert!(fixture.service.counters().operations.contains(&("displaced", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_signed_out_endpoint_stays_away_and_may_come_back() {
    let mut fixture = Fixture::new().await;
    fixture.register(request("alice", "e1")).await;
    fixture.next_change().await;
    let sign_out = removal("alice", endpoint("e1"), Some(("call-of-e1", 3)));
    assert!(
        fixture
            .service
            .unregister(sign_out.clone())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        fixture.next_change().await.1,
        [("e1".into(), 1, BindingEnd::Unregistered)]
    );
    assert!(
        fixture.service.unregister(sign_out).await.unwrap().is_empty(),
        "repeating it is harmless"
    );
    fixture.expect_no_change().await;

    let delayed = fixture.service.register(on(1, 2, request("alice", "e1"))).await;
    assert!(matches!(delayed, Err(RegisterError::OutOfOrder)));
    assert!(fixture.register(on(1, 4, request("alice", "e1"))).await.is_new);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_is_gone_after_a_minute() {
    let fixture = Fixture::new().await;
    fixture.register(on(1, 5, request("alice", "e1"))).await;
    fixture
        .service
        .unregister(removal("alice", Which::All, None))
        .await
        .unwrap();
    let delayed = || fixture.service.register(on(1, 5, request("alice", "e1")));
    advance(seconds(59)).await;
    assert!(matches!(delayed().await, Err(RegisterError::OutOfOrder)));
    advance(seconds(2)).await;
    assert!(delayed().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_ends_its_own_binding_only() {
    let mut fixture = Fixture::new().await;
    let first = fixture.register(request("alice", "e1")).await;
    fixture.register(on(2, 1, request("alice", "e2"))).await;
    fixture.next_change().await;
    fixture.next_change().await;
    let died = removal(
        "alice",
        Which::Connection(EndpointId::new("e1"), first.epoch),
        None,
    );
    assert_eq!(
        names(&fixture.service.unregister(died.clone()).await.unwrap()),
        ["e2"]
    );
    assert_eq!(
        fixture.next_change().await.1,
        [("e1".into(), 1, BindingEnd::Unregistered)]
    );
    fixture.service.unregister(died).await.unwrap();
    fixture.expect_no_change().await;
}

#[tokio::test(start_paused = true)]
async fn removing_all_leaves_nothing_unless_one_is_ahead() {
    let fixture = Fixture::new().await;
    fixture.register(request("alice", "e1")).await;
    fixture.register(on(2, 9, request("alice", "e2"))).await;
    let late = fixture
        .service
        .unregister(removal("alice", Which::All, Some(("call-of-e2", 9))))
        .await;
    assert!(matches!(late, Err(RegisterError::OutOfOrder)));
    assert_eq!(fixture.endpoints("alice").await.len(), 2);
    let all = removal("alice", Which::All, Some(("call-of-e2", 10)));
    assert!(fixture.service.unregister(all).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_register_is_told_why() {
    let fixture = Fixture::new().await;
    let refused = async |request| fixture.service.register(request).await.unwrap_err();
    assert!(matches!(
        refused(request("nobody", "e1")).await,
        RegisterError::NoSuchUser
    ));
    let brief = Register {
        expires: Some(10),
        ..request("alice", "e1")
    };
    assert!(matches!(
        refused(brief).await,
        RegisterError::IntervalTooBrief(300)
    ));
    let values = [("allow".to_owned(), "false".to_owned())].into();
    fixture
        .service
        .create_policy("registration", PolicyScope::Global, values)
        .await
        .unwrap();
    assert!(matches!(
        refused(request("alice", "e1")).await,
        RegisterError::Forbidden
    ));
    assert!(fixture.service.counters().operations.contains(&("refused", 3)));
    assert!(fixture.endpoints("alice").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_policy_decides_how_long_and_how_many() {
    let fixture = Fixture::new().await;
    let values = [
        ("max_endpoints", "2"),
        ("min_expires", "60"),
        ("default_expires", "100"),
        ("max_expires", "100"),
    ];
    let values = values
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    fixture
        .service
        .create_policy("registration", PolicyScope::Global, values)
        .await
        .unwrap();
    for number in 1..=3 {
        let answer = fixture
            .register(on(number, 1, request("alice", &format!("e{number}"))))
            .await;
        assert!((90..=100).contains(&answer.expires), "{}", answer.expires);
    }
    assert_eq!(fixture.endpoints("alice").await, ["e2", "e3"]);
}

#[tokio::test(start_paused = true)]
async fn epochs_grow_even_when_the_wall_clock_steps_back() {
    let fixture = Fixture::new().await;
    let mut last = Epoch(0);
    for (connection, wall) in [
        (1, 1_800_000_000),
        (2, 1_800_000_000),
        (3, 1_700_000_000),
        (4, 0),
        (5, 1_900_000_000),
    ] {
        fixture.clock.set(wall);
        let request = on(
            connection,
            u32::try_from(connection).unwrap(),
            request("alice", "e1"),
        );
        let epoch = fixture.register(request).await.epoch;
        assert!(epoch > last, "{wall}");
        last = epoch;
    }
    assert_eq!(last.0 >> 20, 1_900_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_lync_family_endpoint_is_shown_as_one() {
    let fixture = Fixture::new().await;
    let lync = Register {
        family: ClientFamily::Lync,
        mode: rpc::ImMode::Session,
        epid: Some("b34afb6ebb23".into()),
        instance: Some("urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a".into()),
        user_agent: Some("Purple/2.14.12".into()),
        ..request("alice", "epid:b34afb6ebb23")
    };
    let answer = fixture.register(lync).await;
    let binding = &answer.bindings[0];
    let gruu = "sip:alice@example.test;opaque=user:epid:CF4L2AMcWg2NmvFJquaVSgAA;gruu";
    assert_eq!(binding.gruu.as_deref(), Some(gruu));
    let [session] = &fixture.service.sessions(&aor("alice")).await.unwrap()[..] else {
        panic!("not one")
    };
    assert_eq!(
        (session.family, session.mode, session.user_agent.as_deref()),
        ("lync", "session", Some("Purple/2.14.12"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_sign_ins_of_one_user_never_exceed_the_limit_or_lose_an_end() {
    let mut fixture = Fixture::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..64 {
        let service = fixture.service.clone();
        tasks.spawn(async move {
            // A loser of sixteen races is told to try again; that is what it does.
            loop {
                match service
                    .register(on(number, 1, request("alice", &format!("e{number}"))))
                    .await
                {
                    Ok(answer) => break answer.bindings.len(),
                    Err(RegisterError::Failed(error)) if error.code == ErrorCode::Conflict => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|count| count <= 8));
    assert_eq!(fixture.endpoints("alice").await.len(), 8);
    let mut displaced = 0;
    for _ in 0..64 {
        displaced += fixture.next_change().await.1.len();
    }
    assert_eq!(displaced, 56);
}

#[tokio::test(start_paused = true)]
async fn an_account_disabled_during_a_sign_in_does_not_stay_signed_in() {
    let fixture = Fixture::new().await;
    let known = fixture
        .service
        .inner
        .accounts
        .get(&aor("alice"))
        .await
        .unwrap()
        .unwrap();
    fixture.register(request("alice", "e1")).await;
    // An administrator disables the account; the sign-in had read it before and commits after.
    let patch = store::AccountPatch {
        enabled: Some(false),
        ..Default::default()
    };
    store::AccountStore::change_account(&*fixture.directory, &aor("alice"), patch)
        .await
        .unwrap();
    fixture.service.inner.accounts.forget(&aor("alice"));
    let outcome = fixture
        .service
        .inner
        .check_still_allowed(&request("alice", "e1"), &known)
        .await;
    assert!(matches!(outcome, Err(RegisterError::Forbidden)));
    assert!(fixture.endpoints("alice").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_tasks_end_when_they_are_told_to() {
    let fixture = Fixture::new().await;
    fixture.register(request("alice", "e1")).await;
    tokio::time::timeout(seconds(1), fixture.stop()).await.unwrap();
}
