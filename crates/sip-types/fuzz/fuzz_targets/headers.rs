//! Text as the value of every typed header: what is accepted must print to something that parses to the same.
//!
//! `cargo +nightly fuzz run headers`, in the crate's folder.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/suite/typed_headers.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests; the other half is for the message target"
)]
mod typed_headers;

// Values come out of a message unfolded: no line end reaches these parsers.
fuzz_target!(|text: &str| typed_headers::try_all(&text.replace(['\r', '\n'], " ")));
