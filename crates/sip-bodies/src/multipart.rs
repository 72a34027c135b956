//! [`parts`]: the parts of a `multipart/...` body (RFC 2046 section 5.1); [`Related`] prints one.

mod related;

use bytes::Bytes;

pub use related::{Related, RelatedError, RelatedPart, RelatedStyle};

use crate::BodyError;
use crate::fields::{Style, read_block, unfold};
use crate::media_type::MediaType;

/// Most parts of one body. Answer: 400.
pub const PARTS: usize = 32;

/// Longest boundary (section 5.1.1).
const BOUNDARY_BYTES: usize = 70;

/// One part. The body refers to the whole; nothing is copied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// `Content-Type`; text/plain if the part does not say (section 5.1).
    pub content_type: String,
    /// Whether the body stands for itself: no `Content-Transfer-Encoding`, or one that changes nothing.
    pub is_plain_encoding: bool,
    /// The content as it was sent.
    pub body: Bytes,
}

/// Takes a multipart body apart.
///
/// What stands before the first boundary and after the last is ignored, and so is a missing last boundary if
/// everything else is there.
///
/// # Errors
/// [`BodyError::Malformed`] if the type names no usable boundary, none is found or a part's headers are broken,
/// [`BodyError::Limit`] beyond [`PARTS`] or the limits on header fields.
pub fn parts(content_type: &str, body: &Bytes) -> Result<Vec<Part>, BodyError> {
    let boundary = MediaType::parse(content_type).and_then(|media| media.parameter("boundary"));
    let boundary = boundary.filter(|text| !text.is_empty() && text.len() <= BOUNDARY_BYTES);
    let boundary = boundary.ok_or(BodyError::Malformed("multipart without a boundary"))?;
    let mut parts = Vec::new();
    let mut delimiter =
        find(body, 0, boundary.as_bytes()).ok_or(BodyError::Malformed("multipart without a part"))?;
    while !delimiter.is_last {
        if parts.len() >= PARTS {
            return Err(BodyError::Limit("parts of a multipart body"));
        }
        let next = find(body, delimiter.end, boundary.as_bytes());
        let end = next.as_ref().map_or(body.len(), |next| next.start);
        parts.push(read_part(&body.slice(delimiter.end.min(end)..end))?);
        match next {
            Some(next) => delimiter = next,
            None => break,
        }
    }
    Ok(parts)
}

struct Delimiter {
    /// Where the line break before it begins, which belongs to it.
    start: usize,
    /// Behind its line.
    end: usize,
    is_last: bool,
}

/// The first line from `from` on that is `--boundary` or `--boundary--`, blanks at its end allowed.
fn find(body: &[u8], from: usize, boundary: &[u8]) -> Option<Delimiter> {
    let mut line_start = from;
    loop {
        let rest = body.get(line_start..)?;
        let length = rest.windows(2).position(|pair| pair == b"\r\n");
        let line = rest.get(..length.unwrap_or(rest.len()))?;
        if let Some(tail) = line
            .strip_prefix(b"--")
            .and_then(|line| line.strip_prefix(boundary))
        {
            let tail = tail.trim_ascii_end();
            if tail.is_empty() || tail == b"--" {
                return Some(Delimiter {
                    // At the very beginning there is no line break before it.
                    start: if line_start > from {
                        line_start - 2
                    } else {
                        line_start
                    },
                    end: line_start + length.map_or(rest.len(), |length| length + 2),
                    is_last: tail == b"--",
                });
            }
        }
        line_start += length? + 2;
    }
}

fn read_part(part: &Bytes) -> Result<Part, BodyError> {
    let mut fields = Vec::new();
    let body_at = read_block(part, 0, &mut fields, Style::Mime)?;
    let value_of = |name: &str| {
        let text =
            |range: std::ops::Range<usize>| std::str::from_utf8(part.get(range).unwrap_or_default()).ok();
        let field = fields
            .iter()
            .find(|field| text(field.name.clone()).is_some_and(|n| n.eq_ignore_ascii_case(name)))?;
        text(field.value.clone()).map(|value| unfold(value).into_owned())
    };
    let encoding = value_of("Content-Transfer-Encoding").unwrap_or_default();
    Ok(Part {
        content_type: value_of("Content-Type").unwrap_or_else(|| "text/plain".to_owned()),
        is_plain_encoding: ["", "7bit", "8bit", "binary"]
            .iter()
            .any(|known| encoding.eq_ignore_ascii_case(known)),
        body: part.slice(body_at..),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/alternative; boundary=\"--=_x\"";

    fn split(body: &str) -> Result<Vec<Part>, BodyError> {
        parts(TYPE, &Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn parts_are_found_between_their_boundaries() {
        let found = split(
            "preamble\r\n----=_x  \r\nContent-Type: text/plain;\r\n charset=utf-8\r\n\r\nhi\r\n--not\r\n----=_x\r\n\
             Content-Type: text/html\r\nContent-Transfer-Encoding: BASE64\r\n\r\nPGI+\r\n----=_x\r\n\r\n\r\n----=_x--\r\nepilogue",
        )
        .unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|part| {
                (
                    part.content_type.as_str(),
                    part.is_plain_encoding,
                    part.body.as_ref(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("text/plain; charset=utf-8", true, b"hi\r\n--not".as_ref()),
                ("text/html", false, b"PGI+".as_ref()),
                ("text/plain", true, b"".as_ref()),
            ]
        );
    }

    #[test]
    fn a_missing_last_boundary_is_forgiven() {
        let found = split("----=_x\r\nContent-Type: text/plain\r\n\r\nhi").unwrap();
        assert_eq!(found.first().map(|part| part.body.as_ref()), Some(b"hi".as_ref()));
        assert_eq!(split("----=_x--"), Ok(vec![]));
    }

    #[test]
    fn broken_bodies_are_malformed() {
        for body in [
            "",
            "hi",
            "----=_x\r\n",
            "----=_x\r\nContent-Type\r\n\r\nhi",
            "----=_xy\r\n\r\nhi",
        ] {
            assert!(
                matches!(split(body), Err(BodyError::Malformed(_))),
                "{body:?}: {:?}",
                split(body)
            );
        }
        let long = format!("multipart/mixed;boundary={}", "x".repeat(BOUNDARY_BYTES + 1));
        for content_type in [
            "multipart/mixed",
            "multipart/mixed;boundary=\"\"",
            "nonsense",
            long.as_str(),
        ] {
            assert!(
                parts(content_type, &Bytes::from_static(b"--x\r\n\r\n")).is_err(),
                "{content_type}"
            );
        }
    }

    #[test]
    fn the_limit_on_parts_holds_at_its_value_and_one_above() {
        let many = |count: usize| format!("{}----=_x--", "----=_x\r\n\r\n\r\n".repeat(count));
        assert_eq!(split(&many(PARTS)).unwrap().len(), PARTS);
        assert!(matches!(split(&many(PARTS + 1)), Err(BodyError::Limit(_))));
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart(bodies in proptest::collection::vec("[a-z\r\n-]{0,20}", 0..5)) {
            let mut whole = String::new();
            for body in &bodies {
                whole.push_str(&format!("----=_x\r\n\r\n{body}\r\n"));
            }
            whole.push_str("----=_x--\r\n");
            let found: Vec<_> = split(&whole).unwrap().into_iter().map(|part| part.body).collect();
            prop_assert_eq!(found, bodies);
        }

        #[test]
        fn random_lines_never_panic(body in "((--)?(--=_x)?(--)?[a-z: ]{0,3}\r?\n?){0,12}") {
            let _ = split(&body);
        }
    }
}
