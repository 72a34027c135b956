//! The bounds on what a peer may send, applied by the parsers of this crate.
//!
//! Exceeding one of them is an ordinary answer to the peer, never a panic and never unbounded memory.
//! docs/limits.md has these together with all other limits of the server.
//! The framing layer may use lower bounds than these; it can not use higher ones.

/// Longest start line in bytes, without its CRLF. A longer request line is answered with 414.
pub const START_LINE: usize = 8 * 1024;

/// Longest header field in bytes, folded lines included, without its last CRLF. Answer: 400.
pub const HEADER_LINE: usize = 8 * 1024;

/// Longest head in bytes: start line, header fields and the empty line. Answer: 513.
pub const HEAD: usize = 64 * 1024;

/// Most header fields of one message. Answer: 400.
pub const HEADER_FIELDS: usize = 256;

/// Most `Via` values, over all fields. Answer: 483, since each hop adds one.
pub const VIA_VALUES: usize = 70;

/// Most `Route` and `Record-Route` values together. Answer: 400.
pub const ROUTE_VALUES: usize = 32;

/// Most `Contact` values, over all fields. Answer: 400.
pub const CONTACT_VALUES: usize = 16;

/// Most parameters of one header value, URI or challenge. Answer: 400.
pub const PARAMETERS: usize = 64;

/// Deepest nesting of comments in parentheses (`Server`, `User-Agent`, `Retry-After`). Answer: 400.
pub const COMMENT_DEPTH: usize = 8;

/// Largest `CSeq` number: RFC 3261 section 8.1.1.5 wants less than 2^31.
pub const CSEQ: u32 = (1 << 31) - 1;

/// Largest `Max-Forwards`: RFC 3261 section 20.22.
pub const MAX_FORWARDS: u32 = 255;
