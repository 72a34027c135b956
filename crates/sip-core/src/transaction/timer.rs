//! The timers of RFC 3261 table 4 as they are on a reliable transport.

use std::time::Duration;

/// Estimate of the round trip (RFC 3261 section 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);

/// Longest interval between retransmissions of a request other than INVITE (section 17.1.2.1). Nothing is
/// retransmitted on a reliable transport, but RFC 4320 counts by it.
pub const T2: Duration = Duration::from_secs(4);

/// How long a message can stay in the network (section 17.1.2.2). No timer of a reliable transport uses it.
pub const T4: Duration = Duration::from_secs(5);

/// How long a client waits, and a server remembers: 32 seconds.
pub const TIMEOUT: Duration = Duration::from_secs(32);

/// How long an INVITE may ring (section 16.6 item 11: more than three minutes).
pub const TIMER_C: Duration = Duration::from_secs(185);

/// How long an INVITE that its user has not answered is kept after the last provisional response: whoever sent it has
/// cancelled it (Timer C) and stopped waiting for what comes of that.
pub const INVITE_UNANSWERED: Duration = TIMER_C.saturating_add(TIMEOUT);

/// After this time without a response from its user an INVITE transaction sends 100 itself (section 17.2.1).
pub const INVITE_TRYING: Duration = Duration::from_millis(200);

/// The same for every other method: when a client's Timer E would reach T2 (RFC 4320 section 4.1), which is after
/// T1 + 2 T1 + 4 T1.
pub const NON_INVITE_TRYING: Duration = Duration::from_millis(3_500);

/// The timers, by the letters of the RFCs. C is RFC 3261 section 16.6, L and M are RFC 6026 section 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Timer {
    /// Retransmission of an INVITE.
    A,
    /// End of an INVITE without any response.
    B,
    /// End of an INVITE that only rings.
    C,
    /// Wait for retransmitted final responses to an INVITE.
    D,
    /// Retransmission of another request.
    E,
    /// End of another request without a final response.
    F,
    /// Retransmission of a final response to an INVITE.
    G,
    /// End of the wait for an ACK.
    H,
    /// Wait for retransmitted ACKs.
    I,
    /// Wait for retransmissions of another request.
    J,
    /// Wait for retransmitted final responses to another request.
    K,
    /// How long an accepted INVITE absorbs its retransmissions.
    L,
    /// How long an accepted INVITE takes 2xx responses of other branches.
    M,
}

impl Timer {
    /// The duration on a reliable transport; `None` if the timer is not used there, zero if the state it ends is
    /// left at once.
    pub const fn on_reliable_transport(self) -> Option<Duration> {
        match self {
            Timer::A | Timer::E | Timer::G => None,
            Timer::D | Timer::I | Timer::J | Timer::K => Some(Duration::ZERO),
            Timer::B | Timer::F | Timer::H | Timer::L | Timer::M => Some(TIMEOUT),
            Timer::C => Some(TIMER_C),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derived_durations_follow_from_t1() {
        assert_eq!(TIMEOUT, 64 * T1);
        assert_eq!(NON_INVITE_TRYING, T1 + 2 * T1 + 4 * T1);
        assert!(8 * T1 >= T2, "Timer E is at T2 after three doublings");
        assert!(TIMER_C > Duration::from_secs(180));
    }

    #[test]
    fn nothing_is_retransmitted_and_nothing_lingers() {
        assert_eq!(Timer::A.on_reliable_transport(), None);
        assert_eq!(Timer::J.on_reliable_transport(), Some(Duration::ZERO));
        assert_eq!(Timer::H.on_reliable_transport(), Some(TIMEOUT));
    }
}
