//! `Subscription-State`: RFC 6665 section 8.2.3.

use crate::params::Params;
use crate::syntax::parse_u32;
use crate::text::SipStr;

use super::macros::token_params_header;

token_params_header! {
    /// What became of a subscription.
    SubscriptionState {
        /// `active`, `pending`, `terminated` or another token, as written.
        state
    }
}

impl SubscriptionState {
    /// An active subscription that lasts for this many seconds more.
    pub fn active(expires: u32) -> Self {
        Self { state: SipStr::from_static("active"), params: Params::new() }.with_param("expires", &expires.to_string())
    }

    /// A subscription that waits for somebody's consent.
    pub fn pending(expires: u32) -> Self {
        Self { state: SipStr::from_static("pending"), params: Params::new() }.with_param("expires", &expires.to_string())
    }

    /// The end, with a reason of RFC 6665 section 4.1.3: `deactivated`, `rejected`, `timeout`, `noresource`, ...
    pub fn terminated(reason: &str) -> Self {
        Self { state: SipStr::from_static("terminated"), params: Params::new() }.with_param("reason", reason)
    }

    /// Whether notifications flow.
    pub fn is_active(&self) -> bool {
        self.is("active")
    }

    /// Whether the subscription has ended.
    pub fn is_terminated(&self) -> bool {
        self.is("terminated")
    }

    /// How many seconds are left; `None` if absent or malformed.
    pub fn expires(&self) -> Option<u32> {
        parse_u32(&self.params.text("expires")?).ok()
    }

    /// Why it ended.
    pub fn reason(&self) -> Option<SipStr> {
        self.params.text("reason")
    }

    /// After how many seconds to try again; `None` if absent or malformed.
    pub fn retry_after(&self) -> Option<u32> {
        parse_u32(&self.params.text("retry-after")?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn state_and_parameters_are_read() {
        let state: SubscriptionState = check("Terminated; reason=rejected;retry-after=60", "Terminated;reason=rejected;retry-after=60");
        assert!(state.is_terminated() && !state.is_active());
        assert_eq!(state.reason().unwrap(), "rejected");
        assert_eq!((state.expires(), state.retry_after()), (None, Some(60)));
        let active = SubscriptionState::active(3600);
        assert_eq!(active.to_string(), "active;expires=3600");
        assert_eq!((active.is_active(), active.expires()), (true, Some(3600)));
        assert_eq!(SubscriptionState::terminated("timeout").to_string(), "terminated;reason=timeout");
        refuse::<SubscriptionState>(&["", "active;", ";expires=1", "active, pending"]);
    }
}
