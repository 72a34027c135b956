//! [`ServerNonInvite`]: a peer sent a request other than INVITE and ACK.

use std::time::Instant;

use sip_types::{Request, Response};

use super::timer::{NON_INVITE_TRYING, TIMEOUT};
use super::{OnRequest, OnServerTimeout, RespondError, trying};

/// A server transaction for any method but INVITE.
///
/// RFC 3261 section 17.2.2 with RFC 4320, on a reliable transport: Timer J is zero, so that `Completed` is left at
/// once.
///
/// ```text
///               request
///                  |
///                  v
///             +---------+
///             | Trying  |--------+
///             +---------+        |
///     100, or      |             | 2xx-6xx
///     3.5 s passed v             v
///          +------------+   +-----------+  J = 0   +------------+
///          | Proceeding |-->| Completed |--------->| Terminated |
///          +------------+   +-----------+          +------------+
///             |        2xx-6xx                           ^
///             +------------ 64 T1 after the request -----+
/// ```
///
/// Invariant: one final response at most, and none after 64 T1: then the client's Timer F has fired and the response
/// could only be misread (RFC 4320 section 4.2).
#[derive(Clone, Debug)]
pub(crate) struct ServerNonInvite {
    state: State,
    deadline: Instant,
}

#[derive(Clone, Debug)]
enum State {
    /// With the request, of which the 100 is made.
    Trying(Request),
    /// With the 100, for retransmissions.
    Proceeding(Response),
    Terminated,
}

impl ServerNonInvite {
    /// A new request arrived.
    pub(crate) fn new(request: Request, now: Instant) -> Self {
        Self {
            state: State::Trying(request),
            deadline: now + NON_INVITE_TRYING,
        }
    }

    /// The same request arrived again.
    pub(crate) fn handle_request(&self) -> OnRequest {
        match &self.state {
            State::Proceeding(response) => OnRequest::Resend(response.clone()),
            State::Trying(_) | State::Terminated => OnRequest::Absorb,
        }
    }

    /// The user of the transaction answers.
    pub(crate) fn respond(&mut self, response: &Response) -> Result<(), RespondError> {
        let status = response.status();
        match &self.state {
            State::Terminated => Err(RespondError::AlreadyAnswered),
            _ if status.is_final() => {
                self.state = State::Terminated;
                Ok(())
            }
            _ if status != sip_types::StatusCode::TRYING => Err(RespondError::ProvisionalNotAllowed),
            State::Trying(_) => {
                self.proceed(response.clone());
                Ok(())
            }
            State::Proceeding(_) => Ok(()),
        }
    }

    /// The deadline passed.
    pub(crate) fn handle_timeout(&mut self) -> OnServerTimeout {
        match &self.state {
            State::Trying(request) => {
                let response = trying(request);
                self.proceed(response.clone());
                OnServerTimeout::Trying(response)
            }
            State::Proceeding(_) => {
                self.state = State::Terminated;
                OnServerTimeout::Unanswered
            }
            State::Terminated => OnServerTimeout::End,
        }
    }

    fn proceed(&mut self, response: Response) {
        // In Trying the deadline is NON_INVITE_TRYING after the request: count 64 T1 from the request too.
        self.deadline += TIMEOUT - NON_INVITE_TRYING;
        self.state = State::Proceeding(response);
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
