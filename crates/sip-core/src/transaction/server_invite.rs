//! [`ServerInvite`]: a peer sent an INVITE.

use std::time::Instant;

use sip_types::{Request, Response};

use super::timer::{INVITE_TRYING, INVITE_UNANSWERED, TIMEOUT};
use super::{OnRequest, OnServerTimeout, RespondError, trying};

/// A server transaction for INVITE.
///
/// RFC 3261 section 17.2.1 with RFC 6026, on a reliable transport: Timer G is off and Timer I is zero, so that
/// `Confirmed` is left at once.
///
/// ```text
///                INVITE
///                  |                      1xx, or 100 after
///                  v                      0.2 s without any
///           +------------+ <---------------+
///           | Proceeding |-----------------+
///           +------------+
///            |          |  \ 217 s without an answer: Terminated
///    3xx-6xx |          | 2xx
///            v          v
///   +-----------+    +----------+
///   | Completed |    | Accepted |--+ ACK: to the user
///   +-----------+    +----------+<-+ INVITE: absorbed
///     |       |            |
///     | ACK   | Timer H    | Timer L
///     v       |            |
///   +-----------+          |
///   | Confirmed |          |
///   +-----------+          |
///     | I = 0 |            |
///     v       v            v
///   +------------------------+
///   |       Terminated       |
///   +------------------------+
/// ```
///
/// Section 17.2.1 gives `Proceeding` no timer, since the user must answer. Should it fail to, the machine ends when
/// nobody can be waiting any more; a user that rings for longer repeats its 18x (section 13.3.1.1).
///
/// Invariant: one final response. In `Completed` it never changes, and a repeated INVITE gets the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct ServerInvite {
    state: State,
    deadline: Instant,
}

#[derive(Clone, Debug)]
enum State {
    /// No response yet; with the request, of which the 100 is made.
    Silent(Request),
    /// With the last provisional response.
    Proceeding(Response),
    Completed(Response),
    Accepted,
    Terminated,
}

impl ServerInvite {
    /// A new INVITE arrived.
    pub(crate) fn new(request: Request, now: Instant) -> Self {
        Self {
            state: State::Silent(request),
            deadline: now + INVITE_TRYING,
        }
    }

    /// The same INVITE arrived again.
    pub(crate) fn handle_request(&self) -> OnRequest {
        match &self.state {
            State::Proceeding(response) | State::Completed(response) => OnRequest::Resend(response.clone()),
            // RFC 6026 section 7.1: the user repeats its 2xx if it must, not the transaction.
            State::Silent(_) | State::Accepted | State::Terminated => OnRequest::Absorb,
        }
    }

    /// An ACK matched.
    pub(crate) fn handle_ack(&mut self) -> OnRequest {
        match self.state {
            State::Completed(_) => {
                self.state = State::Terminated;
                OnRequest::Absorb
            }
            // RFC 6026 section 7.1. Only an ACK that has the INVITE's branch comes here, which is wrong of its
            // sender, or one that is matched by the rules of RFC 2543.
            State::Accepted => OnRequest::Deliver,
            State::Silent(_) | State::Proceeding(_) | State::Terminated => OnRequest::Absorb,
        }
    }

    /// The user of the transaction answers.
    pub(crate) fn respond(&mut self, response: &Response, now: Instant) -> Result<(), RespondError> {
        if !matches!(self.state, State::Silent(_) | State::Proceeding(_)) {
            return Err(RespondError::AlreadyAnswered);
        }
        let status = response.status();
        (self.state, self.deadline) = if status.is_provisional() {
            (State::Proceeding(response.clone()), now + INVITE_UNANSWERED)
        } else if status.is_success() {
            (State::Accepted, now + TIMEOUT)
        } else {
            (State::Completed(response.clone()), now + TIMEOUT)
        };
        Ok(())
    }

    /// The deadline passed.
    pub(crate) fn handle_timeout(&mut self) -> OnServerTimeout {
        match &self.state {
            State::Silent(request) => {
                let response = trying(request);
                self.state = State::Proceeding(response.clone());
                self.deadline += INVITE_UNANSWERED - INVITE_TRYING;
                OnServerTimeout::Trying(response)
            }
            State::Proceeding(_) => {
                self.state = State::Terminated;
                OnServerTimeout::Unanswered
            }
            State::Completed(_) => {
                self.state = State::Terminated;
                OnServerTimeout::NoAck
            }
            State::Accepted | State::Terminated => {
                self.state = State::Terminated;
                OnServerTimeout::End
            }
        }
    }

    /// The response an ACK must be for, if one is awaited.
    pub(crate) fn awaiting_ack(&self) -> Option<&Response> {
        match &self.state {
            State::Completed(response) => Some(response),
            _ => None,
        }
    }

    /// Whether the user of the transaction still owes a final response.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Silent(_) | State::Proceeding(_))
    }

    /// When `handle_timeout` wants to be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        (!self.is_terminated()).then_some(self.deadline)
    }

    /// Whether the machine can be forgotten.
    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
