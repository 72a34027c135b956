//! Two registrars over one database: what is changed at one holds at the other.

#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use registrar::{PolicyKinds, RegistrarConfig, RegistrarService, Stores, SystemClock};
use rpc::{
    AccountChange, Authenticate, BindingEnd, ClientFamily, ConnectionId, Directory, EndpointId, ImMode,
    NewAccount, PolicyScope, Proof, Register, Registrar, RegistrarChange,
};
use sip_auth::digest::Algorithm;
use sip_auth::digest::client::Challenge;
use sip_auth::key_file::{KeyFile, Purpose};
use sip_types::{AddressOfRecord, Method, SipStr};
use store::memory::MemoryBindings;
use store_postgres::{ConnectOptions, Database};
use test_support::stores::{PostgresDatabase, PostgresServer};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::MemberId;

/// How long something that should happen at once may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A member of a pool as far as this test goes: bindings are its own, the database is not.
struct Member {
    service: RegistrarService,
    changes: ReceiverStream<RegistrarChange>,
    database: Database,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Member {
    async fn start(postgres: &PostgresDatabase) -> Self {
        let database = Database::connect(&postgres.url(), ConnectOptions::default())
            .await
            .unwrap();
        let file = KeyFile::parse(&KeyFile::generate(&[1; 32])).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let service = RegistrarService::start(
            RegistrarConfig::new("example.test", vec!["example.test".into()]),
            file.seal_key(Purpose::Credentials).unwrap(),
            PolicyKinds::new(),
            Stores::new(Arc::new(database.clone()), Arc::new(MemoryBindings::new())),
            Arc::new(SystemClock),
            &tasks,
            stop.clone(),
        );
        let service = service.await.unwrap();
        Member {
            changes: service.watch().await.unwrap(),
            service,
            database,
            tasks,
            stop,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.database.close().await;
    }

    /// Signs in with Digest SHA-256; the reason if it is refused.
    async fn sign_in(&self, user: &str) -> &'static str {
        let challenge = Challenge {
            realm: "example.test".into(),
            nonce: "nonce".into(),
            algorithm: Algorithm::Sha256,
            stale: false,
        };
        let password = format!("{user}-secret");
        let answer = challenge.answer((user, &password), ("REGISTER", "sip:example.test"), "cnonce", 1);
        let request = Authenticate {
            claimed: aor(user),
            proof: Proof::Digest {
                credentials: SipStr::from(answer),
                method: Method::Register,
                realm: SipStr::from("example.test"),
            },
            peer: [192, 0, 2, 1].into(),
        };
        let outcome = self.service.authenticate(request).await.unwrap();
        outcome.map_or_else(|refusal| refusal.reason, |_| "ok")
    }

    /// The next change of bindings.
    async fn next_change(&mut self) -> rpc::BindingChange {
        loop {
            let change = tokio::time::timeout(PATIENCE, self.changes.next()).await;
            if let RegistrarChange::Bindings(change) = change.expect("no change was announced").unwrap() {
                return change;
            }
        }
    }

    async fn max_endpoints(&self, user: &str) -> i64 {
        let policy = self.service.policy("registration", &aor(user)).await.unwrap();
        policy.number("max_endpoints", -1)
    }
}

/// Two members over a database with the account `alice`.
async fn two_members() -> (PostgresDatabase, Member, Member) {
    let postgres = PostgresServer::shared().await.unwrap().database().await.unwrap();
    store_postgres::migrate(&postgres.url(), Duration::ZERO)
        .await
        .unwrap();
    let one = Member::start(&postgres).await;
    let other = Member::start(&postgres).await;
    let account = NewAccount {
        aor: aor("alice"),
        display_name: String::new(),
        site: String::new(),
        password: "alice-secret".into(),
        ntlm: false,
    };
    one.service.create_account(account).await.unwrap();
    (postgres, one, other)
}

fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

fn register(user: &str) -> Register {
    Register {
        aor: aor(user),
        endpoint: EndpointId::new("e1"),
        contact: format!("sip:{user}@192.0.2.1"),
        instance: None,
        epid: None,
        reg_id: None,
        call_id: "call".into(),
        cseq: 1,
        expires: None,
        member: MemberId::new("fe1"),
        connection: ConnectionId(1),
        family: ClientFamily::Simple,
        mode: ImMode::Page,
        user_agent: None,
    }
}

fn enabled(enabled: bool) -> AccountChange {
    AccountChange {
        enabled: Some(enabled),
        ..AccountChange::default()
    }
}

/// Waits until `holds`; there is no event for a cache that was dropped.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let all = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect(what);
}

#[tokio::test]
async fn an_account_disabled_at_one_member_is_out_at_the_other() {
    let (_postgres, one, mut other) = two_members().await;
    assert_eq!(other.sign_in("alice").await, "ok");
    other.service.register(register("alice")).await.unwrap();
    other.next_change().await;

    one.service
        .change_account(&aor("alice"), enabled(false))
        .await
        .unwrap();
    let change = other.next_change().await;
    let ended: Vec<_> = change.ended.iter().map(|(_, end)| *end).collect();
    assert_eq!(ended, [BindingEnd::Rejected]);
    assert!(other.next_change().await.account_ended);
    assert_eq!(other.sign_in("alice").await, "disabled");
    assert!(
        other
            .service
            .lookup(&aor("alice"), rpc::Freshness::Cached)
            .await
            .unwrap()
            .unwrap()
            .bindings
            .is_empty()
    );

    one.service
        .change_account(&aor("alice"), enabled(true))
        .await
        .unwrap();
    until("alice stays out", async || other.sign_in("alice").await == "ok").await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_policy_changed_at_one_member_is_effective_at_the_other() {
    let (_postgres, one, other) = two_members().await;
    let before = other.max_endpoints("alice").await;
    let few = |count: i64| [("max_endpoints".to_owned(), count.to_string())].into();
    assert!(before > 3);
    one.service
        .set_policy("registration", PolicyScope::Global, few(3))
        .await
        .unwrap();
    until("the policy is not effective", async || {
        other.max_endpoints("alice").await == 3
    })
    .await;

    // A grant too, and its end with its policy.
    let two = PolicyScope::Tag("two".into());
    one.service
        .create_policy("registration", two.clone(), few(2))
        .await
        .unwrap();
    one.service
        .grant_policy("registration", Some("two"), &aor("alice"))
        .await
        .unwrap();
    until("the grant is not effective", async || {
        other.max_endpoints("alice").await == 2
    })
    .await;
    one.service.delete_policy("registration", two).await.unwrap();
    until("the grant is still effective", async || {
        other.max_endpoints("alice").await == 3
    })
    .await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_member_that_was_cut_off_notices_what_it_missed() {
    let (postgres, one, mut other) = two_members().await;
    assert_eq!(other.sign_in("alice").await, "ok");
    other.service.register(register("alice")).await.unwrap();
    other.next_change().await;
    // Nobody hears this: it is written while no member listens.
    postgres
        .sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid(); \
             UPDATE accounts SET enabled = false",
        )
        .await
        .unwrap();
    let change = other.next_change().await;
    assert_eq!(change.ended.len(), 1);
    assert!(other.next_change().await.account_ended);
    assert_eq!(other.sign_in("alice").await, "disabled");
    one.stop().await;
    other.stop().await;
}
