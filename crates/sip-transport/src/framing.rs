//! Which bytes of a stream are one message (RFC 3261 sections 7.5 and 18.3).
//!
//! Framing knows CRLF, `Content-Length` and bounds, and nothing of the grammar. It is total: no input makes
//! it panic, and it never holds more than one head and one body. It is resumable: the search for the end of
//! a head goes on where it stopped, so a peer that sends one byte at a time costs linear work, and the way a
//! stream is cut into reads never changes what comes out of it.
//!
//! Framing never guesses. Where the length of a message is in doubt the connection is over: what follows
//! could be somebody else's request hidden behind a false length, so nothing behind a framing error is ever
//! looked at.

mod content_length;
mod reply_source;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use content_length::ContentLength;
use memchr::memchr2_iter;

/// Bounds of one message on a stream. None can be switched off; [`Default`] gives the documented figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramingLimits {
    /// Longest start line in bytes, without its CRLF.
    pub start_line: usize,
    /// Longest header field in bytes, folded lines included, without its last CRLF.
    pub header_line: usize,
    /// Longest head in bytes: start line, header fields and the empty line.
    pub head: usize,
    /// Longest body in bytes.
    pub body: usize,
}

impl Default for FramingLimits {
    fn default() -> Self {
        Self {
            start_line: 8 * 1024,
            header_line: 8 * 1024,
            head: 64 * 1024,
            body: 128 * 1024,
        }
    }
}

/// One message as it stood on the wire, not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Start line to the empty line, both included.
    pub head: Bytes,
    /// Exactly `Content-Length` bytes.
    pub body: Bytes,
}

/// What the stream held next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A complete message.
    Frame(Frame),
    /// CRLFs between messages (RFC 3261 section 7.5, RFC 5626 section 3.5.1).
    KeepAlive {
        /// How many bytes they took.
        bytes: usize,
        /// How many double CRLFs (pings) were completed by them.
        pings: usize,
    },
}

/// Where in the stream the framer stands; the deadlines depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Between messages.
    Between,
    /// Inside a head.
    Head,
    /// Inside a body of this many bytes.
    Body(usize),
    /// A framing error happened; nothing more is read.
    Failed,
}

/// Why the length of a message is not certain, or a bound was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FramingErrorKind {
    /// The start line is longer than the bound.
    #[error("start line too long")]
    StartLineTooLong,
    /// A header field is longer than the bound.
    #[error("header line too long")]
    HeaderLineTooLong,
    /// The head is longer than the bound.
    #[error("head too long")]
    HeadTooLong,
    /// A CR without LF or a LF without CR inside the head.
    #[error("bare CR or LF in the head")]
    BareLineEnd,
    /// No `Content-Length`: on a stream it is mandatory (RFC 3261 section 20.14).
    #[error("content-length missing")]
    ContentLengthMissing,
    /// More than one `Content-Length`, even with equal values.
    #[error("content-length repeated")]
    ContentLengthRepeated,
    /// A `Content-Length` that is not one plain decimal number that fits 64 bits.
    #[error("content-length is not a number")]
    ContentLengthInvalid,
    /// The body is longer than the bound. It is not read.
    #[error("body too large")]
    BodyTooLarge,
    /// The head was not complete in time.
    #[error("head not complete in time")]
    HeadTimeout,
    /// The body was not complete in time.
    #[error("body not complete in time")]
    BodyTimeout,
}

impl FramingErrorKind {
    /// Every kind, in the order of [`FramingErrorKind::index`]; for counters.
    pub const ALL: [Self; 10] = [
        Self::StartLineTooLong,
        Self::HeaderLineTooLong,
        Self::HeadTooLong,
        Self::BareLineEnd,
        Self::ContentLengthMissing,
        Self::ContentLengthRepeated,
        Self::ContentLengthInvalid,
        Self::BodyTooLarge,
        Self::HeadTimeout,
        Self::BodyTimeout,
    ];

    /// Position in [`FramingErrorKind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Name for a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartLineTooLong => "start_line_too_long",
            Self::HeaderLineTooLong => "header_line_too_long",
            Self::HeadTooLong => "head_too_long",
            Self::BareLineEnd => "bare_line_end",
            Self::ContentLengthMissing => "content_length_missing",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::ContentLengthInvalid => "content_length_invalid",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
        }
    }

    /// The status a request with this fault is answered with, before the connection is closed.
    pub fn status(self) -> u16 {
        match self {
            Self::StartLineTooLong => 414,
            Self::HeadTooLong => 513,
            Self::BodyTooLarge => 413,
            Self::HeadTimeout | Self::BodyTimeout => 408,
            Self::HeaderLineTooLong
            | Self::BareLineEnd
            | Self::ContentLengthMissing
            | Self::ContentLengthRepeated
            | Self::ContentLengthInvalid => 400,
        }
    }
}

