//! What callers of the registrar role may rely on is the same whichever way it is reached.

#![cfg(test)]

mod rig;

use std::collections::BTreeMap;
use std::time::Duration;

use rig::{REALM, Rig, Way, account, aor, register};
use rpc::{
    AccountChange, Authenticate, BindingEnd, EndpointId, Error, ErrorCode, Freshness, GroupChange, NewGroup,
    PeopleFound, PeopleSearch, Person, PolicyScope, PolicyValue, Proof, RegisterError, RegistrarChange,
    Unregister, Which,
};
use sip_auth::digest::Algorithm;
use sip_auth::digest::client::Challenge;
use sip_types::{AddressOfRecord, Method};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

macro_rules! every_way {
    ($($behaviour:ident,)+) => {
        $(mod $behaviour {
            use super::{Rig, Way};

            #[tokio::test]
            async fn directly() {
                super::run($crate::$behaviour, Rig::new(Way::Direct).await).await;
            }

            #[tokio::test]
            async fn through_the_codec() {
                super::run($crate::$behaviour, Rig::new(Way::Codec).await).await;
            }

            #[tokio::test]
            async fn over_the_wire() {
                super::run($crate::$behaviour, Rig::new(Way::Tcp).await).await;
            }

            #[tokio::test]
            async fn over_mutual_tls() {
                super::run($crate::$behaviour, Rig::new(Way::Tls).await).await;
            }
        })+
    };
}

every_way! {
    accounts_are_made_changed_and_deleted,
    groups_are_made_changed_and_deleted,
    policies_are_made_granted_and_taken_back,
    endpoints_sign_in_are_found_and_sign_out,
    a_register_that_changes_nothing_says_why,
    proofs_are_verified,
    changes_are_announced,
    sessions_are_shown_and_ended,
    people_are_found,
}

async fn run<F: Future<Output = Rig>>(behaviour: impl FnOnce(Rig) -> F, rig: Rig) {
    behaviour(rig).await.end().await;
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code
}

async fn accounts_are_made_changed_and_deleted(rig: Rig) -> Rig {
    let directory = &rig.directory;
    let made = directory.create_account(account("carol")).await.unwrap();
    assert_eq!(
        (&made.aor, made.display_name.as_str()),
        (&aor("carol"), "carol of the test")
    );
    assert!(made.enabled && !made.ntlm && made.created_at > 0);
    let again = directory.create_account(account("carol")).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::Conflict);
    assert!(again.message.contains("carol@example.test"), "{}", again.message);
    let mut elsewhere = account("carol");
    elsewhere.aor = AddressOfRecord::parse("carol@other.test").unwrap();
    assert_eq!(
        code(directory.create_account(elsewhere).await),
        ErrorCode::InvalidRequest
    );

    let names = |accounts: Vec<rpc::AccountView>| -> Vec<String> {
        accounts
            .iter()
            .map(|account| account.aor.user().to_owned())
            .collect()
    };
    assert_eq!(
        names(directory.accounts(None, 2).await.unwrap()),
        ["alice", "bob"]
    );
    let after = aor("alice");
    assert_eq!(
        names(directory.accounts(Some(&after), 9).await.unwrap()),
        ["bob", "carol"]
    );
    assert_eq!(directory.account(&aor("carol")).await.unwrap(), Some(made));
    assert_eq!(directory.account(&aor("nobody")).await.unwrap(), None);

    let change = AccountChange {
        display_name: Some("Carol".into()),
        enabled: Some(false),
        ..AccountChange::default()
    };
    let changed = directory
        .change_account(&aor("carol"), change.clone())
        .await
        .unwrap();
    assert_eq!((changed.display_name.as_str(), changed.enabled), ("Carol", false));
    assert_eq!(
        code(directory.change_account(&aor("nobody"), change).await),
        ErrorCode::NotFound
    );
    directory.delete_account(&aor("carol")).await.unwrap();
    assert_eq!(
        code(directory.delete_account(&aor("carol")).await),
        ErrorCode::NotFound
    );
    assert_eq!(directory.totals().await.unwrap()["accounts"], 2);
    rig
}

