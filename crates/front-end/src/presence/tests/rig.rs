//! A front end and its clients, joined by pipes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rpc::*;
use sip_transport::{CloseReason, Connection, Handler, Limits, Transport};
use sip_types::{AddressOfRecord, HeaderName, Message, Method, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use super::owner::{Owner, aor};
use crate::client::Client as Kind;
use crate::flow::{Registration, SignedIn};
use crate::{FrontEnd, FrontEndConfig, Session};

/// Roles presence has no use for.
struct NoRole;

fn away<T>() -> Result<T, Error> {
    Err(Error::new(ErrorCode::Unavailable, "not in this test"))
}

#[async_trait]
impl Registrar for NoRole {
    async fn authenticate(&self, _: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        away()
    }
    async fn register(&self, _: Register) -> Result<Registered, RegisterError> {
        Err(RegisterError::NoSuchUser)
    }
    async fn unregister(&self, _: Unregister) -> Result<Vec<Binding>, RegisterError> {
        Ok(Vec::new())
    }
    async fn lookup(&self, _: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        away()
    }
    async fn watch(&self) -> Result<tokio_stream::wrappers::ReceiverStream<RegistrarChange>, Error> {
        away()
    }
    async fn policy(&self, _: &str, _: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        away()
    }
    /// Finds whoever is searched for by one word, as often as may be, and knows no `nobody`.
    async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error> {
        let person = Person {
            aor: aor(&search.words),
            display_name: format!("{} \"<&>\"", search.words),
        };
        match search.words.as_str() {
            "nobody" => Ok(PeopleFound::default()),
            "away" => away(),
            "slow" => Err(Error::new(ErrorCode::TooMany, "for the test").retry_after(Duration::from_secs(7))),
            _ => Ok(PeopleFound {
                people: vec![person; search.limit as usize],
                more: true,
            }),
        }
    }
}

#[async_trait]
impl ImMcu for NoRole {
    async fn open(&self, _: Open) -> Result<Result<Opened, FailureReason>, Error> {
        away()
    }
    async fn cancel(&self, _: &ConversationKey, _: LegId) -> Result<(), Error> {
        away()
    }
    async fn submit(&self, _: Submit) -> Result<Result<(), FailureReason>, Error> {
        away()
    }
    async fn signal(&self, _: Signal) -> Result<(), Error> {
        away()
    }
    async fn leave(&self, _: &ConversationKey, _: LegId) -> Result<(), Error> {
        away()
    }
    async fn hold(&self, _: HeldLegs) -> Result<(), Error> {
        away()
    }
}

/// The front end as handler, with connections signed in as soon as they stand.
struct SignsIn {
    front_end: FrontEnd,
    next: Mutex<Option<(AddressOfRecord, String)>>,
}

impl Handler for SignsIn {
    type Session = Session;

    fn accepted(&self, connection: &Arc<Connection>) -> Session {
        let session = self.front_end.accepted(connection);
        let (aor, endpoint) = self.next.lock().take().expect("somebody connects");
        session.flow.sign_in(
            Arc::new(SignedIn {
                aor: aor.clone(),
                display_name: aor.user().to_uppercase(),
            }),
            None,
        );
        session.flow.keep_registration(Registration {
            contact: format!("sip:{}@192.0.2.1:40000", aor.user()).into(),
            aor,
            endpoint: EndpointId::new(&endpoint),
            epoch: Epoch(1),
            client: Kind {
                family: ClientFamily::Simple,
                mode: ImMode::Page,
            },
            epid: None,
        });
        session
    }

    fn message(&self, connection: &Arc<Connection>, session: &mut Session, message: Message, now: Instant) {
        self.front_end.message(connection, session, message, now);
    }

    fn timer(&self, connection: &Arc<Connection>, session: &mut Session, now: Instant) {
        self.front_end.timer(connection, session, now);
    }

    fn next_timer(&self, session: &Session) -> Option<Instant> {
        self.front_end.next_timer(session)
    }

    fn closed(&self, connection: &Arc<Connection>, session: &mut Session, reason: CloseReason) {
        self.front_end.closed(connection, session, reason);
    }
}

/// A front end over an owner.
pub(super) struct Rig {
    pub(super) owner: Arc<Owner>,
    pub(super) front_end: FrontEnd,
    handler: Arc<SignsIn>,
    transport: Transport,
}

impl Rig {
    /// A front end that follows presence.
    pub(super) async fn new(users: &[&str]) -> Self {
        let owner = Owner::of(users);
        let offer = sip_auth::challenge::Offer {
            ntlm: false,
            md5: true,
            sha256: false,
        };
        let mut config = FrontEndConfig::new(
            topology::MemberId::new("fe1"),
            "pool.example.test",
            vec!["example.test".into()],
            offer,
        );
        config.requests_per_second = 100_000;
        let presence: Arc<dyn Presence> = Arc::clone(&owner) as _;
        let front_end = FrontEnd::new(
            config,
            RegistrarClient::local(Arc::new(NoRole)),
            ImMcuClient::local(Arc::new(NoRole)),
            PresenceClient::local(presence),
            sip_auth::nonce::NonceKey::new(&[7; 32], None),
            [9; 16],
        );
        tokio::spawn(front_end.clone().follow_presence());
        let handler = Arc::new(SignsIn {
            front_end: front_end.clone(),
            next: Mutex::default(),
        });
        let rig = Rig {
            owner,
            front_end,
            handler,
            transport: Transport::new(Limits::default()).unwrap(),
        };
        rig.settle().await;
        rig
    }

    /// A client of this user.
    pub(super) async fn client(&self, user: &str) -> Client {
        self.client_at(user, &format!("urn:uuid:{user}")).await
    }

    pub(super) async fn client_at(&self, user: &str, endpoint: &str) -> Client {
        *self.handler.next.lock() = Some((aor(user), endpoint.to_owned()));
        let (near, far) = tokio::io::duplex(1 << 24);
        let ends = ["192.0.2.1:40000", "192.0.2.2:5060"].map(|end| end.parse().unwrap());
        self.transport
            .carry(near, ends[0], ends[1], Arc::clone(&self.handler));
        self.settle().await;
        Client {
            user: user.to_owned(),
            stream: far,
            input: BytesMut::new(),
            number: 0,
        }
    }

    /// Somebody else signs in on the only connection there is.
    pub(super) fn sign_in_as(&self, user: &str) {
        let flows = self.front_end.0.flows.values();
        let [flow] = flows.as_slice() else {
            panic!("{} connections", flows.len());
        };
        let who = SignedIn {
            aor: aor(user),
            display_name: String::new(),
        };
        self.front_end.0.sign_in(flow, &Arc::new(who), None);
    }

    /// Lets every task that can do something do it. Time does not move as long as one can.
    pub(super) async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    /// Time passes.
    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.settle().await;
    }

    /// Everything this front end counts and holds.
    pub(super) fn metrics(&self) -> String {
        let mut page = telemetry::Page::new();
        self.front_end.collect(&mut page);
        page.render()
    }

    #[track_caller]
    pub(super) fn counted(&self, line: &str) {
        let page = self.metrics();
        assert!(
            page.lines().any(|found| found == line),
            "{line} is missing in\n{page}"
        );
    }
}

