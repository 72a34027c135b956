use rpc::{AccountChange, Directory};
use sip_types::AddressOfRecord;
use store::{AccountStore, PlaceStore};

use super::*;
use crate::testing::{Fixture, aor};

async fn search(fixture: &Fixture, words: &str, limit: u32) -> Result<PeopleFound, Error> {
    let words = words.to_owned();
    let search = PeopleSearch { words, limit };
    rpc::Registrar::search(&fixture.service, search).await
}

fn users(found: &PeopleFound) -> Vec<&str> {
    found.people.iter().map(|person| person.aor.user()).collect()
}

#[tokio::test]
async fn people_are_found_by_name_and_address_and_no_more_than_asked_for() {
    let fixture = Fixture::new().await;
    let both = search(&fixture, "TEST", 100).await.unwrap();
    assert_eq!((users(&both), both.more), (vec!["alice", "bob"], false));
    assert_eq!(both.people[0].display_name, "alice of the test");
    let first = search(&fixture, "test", 1).await.unwrap();
    assert_eq!((users(&first), first.more), (vec!["alice"], true));
    let exact = search(&fixture, "sip:bob@example.test", 100).await.unwrap();
    assert_eq!(users(&exact), ["bob"]);
    for nobody in ["", "carol", "bob@other.test", "alice bob"] {
        let found = search(&fixture, nobody, 100).await.unwrap();
        assert_eq!(found, PeopleFound::default(), "{nobody}");
    }
    let counted = fixture.service.counters().searches;
    for (result, count) in [("all", 2), ("more", 1), ("nobody", 4), ("invalid", 0)] {
        assert!(counted.contains(&(result, count)), "{result}: {counted:?}");
    }
}

#[tokio::test]
async fn never_more_than_a_hundred_are_found() {
    let fixture = Fixture::new().await;
    for number in 0..100 {
        fixture.create(&format!("user{number}"), false).await;
    }
    let found = search(&fixture, "test", u32::MAX).await.unwrap();
    assert_eq!((found.people.len(), found.more), (100, true));
}

#[tokio::test]
async fn who_may_not_sign_in_is_not_shown() {
    let fixture = Fixture::new().await;
    let disabled = AccountChange {
        enabled: Some(false),
        ..AccountChange::default()
    };
    fixture
        .service
        .change_account(&aor("bob"), disabled)
        .await
        .unwrap();
    assert_eq!(users(&search(&fixture, "test", 9).await.unwrap()), ["alice"]);
}

#[tokio::test]
async fn accounts_of_a_domain_that_is_not_the_pools_any_more_are_not_shown() {
    let fixture = Fixture::new().await;
    fixture.directory.add_domain("left.test").await.unwrap();
    let mut left = fixture.directory.account(&aor("bob")).await.unwrap().unwrap();
    left.account.aor = AddressOfRecord::parse("bob@left.test").unwrap();
    fixture.directory.create_account(left).await.unwrap();
    let found = search(&fixture, "bob", 9).await.unwrap();
    assert_eq!(found.people.len(), 1);
    assert_eq!(found.people[0].aor, aor("bob"));
}

#[tokio::test]
async fn a_search_of_too_many_words_is_refused() {
    let fixture = Fixture::new().await;
    for words in ["a ".repeat(9), "a".repeat(513)] {
        let refused = search(&fixture, &words, 9).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRequest);
    }
    search(&fixture, &"a ".repeat(8), 9).await.unwrap();
    assert!(fixture.service.counters().searches.contains(&("invalid", 2)));
}

#[tokio::test(start_paused = true)]
async fn while_others_search_one_waits_a_second_and_is_told_to_come_again() {
    let fixture = Fixture::new().await;
    let places = u32::try_from(SEARCHES_AT_ONCE).unwrap();
    let others = fixture.service.inner.searches.acquire_many(places).await.unwrap();
    let busy = search(&fixture, "bob", 9).await.unwrap_err();
    assert_eq!(
        (busy.code, busy.retry_after),
        (ErrorCode::TooMany, Some(PATIENCE))
    );
    // Who can match nobody needs no place.
    assert_eq!(search(&fixture, "-", 9).await.unwrap(), PeopleFound::default());
    drop(others);
    assert_eq!(users(&search(&fixture, "bob", 9).await.unwrap()), ["bob"]);
    assert!(fixture.service.counters().searches.contains(&("busy", 1)));
}
