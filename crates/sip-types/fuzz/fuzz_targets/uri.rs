//! Text as a URI, an address, parameters, credentials: what is accepted must print to something that parses to the same.
//!
//! `cargo +nightly fuzz run uri`, in the crate's folder.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_types::{AddressOfRecord, AuthParams, NameAddr, Params, SipStr, Uri};

fn same<T: PartialEq + std::fmt::Debug + std::fmt::Display, E: std::fmt::Debug>(
    text: &str,
    parse: impl Fn(&SipStr) -> Result<T, E>,
) -> Option<T> {
    let first = parse(&SipStr::copy_from(text)).ok()?;
    let second = parse(&SipStr::from(first.to_string())).expect("what was printed parses");
    assert_eq!(first, second);
    Some(first)
}

fuzz_target!(|text: &str| {
    // Values come out of a message unfolded: no line end reaches these parsers.
    let text = text.replace(['\r', '\n'], " ");
    let text = text.as_str();
    if let Some(uri) = same(text, Uri::parse) {
        assert!(uri.equivalent(&uri));
        let _ = (
            uri.user_decoded(),
            uri.host_ip(),
            uri.params().iter().count(),
            uri.headers().count(),
        );
        if let Some(address) = uri.aor() {
            assert_eq!(AddressOfRecord::parse(address.as_str()), Ok(address.clone()));
            assert_eq!(AddressOfRecord::parse(&address.to_uri_string()), Ok(address));
        }
    }
    same(text, NameAddr::parse);
    same(text, Params::parse);
    same(text, AuthParams::parse);
});
