//! What a search for accounts must do.

use sip_types::AddressOfRecord;

use super::{Outcome, account, aor};
use crate::{AccountPatch, AccountSearch, AccountStore, PlaceStore, StoreError};

/// Accounts of the suite's domain, by their user parts and names.
async fn with(store: &(impl AccountStore + PlaceStore), people: &[(&str, &str)]) -> Outcome {
    store.add_domain("example.test").await?;
    for (user, name) in people {
        let mut stored = account(user)?;
        stored.account.display_name = (*name).to_owned();
        store.create_account(stored).await?;
    }
    Ok(())
}

/// The user parts of those found, at most 100.
async fn found(store: &impl AccountStore, text: &str) -> Result<Vec<String>, StoreError> {
    let found = store.search_accounts(&AccountSearch::new([text]), 100).await?;
    assert!(!found.more, "there are no hundred: {text}");
    let users = found.accounts.iter().map(|account| account.aor.user().to_owned());
    Ok(users.collect())
}

async fn check(store: &impl AccountStore, cases: &[(&str, &[&str])]) -> Outcome {
    for (text, expected) in cases {
        assert_eq!(found(store, text).await?, *expected, "{text}");
    }
    Ok(())
}

pub async fn people_are_found_by_the_beginnings_of_words(
    store: &(impl AccountStore + PlaceStore),
) -> Outcome {
    let people = [
        ("will", "William T. Riker"),
        ("jl.picard", "Jean-Luc Picard"),
        ("luciana", "Ana Lucia"),
        ("jean", "Jean Grey"),
    ];
    with(store, &people).await?;
    let cases: [(&str, &[&str]); 14] = [
        ("jean", &["jean", "jl.picard"]),
        ("LUC", &["jl.picard", "luciana"]),
        ("jean luc", &["jl.picard"]),
        ("jean-lu", &["jl.picard"]),
        ("jl.", &["jl.picard"]),
        ("ill", &[]),
        ("riker will", &["will"]),
        ("riker jean", &[]),
        ("will@example.test", &["will"]),
        ("sip:Will@Example.Test t", &["will"]),
        ("will@example.tes", &[]),
        ("will@example.test jean@example.test", &[]),
        ("example.test", &[]),
        ("", &[]),
    ];
    check(store, &cases).await?;
    let whole = store.search_accounts(&AccountSearch::new(["riker"]), 1).await?;
    let stored = store.account(&aor("will@example.test")?).await?;
    assert_eq!(
        whole.accounts.first(),
        stored.as_ref().map(|stored| &stored.account),
        "it is found as it is stored"
    );
    Ok(())
}

pub async fn letters_are_the_same_however_they_are_written(
    store: &(impl AccountStore + PlaceStore),
) -> Outcome {
    let people = [
        ("anders", "Anders Ångström"),
        ("rolf", "ROLF STRAẞE"),
        ("odysseus", "Οδυσσεύς"),
        ("ivan", "Шишкин Иван"),
        ("wang", "王小明"),
    ];
    with(store, &people).await?;
    let cases: [(&str, &[&str]); 8] = [
        ("ÅNG", &["anders"]),
        ("a\u{30a}ngstro\u{308}m", &["anders"]),
        ("angstrom", &["anders"]),
        ("strasse", &["rolf"]),
        ("straße", &["rolf"]),
        ("ΟΔΥΣΣΕΎΣ", &["odysseus"]),
        ("ШИШ", &["ivan"]),
        ("王", &["wang"]),
    ];
    check(store, &cases).await
}

pub async fn what_is_syntax_elsewhere_is_only_text_in_a_search(
    store: &(impl AccountStore + PlaceStore),
) -> Outcome {
    let people = [
        ("a_b", "One"),
        ("axb", "Two"),
        ("percent", "100% Three"),
        ("quote", "O'Brien; DROP TABLE accounts"),
    ];
    with(store, &people).await?;
    let cases: [(&str, &[&str]); 9] = [
        ("a_b", &["a_b"]),
        ("_", &[]),
        ("%", &[]),
        ("*", &[]),
        ("100%", &["percent"]),
        ("o'b", &["quote"]),
        ("' OR 1=1 --", &[]),
        ("\\", &[]),
        ("a\0_b", &["a_b"]),
    ];
    check(store, &cases).await
}

