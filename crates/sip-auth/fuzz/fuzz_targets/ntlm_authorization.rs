//! `Authorization: NTLM`: any text is parsed or refused, and no signature is right by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_auth::ntlm::{AuthenticateMessage, SessionKey};
use sip_auth::signature::{MessageFields, NtlmAuthorization, ProtocolVersion, SecurityAssociation};

fuzz_target!(|value: &str| {
    if let Ok(authorization) = NtlmAuthorization::parse(value) {
        let key = SessionKey::from_bytes([0x5a; 16]);
        let opaque = authorization.opaque.unwrap_or_default();
        let mut server =
            SecurityAssociation::new(opaque, "realm".into(), "target".into(), ProtocolVersion::V4, &key);
        assert!(server.verify(&authorization, &MessageFields::default()).is_err());
        let _ = authorization.token.as_deref().map(AuthenticateMessage::parse);
    }
});