async fn policies_are_made_granted_and_taken_back(rig: Rig) -> Rig {
    let directory = &rig.directory;
    let vip = || PolicyScope::Tag("vip".into());
    let values = |value: &str| BTreeMap::from([("html".to_owned(), value.to_owned())]);
    let made = directory
        .create_policy("im", vip(), values("false"))
        .await
        .unwrap();
    assert_eq!(made.values["html"], PolicyValue::Bool(false));
    assert_eq!(
        code(directory.create_policy("im", vip(), values("true")).await),
        ErrorCode::Conflict
    );
    assert_eq!(
        code(directory.create_policy("no", vip(), values("true")).await),
        ErrorCode::NotFound
    );
    let odd = directory
        .set_policy("im", vip(), values("perhaps"))
        .await
        .unwrap_err();
    assert_eq!(odd.code, ErrorCode::InvalidRequest);
    assert!(odd.message.contains("html"), "{}", odd.message);
    assert_eq!(directory.policies(Some("im")).await.unwrap(), [made]);

    directory
        .grant_policy("im", Some("vip"), &aor("alice"))
        .await
        .unwrap();
    let of = async |user| rig.registrar.policy("im", &aor(user)).await.unwrap();
    let granted = of("alice").await;
    assert_eq!(granted.scope, Some(vip()));
    assert!(!granted.bool("html", true));
    assert_eq!(
        *directory.effective_policy("im", &aor("alice")).await.unwrap(),
        *granted
    );
    assert_eq!(of("bob").await.scope, None);
    assert_eq!(
        code(rig.registrar.policy("no", &aor("bob")).await),
        ErrorCode::NotFound
    );
    directory.grant_policy("im", None, &aor("alice")).await.unwrap();
    assert_eq!(of("alice").await.scope, None);
    directory.delete_policy("im", vip()).await.unwrap();
    assert_eq!(
        code(directory.delete_policy("im", vip()).await),
        ErrorCode::NotFound
    );
    assert_eq!(directory.policies(None).await.unwrap(), []);
    rig
}

async fn endpoints_sign_in_are_found_and_sign_out(rig: Rig) -> Rig {
    let registrar = &rig.registrar;
    let first = registrar.register(register("alice", "one")).await.unwrap();
    assert!(first.is_new && first.expires > 0);
    assert_eq!(first.bindings.len(), 1);
    let repeated = registrar.register(register("alice", "one")).await.unwrap();
    assert_eq!(repeated.epoch, first.epoch, "a repetition gets the same answer");
    let second = registrar.register(register("alice", "two")).await.unwrap();
    assert!(second.epoch > first.epoch);

    for freshness in [Freshness::Cached, Freshness::Newest] {
        let found = registrar.lookup(&aor("alice"), freshness).await.unwrap().unwrap();
        assert_eq!(found.display_name, "alice of the test");
        let names: Vec<_> = found
            .bindings
            .iter()
            .map(|one| one.address.endpoint.as_str())
            .collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(found.bindings[0].address.epoch, first.epoch);
        assert_eq!(found.bindings[0].address.member.as_str(), "fe2");
    }
    assert!(
        registrar
            .lookup(&aor("nobody"), Freshness::Cached)
            .await
            .unwrap()
            .is_none()
    );
    let idle = registrar
        .lookup(&aor("bob"), Freshness::Cached)
        .await
        .unwrap()
        .unwrap();
    assert!(idle.bindings.is_empty());

    let died = |epoch| Unregister {
        aor: aor("alice"),
        which: Which::Connection(EndpointId::new("one"), epoch),
        order: None,
    };
    let left = registrar.unregister(died(second.epoch)).await.unwrap();
    assert_eq!(
        left.len(),
        2,
        "another registration than that of the dead connection stays"
    );
    let left = registrar.unregister(died(first.epoch)).await.unwrap();
    assert_eq!(left.len(), 1);
    let all = Unregister {
        aor: aor("alice"),
        which: Which::All,
        order: Some(("another call".into(), 1)),
    };
    assert!(registrar.unregister(all).await.unwrap().is_empty());
    rig
}