pub async fn a_search_sees_every_change_of_an_account(store: &(impl AccountStore + PlaceStore)) -> Outcome {
    with(store, &[("alice", "Alice Liddell"), ("bob", "Bob")]).await?;
    let change = async |patch| store.change_account(&aor("alice@example.test")?, patch).await;
    let disabled = |disabled: bool| AccountPatch {
        enabled: Some(!disabled),
        ..AccountPatch::default()
    };
    assert_eq!(found(store, "liddell").await?, ["alice"]);
    change(AccountPatch {
        display_name: Some("Alice Hargreaves".into()),
        ..AccountPatch::default()
    })
    .await?;
    assert_eq!(found(store, "liddell").await?, [""; 0]);
    assert_eq!(found(store, "har ali").await?, ["alice"]);
    change(disabled(true)).await?;
    for text in ["har", "alice@example.test"] {
        assert_eq!(found(store, text).await?, [""; 0], "nobody who may not sign in");
    }
    change(disabled(false)).await?;
    assert_eq!(found(store, "har").await?, ["alice"]);
    store.delete_account(&aor("alice@example.test")?).await?;
    assert_eq!(found(store, "har").await?, [""; 0]);
    store.create_account(account("alice")?).await?;
    assert_eq!(
        found(store, "har").await?,
        [""; 0],
        "no word of the former account"
    );
    assert_eq!(found(store, "suite").await?, ["alice"]);
    Ok(())
}

pub async fn a_search_ends_at_its_limit_and_says_that_there_are_more(
    store: &(impl AccountStore + PlaceStore),
) -> Outcome {
    let people = ["carol", "alice", "b-ob", "bob", "dave"].map(|user| (user, "Somebody Some"));
    with(store, &people).await?;
    let search = async |limit| store.search_accounts(&AccountSearch::new(["some"]), limit).await;
    let addresses = |users: &[&str]| -> Result<Vec<AddressOfRecord>, StoreError> {
        users
            .iter()
            .map(|user| aor(&format!("{user}@example.test")))
            .collect()
    };
    for (limit, users, more) in [
        (2, &["alice", "b-ob"][..], true),
        (4, &["alice", "b-ob", "bob", "carol"], true),
        (5, &["alice", "b-ob", "bob", "carol", "dave"], false),
        (0, &[], true),
        (u32::MAX, &["alice", "b-ob", "bob", "carol", "dave"], false),
    ] {
        let found = search(limit).await?;
        let order: Vec<_> = found.accounts.into_iter().map(|account| account.aor).collect();
        assert_eq!((order, found.more), (addresses(users)?, more), "{limit}");
    }
    Ok(())
}

pub async fn only_accounts_of_the_named_domains_are_found_and_counted(
    store: &(impl AccountStore + PlaceStore),
) -> Outcome {
    store.add_domain("left.test").await?;
    with(store, &[("bea", "Bea Some")]).await?;
    let mut elsewhere = account("amy")?;
    elsewhere.account.aor = aor("amy@left.test")?;
    elsewhere.account.display_name = "Amy Some".to_owned();
    store.create_account(elsewhere).await?;
    let some = || AccountSearch::new(["some"]);
    let domains = |domains: &[&str]| domains.iter().map(|one| (*one).to_owned()).collect();
    // Amy comes first, and takes no place from who is looked for.
    for (search, expected, more) in [
        (
            some().within(domains(&["example.test"])),
            &["bea@example.test"][..],
            false,
        ),
        (
            some().within(domains(&["left.test", "example.test"])),
            &["amy@left.test"],
            true,
        ),
        (some(), &["amy@left.test"], true),
        (some().within(Vec::new()), &[], false),
    ] {
        let found = store.search_accounts(&search, 1).await?;
        let who: Vec<&str> = found
            .accounts
            .iter()
            .map(|account| account.aor.as_str())
            .collect();
        assert_eq!((&who[..], found.more), (expected, more), "{search:?}");
    }
    Ok(())
}