/// A client.
pub(super) struct Client {
    user: String,
    stream: DuplexStream,
    input: BytesMut,
    number: u32,
}

/// A subscription as its client knows it.
pub(super) struct Dialog {
    uri: String,
    event: String,
    call_id: String,
    to: String,
    cseq: u32,
}

impl Dialog {
    /// Later requests name this event.
    pub(super) fn event(&mut self, event: &str) {
        self.event = event.to_owned();
    }

    /// Later requests count from before.
    pub(super) fn rewind(&mut self, numbers: u32) {
        self.cseq -= numbers;
    }
}

impl Client {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// From now on it says that it is somebody else.
    pub(super) fn become_user(&mut self, user: &str) {
        self.user = user.to_owned();
    }

    /// A request outside dialogs, with these header lines.
    pub(super) fn request(&mut self, method: &str, uri: &str, lines: &str, body: &[u8]) -> Vec<u8> {
        self.number += 1;
        let (call, uri) = (self.number, uri.to_owned());
        let to = format!("<{uri}>");
        self.write(
            method,
            &uri,
            &to,
            &format!("call{call}-{}", self.user),
            1,
            lines,
            body,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    fn write(
        &self,
        method: &str,
        uri: &str,
        to: &str,
        call_id: &str,
        cseq: u32,
        lines: &str,
        body: &[u8],
    ) -> Vec<u8> {
        let user = &self.user;
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:40000;branch=z9hG4bK{call_id}{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@example.test>;tag=f{user}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:{user}@192.0.2.1:40000;transport=tcp>\r\n"
        );
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            write!(text, "{}\r\n", line.trim()).unwrap();
        }
        write!(text, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends a request outside dialogs and waits for its answer.
    pub(super) async fn call(
        &mut self,
        method: &str,
        uri: &str,
        lines: &str,
        body: impl AsRef<[u8]>,
    ) -> Response {
        let request = self.request(method, uri, lines, body.as_ref());
        self.stream.write_all(&request).await.unwrap();
        self.response().await
    }

    /// Subscribes to presence and expects to be accepted.
    pub(super) async fn subscribe(&mut self, user: &str) -> Dialog {
        let uri = format!("sip:{user}@example.test");
        self.subscribe_with(&uri, "presence", "Expires: 600", "").await
    }

    pub(super) async fn subscribe_with(
        &mut self,
        uri: &str,
        event: &str,
        lines: &str,
        body: impl AsRef<[u8]>,
    ) -> Dialog {
        self.subscribe_answered(uri, event, lines, body).await.0
    }

    /// The same with its answer, which may say more.
    pub(super) async fn subscribe_answered(
        &mut self,
        uri: &str,
        event: &str,
        lines: &str,
        body: impl AsRef<[u8]>,
    ) -> (Dialog, Response) {
        let lines = format!("Event: {event}\n{lines}");
        let answer = self.call("SUBSCRIBE", uri, &lines, body).await;
        assert_eq!(answer.status().code(), 200, "{answer}");
        let dialog = Dialog {
            uri: uri.to_owned(),
            event: event.to_owned(),
            call_id: answer.call_id().unwrap().to_string(),
            to: answer.headers().get(&HeaderName::To).unwrap().to_string(),
            cseq: 1,
        };
        (dialog, answer)
    }

    /// A SUBSCRIBE in a dialog.
    pub(super) async fn again(&mut self, dialog: &mut Dialog, expires: u32, lines: &str) -> Response {
        self.again_with(dialog, expires, lines, "").await
    }

    pub(super) async fn again_with(
        &mut self,
        dialog: &mut Dialog,
        expires: u32,
        lines: &str,
        body: impl AsRef<[u8]>,
    ) -> Response {
        dialog.cseq += 1;
        let lines = format!("Event: {}\nExpires: {expires}\n{lines}", dialog.event);
        let (uri, to, call_id) = (dialog.uri.clone(), dialog.to.clone(), dialog.call_id.clone());
        let request = self.write(
            "SUBSCRIBE",
            &uri,
            &to,
            &call_id,
            dialog.cseq,
            &lines,
            body.as_ref(),
        );
        self.stream.write_all(&request).await.unwrap();
        self.response().await
    }

    /// The next message, if one comes within a minute of the clock that moves when all wait.
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.next_within(Duration::from_secs(60)).await
    }

    pub(super) async fn next_within(&mut self, time: Duration) -> Option<Message> {
        timeout(time, async {
            loop {
                if let Some(message) = self.cut() {
                    return message;
                }
                assert!(self.stream.read_buf(&mut self.input).await.unwrap() > 0, "closed");
            }
        })
        .await
        .ok()
    }

    fn cut(&mut self) -> Option<Message> {
        let end = self.input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.input[..end]).unwrap();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        if self.input.len() < end + length {
            return None;
        }
        let head = self.input.split_to(end).freeze();
        let body: Bytes = self.input.split_to(length).freeze();
        Some(Message::parse(head, body).unwrap())
    }

    pub(super) async fn response(&mut self) -> Response {
        loop {
            match self.next().await {
                Some(Message::Response(response)) if response.status().is_provisional() => {}
                Some(Message::Response(response)) => return response,
                other => panic!("no response but {other:?}"),
            }
        }
    }

    /// The next NOTIFY, which is accepted.
    pub(super) async fn notify(&mut self) -> Request {
        let notify = self.unanswered().await;
        self.answer(&notify, 200).await;
        notify
    }

    /// The next NOTIFY, which is left without an answer.
    pub(super) async fn unanswered(&mut self) -> Request {
        match self.next().await {
            Some(Message::Request(request)) if *request.method() == Method::Notify => request,
            other => panic!("no NOTIFY but {other:?}"),
        }
    }

    /// The next BENOTIFY, which nobody answers.
    pub(super) async fn benotify(&mut self) -> Request {
        match self.next().await {
            Some(Message::Request(request)) if *request.method() == Method::Benotify => request,
            other => panic!("no BENOTIFY but {other:?}"),
        }
    }

    pub(super) async fn answer(&mut self, request: &Request, status: u16) {
        let status = sip_types::StatusCode::new(status).unwrap();
        let answer = request.reply(status).build();
        self.stream.write_all(answer.head()).await.unwrap();
    }

    /// Nothing comes for so long.
    pub(super) async fn hears_nothing(&mut self, time: Duration) {
        if let Some(message) = self.next_within(time).await {
            panic!("this came: {message:?}");
        }
    }
}

/// The body as text.
pub(super) fn text(request: &Request) -> &str {
    std::str::from_utf8(request.body()).unwrap()
}

pub(super) fn header(message: &Request, name: HeaderName) -> String {
    message.headers().get(&name).unwrap_or_default().to_string()
}

/// `Subscription-State`.
pub(super) fn standing(notify: &Request) -> String {
    header(notify, HeaderName::SubscriptionState)
}
