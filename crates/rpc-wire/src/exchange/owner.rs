//! The owner's end: takes the streams of front ends, passes their requests on to the conversations here, and is the way in
//! which conversations here reach those front ends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use rpc::{
    ConversationKey, Deliver, Error, ErrorCode, FailureReason, FrontEnd, FrontEndClient, FrontEnds,
    ImMcuClient, InstantMessage, LegId, Progress, Ring, RingAnswer, Signal, Target,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use topology::{MemberId, Partition};

use crate::codec::conversation as codec;
use crate::codec::{Malformed, milliseconds};
use crate::duplex::{Carried, Counters, NotSent, Sending, in_trace, remaining, trace_now};
use crate::proto::immcu::v1 as wire;
use crate::proto::immcu::v1::front_end_item::Body as Up;
use crate::proto::immcu::v1::owner_item::Body as Down;
use crate::transport::{Peer, Suspects};

/// How long a front end may take for what needs no client: ending a leg, showing that somebody types.
const CONTROL: Duration = Duration::from_secs(5);

/// Under which epoch this member may speak for a partition now; `None`: it may not.
pub type Epochs = Arc<dyn Fn(Partition) -> Option<u64> + Send + Sync>;

/// What one owner's streams share.
pub struct ExchangeOwner {
    member: MemberId,
    incarnation: u64,
    immcu: ImMcuClient,
    front_ends: FrontEnds,
    epochs: Epochs,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    stop: CancellationToken,
    suspects: Suspects,
}

impl ExchangeOwner {
    /// The service of the member `member` in this life, over the conversations of `immcu`. Front ends that connect are added to
    /// `front_ends` and taken out when their stream ends. Work runs on `tasks`; streams end when `stop` is cancelled.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call, where the server is put together"
    )]
    pub fn new(
        member: MemberId,
        incarnation: u64,
        immcu: ImMcuClient,
        front_ends: FrontEnds,
        epochs: Epochs,
        counters: Arc<Counters>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        ExchangeOwner {
            member,
            incarnation,
            immcu,
            front_ends,
            epochs,
            counters,
            tasks,
            stop,
            suspects: Suspects::default(),
        }
    }

    /// The same; a front end whose stream ends is added to `suspects`.
    #[must_use]
    pub fn reporting(self, suspects: Suspects) -> Self {
        ExchangeOwner { suspects, ..self }
    }
}

type Answering = Sending<wire::OwnerItem, Waiter>;

/// Who waits for a front end's answer.
struct Waiter {
    reply: oneshot::Sender<Result<Up, Error>>,
    /// Where news of single targets go.
    progress: Option<Progress>,
}

#[async_trait]
impl wire::im_mcu_server::ImMcu for ExchangeOwner {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<wire::ExchangeResponse, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<wire::ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let mut items = request.into_inner();
        let first = items
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("an exchange begins with a hello"))?;
        let mut first = first.items.into_iter();
        let Some(Up::Hello(hello)) = first.next().and_then(|item| item.body) else {
            return Err(Status::invalid_argument("an exchange begins with a hello"));
        };
        if hello.member.is_empty() {
            return Err(Status::invalid_argument("a hello names its member"));
        }
        // What its certificate says, where it has one.
        let proven = peer.and_then(|peer| peer.member);
        if proven.is_some_and(|proven| proven.as_str() != hello.member) {
            return Err(Status::permission_denied("a hello in the name of another member"));
        }
        let (sending, batches) = Sending::new(self.counters.clone());
        let greeting = Down::Hello(wire::OwnerHello {
            member: self.member.as_str().to_owned(),
            incarnation: self.incarnation,
        });
        if sending.try_tell(|number| item(number, greeting)).is_err() {
            return Err(Status::internal("a new stream has no room"));
        }
        let member = MemberId::new(&hello.member);
        let remote = Arc::new(RemoteFrontEnd {
            member: member.clone(),
            sending: sending.clone(),
            epochs: self.epochs.clone(),
            counters: self.counters.clone(),
        });
        let client = FrontEndClient::local(remote);
        self.front_ends.insert(member.clone(), client.clone());
        self.counters.connected();
        let reader = Reader {
            member,
            immcu: self.immcu.clone(),
            sending,
            counters: self.counters.clone(),
            tasks: self.tasks.clone(),
        };
        let (front_ends, stop) = (self.front_ends.clone(), self.stop.clone());
        let suspects = self.suspects.clone();
        self.tasks.spawn(async move {
            let mut carried = Carried::new(reader.tasks.clone());
            for item in first {
                reader.take(item, &mut carried);
            }
            // What ends it in good order and what does not is the same to us: the front end comes back.
            let ended = stop.run_until_cancelled(reader.run(items, &mut carried)).await;
            front_ends.remove_if(&reader.member, &client);
            for waiter in reader.sending.end() {
                let _nobody_waits = waiter.reply.send(Err(unreachable(&reader.member)));
            }
            if ended.is_some() {
                reader.counters.broken();
                suspects.add(&reader.member);
            }
        });
        let stop = self.stop.clone().cancelled_owned();
        let answers = batches
            .map(|items| Ok(wire::ExchangeResponse { items }))
            .take_until(stop);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn totals(
        &self,
        _: Request<wire::TotalsRequest>,
    ) -> Result<Response<wire::TotalsResponse>, Status> {
        let snapshot = self.counters.snapshot();
        let totals = [
            ("items", snapshot.items),
            (
                "streams",
                snapshot.connected - snapshot.broken.min(snapshot.connected),
            ),
        ];
        let totals = totals.map(|(name, count)| (name.to_owned(), count)).into();
        Ok(Response::new(wire::TotalsResponse { totals }))
    }
}

