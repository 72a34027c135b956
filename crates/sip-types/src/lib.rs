//! SIP messages, headers and URIs: parsed, checked, printed.
//!
//! This crate is *not* a SIP stack: it has no sockets, no clock, no randomness, no transactions, and it knows nothing
//! of bodies beyond their length. It never panics on input, bounds what it accepts ([`limits`]), and says how to
//! answer what it refuses ([`ParseError`], [`Rejection`]).
//!
//! * [`Message`] is a parsed or built message; a stream transport begins with [`MessageHead`].
//! * [`Headers`] finds fields by [`HeaderName`]; [`Headers::one`], [`Headers::optional`] and [`Headers::list`] give the
//!   typed values of [`header::typed`].
//! * [`Uri`], [`NameAddr`], [`Params`], [`AuthParams`] are what those values are made of; [`AddressOfRecord`] is the
//!   name of a user.
//!
//! Everything parsed is a [`SipStr`], a slice of the buffer the message came in: nothing is copied, and names, order
//! and unknown headers survive as they were.
//!
//! How to add a header: see [`header::TypedHeader`].

pub mod auth;
pub mod header;
pub mod limits;
pub mod message;
mod method;
mod name_addr;
mod params;
mod status;
pub mod syntax;
mod text;
pub mod uri;

pub use auth::AuthParams;
pub use header::{HeaderError, HeaderName, Headers, TypedHeader, typed};
pub use message::{
    Message, MessageHead, ParseError, ParseErrorKind, Rejection, ReplyParts, Request, RequestBuilder,
    Response, ResponseBuilder, Version,
};
pub use method::Method;
pub use name_addr::NameAddr;
pub use params::{ParamValue, Params};
pub use status::StatusCode;
pub use syntax::SyntaxError;
pub use text::SipStr;
pub use uri::{AddressOfRecord, AorError, Uri, UriError};
