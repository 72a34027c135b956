//! [`ClientInvite`]: we sent an INVITE.

use std::time::Instant;

use sip_types::StatusCode;

use super::timer::{TIMEOUT, TIMER_C};
use super::{OnClientTimeout, OnResponse};

/// A client transaction for INVITE.
///
/// RFC 3261 section 17.1.1 with RFC 6026, on a reliable transport: Timer A is off and Timer D is zero, so that
/// `Completed` is left at once. Timer C (section 16.6) bounds `Proceeding`: when it fires the machine cancels.
///
/// ```text
///                    INVITE sent
///                         |
///                         v
///                    +---------+  Timer B
///         +----------| Calling |---------------------------+
///         |          +---------+                           |
///         | 1xx         |    |                             |
///         v             |    | 3xx-6xx, ACK sent           |
///   +------------+      |    v                             |
///   | Proceeding |------|---------+                        |
///   +------------+      |         |  3xx-6xx, ACK sent     |
///    | ^  | |  |        | 2xx     v                        |
///    +-+  | |  +-----+  |    +-----------+  D = 0          |
///    1xx  | |    2xx |  |    | Completed |---------------+ |
///         | |        v  v    +-----------+               v v
///         | |      +----------+       Timer M        +------------+
///         | |   +--| Accepted |--------------------->| Terminated |
///         | |   |  +----------+                      +------------+
///         | |   +---^  2xx                                  ^
///         | +-- Timer C, CANCEL sent, stays; then ----------+
///         +---- 64 T1 after a CANCEL without final response +
/// ```
///
/// Invariant: until `Accepted` the user gets one final response or one notice that there will be none. In
/// `Accepted` it gets every further 2xx, each of which is another dialog or wants its ACK again (RFC 6026
/// section 7.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientInvite {
    state: State,
    cancel: Cancel,
    deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Calling,
    Proceeding,
    Accepted,
    Terminated,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cancel {
    No,
    Sent,
}

/// What becomes of the wish to cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnCancel {
    /// Send the CANCEL.
    Send,
    /// There is nothing to cancel any more, or it is being cancelled already.
    TooLate,
}

