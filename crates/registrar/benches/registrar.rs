//! What a message, a refresh and a sign-in cost here, without a network: `cargo bench -p registrar`.

#![expect(clippy::unwrap_used, reason = "a benchmark with a wrong input must stop")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use divan::Bencher;
use registrar::{PolicyKinds, RegistrarConfig, RegistrarService, Stores, SystemClock};
use rpc::{
    Authenticate, ClientFamily, ConnectionId, Directory, EndpointId, Freshness, ImMode, NewAccount, Proof,
    Register, Registrar,
};
use sip_auth::digest::Algorithm;
use sip_auth::digest::client::Challenge;
use sip_auth::key_file::{KeyFile, Purpose};
use sip_types::{AddressOfRecord, Method, SipStr};
use store::memory::{MemoryBindings, MemoryDirectory};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::MemberId;

/// As many as one process of a shared machine holds.
const USERS: u32 = 10_000;

fn main() {
    divan::main();
}

struct Bench {
    runtime: Runtime,
    service: RegistrarService,
    users: Vec<AddressOfRecord>,
}

fn register(aor: &AddressOfRecord, cseq: u32) -> Register {
    Register {
        aor: aor.clone(),
        endpoint: EndpointId::new("urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a;1"),
        contact: "sip:alice@192.0.2.1:38220;transport=tls".into(),
        instance: Some("urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a".into()),
        epid: None,
        reg_id: Some(1),
        call_id: "EBB7g1050a4CA2iB293m5580tBBB5bFFC8x0833x".into(),
        cseq,
        expires: Some(600),
        member: MemberId::new("fe1"),
        connection: ConnectionId(1),
        family: ClientFamily::Simple,
        mode: ImMode::Page,
        user_agent: Some("bench/1.0".into()),
    }
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let (service, users) = runtime.block_on(async {
            let file = KeyFile::parse(&KeyFile::generate(&[1; 32])).unwrap();
            let tasks = TaskTracker::new();
            let service = RegistrarService::start(
                RegistrarConfig::new("example.test", vec!["example.test".into()]),
                file.seal_key(Purpose::Credentials).unwrap(),
                PolicyKinds::new(),
                Stores::new(Arc::new(MemoryDirectory::new()), Arc::new(MemoryBindings::new())),
                Arc::new(SystemClock),
                &tasks,
                CancellationToken::new(),
            );
            let service = service.await.unwrap();
            let mut users = Vec::new();
            for number in 0..USERS {
                let aor = AddressOfRecord::parse(&format!("user{number}@example.test")).unwrap();
                let account = NewAccount {
                    aor: aor.clone(),
                    display_name: format!("User Number {number}"),
                    site: String::new(),
                    password: "secret".into(),
                    ntlm: false,
                };
                service.create_account(account).await.unwrap();
                service.register(register(&aor, 1)).await.unwrap();
                users.push(aor);
            }
            (service, users)
        });
        Bench {
            runtime,
            service,
            users,
        }
    }

    /// Another user each time, so that it is not one line of the cache that is measured.
    fn next_user(&self, turn: &AtomicU32) -> &AddressOfRecord {
        let turn = turn.fetch_add(7_919, Ordering::Relaxed);
        &self.users[(turn % USERS) as usize]
    }
}

#[divan::bench]
fn lookup(bencher: Bencher<'_, '_>) {
    let (bench, turn) = (Bench::new(), AtomicU32::new(0));
    bencher.bench_local(|| {
        let found = bench
            .runtime
            .block_on(bench.service.lookup(bench.next_user(&turn), Freshness::Cached));
        assert!(found.unwrap().is_some());
    });
}

/// The floor of the others: what entering the runtime costs.
#[divan::bench]
fn nothing(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    bencher.bench_local(|| runtime.block_on(async {}));
}

#[divan::bench]
fn refresh(bencher: Bencher<'_, '_>) {
    let (bench, turn, cseq) = (Bench::new(), AtomicU32::new(0), AtomicU32::new(2));
    bencher
        .with_inputs(|| register(bench.next_user(&turn), cseq.fetch_add(1, Ordering::Relaxed)))
        .bench_local_values(|request| bench.runtime.block_on(bench.service.register(request)).unwrap());
}

#[divan::bench]
fn policy(bencher: Bencher<'_, '_>) {
    let (bench, turn) = (Bench::new(), AtomicU32::new(0));
    bencher.bench_local(|| {
        bench
            .runtime
            .block_on(bench.service.policy("registration", bench.next_user(&turn)))
            .unwrap()
    });
}

#[divan::bench(args = [Algorithm::Md5, Algorithm::Sha256])]
fn authenticate(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let (bench, turn) = (Bench::new(), AtomicU32::new(0));
    let challenge = Challenge {
        realm: "example.test".into(),
        nonce: "MTgwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=".into(),
        algorithm,
        stale: false,
    };
    let make = || {
        let user = bench.next_user(&turn);
        let answer = challenge.answer(
            (user.user(), "secret"),
            ("REGISTER", "sip:example.test"),
            "cnonce",
            1,
        );
        Authenticate {
            claimed: user.clone(),
            proof: Proof::Digest {
                credentials: SipStr::from(answer),
                method: Method::Register,
                realm: SipStr::from("example.test"),
            },
            peer: [192, 0, 2, 1].into(),
        }
    };
    bencher.with_inputs(make).bench_local_values(|request| {
        let outcome = bench.runtime.block_on(bench.service.authenticate(request));
        assert!(outcome.unwrap().is_ok());
    });
}
