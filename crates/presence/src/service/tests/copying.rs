//! What the next owner finds of what ends with endpoints.

use rpc::NoFence;
use rpc::presence::Publish;

use super::fakes::{next, next_shown};
use super::*;

fn of_alice() -> Partition {
    Partition::of_user("alice@example.test")
}

/// Owners that share a copy, and own nobody yet.
fn owners<const N: usize>(fixture: &Fixture) -> [PresenceService; N] {
    std::array::from_fn(|_| fixture.in_pool(Arc::new(NoFence)))
}

async fn publish(owner: &PresenceService, change: PublishOne) -> Published {
    let publish = Publish {
        user: aor("alice"),
        endpoint: Some(EndpointId::new("e1")),
        changes: vec![change],
    };
    owner.publish(publish).await.unwrap().unwrap()
}

/// What colleagues see of alice, and the publications of the endpoint with their versions.
async fn seen(owner: &PresenceService) -> (Availability, Vec<(String, u32)>) {
    let entry = owner.0.load(&aor("alice")).await.unwrap().unwrap();
    let state = entry.state.lock();
    let shown = state
        .presentity
        .document()
        .view(AccessLevel::Colleagues)
        .availability;
    let held = state.presentity.publications().iter();
    let names = held.map(|held| (held.key.category.to_string(), held.version));
    (shown, names.collect())
}

/// Long enough for changes to be copied.
async fn copied() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

fn follow() -> Vec<Follow> {
    vec![Follow {
        presentity: aor("alice"),
        own: false,
    }]
}

