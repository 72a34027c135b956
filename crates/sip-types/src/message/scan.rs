//! Finding the lines and fields of a head, in one pass.

use super::ParseErrorKind;
use crate::header::fields::{Field, Index};
use crate::header::name::{OTHER, lookup};
use crate::limits;
use crate::syntax::{is_blank, is_token_byte};

/// What is wrong, and where.
pub(super) type Fault = (ParseErrorKind, usize);

/// The structure of a head.
pub(super) struct Scanned {
    /// End of the start line, before its CRLF.
    pub(super) start_line: usize,
    /// The header fields.
    pub(super) index: Index,
}

/// Finds the start line and all fields of `head`, and checks line ends, field names and lengths.
pub(super) fn scan(head: &[u8]) -> Result<Scanned, Fault> {
    if head.len() > limits::HEAD {
        return Err((ParseErrorKind::HeadTooLarge, limits::HEAD));
    }
    if let Err(error) = std::str::from_utf8(head) {
        return Err((ParseErrorKind::NotUtf8, error.valid_up_to()));
    }
    let mut lines = Lines { head, at: 0 };
    let (start, start_line) = lines.next_line(limits::START_LINE).map_err(start_line_fault)?;
    debug_assert_eq!(start, 0);
    let mut index = Index::new();
    loop {
        let (start, end) = lines.next_line(limits::HEADER_LINE)?;
        if start == end {
            break;
        }
        if head.get(start).copied().is_some_and(is_blank) {
            let field = index.last_mut().ok_or((ParseErrorKind::Fold, start))?;
            extend(head, field, start, end)?;
        } else {
            if index.len() >= limits::HEADER_FIELDS {
                return Err((ParseErrorKind::TooManyFields, start));
            }
            index.push(field(head, start, end)?);
        }
    }
    if lines.at != head.len() {
        return Err((ParseErrorKind::HeadEnd, lines.at));
    }
    Ok(Scanned { start_line, index })
}

/// Of lines that are too long, that of the start line has an answer of its own.
fn start_line_fault((kind, at): Fault) -> Fault {
    match kind {
        ParseErrorKind::HeaderTooLong => (ParseErrorKind::StartLineTooLong, at),
        other => (other, at),
    }
}

struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl Lines<'_> {
    /// The next line without its CRLF, as start and end.
    fn next_line(&mut self, limit: usize) -> Result<(usize, usize), Fault> {
        let start = self.at;
        let mut from = start;
        loop {
            let rest = self.head.get(from..).unwrap_or_default();
            let found =
                memchr::memchr3(b'\r', b'\n', 0, rest).ok_or((ParseErrorKind::HeadEnd, self.head.len()))?;
            let at = from.saturating_add(found);
            let end = at.saturating_add(1);
            match self.head.get(at) {
                Some(b'\r') if self.head.get(end) == Some(&b'\n') => {
                    if at.saturating_sub(start) > limit {
                        return Err((ParseErrorKind::HeaderTooLong, start.saturating_add(limit)));
                    }
                    self.at = end.saturating_add(1);
                    return Ok((start, at));
                }
                Some(0) if is_escaped_nul(self.head.get(start..at).unwrap_or_default()) => from = end,
                Some(0) => return Err((ParseErrorKind::Nul, at)),
                _ => return Err((ParseErrorKind::LineEnd, at)),
            }
        }
    }
}

/// Whether a NUL after `line` is the escaped character of a quoted pair (RFC 3261 section 25.1).
fn is_escaped_nul(line: &[u8]) -> bool {
    let (mut quoted, mut escape) = (false, false);
    for &byte in line {
        match byte {
            _ if escape => escape = false,
            b'\\' if quoted => escape = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    escape
}

/// The field that begins on the line `start..end`.
fn field(head: &[u8], start: usize, end: usize) -> Result<Field, Fault> {
    let fault = (ParseErrorKind::HeaderField, start);
    let line = head.get(start..end).unwrap_or_default();
    let colon = memchr::memchr(b':', line).ok_or(fault)?;
    // RFC 3261 section 7.3.1 allows blanks before the colon.
    let name = trim_end(line.get(..colon).unwrap_or_default());
    let id = lookup(name);
    if id == OTHER && (name.is_empty() || !name.iter().copied().all(is_token_byte)) {
        return Err(fault);
    }
    let (value, value_end) = trimmed(head, start.saturating_add(colon).saturating_add(1), end);
    Ok(Field {
        start: position(start)?,
        value: position(value)?,
        end: position(value_end)?,
        name_len: u16::try_from(name.len()).map_err(|_| fault)?,
        id,
        folded: false,
    })
}

/// Adds the continuation line `start..end` to `field`.
fn extend(head: &[u8], field: &mut Field, start: usize, end: usize) -> Result<(), Fault> {
    if end.saturating_sub(field.start as usize) > limits::HEADER_LINE {
        return Err((ParseErrorKind::HeaderTooLong, start));
    }
    let (value, value_end) = trimmed(head, start, end);
    if value == value_end {
        return Ok(());
    }
    if field.value == field.end {
        field.value = position(value)?;
    } else {
        field.folded = true;
    }
    field.end = position(value_end)?;
    Ok(())
}

/// `start..end` without blanks at both ends.
fn trimmed(head: &[u8], start: usize, end: usize) -> (usize, usize) {
    let text = head.get(start..end).unwrap_or_default();
    let lead = text.iter().take_while(|byte| is_blank(**byte)).count();
    let start = start.saturating_add(lead);
    let rest = trim_end(text.get(lead..).unwrap_or_default());
    (start, start.saturating_add(rest.len()))
}

fn trim_end(text: &[u8]) -> &[u8] {
    let blanks = text.iter().rev().take_while(|byte| is_blank(**byte)).count();
    text.get(..text.len().saturating_sub(blanks)).unwrap_or_default()
}

fn position(at: usize) -> Result<u32, Fault> {
    u32::try_from(at).map_err(|_| (ParseErrorKind::HeadTooLarge, at))
}
