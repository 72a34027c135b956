//! [`ServerInvite`]: a peer sent an INVITE.

use std::time::Instant;

use sip_types::{Request, Response};

use super::timer::{INVITE_TRYING, TIMEOUT};
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
///            |          |
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
/// The user must answer: nothing but the end of the flow bounds `Proceeding` (section 17.2.1 gives it no timer).
///
/// Invariant: one final response. In `Completed` it never changes, and a repeated INVITE gets the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct ServerInvite {
    state: State,
    deadline: Option<Instant>,
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
            deadline: Some(now + INVITE_TRYING),
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
                self.finish();
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
            (State::Proceeding(response.clone()), None)
        } else if status.is_success() {
            (State::Accepted, Some(now + TIMEOUT))
        } else {
            (State::Completed(response.clone()), Some(now + TIMEOUT))
        };
        Ok(())
    }

    /// The deadline passed.
    pub(crate) fn handle_timeout(&mut self) -> OnServerTimeout {
        match &self.state {
            State::Silent(request) => {
                let response = trying(request);
                self.state = State::Proceeding(response.clone());
                self.deadline = None;
                OnServerTimeout::Trying(response)
            }
            State::Completed(_) => {
                self.finish();
                OnServerTimeout::NoAck
            }
            State::Proceeding(_) | State::Accepted | State::Terminated => {
                self.finish();
                OnServerTimeout::End
            }
        }
    }

    fn finish(&mut self) {
        self.state = State::Terminated;
        self.deadline = None;
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
        self.deadline
    }

    /// Whether the machine can be forgotten.
    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