async fn a_register_that_changes_nothing_says_why(rig: Rig) -> Rig {
    let registrar = &rig.registrar;
    let mut brief = register("alice", "one");
    brief.expires = Some(1);
    let refused = registrar.register(brief).await.unwrap_err();
    assert!(
        matches!(refused, RegisterError::IntervalTooBrief(least) if least > 1),
        "{refused:?}"
    );
    let refused = registrar.register(register("nobody", "one")).await.unwrap_err();
    assert!(matches!(refused, RegisterError::NoSuchUser), "{refused:?}");
    let mut newer = register("alice", "one");
    newer.cseq = 5;
    registrar.register(newer).await.unwrap();
    let refused = registrar.register(register("alice", "one")).await.unwrap_err();
    assert!(matches!(refused, RegisterError::OutOfOrder), "{refused:?}");
    rig
}

async fn proofs_are_verified(rig: Rig) -> Rig {
    let digest = |password: &str| {
        let challenge = Challenge {
            realm: REALM.into(),
            nonce: "nonce".into(),
            algorithm: Algorithm::Sha256,
            stale: false,
        };
        let request = ("REGISTER", "sip:example.test");
        Proof::Digest {
            credentials: challenge.answer(("alice", password), request, "cnonce", 1).into(),
            method: Method::Register,
            realm: REALM.into(),
        }
    };
    let ntlm = Proof::Ntlm {
        server_challenge: [1; 8],
        authenticate: vec![1, 2, 3],
    };
    let outcome = async |proof| {
        let request = Authenticate {
            claimed: aor("alice"),
            proof,
            peer: [192, 0, 2, 1].into(),
        };
        rig.registrar.authenticate(request).await.unwrap()
    };
    let identity = outcome(digest("alice-secret")).await.unwrap();
    assert_eq!(
        (identity.aor, identity.display_name.as_str()),
        (aor("alice"), "alice of the test")
    );
    assert_eq!(
        outcome(digest("wrong")).await.unwrap_err().reason,
        "wrong_password"
    );
    let direct = Authenticate {
        claimed: aor("alice"),
        proof: ntlm.clone(),
        peer: [192, 0, 2, 1].into(),
    };
    let expected = rpc::Registrar::authenticate(&rig.service, direct).await.unwrap();
    let refused = outcome(ntlm).await.unwrap_err();
    assert_eq!(refused.reason, expected.unwrap_err().reason);
    rig
}

async fn next(changes: &mut ReceiverStream<RegistrarChange>) -> RegistrarChange {
    let change = tokio::time::timeout(Duration::from_secs(3), changes.next()).await;
    change.expect("a change is announced").expect("the stream stands")
}

async fn groups_are_made_changed_and_deleted(rig: Rig) -> Rig {
    let directory = &rig.directory;
    let mut changes = rig.registrar.watch().await.unwrap();
    let sales = NewGroup {
        address: aor("sales"),
        display_name: "Sales".into(),
    };
    let made = directory.create_group(sales.clone()).await.unwrap();
    assert_eq!((&made.display_name[..], made.size), ("Sales", 0));
    assert!(made.created_at > 0);
    assert!(matches!(next(&mut changes).await, RegistrarChange::Group(Some(group)) if group == aor("sales")));
    assert_eq!(code(directory.create_group(sales).await), ErrorCode::Conflict);
    let zoe = AddressOfRecord::parse("zoe@partner.test").unwrap();
    let change = GroupChange {
        display_name: Some("Sellers".into()),
        add: vec![zoe.clone(), aor("bob"), aor("alice")],
        remove: vec![aor("bob")],
    };
    let changed = directory
        .change_group(&aor("sales"), change.clone())
        .await
        .unwrap();
    assert_eq!((&changed.display_name[..], changed.size), ("Sellers", 2));
    let nobody = directory.change_group(&aor("nobody"), change).await;
    assert_eq!(code(nobody), ErrorCode::NotFound);
    let found = directory.group(&aor("sales")).await.unwrap();
    assert_eq!(found, Some((changed.clone(), vec![aor("alice"), zoe])));
    assert_eq!(directory.group(&aor("nobody")).await.unwrap(), None);
    let board = NewGroup {
        address: aor("board"),
        display_name: String::new(),
    };
    let board = directory.create_group(board).await.unwrap();
    let after = board.address.clone();
    assert_eq!(directory.groups(None, 1).await.unwrap(), [board]);
    assert_eq!(directory.groups(Some(&after), 9).await.unwrap(), [changed]);
    directory.delete_group(&aor("sales")).await.unwrap();
    assert_eq!(
        code(directory.delete_group(&aor("sales")).await),
        ErrorCode::NotFound
    );
    rig
}

