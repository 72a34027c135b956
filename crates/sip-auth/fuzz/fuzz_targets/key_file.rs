//! Key files: any text is parsed or refused, and what is parsed can be rotated and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_auth::key_file::{KeyFile, KeyFileError};

fuzz_target!(|text: &str| {
    if let Ok(file) = KeyFile::parse(text) {
        match file.rotated(&[1; 32]) {
            Ok(text) => match KeyFile::parse(&text) {
                Ok(next) => assert!(next.current_generation() == file.current_generation() + 1),
                Err(error) => assert!(error == KeyFileError::TooLong),
            },
            Err(error) => assert!(error == KeyFileError::Exhausted && file.current_generation() == 255),
        }
    }
});