impl ClientInvite {
    /// The INVITE goes out now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Calling,
            cancel: Cancel::No,
            deadline: now + TIMEOUT,
        }
    }

    /// A response with our branch arrived.
    pub(crate) fn handle_response(&mut self, status: StatusCode, now: Instant) -> OnResponse {
        match self.state {
            State::Calling | State::Proceeding if status.is_provisional() => {
                self.handle_provisional(status, now)
            }
            State::Calling | State::Proceeding if status.is_success() => {
                self.state = State::Accepted;
                self.deadline = now + TIMEOUT;
                OnResponse::Deliver
            }
            State::Calling | State::Proceeding => {
                self.state = State::Terminated;
                OnResponse::DeliverAndAck
            }
            State::Accepted if status.is_success() => OnResponse::Deliver,
            State::Accepted | State::Terminated => OnResponse::Absorb,
        }
    }

    fn handle_provisional(&mut self, status: StatusCode, now: Instant) -> OnResponse {
        let first = self.state == State::Calling;
        self.state = State::Proceeding;
        // §16.7 item 2: a 100 does not reset Timer C, but the first response of all starts it.
        if self.cancel == Cancel::No && (first || status != StatusCode::TRYING) {
            self.deadline = now + TIMER_C;
        }
        OnResponse::Deliver
    }

    /// The user does not want an answer any more.
    ///
    /// Section 9.1 holds a CANCEL back until the first provisional response, because over UDP it could overtake its
    /// INVITE. On a connection it cannot; and clients that ring without saying so (SIPE 1.25) would ring for ever.
    pub(crate) fn cancel(&mut self, now: Instant) -> OnCancel {
        match (self.state, self.cancel) {
            (State::Calling | State::Proceeding, Cancel::No) => {
                self.send_cancel(now);
                OnCancel::Send
            }
            (_, Cancel::Sent) | (State::Accepted | State::Terminated, _) => OnCancel::TooLate,
        }
    }

    fn send_cancel(&mut self, now: Instant) {
        self.cancel = Cancel::Sent;
        // §9.1: without a final response in 64 T1 the original transaction counts as cancelled.
        self.deadline = now + TIMEOUT;
    }

    /// The deadline passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> OnClientTimeout {
        match (self.state, self.cancel) {
            (State::Proceeding, Cancel::No) => {
                self.send_cancel(now);
                OnClientTimeout::Cancel
            }
            (State::Calling, _) | (State::Proceeding, Cancel::Sent) => {
                self.state = State::Terminated;
                OnClientTimeout::NoAnswer
            }
            (State::Accepted | State::Terminated, _) => {
                self.state = State::Terminated;
                OnClientTimeout::End
            }
        }
    }

    /// When `handle_timeout` wants to be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        (self.state != State::Terminated).then_some(self.deadline)
    }

    /// Whether the user still waits for a final response.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling | State::Proceeding)
    }

    /// Whether the machine can be forgotten.
    pub(crate) fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timer_c_is_reset_by_every_provisional_response_but_100() {
        let start = Instant::now();
        let mut machine = ClientInvite::new(start);
        assert_eq!(machine.next_timeout(), Some(start + TIMEOUT));
        assert_eq!(
            machine.handle_response(StatusCode::TRYING, start + SECOND),
            OnResponse::Deliver
        );
        assert_eq!(machine.next_timeout(), Some(start + SECOND + TIMER_C));
        machine.handle_response(StatusCode::TRYING, start + 2 * SECOND);
        assert_eq!(machine.next_timeout(), Some(start + SECOND + TIMER_C));
        machine.handle_response(StatusCode::RINGING, start + 3 * SECOND);
        assert_eq!(machine.next_timeout(), Some(start + 3 * SECOND + TIMER_C));
    }

    #[test]
    fn timer_c_cancels_and_then_waits_64_t1() {
        let start = Instant::now();
        let mut machine = ClientInvite::new(start);
        machine.handle_response(StatusCode::RINGING, start);
        let fired = start + TIMER_C;
        assert_eq!(machine.handle_timeout(fired), OnClientTimeout::Cancel);
        assert_eq!(
            machine.handle_response(StatusCode::RINGING, fired),
            OnResponse::Deliver
        );
        assert_eq!(
            machine.next_timeout(),
            Some(fired + TIMEOUT),
            "ringing does not extend it"
        );
        assert_eq!(machine.handle_timeout(fired + TIMEOUT), OnClientTimeout::NoAnswer);
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_cancel_goes_out_at_once_and_only_once() {
        let now = Instant::now();
        let mut machine = ClientInvite::new(now);
        assert_eq!(machine.cancel(now), OnCancel::Send);
        assert_eq!(machine.cancel(now), OnCancel::TooLate);
        assert_eq!(
            machine.handle_response(StatusCode::RINGING, now + SECOND),
            OnResponse::Deliver
        );
        assert_eq!(
            machine.next_timeout(),
            Some(now + TIMEOUT),
            "ringing does not extend it"
        );
        assert_eq!(machine.cancel(now), OnCancel::TooLate);
    }

    #[test]
    fn a_final_response_before_any_other_makes_the_cancel_moot() {
        let now = Instant::now();
        let mut machine = ClientInvite::new(now);
        machine.cancel(now);
        assert_eq!(machine.handle_response(StatusCode::OK, now), OnResponse::Deliver);
        assert_eq!(machine.cancel(now), OnCancel::TooLate);
    }

    #[test]
    fn accepted_passes_2xx_and_nothing_else() {
        let now = Instant::now();
        let mut machine = ClientInvite::new(now);
        assert_eq!(machine.handle_response(StatusCode::OK, now), OnResponse::Deliver);
        assert!(!machine.is_pending());
        assert_eq!(machine.handle_response(StatusCode::OK, now), OnResponse::Deliver);
        assert_eq!(
            machine.handle_response(StatusCode::RINGING, now),
            OnResponse::Absorb
        );
        assert_eq!(
            machine.handle_response(StatusCode::BUSY_HERE, now),
            OnResponse::Absorb
        );
        assert_eq!(machine.handle_timeout(now + TIMEOUT), OnClientTimeout::End);
    }
}