async fn changes_are_announced(rig: Rig) -> Rig {
    let mut changes = rig.registrar.watch().await.unwrap();
    // Nothing that happens after `watch` answered is missed.
    rig.registrar.register(register("alice", "one")).await.unwrap();
    let RegistrarChange::Bindings(change) = next(&mut changes).await else {
        panic!("a sign-in changes bindings");
    };
    assert_eq!((change.aor, change.ended.len()), (aor("alice"), 0));
    rig.directory.kick(&aor("alice"), None).await.unwrap();
    let RegistrarChange::Bindings(change) = next(&mut changes).await else {
        panic!("a kick changes bindings");
    };
    assert_eq!(change.ended.len(), 1);
    assert_eq!(change.ended[0].0.endpoint.as_str(), "one");
    assert_eq!(change.ended[0].1, BindingEnd::Rejected);
    let scope = PolicyScope::Global;
    rig.directory
        .create_policy("im", scope, BTreeMap::new())
        .await
        .unwrap();
    assert!(matches!(next(&mut changes).await, RegistrarChange::Policies));
    let change = AccountChange {
        display_name: Some("A".into()),
        ..AccountChange::default()
    };
    rig.directory.change_account(&aor("alice"), change).await.unwrap();
    assert!(matches!(next(&mut changes).await, RegistrarChange::Account(who) if who == aor("alice")));
    // When the registrar ends its streams, whoever watches sees the end.
    rig.service.close_watchers();
    let end = tokio::time::timeout(Duration::from_secs(3), changes.next()).await;
    assert!(end.expect("the end is seen").is_none());
    rig
}

async fn sessions_are_shown_and_ended(rig: Rig) -> Rig {
    rig.registrar.register(register("alice", "one")).await.unwrap();
    rig.registrar.register(register("alice", "two")).await.unwrap();
    let sessions = rig.directory.sessions(&aor("alice")).await.unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(
        (sessions[0].endpoint.as_str(), sessions[0].family),
        ("one", "simple")
    );
    assert_eq!((sessions[0].member.as_str(), sessions[0].mode), ("fe2", "page"));
    assert_eq!(rig.directory.kick(&aor("alice"), Some("one")).await.unwrap(), 1);
    assert_eq!(rig.directory.kick(&aor("alice"), None).await.unwrap(), 1);
    assert_eq!(rig.directory.kick(&aor("alice"), None).await.unwrap(), 0);
    rig
}

async fn people_are_found(rig: Rig) -> Rig {
    let search = async |words: &str, limit| {
        let words = words.to_owned();
        rig.registrar.search(PeopleSearch { words, limit }).await
    };
    let person = |user: &str| Person {
        aor: aor(user),
        display_name: format!("{user} of the test"),
    };
    let both = search("TEST of", 100).await.unwrap();
    assert_eq!(both.people, [person("alice"), person("bob")]);
    assert!(!both.more);
    let first = search("test", 1).await.unwrap();
    assert_eq!((first.people, first.more), (vec![person("alice")], true));
    assert_eq!(
        search("bob@example.test", 100).await.unwrap().people,
        [person("bob")]
    );
    assert_eq!(search("carol", 100).await.unwrap(), PeopleFound::default());
    assert_eq!(
        code(search(&"a ".repeat(100), 100).await),
        ErrorCode::InvalidRequest
    );
    rig
}
