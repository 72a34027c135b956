//! Nonces: nothing that was not issued is accepted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_auth::nonce::{ConnectionClass, NonceKey, NonceScope, ReturnedOn};

fuzz_target!(|input: (u64, &str)| {
    let (now, nonce) = input;
    let scope = NonceScope {
        realm: "realm",
        class: ConnectionClass::Tls,
        issuer: "fe1",
    };
    let key = NonceKey::new(&[0x5a; 32], Some(&[0xa5; 32]));
    assert!(key.check(nonce, now, scope, ReturnedOn::SameConnection).is_err());
});
