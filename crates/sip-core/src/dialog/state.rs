//! [`Dialog`]: what two user agents share over several requests.

use sip_types::typed::{CSeq, Contact, Via};
use sip_types::{
    HeaderError, HeaderName, Headers, Method, Request, RequestBuilder, Response, SipStr, StatusCode,
};

use super::{DialogId, RouteSet};

/// `Max-Forwards` of every request we make (RFC 3261 section 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// Why messages do not make a dialog.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DialogError {
    /// A response that makes none: 100, or a final one other than 2xx.
    #[error("a {} response makes no dialog", .0.code())]
    Status(StatusCode),
    /// Our own end has no tag, so that it could not be told from others.
    #[error("our end of the dialog has no tag")]
    NoLocalTag,
    /// The peer did not say where it can be reached (section 12.1 wants exactly one Contact).
    #[error("no contact to reach the peer at")]
    NoContact,
    /// A header is missing or malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A request with a lower CSeq than one before it: answer 500 (section 12.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("request number {number} after {highest}")]
pub struct OutOfOrder {
    /// The number the request has.
    pub number: u32,
    /// The highest number so far.
    pub highest: u32,
}

/// How far the dialog has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DialogState {
    /// Made by a provisional response.
    Early,
    /// Made or confirmed by a 2xx.
    Confirmed,
}

/// One end of a dialog (RFC 3261 section 12).
///
/// ```text
///    1xx with a tag    +-------+  2xx     +-----------+
///  ------------------->| Early |--------->| Confirmed |
///                      +-------+          +-----------+
///                          |                 ^     |
///  -------------------------- 2xx -----------+     |
///                          | 3xx-6xx               | BYE, 408, 481
///                          v                       v
///                       dropped by whoever holds it
/// ```
///
/// It lives as long as its owner keeps it, often for hours, and therefore holds nothing of the buffers of the
/// messages it was made of.
///
/// Invariant: the numbers of our requests only rise, and so does `remote_cseq`.
#[derive(Clone, Debug)]
pub struct Dialog {
    id: DialogId,
    state: DialogState,
    /// Our `From` or `To` value, with its tag, as it stood in the message that made the dialog.
    local: SipStr,
    /// The same of the other end. The tag may be missing.
    remote: SipStr,
    remote_target: SipStr,
    route_set: RouteSet,
    local_cseq: Option<u32>,
    remote_cseq: Option<u32>,
}

impl Dialog {
    /// The dialog that our `response` to a peer's `request` makes (section 12.1.1).
    ///
    /// # Errors
    /// See [`DialogError`].
    pub fn uas(request: &Request, response: &Response) -> Result<Self, DialogError> {
        let state = state_of(response.status())?;
        let mut id = DialogId::of_request(request)?;
        id.local_tag = response.to()?.tag().ok_or(DialogError::NoLocalTag)?;
        Ok(Self {
            id: id.detach(),
            state,
            local: raw(response.headers(), &HeaderName::To)?,
            remote: raw(request.headers(), &HeaderName::From)?,
            remote_target: contact(request.headers())?.ok_or(DialogError::NoContact)?,
            route_set: RouteSet::of_uas(request.headers())?,
            local_cseq: None,
            remote_cseq: Some(request.cseq()?.number),
        })
    }

    /// The dialog that a peer's `response` to our `request` makes (section 12.1.2).
    ///
    /// # Errors
    /// See [`DialogError`].
    pub fn uac(request: &Request, response: &Response) -> Result<Self, DialogError> {
        let state = state_of(response.status())?;
        let mut id = DialogId::of_response(response)?;
        id.local_tag = request.from()?.tag().ok_or(DialogError::NoLocalTag)?;
        Ok(Self {
            id: id.detach(),
            state,
            local: raw(request.headers(), &HeaderName::From)?,
            remote: raw(response.headers(), &HeaderName::To)?,
            remote_target: contact(response.headers())?.ok_or(DialogError::NoContact)?,
            route_set: RouteSet::of_uac(response.headers())?,
            local_cseq: Some(request.cseq()?.number),
            remote_cseq: None,
        })
    }

    /// Which dialog this is.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// Early or confirmed.
    pub fn state(&self) -> DialogState {
        self.state
    }

    /// The URI the peer is reached at, through [`Dialog::route_set`].
    pub fn remote_target(&self) -> &SipStr {
        &self.remote_target
    }

    /// The proxies on the way.
    pub fn route_set(&self) -> &RouteSet {
        &self.route_set
    }

    /// The number of our last request, if there was one.
    pub fn local_cseq(&self) -> Option<u32> {
        self.local_cseq
    }

