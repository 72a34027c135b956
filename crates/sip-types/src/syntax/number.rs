//! Numbers of peers: digits only, no sign, overflow is an error.

use super::SyntaxError;

/// An error of all the functions here.
const BAD: SyntaxError = SyntaxError("not a number, or too large");

fn digits_only(text: &str) -> Result<&str, SyntaxError> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text)
    } else {
        Err(BAD)
    }
}

/// Parses decimal digits.
///
/// # Errors
/// Anything but digits (a sign, blanks, nothing) and values above `u32::MAX`.
pub fn parse_u32(text: &str) -> Result<u32, SyntaxError> {
    digits_only(text)?.parse().map_err(|_| BAD)
}

/// Parses decimal digits.
///
/// # Errors
/// Anything but digits and values above `u16::MAX`.
pub fn parse_u16(text: &str) -> Result<u16, SyntaxError> {
    digits_only(text)?.parse().map_err(|_| BAD)
}

/// Parses decimal digits.
///
/// # Errors
/// Anything but digits and values above `u8::MAX`.
pub fn parse_u8(text: &str) -> Result<u8, SyntaxError> {
    digits_only(text)?.parse().map_err(|_| BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_are_fine_but_signs_and_blanks_are_not() {
        assert_eq!(parse_u32("0068"), Ok(68));
        for bad in ["", "+1", "-1", " 1", "1 ", "0x1", "1e3", "٣"] {
            assert!(parse_u32(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn overflow_is_an_error() {
        assert_eq!(parse_u32("4294967295"), Ok(u32::MAX));
        assert!(parse_u32("4294967296").is_err());
        assert!(parse_u16("65536").is_err());
        assert!(parse_u8("256").is_err());
        assert!(parse_u32(&"9".repeat(400)).is_err());
    }
}
