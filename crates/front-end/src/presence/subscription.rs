//! One subscription: the RFC 6665 dialog between a client and this server, and what it was told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rpc::presence::{SeenWatcher, WatcherStatus};
use sip_core::{Dialog, DialogId};
use sip_types::header::typed::SubscriptionState;
use sip_types::{AddressOfRecord, HeaderName, Method, Request, Response, SipStr, StatusCode};
use tokio::sync::Notify;

use super::content::{Body, Content, Next, Sight};
use super::lync;
use super::{COALESCE, PACE};
use crate::dialect::encoding;
use crate::flow::{Flow, SignedIn};
use crate::service::{FrontEndService, now};

/// An event package that is served here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Package {
    /// `presence` of one user (RFC 3856).
    Presence,
    /// `presence` of a list (RFC 4662).
    List,
    /// `presence.winfo` (RFC 3857).
    Watchers,
    /// `presence` of many users, for a Lync-family client (MS-PRES).
    Batch,
    /// The user's own data, for a Lync-family client.
    RoamingSelf,
    /// The user's contact list, for a Lync-family client.
    RoamingContacts,
}

impl Package {
    /// All of them, for counters.
    pub(crate) const ALL: [Package; 6] = [
        Package::Presence,
        Package::List,
        Package::Watchers,
        Package::Batch,
        Package::RoamingSelf,
        Package::RoamingContacts,
    ];

    /// The name in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Package::Presence => "presence",
            Package::List => "presence_list",
            Package::Watchers => "presence_winfo",
            Package::Batch => "presence_batch",
            Package::RoamingSelf => "roaming_self",
            Package::RoamingContacts => "roaming_contacts",
        }
    }

    /// The value of Event.
    const fn event(self) -> &'static str {
        match self {
            Package::Presence | Package::List | Package::Batch => "presence",
            Package::Watchers => "presence.winfo",
            Package::RoamingSelf => lync::ROAMING_SELF,
            Package::RoamingContacts => lync::ROAMING_CONTACTS,
        }
    }

    /// Whether it shows many users, whose changes are collected.
    const fn is_list(self) -> bool {
        matches!(self, Package::List | Package::Batch)
    }

    /// Whether changes are told at once: the user's own clients would else publish what is out of date.
    const fn is_urgent(self) -> bool {
        matches!(self, Package::RoamingSelf | Package::RoamingContacts)
    }
}

/// One subscription.
pub(crate) struct Subscription {
    /// Its number, unique at this front end.
    pub(crate) id: u64,
    pub(crate) watcher: AddressOfRecord,
    display_name: String,
    pub(crate) flow: Arc<Flow>,
    pub(crate) package: Package,
    /// What was subscribed to. An endpoint has one subscription of one package to it: a new one replaces.
    pub(crate) resource: String,
    /// The `id` of Event, repeated in every NOTIFY.
    event_id: Option<SipStr>,
    /// The client takes deflated bodies.
    deflate: bool,
    pub(crate) style: Style,
    /// It is over as soon as it began (RFC 6665 section 4.4.3).
    pub(crate) is_fetch: bool,
    dialog: DialogId,
    /// Invariant: taken before the flow's own lock, so that CSeq numbers leave in order, and before that of what is followed.
    state: Mutex<State>,
    /// Told when what waits must not wait any longer.
    hurry: Notify,
}

/// What a client has not been told yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pending {
    Nothing,
    /// Something changed, first then.
    Changes(Instant),
    /// All there is, at once: RFC 6665 section 4.2.1.2.
    Everything,
}

/// How a client wants to be told.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Style {
    /// By BENOTIFY, which is not answered (MS-SIP).
    pub(crate) benotify: bool,
    /// For the first time inside the 200 (MS-SIP).
    pub(crate) piggyback: bool,
    /// Of lists as liblinphone 5.1 understands it: under the event `Presence`, for it passes over others though it subscribes to
    /// `presence`, and with names of parts that it finds.
    pub(crate) linphone: bool,
}

/// A notification inside a 200.
pub(crate) struct First {
    /// The number a NOTIFY would have had.
    pub(crate) cseq: u32,
    pub(crate) body: Option<Body>,
}

/// What became of what was to be sent.
enum Sent {
    /// There was nothing more.
    Nothing,
    /// [`Subscription::answered`] goes on.
    Asks,
    /// It is not answered.
    Tells,
    /// The connection did not take it.
    Not,
}

