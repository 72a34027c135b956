//! What a front end tells all the time, as it comes on its stream: publications, and who watches.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use rpc::presence::{Publish, SeenWatcher};
use rpc::{Error, ErrorCode, PresenceClient};
use sip_types::AddressOfRecord;
use tokio_stream::Stream;
use tonic::{Status, Streaming};
use topology::MemberId;

use crate::codec::endpoint::member;
use crate::codec::{self, Malformed, presence, required};
use crate::duplex::{Carried, Counters, MAX_ITEM, Sending, in_trace, remaining};
use crate::proto::presence::v1 as wire;
use crate::proto::presence::v1::tell_answer::Outcome;
use crate::proto::presence::v1::tell_item::Body;
use crate::work::{MAX_DEADLINE, Work};

/// Answers on their way.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<wire::TellResponse, Status>> + Send>>;

/// Nobody waits for an answer on this side.
type Answering = Sending<wire::TellAnswer, std::convert::Infallible>;

/// Takes the stream of a front end. It ends when the front end ends it or the server stops; what is under way then is answered.
///
/// # Errors
/// There are too many streams.
pub(super) fn take(
    presence: PresenceClient,
    work: Work,
    counters: Arc<Counters>,
    items: Streaming<wire::TellRequest>,
) -> Result<Answers, Status> {
    let place = work.watcher()?;
    let (sending, batches) = Answering::new(counters.clone());
    counters.connected();
    let stop = work.stop.clone();
    let reader = Reader {
        presence,
        work,
        sending,
        counters,
    };
    let tasks = reader.work.tasks.clone();
    tasks.clone().spawn(async move {
        let _for_as_long_as_it_stands = place;
        let mut carried = Carried::new(tasks);
        // What is under way when it ends goes on.
        stop.run_until_cancelled(reader.run(items, &mut carried)).await;
        reader.counters.broken();
    });
    Ok(Box::pin(batches.map(|items| Ok(wire::TellResponse { items }))))
}

struct Reader {
    presence: PresenceClient,
    work: Work,
    sending: Arc<Answering>,
    counters: Arc<Counters>,
}

impl Reader {
    async fn run(&self, items: Streaming<wire::TellRequest>, carried: &mut Carried) {
        let read = carried.read(items, |carried, batch: wire::TellRequest| {
            batch.items.into_iter().for_each(|item| self.take(item, carried));
        });
        if let Err(status) = read.await {
            tracing::debug!(%status, "the stream of a front end broke");
        }
    }

    fn take(&self, item: wire::TellItem, carried: &mut Carried) {
        let number = item.sequence;
        let told = required("item.body", item.body).and_then(Told::read);
        let begun = match told {
            Ok(told) => self.work.place().map(|place| (told, place)),
            Err(malformed) => Err(self.malformed(malformed)),
        };
        let (told, place) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // Where there is no room for it, whoever asks waits until its deadline, as for an answer that is slow.
                let refused = |sequence| answer(sequence, number, Outcome::Error((&error).into()));
                let _no_room = self.sending.try_tell(refused);
                return;
            }
        };
        let (role, sending) = (self.presence.clone(), self.sending.clone());
        let (work, trace) = (self.work.clone(), item.trace);
        let deadline = remaining(item.deadline_ms).min(MAX_DEADLINE);
        carried.begin(async move {
            let doing = async { in_trace(told.name(), trace.as_ref(), told.be_told(&role)).await };
            let tell = async |outcome: Result<_, Error>| {
                let outcome = outcome.and_then(no_larger_than_an_item);
                let outcome = outcome.unwrap_or_else(|error| Outcome::Error((&error).into()));
                // If the stream has ended, the front end tells it again on the next one.
                let _ended = sending.tell(|sequence| answer(sequence, number, outcome)).await;
            };
            work.item(place, deadline, doing, tell).await;
        });
    }

    fn malformed(&self, malformed: Malformed) -> Error {
        self.counters.malformed();
        malformed.into()
    }
}

/// An item, understood.
enum Told {
    Publish(Publish),
    Watched(MemberId, AddressOfRecord, Vec<SeenWatcher>),
}

impl Told {
    fn read(body: Body) -> Result<Self, Malformed> {
        Ok(match body {
            Body::Publish(publish) => Told::Publish(presence::publish(publish)?),
            Body::Watched(watched) => Told::Watched(
                member("watched.member", &watched.member)?,
                codec::aor("watched.presentity", &watched.presentity)?,
                presence::watchers(watched.watchers)?,
            ),
        })
    }

    /// What a span of it is called.
    fn name(&self) -> &'static str {
        match self {
            Told::Publish(_) => "portico.presence.v1.Presence/Publish",
            Told::Watched(..) => "portico.presence.v1.Presence/Watched",
        }
    }

    async fn be_told(self, role: &PresenceClient) -> Result<Outcome, Error> {
        match self {
            Told::Publish(publish) => {
                let published = role.publish(publish).await?;
                Ok(Outcome::PublishResult(presence::published_to_wire(&published)))
            }
            Told::Watched(member, presentity, watchers) => {
                role.watched(&member, &presentity, watchers).await?;
                Ok(Outcome::Done(wire::Done {}))
            }
        }
    }
}

/// What is done is done, but nobody else's answers are lost with one that has no room.
fn no_larger_than_an_item(outcome: Outcome) -> Result<Outcome, Error> {
    match outcome.encoded_len() > MAX_ITEM {
        true => Err(Error::new(
            ErrorCode::Internal,
            "the answer is larger than a message",
        )),
        false => Ok(outcome),
    }
}

fn answer(sequence: u64, answers: u64, outcome: Outcome) -> wire::TellAnswer {
    wire::TellAnswer {
        sequence,
        answers,
        outcome: Some(outcome),
    }
}
