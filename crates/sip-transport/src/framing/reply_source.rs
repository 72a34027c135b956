//! What an answer to a message with a framing fault may be built from.

use super::FramingLimits;
use bytes::{BufMut, Bytes, BytesMut};

/// The well-formed part of `read`, the bytes of one message up to where it was read: its start line and every
/// header field that is complete, within bounds and without bare CR or LF, ended by an empty line.
///
/// Empty if the start line is not whole. A start line that is only too long is kept: the parser judges it.
pub(super) fn extract(read: &[u8], limits: &FramingLimits) -> Bytes {
    let mut fields = Fields { rest: read };
    let Some(start_line) = fields.next().filter(|field| is_well_formed(field)) else {
        return Bytes::new();
    };
    let mut head = BytesMut::with_capacity(read.len().min(limits.head) + 2);
    head.put_slice(start_line);
    for field in fields {
        if field == b"\r\n" {
            break;
        }
        if field.len() <= limits.header_line + 2 && is_well_formed(field) {
            head.put_slice(field);
        }
    }
    head.put_slice(b"\r\n");
    head.freeze()
}

/// Ends in CRLF, and every CR and LF in it belongs to a CRLF.
fn is_well_formed(field: &[u8]) -> bool {
    let mut rest = field;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        match rest.get(at..at + 2) {
            Some(b"\r\n") => rest = rest.get(at + 2..).unwrap_or_default(),
            _ => return false,
        }
    }
    rest.is_empty() && !field.is_empty()
}

/// Header fields with their line ends, folded lines joined to the field they continue. The last may be cut.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut end = line_end(self.rest, 0)?;
        while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
            end = line_end(self.rest, end)?;
        }
        // The empty line ends the head; a field that the input ends in may still be continued.
        let (field, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(field)
    }
}

fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    Some(from + memchr::memchr(b'\n', bytes.get(from..)?)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(read: &str, expect: &str) {
        let limits = FramingLimits {
            header_line: 20,
            ..FramingLimits::default()
        };
        assert_eq!(extract(read.as_bytes(), &limits), expect, "{read:?}");
    }

    #[test]
    fn only_whole_and_bounded_fields_are_kept() {
        check(
            "A b\r\nVia: 1\r\nTo: 2\r\n\r\nC d\r\nVia: 3\r\n\r\n",
            "A b\r\nVia: 1\r\nTo: 2\r\n\r\n",
        );
        check("A b\r\nVia: 1\r\nTo: unfinish", "A b\r\nVia: 1\r\n\r\n");
        check(
            "A b\r\nVia: 1\nTo: 2\r\nFrom: 3\r\n",
            "A b\r\nTo: 2\r\nFrom: 3\r\n\r\n",
        );
        check("A b\r\nVia: 1\rX\r\nTo: 2\r\n", "A b\r\nTo: 2\r\n\r\n");
        check("A b\r\nVia: 1\r\n x\n y\r\nTo: 2\r\n", "A b\r\nTo: 2\r\n\r\n");
        check(
            "A b\r\nVia: 1\r\n x\r\nTo: 2\r\n",
            "A b\r\nVia: 1\r\n x\r\nTo: 2\r\n\r\n",
        );
        check(
            "A b\r\nVia: 01234567890123456789\r\nTo: 2\r\n",
            "A b\r\nTo: 2\r\n\r\n",
        );
    }

    #[test]
    fn without_a_start_line_there_is_nothing_to_answer() {
        check("", "");
        check("A b", "");
        check("A b\nVia: 1\r\n", "");
        check("A\rb\r\nVia: 1\r\n", "");
    }
}