struct State {
    dialog: Dialog,
    expires_at: Instant,
    content: Content,
    pending: Pending,
    /// The 200 went out: before it nothing is sent.
    announced: bool,
    /// An answer to a NOTIFY is waited for, or a task waits until the next one may be sent.
    sending: bool,
    last_sent: Option<Instant>,
    ended: bool,
}

/// What a SUBSCRIBE asked for.
pub(crate) struct Asked {
    pub(crate) package: Package,
    pub(crate) resource: String,
    pub(crate) event_id: Option<SipStr>,
    pub(crate) deflate: bool,
    pub(crate) style: Style,
    pub(crate) expires: u32,
}

/// Why a subscription ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The client ended it, or did not refresh it.
    Timeout,
    /// What it was about does not exist.
    NoResource,
    /// This member stops; the client subscribes again elsewhere.
    Deactivated,
    /// The client has a newer one.
    Replaced,
    /// The client has forgotten it, or is gone.
    Unheard,
}

impl End {
    /// RFC 6665 section 4.1.3; `None`: nobody is told.
    const fn reason(self) -> Option<&'static str> {
        match self {
            End::Timeout => Some("timeout"),
            End::NoResource => Some("noresource"),
            End::Deactivated => Some("deactivated"),
            // It must not be tried again, or the two would replace each other for ever.
            End::Replaced => Some("rejected"),
            End::Unheard => None,
        }
    }
}

/// What a subscription learns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News<'a> {
    /// There is a newer document of this presentity.
    Document(&'a AddressOfRecord),
    /// What only the user may see has changed.
    Own,
    /// The client is to be told everything, at once.
    Refresh,
}

impl Subscription {
    /// A subscription that nobody has been told of. `response` is the 200 that will.
    ///
    /// # Errors
    /// 400 if the request makes no dialog.
    pub(crate) fn new(
        service: &FrontEndService,
        (flow, who): (&Arc<Flow>, &SignedIn),
        asked: Asked,
        content: Content,
        (request, response): (&Request, &Response),
    ) -> Result<Arc<Self>, StatusCode> {
        let dialog = Dialog::uas(request, response).map_err(|_| StatusCode::BAD_REQUEST)?;
        Ok(Arc::new(Subscription {
            id: service.ids.number(),
            watcher: who.aor.clone(),
            display_name: who.display_name.clone(),
            flow: Arc::clone(flow),
            package: asked.package,
            resource: asked.resource,
            event_id: asked.event_id,
            deflate: asked.deflate,
            style: asked.style,
            is_fetch: asked.expires == 0,
            dialog: dialog.id().clone(),
            state: Mutex::new(State {
                dialog,
                expires_at: now() + Duration::from_secs(u64::from(asked.expires)),
                content,
                pending: Pending::Everything,
                announced: false,
                sending: false,
                last_sent: None,
                ended: false,
            }),
            hurry: Notify::new(),
        }))
    }

    pub(crate) fn dialog(&self) -> &DialogId {
        &self.dialog
    }

