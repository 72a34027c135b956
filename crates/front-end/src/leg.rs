//! One side of a session: the INVITE dialog between a client and this server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rpc::{ConversationKey, EndpointAddress, EndpointId, HeldLeg, LegId};
use sip_core::{ClientKey, Dialog, DialogId, OutOfOrder};
use sip_types::{AddressOfRecord, Method, Request, RequestBuilder, Response, SipStr, StatusCode};
use tokio::sync::Notify;
use topology::MemberId;

use crate::flow::Flow;

/// Where a leg stands.
enum State {
    /// The client's INVITE waits for the owner of the conversation.
    Answering {
        /// False: the owner ended the leg before its 200 went out.
        wanted: bool,
    },
    /// Our INVITE waits for the client.
    Ringing {
        invite: Option<ClientKey>,
        cancelled: bool,
    },
    /// There is a dialog.
    Established(Box<Dialog>),
    /// It ended; what arrives late finds nothing.
    Ended,
}

/// One side of a session.
pub(crate) struct Leg {
    /// Name, known to the owner of the conversation.
    pub(crate) id: LegId,
    /// The connection it lives on, and dies with.
    pub(crate) flow: Arc<Flow>,
    /// Whose endpoint it is the session of.
    own: AddressOfRecord,
    /// That endpoint.
    endpoint: EndpointId,
    /// The other party.
    pub(crate) peer: AddressOfRecord,
    /// We rang for it; otherwise the endpoint opened it.
    rung: bool,
    /// Invariant: taken before the flow's own lock, never after it, so that CSeq numbers leave in order.
    state: Mutex<State>,
    /// Call-ID and From tag of the client's INVITE, if it sent one.
    invited_by: Option<(SipStr, SipStr)>,
    /// False until the client knows of the session: nothing may be sent into it before its 200.
    announced: AtomicBool,
    /// Told when `announced` becomes true or the leg ends.
    settled: Notify,
}

/// What there is to undo when a leg ends.
pub(crate) enum Undo {
    /// Nothing: it had ended, or the owner's decision finds out.
    Nothing,
    /// Our INVITE is to be taken back.
    Cancel(ClientKey),
    /// The dialog is to be left: this BYE goes out.
    Bye(Box<RequestBuilder>, DialogId),
}

impl Leg {
    /// The leg of an INVITE the client sent.
    pub(crate) fn answering(
        id: LegId,
        flow: &Arc<Flow>,
        (own, endpoint): (AddressOfRecord, EndpointId),
        peer: AddressOfRecord,
        invite: &Request,
    ) -> Arc<Self> {
        let call_id = invite.call_id().map(|id| id.detach()).unwrap_or_default();
        let from_tag = invite
            .from()
            .ok()
            .and_then(|from| from.tag())
            .map(|tag| tag.detach())
            .unwrap_or_default();
        Arc::new(Leg {
            id,
            flow: Arc::clone(flow),
            own,
            endpoint,
            peer,
            rung: false,
            invited_by: Some((call_id, from_tag)),
            announced: AtomicBool::new(false),
            settled: Notify::new(),
            state: Mutex::new(State::Answering { wanted: true }),
        })
    }

    /// The leg of an INVITE we are about to send to this endpoint.
    pub(crate) fn ringing(
        id: LegId,
        flow: &Arc<Flow>,
        address: &EndpointAddress,
        peer: AddressOfRecord,
    ) -> Arc<Self> {
        let state = State::Ringing {
            invite: None,
            cancelled: false,
        };
        Arc::new(Leg {
            id,
            flow: Arc::clone(flow),
            own: address.aor.clone(),
            endpoint: address.endpoint.clone(),
            peer,
            rung: true,
            invited_by: None,
            announced: AtomicBool::new(true),
            settled: Notify::new(),
            state: Mutex::new(state),
        })
    }

    /// The conversation it belongs to.
    pub(crate) fn conversation(&self) -> ConversationKey {
        ConversationKey::new(&self.own, &self.peer)
    }

    /// Where the session stands, for an owner that takes its conversation over; `None` if there is no session (yet), or its
    /// endpoint is not registered any more.
    pub(crate) fn held(&self, member: &MemberId) -> Option<HeldLeg> {
        if !matches!(*self.state.lock(), State::Established(_)) {
            return None;
        }
        let epoch = self.flow.epoch(&self.own, &self.endpoint)?;
        Some(HeldLeg {
            leg: self.id,
            address: EndpointAddress {
                aor: self.own.clone(),
                endpoint: self.endpoint.clone(),
                epoch,
                member: member.clone(),
                connection: self.flow.id(),
            },
            peer: self.peer.clone(),
            rung: self.rung,
        })
    }

    /// Whether our INVITE still waits for the client.
    pub(crate) fn is_ringing(&self) -> bool {
        matches!(*self.state.lock(), State::Ringing { cancelled: false, .. })
    }

