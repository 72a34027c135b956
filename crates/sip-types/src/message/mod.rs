//! Whole messages: parsing, reading, building.
//!
//! A message is one contiguous serialised head (start line up to the empty line), an index of its header fields, and
//! a body. Parsed and built messages look the same, and printing is writing `head` and `body`.

mod build;
mod error;
mod parse;
mod request;
mod response;
mod salvage;
mod scan;
#[cfg(test)]
mod tests;
mod validate;
mod writer;

use std::fmt;

use bytes::Bytes;

pub use build::{RequestBuilder, ResponseBuilder};
pub use error::{ParseError, ParseErrorKind};
pub use parse::MessageHead;
pub use request::Request;
pub use response::Response;
pub use salvage::ReplyParts;
pub use validate::Rejection;

use crate::header::Headers;

/// The version of a start line: `SIP/2.0` is `Version { major: 2, minor: 0 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the point.
    pub major: u16,
    /// Behind it.
    pub minor: u16,
}

impl Version {
    /// The only version there is.
    pub const SIP_2_0: Self = Self { major: 2, minor: 0 };
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Begins with a method.
    Request(Request),
    /// Begins with a version.
    Response(Response),
}

impl Message {
    /// Parses a message whose end of head and end of body the transport has found.
    ///
    /// `head` is everything from the first byte of the start line to the empty line, included. If there is a
    /// Content-Length it must be the length of `body`. A stream transport should use [`MessageHead`] instead, which
    /// tells the length of the body before the body is there.
    ///
    /// What is checked here is what must be right to know where everything is: line ends, UTF-8, field names, the start
    /// line, Content-Length, and the limits of [`crate::limits`]. Values are checked when they are asked for, and
    /// [`Request::validate`] checks those that every request must have.
    ///
    /// # Errors
    /// See [`ParseError`]: it knows the status to answer with, and makes the response if it can.
    pub fn parse(head: Bytes, body: Bytes) -> Result<Self, ParseError> {
        MessageHead::parse(head)?.with_body(body)
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => request.headers(),
            Self::Response(response) => response.headers(),
        }
    }

    /// The serialised head, from the start line to the empty line.
    pub fn head(&self) -> &Bytes {
        self.headers().head().bytes()
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        match self {
            Self::Request(request) => request.body(),
            Self::Response(response) => response.body(),
        }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// Head and body as text, for tests and traces. May show credentials and conversation.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            String::from_utf8_lossy(self.head()),
            String::from_utf8_lossy(self.body())
        )
    }
}

/// The accessors that requests and responses have in common.
macro_rules! common_accessors {
    ($message:ty) => {
        impl $message {
            /// The header fields.
            pub fn headers(&self) -> &$crate::Headers {
                &self.headers
            }

            /// The serialised head, from the start line to the empty line: write it, then [`Self::body`].
            pub fn head(&self) -> &::bytes::Bytes {
                self.headers.head().bytes()
            }

            /// The body.
            pub fn body(&self) -> &::bytes::Bytes {
                &self.body
            }

            /// The `Call-ID`.
            ///
            /// # Errors
            /// Missing, more than one, or malformed.
            pub fn call_id(&self) -> Result<$crate::SipStr, $crate::HeaderError> {
                self.headers
                    .one::<$crate::header::typed::CallId>()
                    .map(|id| id.into_inner())
            }

            /// The `CSeq`.
            ///
            /// # Errors
            /// Missing, more than one, or malformed.
            pub fn cseq(&self) -> Result<$crate::header::typed::CSeq, $crate::HeaderError> {
                self.headers.one()
            }

            /// The `From`.
            ///
            /// # Errors
            /// Missing, more than one, or malformed.
            pub fn from(&self) -> Result<$crate::header::typed::From, $crate::HeaderError> {
                self.headers.one()
            }

            /// The `To`.
            ///
            /// # Errors
            /// Missing, more than one, or malformed.
            pub fn to(&self) -> Result<$crate::header::typed::To, $crate::HeaderError> {
                self.headers.one()
            }

            /// The first `Via` value: the hop this message came from, or goes back to.
            ///
            /// # Errors
            /// Missing or malformed.
            pub fn top_via(&self) -> Result<$crate::header::typed::Via, $crate::HeaderError> {
                self.headers.first()
            }

            /// The same message with one more header field, before Content-Length.
            ///
            /// The head is copied. CR, LF and NUL in the value become spaces; a Content-Length is refused silently,
            /// since it is always that of the body.
            #[must_use]
            pub fn with_header(mut self, name: $crate::HeaderName, value: impl ::core::fmt::Display) -> Self {
                self.headers = $crate::message::writer::with_field(&self.headers, &name, &value);
                self
            }
        }

        /// Start line and field names, no values: they may be credentials.
        impl ::core::fmt::Debug for $message {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(stringify!($message))
                    .field("line", &self.line_for_debug())
                    .field("headers", &self.headers)
                    .field("body", &self.body.len())
                    .finish()
            }
        }

        /// Equal messages have the same bytes.
        impl PartialEq for $message {
            fn eq(&self, other: &Self) -> bool {
                self.head() == other.head() && self.body() == other.body()
            }
        }

        impl Eq for $message {}

        /// Head and body as text, for tests and traces. May show credentials and conversation.
        impl ::core::fmt::Display for $message {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(
                    f,
                    "{}{}",
                    String::from_utf8_lossy(self.head()),
                    String::from_utf8_lossy(self.body())
                )
            }
        }
    };
}

use common_accessors;
