//! `Expires`: RFC 3261 section 20.19.

use std::time::Duration;

use super::macros::number_header;

number_header! {
    /// How long a registration, subscription, publication or invitation shall last, in seconds.
    Expires, max = u32::MAX
}

impl Expires {
    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn seconds_are_read() {
        assert_eq!(check::<Expires>("600", "600").duration(), Duration::from_secs(600));
        check::<Expires>("4294967295", "4294967295");
        refuse::<Expires>(&["", "-1", "4294967296", "1.5", "0 1", "Thu, 01 Dec 1994 16:00:00 GMT"]);
    }
}
