//! What a client's MESSAGE says, whatever its dialect.

use bytes::Bytes;
use rpc::{Content, Typing};
use sip_bodies::cpim::Cpim;
use sip_bodies::imdn::Imdn;
use sip_bodies::is_composing::{ComposingState, IsComposing};
use sip_bodies::media_type::MediaType;
use sip_bodies::text::TextForm;
use sip_bodies::{BodyError, cpim, imdn, is_composing};
use sip_types::{AddressOfRecord, HeaderName, Request, ResponseBuilder, SipStr, StatusCode};

use super::encoding::{self, EncodingError};

/// The bodies of a MESSAGE that are taken, for Accept.
pub(crate) const ACCEPT: &str = "text/plain, text/html, text/rtf, multipart/alternative, multipart/related, \
     message/cpim, message/imdn+xml, application/im-iscomposing+xml, application/sdp";

/// Longest text after decoding, in bytes.
const TEXT_BYTES: usize = 64 * 1024;

/// RFC 3994 section 3.3: how long "active" holds when the sender does not say.
const DEFAULT_REFRESH: u32 = 120;

/// A MESSAGE in the domain's terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// Conversation text.
    Text {
        /// As the sender wrote it, decoded from its transfer coding.
        content: Content,
        /// `imdn.Message-ID` of a CPIM message.
        imdn_id: Option<SipStr>,
    },
    /// A disposition notification.
    Receipt {
        /// The whole body.
        content: Content,
        /// The message it is about.
        about: SipStr,
    },
    /// A typing indication.
    Typing(Typing),
}

/// Why a MESSAGE was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    encoding: bool,
}

impl Refusal {
    const fn new(status: StatusCode) -> Self {
        Refusal {
            status,
            encoding: false,
        }
    }

    /// Completes the answer: a 415 says what would have been taken (RFC 3261 section 8.2.3).
    pub(crate) fn answer(self, reply: ResponseBuilder) -> sip_types::Response {
        let reply = match (self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE, self.encoding) {
            (true, true) => reply.header(HeaderName::AcceptEncoding, "deflate, identity"),
            (true, false) => reply.header(HeaderName::Accept, ACCEPT),
            (false, _) => reply,
        };
        reply.build()
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Refusal::new(match error {
            BodyError::TooLarge(_) => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            BodyError::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        })
    }
}

/// Reads a MESSAGE.
///
/// # Errors
/// 415 for a type or coding that is not taken, 413 for text over 64 KiB, 400 for a body that is not what it says, 403
/// for an envelope that names another author than `sender`.
pub(crate) fn read(request: &Request, sender: &AddressOfRecord) -> Result<Said, Refusal> {
    let headers = request.headers();
    let coding = headers.get(&HeaderName::ContentEncoding).unwrap_or_default();
    let body = encoding::decode(&coding, request.body()).map_err(|error| match error {
        EncodingError::Unknown => Refusal {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            encoding: true,
        },
        EncodingError::Malformed => Refusal::new(StatusCode::BAD_REQUEST),
        EncodingError::TooLarge => Refusal::new(StatusCode::REQUEST_ENTITY_TOO_LARGE),
    })?;
    // RFC 3428 section 9: a body has a type. An absent one with an absent body is an empty text.
    let content_type = headers
        .get(&HeaderName::ContentType)
        .unwrap_or(SipStr::from_static("text/plain"));
    interpret(content_type, body, sender)
}

fn interpret(content_type: SipStr, body: Bytes, sender: &AddressOfRecord) -> Result<Said, Refusal> {
    let Some(media) = MediaType::parse(&content_type) else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST));
    };
    if media.is(is_composing::CONTENT_TYPE) {
        return Ok(Said::Typing(typing(&IsComposing::parse(&body)?)));
    }
    if media.is(imdn::CONTENT_TYPE) {
        let about = SipStr::from(Imdn::parse(&body)?.message_id);
        return Ok(Said::Receipt {
            content: Content { content_type, body },
            about,
        });
    }
    if media.is(cpim::CONTENT_TYPE) {
        return envelope(content_type, body, sender);
    }
    if TextForm::of(&content_type).is_none() {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    text(content_type, body, None)
}

/// RFC 3862: what counts is what is inside.
fn envelope(content_type: SipStr, body: Bytes, sender: &AddressOfRecord) -> Result<Said, Refusal> {
    let cpim = Cpim::parse(&body)?;
    if !is_author(&cpim, sender) {
        return Err(Refusal::new(StatusCode::FORBIDDEN));
    }
    let inner_type = cpim.content_type().unwrap_or("text/plain".into());
    let Some(inner) = MediaType::parse(&inner_type) else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST));
    };
    if inner.is(is_composing::CONTENT_TYPE) {
        return Ok(Said::Typing(typing(&IsComposing::parse(cpim.body())?)));
    }
    if inner.is(imdn::CONTENT_TYPE) {
        let about = SipStr::from(Imdn::parse(cpim.body())?.message_id);
        return Ok(Said::Receipt {
            content: Content { content_type, body },
            about,
        });
    }
    if TextForm::of(&inner_type).is_none() {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let imdn_id = cpim.message_id().map(SipStr::copy_from);
    text(content_type, body, imdn_id)
}

