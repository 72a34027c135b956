//! [`ClientNonInvite`]: we sent a request other than INVITE and ACK.

use std::time::Instant;

use sip_types::StatusCode;

use super::OnResponse;
use super::timer::TIMEOUT;

/// A client transaction for any method but INVITE.
///
/// RFC 3261 section 17.1.2 on a reliable transport: Timer E is off and Timer K is zero, so that `Completed` is left
/// at once.
///
/// ```text
///              request sent
///                   |
///                   v
///              +---------+  Timer F
///              | Trying  |-------------------------+
///              +---------+                         |
///               |     |                            |
///           1xx |     | 2xx-6xx                    |
///               v     |                            |
///     +------------+  |                            |
///  +--| Proceeding |--+-----------+                |
///  |  +------------+  | 2xx-6xx   | Timer F        |
///  +-----^            v           v                v
///     1xx         +-----------+ K = 0      +------------+
///                 | Completed |----------->| Terminated |
///                 +-----------+            +------------+
/// ```
///
/// Invariant: the user gets one final response or one notice of Timer F, never both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientNonInvite {
    state: State,
    /// Timer F.
    deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Trying,
    Proceeding,
    Terminated,
}

impl ClientNonInvite {
    /// The request goes out now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Trying,
            deadline: now + TIMEOUT,
        }
    }

    /// A response with our branch arrived.
    pub(crate) fn handle_response(&mut self, status: StatusCode) -> OnResponse {
        match (self.state, status.is_provisional()) {
            (State::Trying | State::Proceeding, true) => {
                self.state = State::Proceeding;
                OnResponse::Deliver
            }
            (State::Trying | State::Proceeding, false) => {
                self.state = State::Terminated;
                OnResponse::Deliver
            }
            (State::Terminated, _) => OnResponse::Absorb,
        }
    }

    /// Timer F fired.
    pub(crate) fn handle_timeout(&mut self) {
        self.state = State::Terminated;
    }

    /// When `handle_timeout` wants to be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        (self.state != State::Terminated).then_some(self.deadline)
    }

    /// Whether the machine can be forgotten.
    pub(crate) fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provisional_responses_do_not_extend_timer_f() {
        let start = Instant::now();
        let mut machine = ClientNonInvite::new(start);
        assert_eq!(machine.handle_response(StatusCode::TRYING), OnResponse::Deliver);
        assert_eq!(machine.handle_response(StatusCode::RINGING), OnResponse::Deliver);
        assert_eq!(machine.next_timeout(), Some(start + TIMEOUT));
    }

    #[test]
    fn the_first_final_response_ends_it() {
        let mut machine = ClientNonInvite::new(Instant::now());
        assert_eq!(
            machine.handle_response(StatusCode::NOT_FOUND),
            OnResponse::Deliver
        );
        assert!(machine.is_terminated());
        assert_eq!(machine.next_timeout(), None);
        assert_eq!(machine.handle_response(StatusCode::OK), OnResponse::Absorb);
    }
}
