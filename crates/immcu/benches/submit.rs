//! What a message costs the owner of its conversation, beside the calls it makes: `cargo bench -p immcu`.
//!
//! The registrar and the front ends answer at once from memory. `calls_alone` is what they cost by themselves.

#![expect(clippy::expect_used, reason = "a benchmark stops where its assumptions fail")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use divan::Bencher;
use immcu::{Hooks, ImMcuService, Limits};
use rpc::{
    Authenticate, Binding, ClientFamily, ConnectionId, Content, Deliver, EffectivePolicy, EndpointAddress,
    EndpointId, Epoch, Error, ErrorCode, FailureReason, Freshness, FrontEnd, FrontEndClient, FrontEnds,
    Identity, ImMcu, ImMode, InstantMessage, LegId, Location, MessageId, MessageKind, Path, PeopleFound,
    PeopleSearch, PolicyValue, Refusal, Register, RegisterError, Registered, Registrar, RegistrarChange,
    RegistrarClient, Ring, RingAnswer, Signal, Submit, Target, Unregister,
};
use sip_types::{AddressOfRecord, SipStr};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::ReceiverStream;
use topology::MemberId;

fn main() {
    divan::main();
}

struct Memory {
    location: Location,
    policy: Arc<EffectivePolicy>,
}

fn unused() -> Error {
    Error::new(ErrorCode::Internal, "not measured")
}

#[async_trait]
impl Registrar for Memory {
    async fn authenticate(&self, _: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        Err(unused())
    }

    async fn register(&self, _: Register) -> Result<Registered, RegisterError> {
        Err(RegisterError::Forbidden)
    }

    async fn unregister(&self, _: Unregister) -> Result<Vec<Binding>, RegisterError> {
        Err(RegisterError::Forbidden)
    }

    async fn lookup(&self, _: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        Ok(Some(self.location.clone()))
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        Err(unused())
    }

    async fn policy(&self, _: &str, _: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        Ok(self.policy.clone())
    }

    async fn search(&self, _: PeopleSearch) -> Result<PeopleFound, Error> {
        Err(unused())
    }
}

/// Every endpoint accepts at once; every endpoint that rings answers at once.
struct Willing;

#[async_trait]
impl FrontEnd for Willing {
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error> {
        Ok(vec![Ok(()); deliver.targets.len()])
    }

    async fn ring(&self, _: Ring) -> Result<Result<RingAnswer, FailureReason>, Error> {
        Ok(Ok(RingAnswer {
            first_text_taken: true,
        }))
    }

    async fn stop_ringing(&self, _: LegId) -> Result<(), Error> {
        Ok(())
    }

    async fn end_leg(&self, _: LegId) -> Result<(), Error> {
        Ok(())
    }

    async fn signal(&self, _: Signal, _: Vec<Target>) -> Result<(), Error> {
        Ok(())
    }
}

fn aor(name: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{name}@example.test")).expect("a valid address")
}

fn binding(endpoint: &str, member: &str, mode: ImMode) -> Binding {
    Binding {
        address: EndpointAddress {
            aor: aor("bob"),
            endpoint: EndpointId::new(endpoint),
            epoch: Epoch(1),
            member: MemberId::new(member),
            connection: ConnectionId(1),
        },
        contact: "sip:bob@192.0.2.1".to_owned(),
        instance: None,
        epid: None,
        reg_id: None,
        gruu: None,
        expires_in: 600,
        family: ClientFamily::Simple,
        mode,
        user_agent: None,
    }
}

fn registrar(bindings: Vec<Binding>) -> RegistrarClient {
    let values = [
        ("enabled", PolicyValue::Bool(true)),
        ("max_text_bytes", PolicyValue::Number(65_536)),
    ];
    RegistrarClient::local(Arc::new(Memory {
        location: Location {
            display_name: "Bob".to_owned(),
            bindings: bindings.into(),
        },
        policy: Arc::new(EffectivePolicy {
            kind: "im".to_owned(),
            scope: None,
            reason: String::new(),
            values: BTreeMap::from(values.map(|(key, value)| (key.to_owned(), value))),
        }),
    }))
}

fn front_ends() -> FrontEnds {
    let front_ends = FrontEnds::default();
    for member in ["fe1", "fe2"] {
        front_ends.insert(MemberId::new(member), FrontEndClient::local(Arc::new(Willing)));
    }
    front_ends
}

/// The `number`th message, as a front end hands it over.
fn message(number: u64) -> Submit {
    Submit {
        message: Arc::new(InstantMessage {
            id: MessageId(number.into()),
            from: aor("alice"),
            from_display: "Alice".to_owned(),
            from_endpoint: EndpointId::new("urn:uuid:0"),
            to: aor("bob"),
            to_endpoint: None,
            kind: MessageKind::Text,
            content: Content {
                content_type: SipStr::from_static("text/plain"),
                body: "a line of text as people write it".into(),
            },
            imdn_id: None,
            subject: None,
        }),
        leg: None,
        patience: Duration::from_secs(32),
    }
}

fn measure(bencher: Bencher<'_, '_>, bindings: Vec<Binding>) {
    let runtime = Runtime::new().expect("a runtime");
    let service = {
        let _entered = runtime.enter();
        ImMcuService::start(
            registrar(bindings),
            front_ends(),
            Hooks::default(),
            Limits::default(),
        )
    };
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            message(number)
        })
        .bench_local_values(|submit| {
            let outcome = runtime.block_on(service.submit(submit)).expect("the role works");
            assert_eq!(outcome, Ok(()));
        });
}

#[divan::bench]
fn page_to_one_endpoint(bencher: Bencher<'_, '_>) {
    measure(bencher, vec![binding("p1", "fe1", ImMode::Page)]);
}

#[divan::bench]
fn page_to_two_endpoints_of_one_front_end(bencher: Bencher<'_, '_>) {
    measure(
        bencher,
        vec![
            binding("p1", "fe1", ImMode::Page),
            binding("p2", "fe1", ImMode::Page),
        ],
    );
}

#[divan::bench]
fn page_to_two_front_ends(bencher: Bencher<'_, '_>) {
    measure(
        bencher,
        vec![
            binding("p1", "fe1", ImMode::Page),
            binding("p2", "fe2", ImMode::Page),
        ],
    );
}

/// The first message rings and opens the session, all others go into it.
#[divan::bench]
fn into_a_session(bencher: Bencher<'_, '_>) {
    measure(bencher, vec![binding("s1", "fe1", ImMode::Session)]);
}

/// The lookup, two policies and one delivery of a page, without anybody who needs them.
#[divan::bench]
fn calls_alone(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    let registrar = registrar(vec![binding("p1", "fe1", ImMode::Page)]);
    let front_end = FrontEndClient::local(Arc::new(Willing));
    bencher.with_inputs(|| message(1)).bench_local_values(|submit| {
        runtime.block_on(async {
            let message = submit.message;
            let location = registrar
                .lookup(&message.to, Freshness::Cached)
                .await
                .expect("a location");
            let from = registrar.policy("im", &message.from).await.expect("a policy");
            let to = registrar.policy("im", &message.to).await.expect("a policy");
            let binding = location
                .as_ref()
                .and_then(|location| location.bindings.first())
                .expect("a binding");
            let deliver = Deliver {
                message,
                targets: vec![Target {
                    address: binding.address.clone(),
                    path: Path::Page,
                }],
                patience: submit.patience,
                progress: None,
            };
            divan::black_box((from, to));
            front_end.deliver(deliver).await.expect("an outcome")
        })
    });
}
