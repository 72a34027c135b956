//! One stream to one owner: keeps it up, brings answers back to the router, and does what the owner asks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use rpc::{Error, ErrorCode, FailureReason, FrontEndClient, Progress};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::Partition;

use super::router::{Inner, Waits};
use crate::client::AnyCarrier;
use crate::codec::conversation as codec;
use crate::codec::{Malformed, endpoint};
use crate::duplex::{Carried, Counters, Sending, in_trace, remaining};
use crate::proto::immcu::v1 as wire;
use crate::proto::immcu::v1::front_end_item::Body as Up;
use crate::proto::immcu::v1::im_mcu_client::ImMcuClient;
use crate::proto::immcu::v1::owner_item::Body as Down;
use crate::routes::OwnerMember;

/// Pauses between attempts to open a stream: the first, doubled each time up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long an owner may take to answer the hello.
const HELLO: Duration = Duration::from_secs(5);

pub(super) type Asking = Sending<wire::FrontEndItem, Waits>;

/// A link to one life of one owner.
pub(super) struct Link {
    pub(super) owner: OwnerMember,
    /// The stream, while it stands.
    stream: Mutex<Option<Arc<Asking>>>,
    pub(super) stop: CancellationToken,
}

impl Link {
    pub(super) fn new(owner: OwnerMember, stop: CancellationToken) -> Self {
        Link {
            owner,
            stream: Mutex::new(None),
            stop,
        }
    }

    /// The stream, if it stands.
    pub(super) fn stream(&self) -> Option<Arc<Asking>> {
        self.stream.lock().clone()
    }

    /// Keeps the stream up until the link is stopped.
    pub(super) async fn run(self: Arc<Self>, router: Arc<Inner>, carrier: AnyCarrier) {
        let mut pause = PAUSES.0;
        while !self.stop.is_cancelled() {
            let once = self.once(&router, &carrier);
            match self.stop.run_until_cancelled(once).await {
                Some(Ok(())) => pause = PAUSES.0,
                Some(Err(error)) => {
                    tracing::debug!(owner = %self.owner.member, %error, "no stream to an owner of conversations");
                    pause = (pause * 2).min(PAUSES.1);
                }
                None => {}
            }
            self.down(&router);
            let rest = tokio::time::sleep(pause);
            self.stop.run_until_cancelled(rest).await;
        }
        self.down(&router);
    }

    /// The stream has ended: what waits for answers on it is sent again on the next.
    fn down(&self, router: &Arc<Inner>) {
        if let Some(stream) = self.stream.lock().take() {
            router.counters.broken();
            let waiting = stream.end();
            router.link_down(waiting);
        }
    }

    /// One stream, from its hello to its end. Ok: it stood.
    async fn once(&self, router: &Arc<Inner>, carrier: &AnyCarrier) -> Result<(), Error> {
        let (sending, batches) = Asking::new(router.counters.clone());
        let hello = Up::Hello(wire::FrontEndHello {
            member: router.member.as_str().to_owned(),
            incarnation: router.incarnation,
        });
        if sending.try_tell(|number| item(number, hello)).is_err() {
            return Err(Error::new(ErrorCode::Internal, "a new stream has no room"));
        }
        let requests = batches.map(|items| wire::ExchangeRequest { items });
        let mut client = ImMcuClient::new(carrier.clone());
        let opened = async {
            let mut answers = client.exchange(requests).await?.into_inner();
            let first = answers.message().await?;
            Ok::<_, tonic::Status>((first, answers))
        };
        let (first, answers) = tokio::time::timeout(HELLO, opened)
            .await
            .map_err(|_| Error::new(ErrorCode::Timeout, "the owner did not answer the hello"))?
            .map_err(|status| crate::codec::error::error(&status))?;
        let mut first = first.into_iter().flat_map(|batch| batch.items);
        let Some(Down::Hello(hello)) = first.next().and_then(|item| item.body) else {
            return Err(Error::new(ErrorCode::Internal, "the owner did not say hello"));
        };
        if hello.member != self.owner.member.as_str() || hello.incarnation != self.owner.incarnation {
            return Err(Error::new(
                ErrorCode::Unavailable,
                format!("{} answers there, in life {}", hello.member, hello.incarnation),
            ));
        }
        router.counters.connected();
        *self.stream.lock() = Some(sending.clone());
        router.link_up();
        let serving = Serving { router, sending };
        let mut carried = Carried::new(router.tasks.clone());
        first.for_each(|item| serving.take(item, &mut carried));
        let reading = carried.read(answers, |carried, batch: wire::ExchangeResponse| {
            batch
                .items
                .into_iter()
                .for_each(|item| serving.take(item, carried));
        });
        if let Err(status) = reading.await {
            tracing::debug!(owner = %self.owner.member, %status, "the stream to an owner broke");
        }
        Ok(())
    }
}

pub(super) fn item(number: u64, body: Up) -> wire::FrontEndItem {
    wire::FrontEndItem {
        sequence: number,
        body: Some(body),
        ..wire::FrontEndItem::default()
    }
}

/// What comes down a stream.
struct Serving<'a> {
    router: &'a Arc<Inner>,
    sending: Arc<Asking>,
}

