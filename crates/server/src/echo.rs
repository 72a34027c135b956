//! `echo`: a contact that answers every text with the same text.
//!
//! It is a member of the pool like any front end, called [`MEMBER`], that holds one page-mode endpoint and no connection:
//! what a newcomer tries with it goes through sign-in, registrar and conversations as between two people.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rpc::{
    ClientFamily, ConnectionId, Content, Deliver, EndpointId, Error, FailureReason, FrontEnd, ImMcuClient,
    ImMode, InstantMessage, LegId, MessageId, MessageKind, Register, RegistrarClient, Ring, RingAnswer,
    Signal, Submit, Target,
};
use sip_bodies::cpim::Cpim;
use sip_bodies::text;
use sip_types::{AddressOfRecord, SipStr};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::MemberId;

/// The member that holds the endpoints of bots.
pub(crate) const MEMBER: &str = "demo-bots";

/// Answers under way at once; a text that comes while there are more is refused, and its sender knows.
const AT_ONCE: usize = 256;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait before trying to sign in again.
const RETRY: Duration = Duration::from_secs(5);

/// The echo contact.
pub(crate) struct Echo {
    aor: AddressOfRecord,
    endpoint: EndpointId,
    immcu: ImMcuClient,
    tasks: TaskTracker,
    permits: Arc<Semaphore>,
}