    /// Whether this is the pending INVITE with this Call-ID and From tag.
    pub(crate) fn was_invited_by(&self, call_id: &str, tag: Option<&str>) -> bool {
        let own = self.invited_by.as_ref();
        own.is_some_and(|(own_id, own_tag)| own_id.as_str() == call_id && Some(own_tag.as_str()) == tag)
    }

    /// The client's INVITE is accepted with this response; `None` if its connection is gone. If the owner ended the leg
    /// meanwhile, the client still learns that it was accepted (its first text may have been taken), and then that it is
    /// over.
    pub(crate) fn accept(&self, invite: &Request, response: &Response) -> Option<Accepted> {
        let mut state = self.state.lock();
        let State::Answering { wanted } = *state else {
            return None;
        };
        let dialog = Dialog::uas(invite, response).ok()?;
        let id = dialog.id().clone();
        *state = State::Established(Box::new(dialog));
        Some(Accepted { id, wanted })
    }

    /// The 200 to the client's INVITE went out, or there will be none.
    pub(crate) fn announce(&self) {
        self.announced.store(true, Ordering::Release);
        self.settled.notify_waiters();
    }

    /// Waits until the client knows whether there is a session: the other party may be faster than our 200.
    pub(crate) async fn settled(&self) {
        let mut settled = std::pin::pin!(self.settled.notified());
        settled.as_mut().enable();
        if !self.announced.load(Ordering::Acquire) {
            settled.await;
        }
    }

    /// Our INVITE went out under this key; false if it is to be taken back at once.
    pub(crate) fn invited(&self, key: ClientKey) -> bool {
        match &mut *self.state.lock() {
            State::Ringing { invite, cancelled } => {
                *invite = Some(key);
                !*cancelled
            }
            _ => false,
        }
    }

    /// The client took our INVITE. The dialog exists in any case and its ACK is due; `wanted` says whether the session
    /// still is, or ends with a BYE (a CANCEL crossed the answer).
    pub(crate) fn answered(&self, invite: &Request, response: &Response) -> Option<Answered> {
        let mut state = self.state.lock();
        let wanted = matches!(*state, State::Ringing { cancelled: false, .. });
        let dialog = Dialog::uac(invite, response).ok()?;
        let ack = dialog.ack(invite.cseq().ok()?.number, &self.flow.next_via());
        let id = dialog.id().clone();
        *state = State::Established(Box::new(dialog));
        Some(Answered { ack, id, wanted })
    }

    /// The ACK of our INVITE with this number, once more. `None` without a dialog.
    pub(crate) fn ack(&self, cseq: u32) -> Option<RequestBuilder> {
        match &*self.state.lock() {
            State::Established(dialog) => Some(dialog.ack(cseq, &self.flow.next_via())),
            _ => None,
        }
    }

    /// A request came in this dialog (RFC 3261 section 12.2.2).
    pub(crate) fn receive(&self, request: &Request) -> Result<(), StatusCode> {
        match &mut *self.state.lock() {
            State::Established(dialog) => dialog
                .receive_request(request)
                .map_err(|_: OutOfOrder| StatusCode::SERVER_INTERNAL_ERROR),
            _ => Err(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        }
    }

    /// Builds a request in this dialog and sends it while the dialog is locked, so that CSeq numbers leave in order.
    /// `None` without a dialog.
    pub(crate) fn request<T>(&self, method: Method, send: impl FnOnce(RequestBuilder) -> T) -> Option<T> {
        match &mut *self.state.lock() {
            State::Established(dialog) => Some(send(dialog.request(method, &self.flow.next_via()))),
            _ => None,
        }
    }

    /// Ends the leg, once.
    pub(crate) fn end(&self) -> Undo {
        let mut state = self.state.lock();
        match &mut *state {
            State::Ringing { invite, cancelled } => {
                *cancelled = true;
                invite.clone().map_or(Undo::Nothing, Undo::Cancel)
            }
            State::Established(dialog) => {
                let bye = dialog.request(Method::Bye, &self.flow.next_via());
                let id = dialog.id().clone();
                *state = State::Ended;
                Undo::Bye(Box::new(bye), id)
            }
            State::Answering { wanted } => {
                *wanted = false;
                Undo::Nothing
            }
            State::Ended => Undo::Nothing,
        }
    }

    /// The other end is gone already: nothing is sent. Returns the dialog there was.
    pub(crate) fn gone(&self) -> Option<DialogId> {
        self.announce();
        match std::mem::replace(&mut *self.state.lock(), State::Ended) {
            State::Established(dialog) => Some(dialog.id().clone()),
            _ => None,
        }
    }
}

/// See [`Leg::accept`].
pub(crate) struct Accepted {
    pub(crate) id: DialogId,
    pub(crate) wanted: bool,
}

/// See [`Leg::answered`].
pub(crate) struct Answered {
    pub(crate) ack: RequestBuilder,
    pub(crate) id: DialogId,
    pub(crate) wanted: bool,
}
