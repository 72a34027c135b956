//! The bodies that SIP carries for instant messages and presence: parsed from what a peer sent, printed as we send them.
//!
//! Each format is one module with one type, `parse` and `print`:
//!
//! | Content type | Module | Defined by |
//! |---|---|---|
//! | `application/sdp` with `m=message` | [`sdp`] | RFC 4566, RFC 3264 |
//! | `application/im-iscomposing+xml` | [`is_composing`] | RFC 3994 |
//! | `application/xml`, `KeyboardActivity` | [`keyboard_activity`] | Lync-family clients |
//! | `message/cpim` | [`cpim`] | RFC 3862 |
//! | `message/imdn+xml` | [`imdn`] | RFC 5438 |
//! | header `ms-text-format` | [`ms_text_format`] | MS-CONFIM, Lync-family clients |
//! | `text/plain`, `text/html` | [`text`] | RFC 3428 |
//! | `multipart/...` | [`multipart`] | RFC 2046, printed as RFC 2387 |
//! | `application/pidf+xml` | [`pidf`] | RFC 3863, 4479, 4480, 4482 |
//! | `application/rlmi+xml` | [`rlmi`] | RFC 4662 |
//! | `application/resource-lists+xml` | [`resource_lists`] | RFC 4826, 5363 |
//! | `application/watcherinfo+xml` | [`watcherinfo`] | RFC 3858 |
//! | `application/msrtc-...+xml`, `application/vnd-microsoft-roaming-...+xml`, `application/SOAP+xml` | [`lync`], a table there | MS-PRES, MS-SIP, Lync-family clients |
//!
//! What this crate is not: it knows no SIP message and no dialog, reads no clock, and does not decide what a body
//! means for a conversation. Every parser is total: any bytes give a value or a [`BodyError`], never a panic, and
//! memory stays in proportion to the input, which the framing layer has bounded.
//!
//! To add a format: one file with its type, `parse`, `print` and tests; XML goes through [`xml::XmlReader`], the
//! only place that touches the XML library and the only one that knows the limits on XML. An element that is passed on
//! without being understood is a [`fragment::Fragment`].

mod error;
mod fields;

pub mod cpim;
pub mod fragment;
pub mod imdn;
pub mod is_composing;
pub mod keyboard_activity;
pub mod lang_text;
pub mod lync;
pub mod media_type;
pub mod ms_text_format;
pub mod multipart;
pub mod pidf;
pub mod resource_lists;
pub mod rlmi;
pub mod sdp;
pub mod text;
pub mod watcherinfo;
pub mod xml;

pub use error::BodyError;
