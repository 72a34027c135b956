//! AUTHENTICATE messages: no offset leads outside, and no proof is right by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_auth::ntlm::{AuthenticateMessage, NtHash, SessionKey, verify_authenticate};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = AuthenticateMessage::parse(bytes) {
        let _ = message.channel_binding();
        let _ = message.mic_is_right(&SessionKey::from_bytes([0; 16]), bytes);
        let hash = NtHash::from_password("a password no fuzzer finds");
        assert!(verify_authenticate(Some(&hash), [7; 8], &message).is_none());
        assert!(verify_authenticate(None, [7; 8], &message).is_none());
    }
});