#[tokio::test(start_paused = true)]
async fn the_next_owner_shows_what_the_dead_one_showed_before_anybody_tells_it_anything() {
    let fixture = Fixture::new().await;
    let [first, second] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    for availability in [Availability::AVAILABLE, Availability::AWAY] {
        publish(&first, machine(availability)).await;
    }
    let before = seen(&first).await;
    copied().await;
    // It is not told: it is dead.
    second.take(of_alice(), 2).await.unwrap();
    assert_eq!(seen(&second).await, before);
    let number = |name: &str| {
        let events = second.snapshot().events;
        events
            .iter()
            .find(|(event, _)| *event == name)
            .map(|(_, number)| *number)
    };
    assert_eq!(number("inherited"), Some(1));

    // The front end says it again: nobody is told of anything.
    let member = MemberId::new("fe1");
    let mut news = second.news(&member).await.unwrap();
    second.follow(&member, follow()).await.unwrap().remove(0).unwrap();
    publish(&second, machine(Availability::AWAY)).await;
    assert!(next(&mut news).await.is_none());
    assert_eq!(seen(&second).await, before);
    publish(&second, machine(Availability::AVAILABLE)).await;
    assert_eq!(next_shown(&mut news).await, Some(Availability::AVAILABLE));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_is_copied_before_it_goes() {
    let fixture = Fixture::new().await;
    let [first, second] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    publish(&first, machine(Availability::AVAILABLE)).await;
    first.give(of_alice()).await;
    second.take(of_alice(), 2).await.unwrap();
    assert_eq!(seen(&second).await.0, Availability::AVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_copied_as_ended_and_an_owner_that_is_late_brings_nothing_back() {
    let fixture = Fixture::new().await;
    let [first, second] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    let PublishOne::Set { key, .. } = machine(Availability::AVAILABLE) else {
        panic!("it is one");
    };
    publish(&first, machine(Availability::AVAILABLE)).await;
    copied().await;
    assert_eq!(fixture.copy.users(), 1);
    publish(&first, PublishOne::Remove { key, known: None }).await;
    copied().await;
    assert_eq!(fixture.copy.users(), 0);
    second.take(of_alice(), 2).await.unwrap();
    // The first does not know yet that it is replaced.
    publish(&first, machine(Availability::AWAY)).await;
    copied().await;
    assert_eq!(fixture.copy.users(), 0);
    assert_eq!(seen(&second).await, (Availability::OFFLINE, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_went_with_the_owner_stay_for_a_while_and_others_are_left_out_later() {
    let fixture = Fixture::new().await;
    let [first, second, third] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    publish(&first, machine(Availability::AVAILABLE)).await;
    copied().await;
    fixture.registrar.forget("alice", "e1");
    second.take(of_alice(), 2).await.unwrap();
    third.take(of_alice(), 3).await.unwrap();

    assert_eq!(seen(&third).await.0, Availability::AVAILABLE, "it may come back");
    let member = MemberId::new("fe1");
    let mut news = third.news(&member).await.unwrap();
    third.follow(&member, follow()).await.unwrap().remove(0).unwrap();
    tokio::time::sleep(Limits::default().grace).await;
    assert_eq!(next_shown(&mut news).await, Some(Availability::OFFLINE));

    // Nobody needed her at the second owner before the time was over.
    copied().await;
    assert_eq!(seen(&second).await, (Availability::OFFLINE, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn who_was_taken_over_is_in_memory_when_the_grace_is_over_so_that_it_ends_with_its_endpoints() {
    let fixture = Fixture::new().await;
    let [first, second] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    publish(&first, machine(Availability::AVAILABLE)).await;
    copied().await;
    second.take(of_alice(), 2).await.unwrap();
    assert_eq!(second.snapshot().presentities, 0);
    tokio::time::sleep(Limits::default().grace + Duration::from_secs(2)).await;
    assert_eq!(second.snapshot().presentities, 1);
    // She signs out and in again at the same endpoint: nothing of yesterday stands.
    fixture.registrar.sign_out("alice", "e1").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fixture.copy.users(), 0);
    fixture.registrar.sign_in("alice", "e1", "fe1");
    assert_eq!(seen(&second).await, (Availability::OFFLINE, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn whoever_gets_the_address_of_a_deleted_account_has_nothing_of_it() {
    let fixture = Fixture::new().await;
    let [first, second] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    publish(&first, machine(Availability::AVAILABLE)).await;
    copied().await;
    second.take(of_alice(), 2).await.unwrap();
    fixture.registrar.delete("alice").await;
    assert!(second.own(&aor("alice")).await.unwrap().is_none());
    assert!(second.0.copying.legacies.get(&aor("alice")).is_none());
    copied().await;
    assert_eq!(fixture.copy.users(), 0, "nor does the next owner find it");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_ends_while_its_user_is_taken_into_memory_has_ended() {
    let fixture = Fixture::new().await;
    let [first, second] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    publish(&first, machine(Availability::AVAILABLE)).await;
    copied().await;
    second.take(of_alice(), 2).await.unwrap();
    tokio::time::sleep(Limits::default().grace - Duration::from_secs(1)).await;
    let busy = fixture.store.busy.lock().await;
    let loading = tokio::spawn({
        let second = second.clone();
        async move { seen(&second).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    fixture.registrar.sign_out("alice", "e1").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(busy);
    assert_eq!(loading.await.unwrap(), (Availability::OFFLINE, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_leaves_after_the_copy_forgot_everything_leaves_whole() {
    let fixture = Fixture::new().await;
    let owners: [_; 3] = owners(&fixture);
    owners[0].take(of_alice(), 1).await.unwrap();
    publish(&owners[0], machine(Availability::AWAY)).await;
    copied().await;
    fixture.copy.lose_history();
    owners[0].give(of_alice()).await;
    owners[1].take(of_alice(), 2).await.unwrap();
    // Also what nobody needed there.
    fixture.copy.lose_history();
    owners[1].give(of_alice()).await;
    owners[2].take(of_alice(), 3).await.unwrap();
    assert_eq!(seen(&owners[2]).await.0, Availability::AWAY);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_away_stops_nobody_and_gets_everything_when_it_is_back() {
    let fixture = Fixture::new().await;
    let [first, second] = owners(&fixture);
    first.take(of_alice(), 1).await.unwrap();
    fixture.copy.set_failing(true);
    publish(&first, machine(Availability::AWAY)).await;
    assert_eq!(seen(&first).await.0, Availability::AWAY);
    let refused = second.take(of_alice(), 2).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert!(second.own(&aor("alice")).await.is_err(), "it is not served");
    copied().await;
    fixture.copy.set_failing(false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    second.take(of_alice(), 2).await.unwrap();
    assert_eq!(seen(&second).await.0, Availability::AWAY);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_forgot_everything_gets_it_anew_also_of_users_nobody_needed_since() {
    let fixture = Fixture::new().await;
    let owners: [_; 4] = owners(&fixture);
    owners[0].take(of_alice(), 1).await.unwrap();
    publish(&owners[0], machine(Availability::AWAY)).await;
    copied().await;
    // Membership tells.
    fixture.copy.lose_history();
    owners[0].reassert(vec![of_alice()]);
    copied().await;
    assert_eq!(fixture.copy.users(), 1);
    // The next one finds out by itself, and has not loaded her.
    owners[1].take(of_alice(), 2).await.unwrap();
    fixture.copy.lose_history();
    owners[1].reassert(vec![of_alice()]);
    copied().await;
    owners[2].take(of_alice(), 3).await.unwrap();
    assert_eq!(seen(&owners[2]).await.0, Availability::AWAY);
    // A write notices.
    fixture.copy.lose_history();
    publish(&owners[2], machine(Availability::AVAILABLE)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    owners[3].take(of_alice(), 4).await.unwrap();
    assert_eq!(seen(&owners[3]).await.0, Availability::AVAILABLE);
}