/// Whether an envelope names nobody else as its author, in any form a recipient may read.
fn is_author(cpim: &Cpim, sender: &AddressOfRecord) -> bool {
    let mut authors = cpim
        .headers()
        .filter(|(name, _)| name.eq_ignore_ascii_case("From"));
    let Some((_, author)) = authors.next() else {
        return true;
    };
    let address = match author.split_once('<') {
        Some((_, rest)) => rest.split_once('>').map_or("", |(address, behind)| {
            // A second address would leave it to the recipient which one counts.
            if behind.contains('<') { "" } else { address }
        }),
        None => author.trim(),
    };
    authors.next().is_none() && names(address, sender)
}

/// Whether the address in an envelope is this user's: the recipient is shown it as the author. RFC 3862 allows `im:`.
fn names(address: &str, user: &AddressOfRecord) -> bool {
    let address = address.strip_prefix("im:").unwrap_or(address);
    AddressOfRecord::parse(address).is_ok_and(|named| named == *user)
}

fn text(content_type: SipStr, body: Bytes, imdn_id: Option<SipStr>) -> Result<Said, Refusal> {
    if body.len() > TEXT_BYTES {
        return Err(Refusal::new(StatusCode::REQUEST_ENTITY_TOO_LARGE));
    }
    Ok(Said::Text {
        content: Content { content_type, body },
        imdn_id,
    })
}

fn typing(composing: &IsComposing) -> Typing {
    match composing.state {
        ComposingState::Active => Typing::Active {
            refresh: composing.refresh.unwrap_or(DEFAULT_REFRESH),
        },
        ComposingState::Idle => Typing::Idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(content_type: &'static str, body: &'static str) -> Result<Said, StatusCode> {
        let sender = AddressOfRecord::parse("a@example.test").unwrap();
        interpret(
            SipStr::from_static(content_type),
            Bytes::from_static(body.as_bytes()),
            &sender,
        )
        .map_err(|refusal| refusal.status)
    }

    #[test]
    fn text_of_every_family_is_text() {
        for content_type in [
            "text/plain",
            "text/plain; charset=UTF-8;msgr=WAAt",
            "text/html",
            "multipart/related;boundary=x",
        ] {
            assert!(
                matches!(said(content_type, "hello"), Ok(Said::Text { imdn_id: None, .. })),
                "{content_type}"
            );
        }
    }

    #[test]
    fn a_cpim_message_brings_its_own_id() {
        let body = "From: <sip:a@example.test>\r\nTo: <sip:b@example.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
             imdn.Message-ID: 34jk324j\r\n\r\nContent-Type: text/plain\r\n\r\nhello";
        let Ok(Said::Text { imdn_id, .. }) = said("message/cpim", body) else {
            panic!("text")
        };
        assert_eq!(imdn_id.unwrap(), "34jk324j");
    }

    #[test]
    fn an_envelope_may_not_name_another_author() {
        let of = |from: &str| {
            let body =
                format!("{from}\r\nTo: <sip:b@example.test>\r\n\r\nContent-Type: text/plain\r\n\r\nhello");
            let sender = AddressOfRecord::parse("a@example.test").unwrap();
            interpret(SipStr::from_static("message/cpim"), Bytes::from(body), &sender)
                .map_err(|refusal| refusal.status)
        };
        assert!(of("From: <sip:A@example.test>").is_ok());
        assert!(of("From: A <im:a@example.test>").is_ok());
        for forged in [
            "From: <sip:b@example.test>",
            "From: sip:b@example.test",
            "from: <sip:b@example.test>",
            "From: <sip:a@example.test>\r\nFrom: <sip:b@example.test>",
            "From: <sip:b@example.test> <sip:a@example.test>",
            "From: <sip:a@example.test> <sip:b@example.test>",
        ] {
            assert_eq!(of(forged), Err(StatusCode::FORBIDDEN), "{forged}");
        }
    }

    #[test]
    fn receipts_and_typing_are_no_text() {
        let imdn = "<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>m1</message-id>\
             <delivery-notification><status><delivered/></status></delivery-notification></imdn>";
        let Ok(Said::Receipt { about, .. }) = said("message/imdn+xml", imdn) else {
            panic!("receipt")
        };
        assert_eq!(about, "m1");
        let composing = "<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>active</state></isComposing>";
        let active = Said::Typing(Typing::Active {
            refresh: DEFAULT_REFRESH,
        });
        assert_eq!(said("application/im-iscomposing+xml", composing), Ok(active));
    }

    #[test]
    fn what_is_not_conversation_is_refused() {
        assert_eq!(said("image/png", "x"), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(
            said("application/im-iscomposing+xml", "<x/>"),
            Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        );
        assert_eq!(said("nonsense", "x"), Err(StatusCode::BAD_REQUEST));
        let long = Bytes::from(vec![b'x'; TEXT_BYTES + 1]);
        let refusal = interpret(
            SipStr::from_static("text/plain"),
            long,
            &AddressOfRecord::parse("a@example.test").unwrap(),
        )
        .unwrap_err();
        assert_eq!(refusal.status, StatusCode::REQUEST_ENTITY_TOO_LARGE);
    }
}
