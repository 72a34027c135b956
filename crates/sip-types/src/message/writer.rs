//! [`HeadWriter`]: writes a head and its index together, so that what we build need not be parsed.

use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

use crate::header::fields::{Field, Index};
use crate::header::name::lookup;
use crate::header::{HeaderName, Headers};
use crate::syntax::{is_blank, is_token_byte};
use crate::text::SipStr;

/// Room for a typical head.
const CAPACITY: usize = 640;

/// A head that grows line by line, with the positions of all its fields.
#[derive(Clone, Debug)]
pub(super) struct HeadWriter {
    text: String,
    /// Shared only once it is finished.
    index: Arc<Index>,
}

impl HeadWriter {
    /// Begins with this start line (without its CRLF).
    pub(super) fn new(start_line: fmt::Arguments<'_>) -> Self {
        let mut writer = Self {
            text: String::with_capacity(CAPACITY),
            index: Arc::new(Index::new()),
        };
        writer.write_clean(start_line);
        writer.text.push_str("\r\n");
        writer
    }

    /// Nothing yet, not even a start line.
    fn empty() -> Self {
        Self {
            text: String::new(),
            index: Arc::new(Index::new()),
        }
    }

    /// Replaces the start line.
    pub(super) fn set_start_line(&mut self, start_line: fmt::Arguments<'_>) {
        let mut line = Self::empty();
        line.write_clean(start_line);
        let end = self.text.find('\r').unwrap_or_default();
        self.replace(0, end, &line.text);
    }

    /// Adds one field. A Content-Length is left out: [`HeadWriter::finish`] writes it.
    pub(super) fn field(&mut self, name: &HeaderName, value: &dyn Display) {
        if *name != HeaderName::ContentLength {
            self.push_field(name, |writer| writer.write_clean(format_args!("{value}")));
        }
    }

    /// Adds all fields of this name, as they are (unfolded).
    pub(super) fn copy(&mut self, headers: &Headers, name: &HeaderName) {
        if *name != HeaderName::ContentLength {
            for value in headers.get_all(name) {
                self.push_field(name, |writer| push_clean(&mut writer.text, &value));
            }
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
        if let Some(field) = Arc::make_mut(&mut self.index).get_mut(at) {
            field.end = position(end.saturating_add(text.len()));
        }
    }

    /// Writes Content-Length and the empty line.
    pub(super) fn finish(mut self, body_len: usize) -> Headers {
        self.push_field(&HeaderName::ContentLength, |writer| {
            writer.write_clean(format_args!("{body_len}"))
        });
        self.text.push_str("\r\n");
        Headers::new(SipStr::from(self.text), self.index)
    }

    fn push_field(&mut self, name: &HeaderName, write_value: impl FnOnce(&mut Self)) {
        let start = self.text.len();
        let id = self.push_name(name);
        let name_end = self.text.len();
        self.text.push_str(": ");
        let value_start = self.text.len();
        write_value(self);
        let value = self.text.get(value_start..).unwrap_or_default();
        let end = value_start.saturating_add(value.trim_end_matches([' ', '\t']).len());
        let blanks = value.bytes().take_while(|byte| is_blank(*byte)).count();
        self.text.truncate(end);
        Arc::make_mut(&mut self.index).push(Field {
            start: position(start),
            value: position(value_start.saturating_add(blanks).min(end)),
            end: position(end),
            name_len: u16::try_from(name_end.saturating_sub(start)).unwrap_or(u16::MAX),
            id,
            folded: false,
        });
        self.text.push_str("\r\n");
    }

    /// Writes a name, with `-` for what no name may have, and gives its place in the name table.
    fn push_name(&mut self, name: &HeaderName) -> u8 {
        let HeaderName::Other(other) = name else {
            self.text.push_str(name.as_str());
            return name.id();
        };
        let start = self.text.len();
        self.text.extend(
            other
                .chars()
                .map(|character| if is_token_char(character) { character } else { '-' }),
        );
        if other.is_empty() {
            self.text.push('-');
        }
        lookup(self.text.as_bytes().get(start..).unwrap_or_default())
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
        for field in Arc::make_mut(&mut self.index)
            .iter_mut()
            .filter(|field| field.start as usize >= to)
        {
            field.start = moved(field.start);
            field.value = moved(field.value);
            field.end = moved(field.end);
        }
    }
}

/// `headers` with one more field before Content-Length, or at the end if there is none.
pub(super) fn with_field(headers: &Headers, name: &HeaderName, value: &dyn Display) -> Headers {
    let mut line = HeadWriter::empty();
    line.field(name, value);
    let Some(new) = line.index.first().copied() else {
        return headers.clone();
    };

    let (head, index) = (headers.head(), headers.index());
    let length = index
        .iter()
        .position(|field| field.id == HeaderName::ContentLength.id());
    let (slot, place) = match length.and_then(|slot| Some((slot, index.get(slot)?))) {
        Some((slot, field)) => (slot, field.start as usize),
        // Before the empty line.
        None => (index.len(), head.len().saturating_sub(2)),
    };
    let (before, after) = crate::syntax::split_at(head, place);
    let text = [before, &line.text, after].concat();

    let mut all = Arc::new(Index::new());
    let fields = Arc::make_mut(&mut all);
    fields.extend(index.iter().take(slot).copied());
    fields.push(shifted(new, place));
    fields.extend(
        index
            .iter()
            .skip(slot)
            .map(|field| shifted(*field, line.text.len())),
    );
    Headers::new(SipStr::from(text), all)
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

/// Appends `text` with CR, LF and NUL replaced by spaces: a value never begins a second header.
fn push_clean(to: &mut String, text: &str) {
    if memchr::memchr3(b'\r', b'\n', 0, text.as_bytes()).is_none() {
        to.push_str(text);
    } else {
        to.extend(text.chars().map(|character| {
            if matches!(character, '\r' | '\n' | '\0') {
                ' '
            } else {
                character
            }
        }));
    }
}

struct Clean<'a>(&'a mut String);

impl fmt::Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_clean(self.0, text);
        Ok(())
    }
}