fn item(number: u64, body: Down) -> wire::OwnerItem {
    wire::OwnerItem {
        sequence: number,
        body: Some(body),
        ..wire::OwnerItem::default()
    }
}

fn unreachable(member: &MemberId) -> Error {
    Error::new(
        ErrorCode::Unavailable,
        format!("the stream of front end {member} has ended"),
    )
}

// === what a front end sends ===

struct Reader {
    member: MemberId,
    immcu: ImMcuClient,
    sending: Arc<Answering>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
}

impl Reader {
    async fn run(&self, items: Streaming<wire::ExchangeRequest>, carried: &mut Carried) {
        let read = carried.read(items, |carried, batch: wire::ExchangeRequest| {
            batch.items.into_iter().for_each(|item| self.take(item, carried));
        });
        if let Err(status) = read.await {
            tracing::debug!(member = %self.member, %status, "the stream of a front end broke");
        }
    }

    fn take(&self, item: wire::FrontEndItem, carried: &mut Carried) {
        let Some(body) = item.body else {
            return self.counters.malformed();
        };
        if let Some(number) = item.answers {
            if let Some(waiter) = self.sending.answered(number) {
                let _gave_up = waiter.reply.send(match body {
                    Up::Error(error) => Err(error.into()),
                    body => Ok(body),
                });
            }
            return;
        }
        if let Up::DeliverProgress(progress) = body {
            return self.progress(&progress);
        }
        let immcu = self.immcu.clone();
        let member = self.member.clone();
        let patience = remaining(item.deadline_ms);
        let (sending, number) = (self.sending.clone(), item.sequence);
        let counters = self.counters.clone();
        let (name, trace) = (name_of(&body), item.trace);
        carried.begin(async move {
            let asked = in_trace(name, trace.as_ref(), ask(&immcu, member, body, patience));
            let answer = match asked.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => Down::Error((&error).into()),
                Err(malformed) => {
                    counters.malformed();
                    Down::Error((&Error::new(ErrorCode::InvalidRequest, malformed.to_string())).into())
                }
            };
            // If the stream has ended, the front end asks again on the next one.
            let _ended = sending
                .tell(|sequence| wire::OwnerItem {
                    answers: Some(number),
                    ..self::item(sequence, answer)
                })
                .await;
        });
    }

    fn progress(&self, progress: &wire::DeliverProgress) {
        let Ok((delivery, (target, outcome))) = codec::progress(progress) else {
            return self.counters.malformed();
        };
        self.sending.with_waiter(delivery, |waiter| {
            if let Some(progress) = &waiter.progress {
                progress.report(target, outcome);
            }
        });
    }
}

/// What a span of this request is called.
fn name_of(body: &Up) -> &'static str {
    match body {
        Up::Open(_) => "portico.immcu.v1.ImMcu/Open",
        Up::Submit(_) => "portico.immcu.v1.ImMcu/Submit",
        Up::Cancel(_) => "portico.immcu.v1.ImMcu/Cancel",
        Up::Leave(_) => "portico.immcu.v1.ImMcu/Leave",
        Up::Signal(_) => "portico.immcu.v1.ImMcu/Signal",
        _ => "portico.immcu.v1.ImMcu/Exchange",
    }
}

