//! `Authorization: Digest`: any text is parsed or refused, and what is parsed never verifies by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_auth::digest::{DigestCredentials, Ha1, verify};

fuzz_target!(|value: &str| {
    if let Ok(credentials) = DigestCredentials::parse(value) {
        let ha1 = Ha1::compute(
            credentials.algorithm,
            "user",
            "realm",
            "a password no fuzzer finds",
        );
        assert!(!verify(Some(&ha1), &credentials, "REGISTER", true));
        assert!(!verify(None, &credentials, "REGISTER", true));
    }
});
