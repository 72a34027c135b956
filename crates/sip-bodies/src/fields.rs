//! Header fields inside a body: the envelope of CPIM and the headers of MIME parts.

use std::borrow::Cow;
use std::ops::Range;

use crate::BodyError;

/// Most header fields of one message or part, envelope and content together. Answer: 400.
pub const FIELDS: usize = 64;

/// Longest header field in bytes. Answer: 400.
pub const FIELD_BYTES: usize = 8 * 1024;

/// Which grammar the fields follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// RFC 3862 section 2.2: parameters before the value, no folding.
    Cpim,
    /// RFC 2045: folded lines.
    Mime,
}

/// Where one field is in its body.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Reads fields up to and with the empty line; gives the position after it.
pub(crate) fn read_block(
    whole: &[u8],
    start: usize,
    fields: &mut Vec<Field>,
    style: Style,
) -> Result<usize, BodyError> {
    let first = fields.len();
    let mut position = start;
    loop {
        let rest = whole.get(position..).unwrap_or_default();
        let length = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .ok_or(BodyError::Malformed("header fields end early"))?;
        let line = position..position + length;
        position = line.end + 2;
        if length == 0 {
            return Ok(position);
        }
        let folded = matches!(whole.get(line.start), Some(b' ' | b'\t'));
        match fields.get_mut(first..).and_then(<[Field]>::last_mut) {
            // Only MIME folds: a line of the envelope that starts with a blank is an error in `read_field`.
            Some(previous) if folded && style == Style::Mime => previous.value.end = trim(whole, line).end,
            _ => fields.push(read_field(whole, line, style)?),
        }
        if fields.len() > FIELDS {
            return Err(BodyError::Limit("header fields in a body"));
        }
        if fields
            .last()
            .is_some_and(|field| field.value.end.saturating_sub(field.name.start) > FIELD_BYTES)
        {
            return Err(BodyError::Limit("header field length in a body"));
        }
    }
}

/// `Name: value`, and in the envelope `Name:;parameter value` (RFC 3862 section 2.2).
fn read_field(whole: &[u8], line: Range<usize>, style: Style) -> Result<Field, BodyError> {
    let bytes = whole.get(line.clone()).unwrap_or_default();
    let colon = bytes
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(BodyError::Malformed("header field without a colon in a body"))?;
    let name = line.start..line.start + colon;
    let is_name = |byte: &u8| byte.is_ascii_graphic();
    if colon == 0 || !bytes.iter().take(colon).all(is_name) {
        return Err(BodyError::Malformed("header field name in a body"));
    }
    let after = bytes.get(colon + 1..).unwrap_or_default();
    let skipped = if style == Style::Cpim && after.first() == Some(&b';') {
        end_of_parameters(after)
    } else {
        0
    };
    let value = trim(whole, line.start + colon + 1 + skipped..line.end);
    Ok(Field { name, value })
}

/// The first blank outside quotes: where the value begins.
fn end_of_parameters(text: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (position, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' if !quoted => return position,
            _ => {}
        }
    }
    text.len()
}

fn trim(whole: &[u8], range: Range<usize>) -> Range<usize> {
    let bytes = whole.get(range.clone()).unwrap_or_default();
    let end = range.start + bytes.trim_ascii_end().len();
    let start = end - bytes.trim_ascii().len();
    start..end
}

/// The value of a folded field on one line.
pub(crate) fn unfold(value: &str) -> Cow<'_, str> {
    if value.contains("\r\n") {
        Cow::Owned(value.replace("\r\n", ""))
    } else {
        Cow::Borrowed(value)
    }
}