/// Passes one request on and returns its answer.
async fn ask(
    immcu: &ImMcuClient,
    member: MemberId,
    body: Up,
    patience: Duration,
) -> Result<Result<Down, Error>, Malformed> {
    let done = |()| Down::Done(wire::Done {});
    Ok(match body {
        Up::Open(open) => {
            let opened = immcu.open(codec::open(open, patience)?).await;
            opened.map(|result| Down::OpenResult(codec::open_result_to_wire(result)))
        }
        Up::Submit(submit) => {
            let submitted = immcu.submit(codec::submit(submit, patience)?).await;
            submitted.map(|result| Down::SubmitResult(codec::submit_result_to_wire(result)))
        }
        Up::Cancel(cancel) => {
            let (key, leg) = codec::cancel(&cancel)?;
            immcu.cancel(&key, leg).await.map(done)
        }
        Up::Leave(leave) => {
            let (key, leg) = codec::leave(&leave)?;
            immcu.leave(&key, leg).await.map(done)
        }
        Up::Signal(signal) => immcu.signal(signal.try_into()?).await.map(done),
        Up::HoldLegs(held) => immcu.hold(codec::held_legs(held, member)?).await.map(done),
        _ => return Err(Malformed::new("body")),
    })
}

// === what conversations here ask of a front end ===

/// A front end at the other end of a stream.
struct RemoteFrontEnd {
    member: MemberId,
    sending: Arc<Answering>,
    epochs: Epochs,
    counters: Arc<Counters>,
}

impl RemoteFrontEnd {
    async fn call(
        &self,
        (partition, body): (Option<Partition>, Down),
        patience: Duration,
        progress: Option<Progress>,
    ) -> Result<Up, Error> {
        let epoch = match partition {
            None => 0,
            Some(partition) => (self.epochs)(partition).ok_or_else(|| {
                Error::new(
                    ErrorCode::Unavailable,
                    "this member does not own the conversation any more",
                )
            })?,
        };
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { reply, progress };
        let number = self
            .sending
            .request(waiter, |number| wire::OwnerItem {
                deadline_ms: milliseconds(patience),
                epoch,
                trace: trace_now(),
                ..item(number, body)
            })
            .map_err(|(why, _)| match why {
                NotSent::Full => {
                    self.counters.full();
                    Error::new(ErrorCode::TooMany, "too much waits for a front end")
                }
                NotSent::Ended => unreachable(&self.member),
            })?;
        // However this ends, nobody waits for the answer afterwards.
        let _forget = Forget {
            sending: &self.sending,
            number,
        };
        answer.await.unwrap_or_else(|_| Err(unreachable(&self.member)))
    }

    async fn tell(&self, body: Down) -> Result<(), Error> {
        let call = self.call((None, body), CONTROL, None);
        match tokio::time::timeout(CONTROL, call).await {
            Ok(answer) => answer.map(|_| ()),
            Err(_) => Err(Error::new(ErrorCode::Timeout, "a front end did not answer")),
        }
    }
}

struct Forget<'a> {
    sending: &'a Answering,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.sending.answered(self.number);
    }
}

fn partition_of(message: &InstantMessage) -> Partition {
    ConversationKey::new(&message.from, &message.to).partition()
}

fn unexpected() -> Error {
    Error::new(ErrorCode::Internal, "a front end answered something else")
}

fn malformed(error: Malformed) -> Error {
    Error::new(ErrorCode::Internal, error.to_string())
}

#[async_trait]
impl FrontEnd for RemoteFrontEnd {
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error> {
        let partition = partition_of(&deliver.message);
        let body = Down::Deliver((&deliver).into());
        let (patience, targets) = (deliver.patience, deliver.targets.len());
        match self
            .call((Some(partition), body), patience, deliver.progress)
            .await?
        {
            Up::DeliverResult(result) => codec::deliver_result(result, targets).map_err(malformed),
            _ => Err(unexpected()),
        }
    }

    async fn ring(&self, ring: Ring) -> Result<Result<RingAnswer, FailureReason>, Error> {
        let partition = ConversationKey::new(&ring.from, &ring.address.aor).partition();
        let body = Down::Ring((&ring).into());
        match self.call((Some(partition), body), ring.patience, None).await? {
            Up::RingResult(result) => codec::ring_result(result).map_err(malformed),
            _ => Err(unexpected()),
        }
    }

    async fn stop_ringing(&self, leg: LegId) -> Result<(), Error> {
        let leg = crate::codec::endpoint::leg_to_wire(leg);
        self.tell(Down::StopRinging(wire::StopRinging { leg })).await
    }

    async fn end_leg(&self, leg: LegId) -> Result<(), Error> {
        let leg = crate::codec::endpoint::leg_to_wire(leg);
        self.tell(Down::EndLeg(wire::EndLeg { leg })).await
    }

    async fn signal(&self, signal: Signal, targets: Vec<Target>) -> Result<(), Error> {
        self.tell(Down::ShowSignal(codec::show_signal_to_wire(&signal, &targets)))
            .await
    }
}
