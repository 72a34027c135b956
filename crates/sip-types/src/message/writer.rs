//! [`HeadWriter`]: writes a head and its index together, so that what we build need not be parsed.

use std::fmt::{self, Display, Write as _};

use bytes::Bytes;

use crate::header::fields::{Field, Index};
use crate::header::name::lookup;
use crate::header::{HeaderName, Headers};
use crate::syntax::{is_blank, is_token_byte};

/// Room for a typical head.
const CAPACITY: usize = 640;

/// A head that grows line by line.
///
/// Invariant: `text` is UTF-8, and `index` has the positions of all its fields.
#[derive(Clone, Debug)]
pub(super) struct HeadWriter {
    text: String,
    index: Index,
}

impl HeadWriter {
    /// Begins with this start line (without its CRLF).
    pub(super) fn new(start_line: fmt::Arguments<'_>) -> Self {
        let mut writer = Self {
            text: String::with_capacity(CAPACITY),
            index: Index::new(),
        };
        writer.write_clean(start_line);
        writer.text.push_str("\r\n");
        writer
    }

    /// Replaces the start line.
    pub(super) fn set_start_line(&mut self, start_line: fmt::Arguments<'_>) {
        let mut line = Self {
            text: String::new(),
            index: Index::new(),
        };
        line.write_clean(start_line);
        let end = self.text.find('\r').unwrap_or_default();
        self.replace(0, end, &line.text);
    }

    /// Adds one field. A Content-Length is left out: [`HeadWriter::finish`] writes it.
    pub(super) fn field(&mut self, name: &HeaderName, value: &dyn Display) {
        if *name != HeaderName::ContentLength {
            self.push_field(name.as_str(), value);
        }
    }

    /// Adds all fields of this name, as they are (unfolded).
    pub(super) fn copy(&mut self, headers: &Headers, name: &HeaderName) {
        for value in headers.get_all(name) {
            self.field(name, &value);
        }
    }

    /// The value of the first field of this name.
    pub(super) fn value(&self, name: &HeaderName) -> Option<&str> {
        let field = self.index.iter().find(|field| field.id == name.id())?;
        self.text.get(field.value_range())
    }

    /// Puts `text` behind the value of the first field of this name.
    pub(super) fn append_to(&mut self, name: &HeaderName, text: &str) {
        let Some(at) = self.index.iter().position(|field| field.id == name.id()) else {
            return;
        };
        let Some(end) = self.index.get(at).map(|field| field.end as usize) else {
            return;
        };
        self.replace(end, end, text);
        // `replace` moves what begins behind the place; the value itself ends later now.
        if let Some(field) = self.index.get_mut(at) {
            field.end = position(end.saturating_add(text.len()));
        }
    }

    /// Writes Content-Length and the empty line.
    pub(super) fn finish(mut self, body_len: usize) -> Headers {
        self.push_field(HeaderName::ContentLength.as_str(), &body_len);
        self.text.push_str("\r\n");
        Headers::new(Bytes::from(self.text.into_bytes()), self.index)
    }

    fn push_field(&mut self, name: &str, value: &dyn Display) {
        let start = self.text.len();
        self.text.extend(
            name.chars()
                .map(|character| if is_token_char(character) { character } else { '-' }),
        );
        if self.text.len() == start {
            self.text.push('-');
        }
        let name_end = self.text.len();
        self.text.push_str(": ");
        let value_start = self.text.len();
        self.write_clean(format_args!("{value}"));
        let written = self.text.get(value_start..).unwrap_or_default();
        let end = value_start.saturating_add(written.trim_end_matches([' ', '\t']).len());
        self.text.truncate(end);
        let blanks = self
            .text
            .bytes()
            .skip(value_start)
            .take_while(|byte| is_blank(*byte))
            .count();
        let id = lookup(self.text.get(start..name_end).unwrap_or_default().as_bytes());
        self.index.push(Field {
            start: position(start),
            value: position(value_start.saturating_add(blanks)),
            end: position(end),
            name_len: u16::try_from(name_end.saturating_sub(start)).unwrap_or(u16::MAX),
            id,
            folded: false,
        });
        self.text.push_str("\r\n");
    }

    /// Appends `value`; what could end a line becomes a space.
    fn write_clean(&mut self, value: fmt::Arguments<'_>) {
        // Writing to a String does not fail; a Display that fails has written what it could.
        let _ = Clean(&mut self.text).write_fmt(value);
    }

    /// Replaces the bytes `from..to` and moves the positions of the fields that begin behind them.
    fn replace(&mut self, from: usize, to: usize, text: &str) {
        if from > to || !self.text.is_char_boundary(from) || !self.text.is_char_boundary(to) {
            return;
        }
        self.text.replace_range(from..to, text);
        let removed = to.saturating_sub(from);
        let moved = |at: u32| position((at as usize).saturating_add(text.len()).saturating_sub(removed));
        for field in self.index.iter_mut().filter(|field| field.start as usize >= to) {
            field.start = moved(field.start);
            field.value = moved(field.value);
            field.end = moved(field.end);
        }
    }
}

/// `headers` with one more field before Content-Length, or at the end if there is none.
pub(super) fn with_field(headers: &Headers, name: &HeaderName, value: &dyn Display) -> Headers {
    let mut line = HeadWriter {
        text: String::new(),
        index: Index::new(),
    };
    line.field(name, value);
    let Some(new) = line.index.first().copied() else {
        return headers.clone();
    };

    let index = headers.index();
    let length = index
        .iter()
        .position(|field| field.id == HeaderName::ContentLength.id());
    let (slot, place) = match length.and_then(|slot| Some((slot, index.get(slot)?))) {
        Some((slot, field)) => (slot, field.start as usize),
        // Before the empty line.
        None => (index.len(), headers.head().len().saturating_sub(2)),
    };
    let head = headers.head();
    let (Some(before), Some(after)) = (head.get(..place), head.get(place..)) else {
        return headers.clone();
    };
    let mut text = Vec::with_capacity(head.len().saturating_add(line.text.len()));
    text.extend_from_slice(before);
    text.extend_from_slice(line.text.as_bytes());
    text.extend_from_slice(after);

    let mut all = Index::with_capacity(index.len().saturating_add(1));
    all.extend(index.iter().take(slot).copied());
    all.push(shifted(new, place));
    all.extend(
        index
            .iter()
            .skip(slot)
            .map(|field| shifted(*field, line.text.len())),
    );
    Headers::new(Bytes::from(text), all)
}

fn shifted(field: Field, by: usize) -> Field {
    let moved = |at: u32| position((at as usize).saturating_add(by));
    Field {
        start: moved(field.start),
        value: moved(field.value),
        end: moved(field.end),
        ..field
    }
}

fn is_token_char(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_token_byte)
}

/// Heads of 4 GiB are not built; should one be, its positions are wrong but nothing panics.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Replaces CR, LF and NUL by spaces: a value never begins a second header.
struct Clean<'a>(&'a mut String);

impl fmt::Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if memchr::memchr3(b'\r', b'\n', 0, text.as_bytes()).is_none() {
            self.0.push_str(text);
        } else {
            self.0.extend(text.chars().map(|character| {
                if matches!(character, '\r' | '\n' | '\0') {
                    ' '
                } else {
                    character
                }
            }));
        }
        Ok(())
    }
}
