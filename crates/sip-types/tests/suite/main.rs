//! The tests of this crate from outside: message files with what must come of them, and properties that hold for any
//! input.

#![cfg(test)]

mod messages;
mod properties;
mod typed_headers;
