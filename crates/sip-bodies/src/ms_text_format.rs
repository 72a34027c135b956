//! [`MsTextFormat`]: the first message of a session, carried in a header of a Lync-family client's INVITE.
//!
//! `ms-text-format: text/plain; charset=UTF-8;msgr=<font>;ms-body=<text in base64>`

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::BodyError;
use crate::media_type::MediaType;

/// The name of the header field.
pub const HEADER_NAME: &str = "ms-text-format";

/// Longest text after decoding, in bytes. Answer: 413.
pub const TEXT_BYTES: usize = 64 * 1024;

const BODY_PARAMETER: &str = "ms-body";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A content type and the text it describes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MsTextFormat {
    /// Everything but `ms-body`: type, charset and `msgr`, the sender's font.
    pub content_type: String,
    /// The text, in the character set of the content type.
    pub text: Bytes,
}

impl MsTextFormat {
    /// Reads the value of the header field.
    ///
    /// `Ok(None)` when it names a format but carries no text: a client may announce the format alone.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] if the type or the base64 is broken, [`BodyError::TooLarge`] beyond [`TEXT_BYTES`].
    pub fn parse(value: &str) -> Result<Option<Self>, BodyError> {
        let media =
            MediaType::parse(value).ok_or(BodyError::Malformed("ms-text-format without a content type"))?;
        let Some(encoded) = media.parameter(BODY_PARAMETER) else {
            return Ok(None);
        };
        // Four characters carry three bytes: refuse before decoding.
        if encoded.len().div_ceil(4).saturating_mul(3) > TEXT_BYTES + 2 {
            return Err(BodyError::TooLarge("text in ms-text-format"));
        }
        let text = BASE64
            .decode(encoded.as_bytes())
            .map_err(|_| BodyError::Malformed("base64 in ms-text-format"))?;
        if text.len() > TEXT_BYTES {
            return Err(BodyError::TooLarge("text in ms-text-format"));
        }
        Ok(Some(Self {
            content_type: media.without(BODY_PARAMETER),
            text: Bytes::from(text),
        }))
    }
}

/// The value of the header field.
impl fmt::Display for MsTextFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{};{BODY_PARAMETER}={}",
            self.content_type,
            BASE64.encode(&self.text)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_decoded_and_the_font_is_kept() {
        let value = "text/plain; charset=UTF-8;msgr=WAAtAE0ATQBTAC0ASQBNAA0ACgA;ms-body=SGVsbG8gQm9i";
        let parsed = MsTextFormat::parse(value).unwrap().unwrap();
        assert_eq!(
            parsed.content_type,
            "text/plain;charset=UTF-8;msgr=WAAtAE0ATQBTAC0ASQBNAA0ACgA"
        );
        assert_eq!(&parsed.text[..], b"Hello Bob");
    }

    #[test]
    fn padding_may_be_there_or_not() {
        for body in ["SGk=", "SGk"] {
            let value = format!("text/plain;ms-body={body}");
            assert_eq!(
                &MsTextFormat::parse(&value).unwrap().unwrap().text[..],
                b"Hi",
                "{body}"
            );
        }
    }

    #[test]
    fn a_format_alone_carries_no_text() {
        assert_eq!(MsTextFormat::parse("text/plain; charset=UTF-8"), Ok(None));
    }

    #[test]
    fn broken_values_are_malformed() {
        for value in ["", "ms-body=SGk=", "text/plain;ms-body=*", "text/plain;ms-body=A"] {
            assert!(
                matches!(MsTextFormat::parse(value), Err(BodyError::Malformed(_))),
                "{value}"
            );
        }
    }

    #[test]
    fn the_limit_counts_decoded_bytes() {
        let of = |length: usize| {
            MsTextFormat {
                content_type: "text/plain".to_owned(),
                text: Bytes::from(vec![b'x'; length]),
            }
            .to_string()
        };
        assert!(MsTextFormat::parse(&of(TEXT_BYTES)).is_ok());
        assert_eq!(
            MsTextFormat::parse(&of(TEXT_BYTES + 1)),
            Err(BodyError::TooLarge("text in ms-text-format"))
        );
        assert!(matches!(
            MsTextFormat::parse(&of(10 * TEXT_BYTES)),
            Err(BodyError::TooLarge(_))
        ));
    }

    proptest! {
        #[test]
        fn print_and_parse_are_inverse(text in proptest::collection::vec(any::<u8>(), 0..200), font in "[A-Za-z0-9+/]{0,20}") {
            let format = MsTextFormat {
                content_type: format!("text/plain;charset=UTF-8;msgr={font}"),
                text: Bytes::from(text),
            };
            prop_assert_eq!(MsTextFormat::parse(&format.to_string()), Ok(Some(format)));
        }

        #[test]
        fn any_value_is_answered(value in ".{0,100}") {
            let _ = MsTextFormat::parse(&value);
            let _ = MsTextFormat::parse(&format!("text/plain;ms-body={value}"));
        }
    }
}
