//! Requests as they go on the wire.

use bytes::{Bytes, BytesMut};
use sip_transport::Connection;
use std::fmt::Write;

/// What text messages are filled with.
static FILLING: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// A request without what is new each time it is sent.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) method: &'static str,
    pub(super) uri: String,
    /// The values of From and To, tags included.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) call_id: String,
    /// More header lines, each with its CRLF.
    pub(super) extra: String,
    pub(super) body: Body,
    /// Credentials were sent with it.
    pub(super) answered_challenge: bool,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Empty,
    /// A document of this type.
    Document(&'static str, String),
    /// As much text as makes the whole message this long.
    TextUpTo(usize),
}

/// Head and body of a request.
pub(super) fn write_request(
    connection: &Connection,
    draft: &Draft,
    number: u32,
    branch: &str,
    credentials: Option<&str>,
) -> (Bytes, Bytes) {
    let Draft {
        method,
        uri,
        from,
        to,
        call_id,
        extra,
        ..
    } = draft;
    let transport = if connection.is_tls() { "TLS" } else { "TCP" };
    let mut head = BytesMut::with_capacity(1024);
    // Writing to memory does not fail.
    let _ = write!(
        head,
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {};branch=z9hG4bK{branch};rport\r\n\
         Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n\
         {extra}{}",
        connection.local(),
        credentials.unwrap_or_default(),
    );
    let body = match &draft.body {
        Body::Empty => Bytes::new(),
        Body::Document(content_type, text) => {
            let _ = write!(head, "Content-Type: {content_type}\r\n");
            Bytes::copy_from_slice(text.as_bytes())
        }
        Body::TextUpTo(size) => {
            let _ = write!(head, "Content-Type: text/plain;charset=UTF-8\r\n");
            // "Content-Length: 123" and two line ends follow.
            let text = size.saturating_sub(head.len() + 23).clamp(1, FILLING.len());
            Bytes::from_static(FILLING.get(..text).unwrap_or_default())
        }
    };
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    (head.freeze(), body)
}
