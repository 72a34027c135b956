//! Media types and ranges, shared by `Content-Type` and `Accept`.

use crate::params::Params;
use crate::syntax::{SyntaxError, is_token, split_at, trim};
use crate::text::SipStr;

/// `main/sub;params`; `*` counts as a token here.
pub(super) struct MediaRange {
    pub(super) main: SipStr,
    pub(super) sub: SipStr,
    pub(super) params: Params,
}

impl MediaRange {
    pub(super) fn parse(value: &SipStr) -> Result<Self, SyntaxError> {
        let text = trim(value);
        let end = memchr::memchr(b';', text.as_bytes()).unwrap_or(text.len());
        let (media, params) = split_at(text, end);
        let (main, sub) = crate::syntax::cut(media, b'/').ok_or(SyntaxError("not a media type"))?;
        let (main, sub) = (trim(main), trim(sub));
        if !is_token(main) || !is_token(sub) {
            return Err(SyntaxError("malformed media type"));
        }
        Ok(Self {
            main: value.slice_of(main),
            sub: value.slice_of(sub),
            params: Params::parse_in(value, params)?,
        })
    }
}