    /// Takes a request of the peer in this dialog: checks its order and follows a change of target.
    ///
    /// ACK and CANCEL have the number of their INVITE and are not checked.
    ///
    /// # Errors
    /// [`OutOfOrder`]: answer with 500 and do nothing else. A request without a readable CSeq counts as number zero.
    pub fn receive_request(&mut self, request: &Request) -> Result<(), OutOfOrder> {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(());
        }
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        if let Some(highest) = self.remote_cseq.filter(|highest| number < *highest) {
            return Err(OutOfOrder { number, highest });
        }
        self.remote_cseq = Some(number);
        if refreshes_target(request.method()) {
            self.refresh_target(request.headers());
        }
        Ok(())
    }

    /// Takes a response of the peer to a request of ours in this dialog: a 2xx confirms an early dialog and may
    /// change the target (sections 12.2.1.2 and 13.2.2.4).
    pub fn receive_response(&mut self, response: &Response) {
        let refreshes = response.cseq().is_ok_and(|cseq| refreshes_target(&cseq.method));
        if !response.status().is_success() || !refreshes {
            return;
        }
        if self.state == DialogState::Early {
            self.state = DialogState::Confirmed;
            // §13.2.2.4: the route set is that of the 2xx, whatever the provisional response had.
            if let Ok(route_set) = RouteSet::of_uac(response.headers()) {
                self.route_set = route_set;
            }
        }
        self.refresh_target(response.headers());
    }

    /// Our 2xx to the INVITE went out: the early dialog is confirmed.
    pub fn confirm(&mut self) {
        self.state = DialogState::Confirmed;
    }

    /// Whether a response to a request in a dialog ends the dialog (section 12.2.1.2).
    pub fn is_ended_by(status: StatusCode) -> bool {
        matches!(
            status,
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST | StatusCode::REQUEST_TIMEOUT
        )
    }

    /// Begins the next request of ours: request line, Via, Max-Forwards, Route, From, To, Call-ID and CSeq
    /// (section 12.2.1.1). Add a Contact where the method wants one, and the body.
    pub fn request(&mut self, method: Method, via: &Via) -> RequestBuilder {
        let number = self.take_cseq();
        self.numbered_request(method, via, number)
    }

    /// Takes the number of our next request, for one that is not sent by itself: a first notification inside the 200 to
    /// its SUBSCRIBE (MS-SIP, `ms-piggyback-cseq`).
    pub fn take_cseq(&mut self) -> u32 {
        let number = self.local_cseq.map_or(FIRST_CSEQ, |last| last.saturating_add(1));
        self.local_cseq = Some(number);
        number
    }

    /// Begins the ACK of a 2xx to our INVITE that had the number `cseq` (section 13.2.2.4). Its Via needs a branch of
    /// its own.
    pub fn ack(&self, cseq: u32, via: &Via) -> RequestBuilder {
        self.numbered_request(Method::Ack, via, cseq)
    }

    fn numbered_request(&self, method: Method, via: &Via, number: u32) -> RequestBuilder {
        let routing = self.route_set.routing(&self.remote_target);
        let mut builder = Request::builder(method.clone(), &routing.request_uri)
            .typed(via)
            .header(HeaderName::MaxForwards, MAX_FORWARDS);
        for route in &routing.routes {
            builder = builder.header(HeaderName::Route, route);
        }
        builder
            .header(HeaderName::From, &self.local)
            .header(HeaderName::To, &self.remote)
            .header(HeaderName::CallId, &self.id.call_id)
            .typed(&CSeq::new(number, method))
    }

    fn refresh_target(&mut self, headers: &Headers) {
        // A request without Contact, or with a broken one, leaves the target as it is.
        if let Ok(Some(target)) = contact(headers) {
            self.remote_target = target;
        }
    }
}

/// The number of our first request in a dialog that the peer made; any would do (section 12.2.1.1).
const FIRST_CSEQ: u32 = 1;

fn state_of(status: StatusCode) -> Result<DialogState, DialogError> {
    match status {
        _ if status.is_success() => Ok(DialogState::Confirmed),
        _ if status.is_provisional() && status != StatusCode::TRYING => Ok(DialogState::Early),
        _ => Err(DialogError::Status(status)),
    }
}

/// Section 12.2 with RFC 3311, RFC 6665 and RFC 3515: requests whose Contact replaces the remote target.
fn refreshes_target(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite
            | Method::Update
            | Method::Subscribe
            | Method::Notify
            | Method::Benotify
            | Method::Refer
    )
}

/// The URI of the first Contact, in a buffer of its own.
fn contact(headers: &Headers) -> Result<Option<SipStr>, DialogError> {
    if !headers.has(&HeaderName::Contact) {
        return Ok(None);
    }
    let contact = headers.first::<Contact>()?;
    Ok(contact
        .address()
        .map(|address| SipStr::copy_from(address.uri.as_str())))
}

fn raw(headers: &Headers, name: &HeaderName) -> Result<SipStr, HeaderError> {
    headers
        .get(name)
        .map(|value| value.detach())
        .ok_or_else(|| HeaderError::Missing(name.clone()))
}

#[cfg(test)]
mod tests;
