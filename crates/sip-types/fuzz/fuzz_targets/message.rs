//! Bytes as a stream transport would see them: parse, check, answer. Nothing may panic, and an answer must be a message.
//!
//! `cargo xtask fuzz --seconds N` begins with the messages of the tests as well.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_types::{Message, MessageHead, ParseErrorKind, StatusCode};

#[path = "../../tests/suite/typed_headers.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests; the other half is for the headers target"
)]
mod typed_headers;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(bytes.len(), |at| at + 4);
    let (head, rest) = bytes.split_at(end);
    let parsed = MessageHead::parse(Bytes::copy_from_slice(head)).and_then(|head| {
        let length = head
            .content_length()
            .map_or(rest.len(), |length| usize::try_from(length).unwrap_or(usize::MAX));
        head.with_body(Bytes::copy_from_slice(&rest[..length.min(rest.len())]))
    });
    match parsed {
        Err(error) => {
            if let Some(answer) = error.response() {
                // An answer goes back along all hops, even if they are too many.
                let again = Message::parse(answer.head().clone(), Bytes::new());
                assert!(
                    again.is_ok() || again.is_err_and(|error| error.kind() == ParseErrorKind::TooManyVias),
                    "{answer}"
                );
            }
        }
        Ok(message) => {
            typed_headers::errors(message.headers());
            let again = Message::parse(message.head().clone(), message.body().clone());
            assert_eq!(again.as_ref().ok(), Some(&message));
            if let Message::Request(request) = message
                && request.validate().is_ok()
            {
                let reply = request.reply(StatusCode::OK).to_tag("x").build();
                reply.validate().expect("an answer to a valid request is valid");
            }
        }
    }
});