/// A message whose end can not be known. The connection must be closed after the answer, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct FramingError {
    /// What was wrong.
    pub kind: FramingErrorKind,
    /// What an answer may be built from: the start line and those header fields of the message that were
    /// complete and within bounds, ended by an empty line. Empty if there is no usable start line.
    pub reply_source: Bytes,
}

/// Cuts a byte stream into messages. One per connection; holds no bytes of its own.
///
/// Feed it by appending to the buffer and calling [`Framer::next`] until it gives `None`.
#[derive(Debug)]
pub struct Framer {
    limits: FramingLimits,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// `half_ping`: an odd number of CRLFs was seen since the last message.
    Between {
        half_ping: bool,
    },
    Head(HeadScan),
    Body {
        head: usize,
        body: usize,
    },
    Failed,
}

impl Framer {
    /// A framer at the start of a stream.
    pub fn new(limits: FramingLimits) -> Self {
        Self {
            limits,
            stage: Stage::Between { half_ping: false },
        }
    }

    /// Takes the next event off the front of `buf`. `None`: more bytes are needed; call again after
    /// appending some.
    ///
    /// # Errors
    /// [`FramingError`] once; from then on `buf` is emptied and `None` is returned, so that nothing behind
    /// the error is ever seen as a message.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Event>, FramingError> {
        loop {
            match &mut self.stage {
                Stage::Between { half_ping } => {
                    if let Some(event) = skip_crlfs(buf, half_ping) {
                        return Ok(Some(event));
                    }
                    // A lone CR may yet become a CRLF.
                    if buf.is_empty() || buf[..] == *b"\r" {
                        return Ok(None);
                    }
                    self.stage = Stage::Head(HeadScan::default());
                }
                Stage::Head(scan) => match scan.resume(buf, &self.limits) {
                    Scan::More => return Ok(None),
                    Scan::Complete { head, body } => self.stage = Stage::Body { head, body },
                    Scan::Failed { kind, upto } => return Err(self.fail(buf, kind, upto)),
                },
                Stage::Body { head, body } => {
                    // Cannot overflow: both are bounded by the limits.
                    if buf.len() < *head + *body {
                        return Ok(None);
                    }
                    let frame = Frame {
                        head: buf.split_to(*head).freeze(),
                        body: buf.split_to(*body).freeze(),
                    };
                    self.stage = Stage::Between { half_ping: false };
                    return Ok(Some(Event::Frame(frame)));
                }
                Stage::Failed => {
                    buf.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// Gives up on a message that did not arrive in time; `None` between messages or after a failure.
    pub fn expire(&mut self, buf: &mut BytesMut) -> Option<FramingError> {
        let kind = match self.progress() {
            Progress::Head => FramingErrorKind::HeadTimeout,
            Progress::Body(_) => FramingErrorKind::BodyTimeout,
            Progress::Between | Progress::Failed => return None,
        };
        let upto = match self.stage {
            Stage::Body { head, .. } => head,
            _ => buf.len(),
        };
        Some(self.fail(buf, kind, upto))
    }

    /// Where in the stream the framer stands after the last call of [`Framer::next`].
    pub fn progress(&self) -> Progress {
        match self.stage {
            Stage::Between { .. } => Progress::Between,
            Stage::Head(_) => Progress::Head,
            Stage::Body { body, .. } => Progress::Body(body),
            Stage::Failed => Progress::Failed,
        }
    }

    fn fail(&mut self, buf: &mut BytesMut, kind: FramingErrorKind, upto: usize) -> FramingError {
        let read = buf.get(..upto).unwrap_or_default();
        let reply_source = reply_source::extract(read, &self.limits);
        self.stage = Stage::Failed;
        *buf = BytesMut::new();
        FramingError { kind, reply_source }
    }
}

/// Drops the CRLFs at the front of `buf`.
fn skip_crlfs(buf: &mut BytesMut, half_ping: &mut bool) -> Option<Event> {
    let crlfs = buf.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
    if crlfs == 0 {
        return None;
    }
    let pings = (crlfs + usize::from(*half_ping)) / 2;
    *half_ping ^= crlfs % 2 == 1;
    buf.advance(crlfs * 2);
    Some(Event::KeepAlive {
        bytes: crlfs * 2,
        pings,
    })
}

enum Scan {
    More,
    Complete { head: usize, body: usize },
    Failed { kind: FramingErrorKind, upto: usize },
}

/// The search for the end of one head. Positions count from the first byte of the message.
#[derive(Debug, Default)]
struct HeadScan {
    /// Everything before this was looked at.
    scanned: usize,
    /// Where the present line begins.
    line: usize,
    /// Where the present header field (or the start line) begins; folded lines belong to it.
    field: usize,
    /// The end of the present field so far, without the CRLF.
    field_end: usize,
    content_length: ContentLength,
    /// The first fault found. The scan goes on to the end of the head, because the answer needs the header
    /// fields that stand behind the fault, but the message is lost.
    fault: Option<FramingErrorKind>,
}

impl HeadScan {
    fn resume(&mut self, buf: &[u8], limits: &FramingLimits) -> Scan {
        let area = buf.get(..limits.head).unwrap_or(buf);
        let mut next = self.scanned;
        for hit in memchr2_iter(b'\r', b'\n', area.get(self.scanned..).unwrap_or_default()) {
            let at = self.scanned + hit;
            if at < next {
                continue; // The LF of a CRLF already taken.
            }
            self.check_length(area, at, limits);
            match area[at] {
                b'\r' => match area.get(at + 1) {
                    Some(b'\n') => next = at + 2,
                    Some(_) => {
                        self.note(FramingErrorKind::BareLineEnd);
                        next = at + 1;
                        continue;
                    }
                    // The last byte so far: what follows decides.
                    None => {
                        self.scanned = at;
                        return self.wait(buf, limits);
                    }
                },
                _ => {
                    self.note(FramingErrorKind::BareLineEnd);
                    next = at + 1;
                }
            }
            if self.end_line(area, at, next) {
                return self.finish(next, limits);
            }
        }
        self.scanned = area.len();
        self.check_length(area, area.len().saturating_sub(1), limits);
        self.wait(buf, limits)
    }

    /// Takes the line that ends at `end`, the next one beginning at `next`. True: it was the empty one.
    fn end_line(&mut self, area: &[u8], end: usize, next: usize) -> bool {
        let line = self.line;
        self.line = next;
        if end == line {
            self.end_field(area);
            return true;
        }
        // A line that begins with a blank continues the field before it (RFC 3261 section 7.3.1).
        if matches!(area[line], b' ' | b'\t') {
            self.field_end = end;
            return false;
        }
        self.end_field(area);
        self.field = line;
        self.field_end = end;
        false
    }

    fn end_field(&mut self, area: &[u8]) {
        // The first "field" is the start line.
        if self.field > 0 {
            self.content_length
                .take(area.get(self.field..self.field_end).unwrap_or_default());
        }
    }

    /// Notes a line that is too long. `at` is the end of the present line, or a position inside it.
    fn check_length(&mut self, area: &[u8], at: usize, limits: &FramingLimits) {
        let start = match area.get(self.line) {
            Some(b' ' | b'\t') => self.field,
            _ => self.line,
        };
        let (limit, kind) = match start {
            0 => (limits.start_line, FramingErrorKind::StartLineTooLong),
            _ => (limits.header_line, FramingErrorKind::HeaderLineTooLong),
        };
        if at.saturating_sub(start) > limit {
            self.note(kind);
        }
    }

    fn note(&mut self, kind: FramingErrorKind) {
        self.fault.get_or_insert(kind);
    }

    /// The empty line was found; `head` is where the body begins.
    fn finish(&mut self, head: usize, limits: &FramingLimits) -> Scan {
        let length = match self.fault {
            Some(kind) => Err(kind),
            None => self.content_length.value(),
        };
        match length {
            Err(kind) => Scan::Failed { kind, upto: head },
            Ok(length) => match usize::try_from(length) {
                Ok(body) if body <= limits.body => Scan::Complete { head, body },
                _ => Scan::Failed {
                    kind: FramingErrorKind::BodyTooLarge,
                    upto: head,
                },
            },
        }
    }

    /// All there is was looked at, and the head is not complete.
    fn wait(&self, buf: &[u8], limits: &FramingLimits) -> Scan {
        if buf.len() < limits.head {
            return Scan::More;
        }
        Scan::Failed {
            kind: self.fault.unwrap_or(FramingErrorKind::HeadTooLong),
            upto: limits.head,
        }
    }
}
