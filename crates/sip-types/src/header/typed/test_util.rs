//! What the tests of all typed headers do.

use crate::header::{HeaderError, TypedHeader};
use crate::text::SipStr;

/// Parses one value.
pub(crate) fn parse<H: TypedHeader>(value: &str) -> Result<H, HeaderError> {
    H::parse(&SipStr::copy_from(value))
}

/// Parses `value`, checks that it prints as `printed` and that the print parses to an equal value.
#[track_caller]
pub(crate) fn check<H: TypedHeader + PartialEq + std::fmt::Debug>(value: &str, printed: &str) -> H {
    let header: H = parse(value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    assert_eq!(header.to_string(), printed);
    assert_eq!(
        parse::<H>(printed).as_ref(),
        Ok(&header),
        "{printed:?} must parse to the same"
    );
    header
}

/// Each of `values` must be refused.
#[track_caller]
pub(crate) fn refuse<H: TypedHeader>(values: &[&str]) {
    for value in values {
        assert!(parse::<H>(value).is_err(), "{value:?} must be refused");
    }
}
