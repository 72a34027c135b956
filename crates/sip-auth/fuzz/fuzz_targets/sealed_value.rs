//! Sealed values: any bytes are refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_auth::key_file::{KeyFile, Purpose};

fuzz_target!(|bytes: &[u8]| {
    let key =
        KeyFile::parse(&KeyFile::generate(&[0x5a; 32])).and_then(|file| file.seal_key(Purpose::Credentials));
    if let Ok(key) = key {
        assert!(key.open(bytes, "alice@example.test").is_err());
        let _ = key.is_outdated(bytes);
    }
});