impl Serving<'_> {
    fn take(&self, item: wire::OwnerItem, carried: &mut Carried) {
        let Some(body) = item.body else {
            return self.router.counters.malformed();
        };
        if let Some(number) = item.answers {
            if let Some(waits) = self.sending.answered(number) {
                self.router.answered(waits, body);
            }
            return;
        }
        let work = Work {
            front_end: self.router.front_end(),
            sending: self.sending.clone(),
            counters: self.router.counters.clone(),
            tasks: self.router.tasks.clone(),
            number: item.sequence,
        };
        let stale = |partition| self.router.is_stale(partition, item.epoch);
        let wanted = match &body {
            Down::Deliver(deliver) => deliver.message.as_ref().and_then(partition_of),
            Down::Ring(ring) => {
                let callee = ring.address.as_ref().map(|address| address.aor.as_str());
                callee.map(|callee| Partition::of_conversation(&ring.from, callee))
            }
            _ => None,
        };
        let is_stale = wanted.is_some_and(stale);
        if is_stale {
            self.router.counters.stale();
        }
        let patience = remaining(item.deadline_ms);
        let trace = item.trace;
        carried.begin(async move {
            let answer = if is_stale {
                refusal(&body)
            } else {
                in_trace(name_of(&body), trace.as_ref(), work.carry_out(body, patience)).await
            };
            work.answer(answer).await;
        });
    }
}

/// What a span of this request is called.
fn name_of(body: &Down) -> &'static str {
    match body {
        Down::Deliver(_) => "portico.immcu.v1.ImMcu/Deliver",
        Down::Ring(_) => "portico.immcu.v1.ImMcu/Ring",
        Down::StopRinging(_) => "portico.immcu.v1.ImMcu/StopRinging",
        Down::EndLeg(_) => "portico.immcu.v1.ImMcu/EndLeg",
        _ => "portico.immcu.v1.ImMcu/Exchange",
    }
}

fn partition_of(message: &wire::InstantMessage) -> Option<Partition> {
    Some(Partition::of_conversation(&message.from, &message.to))
}

/// What an owner that was left behind is told.
fn refusal(body: &Down) -> Up {
    let not_owner = Err(FailureReason::NotOwner);
    match body {
        Down::Deliver(deliver) => {
            let outcomes = vec![not_owner; deliver.targets.len()];
            Up::DeliverResult(codec::deliver_result_to_wire(&outcomes))
        }
        Down::Ring(_) => Up::RingResult(codec::ring_result_to_wire(Err(FailureReason::NotOwner))),
        _ => Up::Done(wire::Done {}),
    }
}

/// One request of an owner.
struct Work {
    front_end: Option<FrontEndClient>,
    sending: Arc<Asking>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    number: u64,
}

impl Work {
    async fn carry_out(&self, body: Down, patience: Duration) -> Up {
        let Some(front_end) = &self.front_end else {
            return Up::Error((&Error::new(ErrorCode::Unavailable, "the front end is not ready")).into());
        };
        match self.ask(front_end, body, patience).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Up::Error((&error).into()),
            Err(malformed) => {
                self.counters.malformed();
                Up::Error((&Error::from(malformed)).into())
            }
        }
    }

    async fn ask(
        &self,
        front_end: &FrontEndClient,
        body: Down,
        patience: Duration,
    ) -> Result<Result<Up, Error>, Malformed> {
        let done = |()| Up::Done(wire::Done {});
        Ok(match body {
            Down::Deliver(deliver) => {
                let progress = self.follow(deliver.targets.len());
                let deliver = codec::deliver(deliver, patience, progress)?;
                let delivered = front_end.deliver(deliver).await;
                delivered.map(|outcomes| Up::DeliverResult(codec::deliver_result_to_wire(&outcomes)))
            }
            Down::Ring(ring) => {
                let rung = front_end.ring(codec::ring(ring, patience)?).await;
                rung.map(|result| Up::RingResult(codec::ring_result_to_wire(result)))
            }
            Down::StopRinging(stop) => {
                let leg = endpoint::leg("stop_ringing.leg", &stop.leg)?;
                front_end.stop_ringing(leg).await.map(done)
            }
            Down::EndLeg(end) => {
                let leg = endpoint::leg("end_leg.leg", &end.leg)?;
                front_end.end_leg(leg).await.map(done)
            }
            Down::ShowSignal(show) => {
                let (signal, targets) = codec::show_signal(show)?;
                front_end.signal(signal, targets).await.map(done)
            }
            _ => return Err(Malformed::new("body")),
        })
    }

    /// Passes the news of single targets on, while there are several.
    fn follow(&self, targets: usize) -> Option<Progress> {
        if targets < 2 {
            return None;
        }
        let (progress, mut reports) = Progress::channel(targets);
        let (sending, delivery) = (self.sending.clone(), self.number);
        self.tasks.spawn(async move {
            while let Some(report) = reports.recv().await {
                let body = Up::DeliverProgress(codec::progress_to_wire(delivery, report));
                // News nobody needs: the answer repeats them.
                let _missed = sending.try_tell(|number| item(number, body));
            }
        });
        Some(progress)
    }

    async fn answer(&self, answer: Up) {
        // If the stream has ended, the owner asks again on the next one, or nobody does.
        let _ended = self
            .sending
            .tell(|number| wire::FrontEndItem {
                answers: Some(self.number),
                ..item(number, answer)
            })
            .await;
    }
}
