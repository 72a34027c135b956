//! Finding the lines and fields of a head, in one pass.

use super::ParseErrorKind;
use crate::header::fields::{Field, Index};
use crate::header::name::{OTHER, lookup};
use crate::limits;
use crate::syntax::{is_blank, is_token_byte};

/// What is wrong, and where.
pub(super) type Fault = (ParseErrorKind, usize);

/// Finds all fields of `head`, which is UTF-8 and not too long, and checks line ends, field names and lengths. Returns
/// where the start line ends, before its CRLF.
pub(super) fn scan(head: &[u8], index: &mut Index) -> Result<usize, Fault> {
    let mut lines = Lines {
        head,
        at: 0,
        count: 0,
    };
    let (_, start_line) = lines.next_line()?;
    if start_line > limits::START_LINE {
        return Err((ParseErrorKind::StartLineTooLong, limits::START_LINE));
    }
    loop {
        let (start, end) = lines.next_line()?;
        if start == end {
            break;
        }
        if head.get(start).copied().is_some_and(is_blank) {
            let field = index.last_mut().ok_or((ParseErrorKind::Fold, start))?;
            extend(head, field, start, end)?;
            continue;
        }
        if end.saturating_sub(start) > limits::HEADER_LINE {
            return Err((ParseErrorKind::HeaderTooLong, start));
        }
        if index.len() >= limits::HEADER_FIELDS {
            return Err((ParseErrorKind::TooManyFields, start));
        }
        index.push(field(head, start, end)?);
    }
    if lines.at != head.len() {
        return Err((ParseErrorKind::HeadEnd, lines.at));
    }
    check_controls(head, lines.count)?;
    Ok(start_line)
}

struct Lines<'a> {
    head: &'a [u8],
    at: usize,
    /// How many lines were given.
    count: usize,
}

impl Lines<'_> {
    /// The next line without its CRLF, as start and end.
    fn next_line(&mut self) -> Result<(usize, usize), Fault> {
        let start = self.at;
        let rest = self.head.get(start..).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).ok_or((ParseErrorKind::HeadEnd, self.head.len()))?;
        let line = rest.get(..length).unwrap_or_default();
        self.at = start.saturating_add(length).saturating_add(1);
        self.count = self.count.saturating_add(1);
        match line.strip_suffix(b"\r") {
            Some(line) => Ok((start, start.saturating_add(line.len()))),
            None => Err((ParseErrorKind::LineEnd, start.saturating_add(length))),
        }
    }
}

/// Checks that there is no CR but those at the ends of the `lines`, and no NUL that is not escaped.
///
/// Counting is much faster than looking at each CR.
fn check_controls(head: &[u8], lines: usize) -> Result<(), Fault> {
    if memchr::memchr_iter(b'\r', head).count() != lines {
        let bare = memchr::memchr_iter(b'\r', head).find(|at| head.get(at.saturating_add(1)) != Some(&b'\n'));
        return Err((ParseErrorKind::LineEnd, bare.unwrap_or_default()));
    }
    match memchr::memchr(0, head) {
        Some(_) => check_nuls(head),
        None => Ok(()),
    }
}

/// A NUL may only be the escaped character of a quoted pair (RFC 3261 section 25.1).
fn check_nuls(head: &[u8]) -> Result<(), Fault> {
    let (mut quoted, mut escape) = (false, false);
    for (at, &byte) in head.iter().enumerate() {
        match byte {
            0 if !escape => return Err((ParseErrorKind::Nul, at)),
            b'\n' => (quoted, escape) = (false, false),
            _ if escape => escape = false,
            b'\\' if quoted => escape = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    Ok(())
}

/// The field that begins on the line `start..end`.
fn field(head: &[u8], start: usize, end: usize) -> Result<Field, Fault> {
    let fault = (ParseErrorKind::HeaderField, start);
    let line = head.get(start..end).unwrap_or_default();
    // Names are short: a plain loop is faster than a search with vectors.
    let colon = line.iter().position(|byte| *byte == b':').ok_or(fault)?;
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

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some((last, rest)) = text.split_last() {
        if !is_blank(*last) {
            break;
        }
        text = rest;
    }
    text
}

fn position(at: usize) -> Result<u32, Fault> {
    u32::try_from(at).map_err(|_| (ParseErrorKind::HeadTooLarge, at))
}
