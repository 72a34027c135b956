//! `Reason`: RFC 3326 section 2.

use super::macros::token_params_header;

token_params_header! {
    /// Why a request was sent: the status another branch got, or a Q.850 cause.
    Reason {
        /// `SIP`, `Q.850`, ... as written.
        protocol
    }, list = true
}

impl Reason {
    /// The `cause` parameter; `None` if absent or malformed.
    pub fn cause(&self) -> Option<u32> {
        crate::syntax::parse_u32(&self.params.text("cause")?).ok()
    }

    /// The `text` parameter.
    pub fn text(&self) -> Option<crate::SipStr> {
        self.params.text("text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn cause_and_text_are_read() {
        let reason: Reason = check("SIP ;cause=200 ;text=\"Call completed elsewhere\"", "SIP;cause=200;text=\"Call completed elsewhere\"");
        assert!(reason.is("sip"));
        assert_eq!(reason.cause(), Some(200));
        assert_eq!(reason.text().unwrap(), "Call completed elsewhere");
        assert_eq!(check::<Reason>("Q.850", "Q.850").cause(), None);
        refuse::<Reason>(&["", ";cause=1", "SIP;text=\"a", "SIP;cause=1, Q.850"]);
    }
}