    /// The watcher, as an owner is told of it.
    pub(crate) fn seen(&self, status: WatcherStatus) -> SeenWatcher {
        SeenWatcher {
            watcher: self.watcher.clone(),
            display_name: self.display_name.clone(),
            status,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// When it ends unless it is refreshed.
    pub(crate) fn expires_at(&self) -> Instant {
        self.state.lock().expires_at
    }

    /// Whether this Event is that of the subscription.
    pub(crate) fn is_of(&self, package: &str, id: Option<&str>) -> bool {
        self.package.event().eq_ignore_ascii_case(package) && self.event_id.as_deref() == id
    }

    /// Whom it watches.
    pub(crate) fn presentities(&self) -> Vec<AddressOfRecord> {
        self.state.lock().content.presentities()
    }

    /// Reads or changes what it shows.
    pub(crate) fn with_content<T>(&self, use_it: impl FnOnce(&mut Content) -> T) -> T {
        use_it(&mut self.state.lock().content)
    }

    /// Takes a SUBSCRIBE in its dialog; `expires` from now. Not for its end.
    ///
    /// # Errors
    /// 481 if it ended, 500 out of order.
    pub(crate) fn refresh(&self, request: &Request, expires: u32) -> Result<Instant, StatusCode> {
        let mut state = self.state.lock();
        if state.ended {
            return Err(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        state
            .dialog
            .receive_request(request)
            .map_err(|_| StatusCode::SERVER_INTERNAL_ERROR)?;
        state.expires_at = now() + Duration::from_secs(u64::from(expires));
        Ok(state.expires_at)
    }

    // === telling the client ===

    /// The 200 went out: now the client is told all there is, and then what changes.
    pub(crate) fn announce(self: &Arc<Self>, service: &Arc<FrontEndService>) {
        self.state.lock().announced = true;
        self.tell(service, News::Refresh);
    }

    /// What the client is told inside the 200 that is about to go out: all there is, or what is new. Until [`Self::began`] it is
    /// told nothing else.
    pub(crate) fn first(&self, service: &FrontEndService, everything: bool) -> First {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.announced = false;
        state.pending = Pending::Nothing;
        state.last_sent = Some(now());
        let body = match state.content.next(everything, &self.sight(service)) {
            Next::Nothing => None,
            Next::Body { body, more } => {
                if more {
                    state.pending = Pending::Changes(now());
                }
                body
            }
        };
        First {
            cseq: state.dialog.take_cseq(),
            body,
        }
    }

    /// The 200 with what was [`Self::first`] went out: now the client is told what changes.
    pub(crate) fn began(self: &Arc<Self>, service: &Arc<FrontEndService>) {
        let mut state = self.state.lock();
        state.announced = true;
        if state.ended || state.pending == Pending::Nothing || std::mem::replace(&mut state.sending, true) {
            return;
        }
        drop(state);
        self.go_on(service);
    }

    /// Something is to be told, as soon as the last NOTIFY is answered and its pace allows.
    pub(crate) fn tell(self: &Arc<Self>, service: &Arc<FrontEndService>, news: News<'_>) {
        let mut state = self.state.lock();
        if state.ended {
            return;
        }
        let waits = match news {
            News::Document(presentity) => state.content.note(presentity),
            News::Own => Some(state.pending != Pending::Nothing),
            News::Refresh => Some(false),
        };
        let Some(waits) = waits else { return };
        if waits && state.announced {
            service.counters.presence.conflated();
        }
        state.pending = match (news, state.pending) {
            (News::Refresh, _) | (_, Pending::Everything) => Pending::Everything,
            (_, Pending::Changes(since)) => Pending::Changes(since),
            (_, Pending::Nothing) => Pending::Changes(now()),
        };
        if !state.announced {
            return;
        }
        if std::mem::replace(&mut state.sending, true) {
            if matches!(news, News::Refresh) {
                self.hurry.notify_one();
            }
            return;
        }
        drop(state);
        self.go_on(service);
    }

    /// Sends what is pending, one NOTIFY at a time, until there is nothing more, or until the next one has to wait.
    fn go_on(self: &Arc<Self>, service: &Arc<FrontEndService>) {
        loop {
            if self.due().is_some_and(|at| at > now()) {
                let (subscription, sender) = (Arc::clone(self), Arc::clone(service));
                let waiting = async move { subscription.go_on_when_due(&sender).await };
                return service.presence.spawn(waiting);
            }
            match self.send_next(service) {
                Sent::Nothing | Sent::Asks => return,
                Sent::Tells => {}
                Sent::Not => return self.answered(service, None),
            }
        }
    }

    async fn go_on_when_due(self: Arc<Self>, service: &Arc<FrontEndService>) {
        while let Some(at) = self.due().filter(|at| *at > now()) {
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                () = self.hurry.notified() => {}
                () = service.presence.stopped() => return,
            }
        }
        self.go_on(service);
    }

    /// When what is pending may be sent; `None`: at once.
    fn due(&self) -> Option<Instant> {
        let state = self.state.lock();
        let Pending::Changes(since) = state.pending else {
            return None;
        };
        if self.package.is_urgent() {
            return None;
        }
        // The owner sends a document of one presentity a second at most: a list waits for changes of others no longer.
        let pace = match self.package.is_list() {
            true => COALESCE,
            false => PACE,
        };
        let paced = state.last_sent.map(|last| last + pace);
        let collected = self.package.is_list().then(|| since + COALESCE);
        paced.max(collected).filter(|_| !state.ended)
    }

    /// Sends the next NOTIFY.
    fn send_next(self: &Arc<Self>, service: &FrontEndService) -> Sent {
        let mut state = self.state.lock();
        let state = &mut *state;
        loop {
            let everything = state.pending == Pending::Everything;
            if state.ended || !state.announced || state.pending == Pending::Nothing {
                state.sending = false;
                return Sent::Nothing;
            }
            state.pending = Pending::Nothing;
            match state.content.next(everything, &self.sight(service)) {
                Next::Nothing => {}
                Next::Body { body, more } => {
                    if more {
                        state.pending = Pending::Changes(now());
                    }
                    state.last_sent = Some(now());
                    let left = state.expires_at.saturating_duration_since(now()).as_secs();
                    let left = u32::try_from(left).unwrap_or(u32::MAX);
                    let request = self.notify(service, state, SubscriptionState::active(left), body);
                    return self.send(service, request);
                }
            }
        }
    }

    /// What it sees.
    pub(crate) fn sight<'a>(&'a self, service: &'a FrontEndService) -> Sight<'a> {
        Sight {
            following: &service.presence.following,
            watcher: &self.watcher,
            host: &service.config.fqdn,
        }
    }

    fn send(self: &Arc<Self>, service: &FrontEndService, request: Request) -> Sent {
        if self.style.benotify {
            self.flow.send_unanswered(service, request);
            return Sent::Tells;
        }
        match self.flow.send_notify(service, request, self) {
            true => Sent::Asks,
            false => Sent::Not,
        }
    }

    fn notify(
        &self,
        service: &FrontEndService,
        state: &mut State,
        standing: SubscriptionState,
        body: Option<Body>,
    ) -> Request {
        let event = match self.package {
            Package::List if self.style.linphone => "Presence",
            package => package.event(),
        };
        let (id_is, id) = match &self.event_id {
            Some(id) => (";id=", id.as_str()),
            None => ("", ""),
        };
        let method = if self.style.benotify {
            Method::Benotify
        } else {
            Method::Notify
        };
        let mut builder = state
            .dialog
            .request(method, &self.flow.next_via())
            .header(HeaderName::Contact, self.flow.contact(service))
            .header(HeaderName::Event, format_args!("{event}{id_is}{id}"))
            .typed(&standing);
        let is_list = |body: &Body| body.content_type.starts_with("multipart/");
        let is_batch = self.package == Package::Batch && body.as_ref().is_some_and(is_list);
        if self.package == Package::List || is_batch {
            builder = builder.header(HeaderName::Require, "eventlist");
        }
        if let Some(body) = body {
            let deflated = self.deflate.then(|| encoding::deflate(&body.bytes)).flatten();
            if deflated.is_some() {
                builder = builder.header(HeaderName::ContentEncoding, "deflate");
            }
            builder = builder.body(&body.content_type, deflated.unwrap_or(body.bytes));
        }
        service.counters.presence.notify_sent(self.package);
        builder.build()
    }

    /// Heeds the answer to a NOTIFY, and sends what is pending. `None`: there is none by Timer F (RFC 6665 section 4.2.2), or the
    /// connection closed.
    pub(crate) fn answered(self: &Arc<Self>, service: &Arc<FrontEndService>, answer: Option<StatusCode>) {
        let Some(status) = answer else {
            if !self.flow.is_gone() {
                service.counters.presence.notify_failed(self.package);
                self.end(service, End::Unheard);
            }
            return;
        };
        if status.is_success() {
            service.counters.presence.notify_answered(self.package);
        } else {
            service.counters.presence.notify_failed(self.package);
            if crate::deliver::ends_dialog(status) {
                tracing::debug!(%status, connection = %self.flow.id(), "a client forgot its subscription");
                return self.end(service, End::Unheard);
            }
        }
        self.go_on(service);
    }

    /// Ends it, once: the client is told, with all there is where it ends as agreed.
    pub(crate) fn end(&self, service: &FrontEndService, end: End) {
        let presentities = {
            let mut state = self.state.lock();
            let state = &mut *state;
            if std::mem::replace(&mut state.ended, true) {
                return;
            }
            if let Some(reason) = end.reason() {
                let body = match state.content.next(true, &self.sight(service)) {
                    Next::Body { body, .. } if end == End::Timeout => body,
                    _ => None,
                };
                let standing = SubscriptionState::terminated(reason);
                let request = self.notify(service, state, standing, body);
                match self.style.benotify {
                    true => self.flow.send_unanswered(service, request),
                    // Nobody waits for the answer: there is nothing left to end.
                    false => drop(self.flow.send(service, request)),
                }
            }
            state.content.presentities()
        };
        self.hurry.notify_one();
        self.flow.watching.remove(&self.dialog, self.id);
        service.presence.forget(self, &presentities);
    }
}
