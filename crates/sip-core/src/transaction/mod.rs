//! The four transaction machines of RFC 3261 section 17, for reliable transports.
//!
//! A machine knows its state and its deadline, nothing else: no keys, no connection, no clock. What happens to a
//! message is the value it returns. [`Transactions`](crate::Transactions) owns the machines of one flow, matches
//! messages to them and keeps their deadlines.

pub(crate) mod client_invite;
pub(crate) mod client_non_invite;
pub(crate) mod key;
pub(crate) mod server_invite;
pub(crate) mod server_non_invite;
pub mod timer;

use sip_types::{Request, Response};

/// What a client machine does with a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnResponse {
    /// The user of the transaction sees it.
    Deliver,
    /// It sees it, and the machine acknowledges it.
    DeliverAndAck,
    /// Nobody sees it.
    Absorb,
}

/// What a client machine does when its deadline passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnClientTimeout {
    /// The user of the transaction is told that there will be no final response.
    NoAnswer,
    /// A CANCEL is sent; a final response or `NoAnswer` follows.
    Cancel,
    /// It ends, which is nobody's concern.
    End,
}

/// What a server machine does with a request that matches it.
#[derive(Clone, Debug)]
pub(crate) enum OnRequest {
    /// The stored response is sent again.
    Resend(Response),
    /// Nothing.
    Absorb,
    /// The user of the transaction sees it.
    Deliver,
}

/// What a server machine does when its deadline passes.
#[derive(Clone, Debug)]
pub(crate) enum OnServerTimeout {
    /// The user of the transaction was slow: this 100 is sent.
    Trying(Response),
    /// The ACK never came.
    NoAck,
    /// The user of the transaction never answered, and now it is too late.
    Unanswered,
    /// It ends, which is nobody's concern.
    End,
}

/// Why a response was not taken. It must not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RespondError {
    /// The transaction has had its final response, or it is over: its client gave up or the flow closed.
    #[error("the transaction has already been answered or is over")]
    AlreadyAnswered,
    /// RFC 4320 section 4.1: the only provisional response to anything but INVITE is 100.
    #[error("a request other than INVITE gets no provisional response but 100")]
    ProvisionalNotAllowed,
}

/// A 100 for `request`. RFC 3261 section 8.2.6.1: without a To tag of ours, since it creates no dialog.
fn trying(request: &Request) -> Response {
    request.reply(sip_types::StatusCode::TRYING).build()
}
