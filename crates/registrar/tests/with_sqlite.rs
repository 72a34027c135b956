//! The registrar on the store of a Standard Edition: what survives a restart, and what needs no database.

#![cfg(test)]

use std::path::Path;
use std::sync::Arc;

use registrar::{PolicyKinds, RegistrarConfig, RegistrarService, Stores, SystemClock};
use rpc::{
    Authenticate, ClientFamily, ConnectionId, Directory, EndpointId, ErrorCode, Freshness, ImMode,
    NewAccount, PolicyScope, Proof, Register, RegisterError, Registrar,
};
use sip_auth::digest::Algorithm;
use sip_auth::digest::client::Challenge;
use sip_auth::key_file::{KeyFile, Purpose};
use sip_types::{AddressOfRecord, Method, SipStr};
use store::memory::MemoryBindings;
use store_embedded::Database;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::MemberId;

struct Running {
    service: RegistrarService,
    database: Database,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    async fn start(path: &Path, key: u8) -> Self {
        let database = Database::open(path).await.unwrap();
        let file = KeyFile::parse(&KeyFile::generate(&[key; 32])).unwrap();
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
        Running {
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

    async fn create(&self, user: &str) {
        let account = NewAccount {
            aor: aor(user),
            display_name: String::new(),
            site: String::new(),
            password: format!("{user}-secret"),
            ntlm: false,
        };
        self.service.create_account(account).await.unwrap();
    }

    /// Signs in with Digest SHA-256; the reason if it is refused.
    async fn try_password(&self, user: &str, password: &str) -> Result<&'static str, ErrorCode> {
        let challenge = Challenge {
            realm: "example.test".into(),
            nonce: "nonce".into(),
            algorithm: Algorithm::Sha256,
            stale: false,
        };
        let answer = challenge.answer((user, password), ("REGISTER", "sip:example.test"), "cnonce", 1);
        let request = Authenticate {
            claimed: aor(user),
            proof: Proof::Digest {
                credentials: SipStr::from(answer),
                method: Method::Register,
                realm: SipStr::from("example.test"),
            },
            peer: [192, 0, 2, 1].into(),
        };
        let outcome = self
            .service
            .authenticate(request)
            .await
            .map_err(|error| error.code)?;
        Ok(outcome.map_or_else(|refusal| refusal.reason, |_| "ok"))
    }
}

fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

fn register(user: &str, cseq: u32) -> Register {
    Register {
        aor: aor(user),
        endpoint: EndpointId::new("e1"),
        contact: format!("sip:{user}@192.0.2.1"),
        instance: None,
        epid: None,
        reg_id: None,
        call_id: "call".into(),
        cseq,
        expires: None,
        member: MemberId::new("fe1"),
        connection: ConnectionId(1),
        family: ClientFamily::Simple,
        mode: ImMode::Page,
        user_agent: None,
    }
}

#[tokio::test]
async fn accounts_passwords_and_policies_survive_a_restart_and_bindings_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portico.db");
    let first = Running::start(&path, 1).await;
    first.create("alice").await;
    let values = [("max_endpoints".to_owned(), "3".to_owned())].into();
    first
        .service
        .create_policy("registration", PolicyScope::Tag("few".into()), values)
        .await
        .unwrap();
    first
        .service
        .grant_policy("registration", Some("few"), &aor("alice"))
        .await
        .unwrap();
    let epoch = first.service.register(register("alice", 1)).await.unwrap().epoch;
    first.stop().await;

    // A second, so that the upper bits of an epoch are others.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let second = Running::start(&path, 1).await;
    assert_eq!(second.try_password("alice", "alice-secret").await, Ok("ok"));
    assert_eq!(second.try_password("alice", "wrong").await, Ok("wrong_password"));
    let policy = second
        .service
        .policy("registration", &aor("alice"))
        .await
        .unwrap();
    assert_eq!(policy.number("max_endpoints", -1), 3);
    assert!(
        second
            .service
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .unwrap()
            .bindings
            .is_empty()
    );
    assert!(second.service.register(register("alice", 1)).await.unwrap().epoch > epoch);
    second.stop().await;
}

#[tokio::test]
async fn with_another_key_file_nobody_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portico.db");
    let first = Running::start(&path, 1).await;
    first.create("alice").await;
    first.stop().await;
    let second = Running::start(&path, 2).await;
    assert_eq!(
        second.try_password("alice", "alice-secret").await,
        Ok("wrong_password")
    );
    second.stop().await;
}

#[tokio::test]
async fn who_is_signed_in_needs_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&folder.path().join("portico.db"), 1).await;
    running.create("alice").await;
    running.create("bob").await;
    assert_eq!(running.try_password("alice", "alice-secret").await, Ok("ok"));
    running.service.register(register("alice", 1)).await.unwrap();
    running.database.close().await;

    // Sign-in, refresh, lookup and policy of somebody known are answered from memory.
    assert_eq!(running.try_password("alice", "alice-secret").await, Ok("ok"));
    assert_eq!(running.try_password("alice", "wrong").await, Ok("wrong_password"));
    running.service.register(register("alice", 2)).await.unwrap();
    assert_eq!(
        running
            .service
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .unwrap()
            .bindings
            .len(),
        1
    );
    running
        .service
        .policy("registration", &aor("alice"))
        .await
        .unwrap();

    // Of others it is said that the store is away, not that they do not exist.
    assert_eq!(
        running.try_password("bob", "bob-secret").await,
        Err(ErrorCode::Unavailable)
    );
    assert_eq!(
        running
            .service
            .lookup(&aor("bob"), Freshness::Cached)
            .await
            .unwrap_err()
            .code,
        ErrorCode::Unavailable
    );
    let refused = running.service.register(register("bob", 1)).await;
    assert!(matches!(refused, Err(RegisterError::Failed(error)) if error.code == ErrorCode::Unavailable));
    running.stop().await;
}

#[tokio::test]
async fn an_account_is_there_only_once_whoever_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&folder.path().join("portico.db"), 1).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let service = running.service.clone();
        tasks.spawn(async move {
            let account = NewAccount {
                aor: aor("alice"),
                display_name: String::new(),
                site: String::new(),
                password: "secret".into(),
                ntlm: true,
            };
            service.create_account(account).await.map_err(|error| error.code)
        });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == Err(ErrorCode::Conflict))
            .count(),
        7
    );
    running.stop().await;
}
