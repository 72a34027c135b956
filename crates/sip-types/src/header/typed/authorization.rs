//! `Authorization`: RFC 3261 section 20.7.

use super::macros::auth_header;

auth_header! {
    /// The credentials of a request.
    Authorization
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn scheme_and_parameters_are_read() {
        let auth: Authorization = check(
            "NTLM realm=\"SIP Communications Service\" , targetname=\"fe.example.test\", version=4",
            "NTLM realm=\"SIP Communications Service\", targetname=\"fe.example.test\", version=4",
        );
        assert!(auth.is("ntlm"));
        assert_eq!(auth.get("Realm").unwrap(), "SIP Communications Service");
        assert_eq!(auth.get("version").unwrap(), "4");
        refuse::<Authorization>(&["", "Digest", "Digest realm=\"x", "realm=\"x\""]);
    }
}