impl Echo {
    /// An echo at this address. Its answers are tasks of `tasks`.
    pub(crate) fn new(aor: AddressOfRecord, immcu: ImMcuClient, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Echo {
            aor,
            endpoint: EndpointId::new("echo"),
            immcu,
            tasks,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Signs in and stays signed in until told to stop.
    pub(crate) async fn stay_signed_in(self: Arc<Self>, registrar: RegistrarClient, stop: CancellationToken) {
        let mut cseq = 0;
        let mut told = false;
        loop {
            cseq += 1;
            let wait = match registrar.register(self.registration(cseq)).await {
                Ok(registered) => {
                    told = false;
                    Duration::from_secs(u64::from(registered.expires / 2))
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "the echo contact cannot sign in, trying again");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn registration(&self, cseq: u32) -> Register {
        Register {
            aor: self.aor.clone(),
            endpoint: self.endpoint.clone(),
            contact: self.aor.to_uri_string(),
            instance: None,
            epid: None,
            reg_id: None,
            call_id: MEMBER.to_owned(),
            cseq,
            expires: None,
            member: MemberId::new(MEMBER),
            connection: ConnectionId(0),
            family: ClientFamily::Simple,
            mode: ImMode::Page,
            user_agent: Some("Portico echo".to_owned()),
        }
    }

    fn accept(&self, message: &Arc<InstantMessage>) -> Result<(), FailureReason> {
        // A receipt is no text, and two echoes would never stop.
        if message.kind != MessageKind::Text || message.from == self.aor {
            return Ok(());
        }
        let words = plain_text(&message.content).ok_or(FailureReason::UnsupportedContent)?;
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| FailureReason::Overloaded)?;
        let answer = self.answer(message, words);
        let immcu = self.immcu.clone();
        self.tasks.spawn(async move {
            let _held = permit;
            match immcu.submit(answer).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => tracing::debug!(reason = reason.as_str(), "echo was not delivered"),
                Err(error) => tracing::warn!(%error, "echo was not submitted"),
            }
        });
        Ok(())
    }

    fn answer(&self, message: &InstantMessage, body: Bytes) -> Submit {
        let answer = InstantMessage {
            id: MessageId(uuid::Uuid::now_v7().as_u128()),
            from: self.aor.clone(),
            from_display: "Echo".to_owned(),
            from_endpoint: self.endpoint.clone(),
            to: message.from.clone(),
            to_endpoint: None,
            kind: MessageKind::Text,
            content: Content {
                content_type: SipStr::from(text::PLAIN),
                body,
            },
            imdn_id: None,
            subject: None,
        };
        Submit {
            message: Arc::new(answer),
            leg: None,
            patience: PATIENCE,
        }
    }
}

/// The words of a message, whatever they came in.
fn plain_text(content: &Content) -> Option<Bytes> {
    let inner = sip_bodies::media_type::MediaType::parse(&content.content_type)?;
    if !inner.is("message/cpim") {
        return text::to_plain(&content.content_type, &content.body).ok();
    }
    let cpim = Cpim::parse(&content.body).ok()?;
    let content_type = cpim.content_type().unwrap_or(Cow::Borrowed(text::PLAIN));
    text::to_plain(&content_type, cpim.body()).ok()
}

#[async_trait]
impl FrontEnd for Echo {
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error> {
        // However many of its endpoints are named, a text is answered once.
        let result = self.accept(&deliver.message);
        Ok(deliver.targets.iter().map(|_| result).collect())
    }

    async fn ring(&self, _: Ring) -> Result<Result<RingAnswer, FailureReason>, Error> {
        Ok(Err(FailureReason::NotAcceptable))
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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use rpc::{ConversationKey, EndpointAddress, Epoch, HeldLegs, ImMcu, Open, Opened, Path};

    use super::*;

    /// Remembers what was submitted.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<Arc<InstantMessage>>>);

    #[async_trait]
    impl ImMcu for Recorder {
        async fn open(&self, _: Open) -> Result<Result<Opened, FailureReason>, Error> {
            Ok(Err(FailureReason::Declined))
        }
        async fn cancel(&self, _: &ConversationKey, _: LegId) -> Result<(), Error> {
            Ok(())
        }
        async fn submit(&self, submit: Submit) -> Result<Result<(), FailureReason>, Error> {
            self.0.lock().push(submit.message);
            Ok(Ok(()))
        }
        async fn signal(&self, _: Signal) -> Result<(), Error> {
            Ok(())
        }
        async fn leave(&self, _: &ConversationKey, _: LegId) -> Result<(), Error> {
            Ok(())
        }
        async fn hold(&self, _: HeldLegs) -> Result<(), Error> {
            Ok(())
        }
    }

    fn aor(text: &str) -> AddressOfRecord {
        AddressOfRecord::parse(text).unwrap()
    }

    fn message(from: &str, kind: MessageKind, content_type: &'static str, body: &'static str) -> Deliver {
        let message = InstantMessage {
            id: MessageId(1),
            from: aor(from),
            from_display: String::new(),
            from_endpoint: EndpointId::new("a"),
            to: aor("echo@example.test"),
            to_endpoint: None,
            kind,
            content: Content {
                content_type: SipStr::from(content_type),
                body: Bytes::from_static(body.as_bytes()),
            },
            imdn_id: None,
            subject: None,
        };
        let address = EndpointAddress {
            aor: aor("echo@example.test"),
            endpoint: EndpointId::new("echo"),
            epoch: Epoch(1),
            member: MemberId::new(MEMBER),
            connection: ConnectionId(0),
        };
        Deliver {
            message: Arc::new(message),
            targets: vec![Target {
                address,
                path: Path::Page,
            }],
            patience: PATIENCE,
            progress: None,
        }
    }

    /// What the echo says to the sender and what it submits.
    async fn echoed(deliver: Deliver) -> (Result<(), FailureReason>, Vec<Arc<InstantMessage>>) {
        let recorder = Arc::new(Recorder::default());
        let tasks = TaskTracker::new();
        let immcu = ImMcuClient::local(Arc::clone(&recorder) as Arc<dyn ImMcu>);
        let echo = Echo::new(aor("echo@example.test"), immcu, tasks.clone());
        let outcome = echo.deliver(deliver).await.unwrap();
        tasks.close();
        tasks.wait().await;
        assert_eq!(outcome.len(), 1);
        let submitted = recorder.0.lock().clone();
        (outcome[0], submitted)
    }

    #[tokio::test]
    async fn a_text_comes_back_to_its_sender() {
        let (outcome, answers) = echoed(message(
            "alice@example.test",
            MessageKind::Text,
            "text/plain; msgr=WAA",
            "hi",
        ))
        .await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].to, aor("alice@example.test"));
        assert_eq!(&answers[0].content.body[..], b"hi");
        assert_eq!(&*answers[0].content.content_type, text::PLAIN);
    }

    #[tokio::test]
    async fn the_words_inside_an_envelope_come_back() {
        let cpim = "From: <sip:a@b.test>\r\n\r\nContent-Type: text/plain\r\n\r\nhello";
        let (_, answers) = echoed(message(
            "alice@example.test",
            MessageKind::Text,
            "message/cpim",
            cpim,
        ))
        .await;
        assert_eq!(&answers[0].content.body[..], b"hello");
    }

    #[tokio::test]
    async fn receipts_and_its_own_words_are_not_answered() {
        let receipt = MessageKind::Receipt {
            about: SipStr::from("1"),
        };
        let (outcome, answers) = echoed(message(
            "alice@example.test",
            receipt,
            "message/imdn+xml",
            "<imdn/>",
        ))
        .await;
        assert_eq!((outcome, answers.len()), (Ok(()), 0));
        let (outcome, answers) = echoed(message(
            "echo@example.test",
            MessageKind::Text,
            "text/plain",
            "hi",
        ))
        .await;
        assert_eq!((outcome, answers.len()), (Ok(()), 0));
    }

    #[tokio::test]
    async fn what_is_no_text_is_refused() {
        let (outcome, answers) = echoed(message(
            "alice@example.test",
            MessageKind::Text,
            "application/pdf",
            "%PDF",
        ))
        .await;
        assert_eq!(
            (outcome, answers.len()),
            (Err(FailureReason::UnsupportedContent), 0)
        );
    }
}
