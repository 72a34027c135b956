//! `Content-Length` as framing needs it (RFC 3261 section 20.14): exactly one, and nothing but a number.

use super::FramingErrorKind;

/// What the header fields said so far about the length of the body.
#[derive(Debug, Default)]
pub(super) struct ContentLength {
    found: Option<Result<u64, FramingErrorKind>>,
}

impl ContentLength {
    /// Looks at one header field, without its last CRLF; folded lines still contain theirs.
    pub(super) fn take(&mut self, field: &[u8]) {
        let Some(value) = value_of(field) else { return };
        self.found = Some(match self.found {
            None => number(value).ok_or(FramingErrorKind::ContentLengthInvalid),
            // Even with equal values: whoever sent two may count on two readers choosing differently.
            Some(_) => Err(FramingErrorKind::ContentLengthRepeated),
        });
    }

    /// The length, once all fields were seen.
    pub(super) fn value(&self) -> Result<u64, FramingErrorKind> {
        self.found.unwrap_or(Err(FramingErrorKind::ContentLengthMissing))
    }
}

/// What stands behind the colon, if this is a `Content-Length` field in its long or compact form.
fn value_of(field: &[u8]) -> Option<&[u8]> {
    // Most fields are told apart by their first letter.
    if !matches!(field.first(), Some(b'c' | b'C' | b'l' | b'L')) {
        return None;
    }
    let colon = field.iter().position(|byte| *byte == b':')?;
    let (name, value) = field.split_at(colon);
    let name = trim_blanks(name); // RFC 3261 section 25.1: HCOLON = *( SP / HTAB ) ":" SWS
    let ours = name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l");
    ours.then(|| value.get(1..).unwrap_or_default())
}

/// Decimal digits between blanks; no sign, no list, no overflow of 64 bits.
fn number(value: &[u8]) -> Option<u64> {
    // Line ends in here are folds: the scan accepted them only as CRLF followed by a blank.
    let digits = trim_blanks(value);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Without linear white space (RFC 3261 section 25.1, LWS) at either end; form feeds are not blanks.
fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Result<u64, FramingErrorKind> {
        let mut length = ContentLength::default();
        for field in fields {
            length.take(field.as_bytes());
        }
        length.value()
    }

    #[test]
    fn one_number_is_taken_in_every_spelling() {
        for field in [
            "Content-Length: 42",
            "content-length:42",
            "CONTENT-LENGTH \t: 42  ",
            "l: 42",
            "L:42",
            "l:\r\n 42",
            "Content-Length: 0000000000000000000000000042",
        ] {
            assert_eq!(read(&["Call-ID: 1", field, "Contact: x"]), Ok(42), "{field}");
        }
        assert_eq!(read(&["l: 18446744073709551615"]), Ok(u64::MAX));
    }

    #[test]
    fn anything_but_a_number_is_invalid() {
        for value in [
            "",
            " ",
            "+1",
            "-1",
            "0x10",
            "1 2",
            "1,1",
            "1;a",
            "1.0",
            "\u{661}",
            "18446744073709551616",
            "99999999999999999999999",
            "1\r\n 2",
            "1\0",
            "\u{c}1",
        ] {
            assert_eq!(
                read(&[&format!("Content-Length: {value}")]),
                Err(FramingErrorKind::ContentLengthInvalid),
                "{value:?}"
            );
        }
    }

    #[test]
    fn none_and_two_are_refused() {
        assert_eq!(read(&["Call-ID: l"]), Err(FramingErrorKind::ContentLengthMissing));
        assert_eq!(
            read(&["Content-Lengths: 1", "x-l: 1"]),
            Err(FramingErrorKind::ContentLengthMissing)
        );
        assert_eq!(
            read(&["l: 1", "Content-Length: 1"]),
            Err(FramingErrorKind::ContentLengthRepeated)
        );
        assert_eq!(
            read(&["l: x", "l: 1"]),
            Err(FramingErrorKind::ContentLengthRepeated)
        );
    }
}
