//! Any bytes are read as a PROXY header or refused, and what was read never grows with more bytes behind it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_transport::proxy::parse;

fuzz_target!(|input: &[u8]| {
    if let Ok(Some((header, length))) = parse(input, 232) {
        assert!((16..=232).contains(&length) && length <= input.len());
        assert_eq!(parse(&input[..length], 232), Ok(Some((header, length))));
        assert_eq!(parse(&input[..length - 1], 232), Ok(None));
    }
});
