//! What a client is sent, in the words its family understands.

use bytes::Bytes;
use rpc::{ClientFamily, Content, Typing};
use sip_bodies::cpim::{self, Cpim};
use sip_bodies::is_composing::{self, ComposingState, IsComposing};
use sip_bodies::keyboard_activity::{self, KeyboardActivity};
use sip_bodies::media_type::MediaType;
use sip_bodies::text::{self, TextForm};
use sip_types::{Method, SipStr};

/// A body with its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rendered {
    pub(crate) content_type: SipStr,
    pub(crate) body: Bytes,
}

impl Rendered {
    fn of(content: &Content) -> Self {
        Rendered {
            content_type: content.content_type.clone(),
            body: content.body.clone(),
        }
    }
}

/// The text of a message for a client of this family. `plain_only` is set once the client has refused a richer form.
pub(crate) fn message(family: ClientFamily, plain_only: bool, content: &Content) -> Rendered {
    if is(content, cpim::CONTENT_TYPE) {
        // SIPE 1.25 answers message/cpim with 415; baresip 1.0 takes text/plain only.
        return if plain_only || family == ClientFamily::Lync {
            unwrap(content)
        } else {
            Rendered::of(content)
        };
    }
    match (family, TextForm::of(&content.content_type)) {
        (ClientFamily::Simple, Some(TextForm::Html | TextForm::Multipart)) => plain(content),
        (ClientFamily::Simple, Some(TextForm::Plain)) => Rendered {
            content_type: SipStr::from(text::without_font(&content.content_type)),
            body: content.body.clone(),
        },
        _ => Rendered::of(content),
    }
}

/// Whether a refused message (415) has a plainer form worth a second try.
pub(crate) fn has_plainer_form(content: &Content) -> bool {
    is(content, cpim::CONTENT_TYPE)
}

fn is(content: &Content, essence: &str) -> bool {
    MediaType::parse(&content.content_type).is_some_and(|media| media.is(essence))
}

fn plain(content: &Content) -> Rendered {
    match text::to_plain(&content.content_type, &content.body) {
        Ok(body) => Rendered {
            content_type: SipStr::from_static(text::PLAIN),
            body,
        },
        // No plain form: the client decides whether it takes the original.
        Err(_) => Rendered::of(content),
    }
}

/// The content of a CPIM envelope.
fn unwrap(content: &Content) -> Rendered {
    let Ok(cpim) = Cpim::parse(&content.body) else {
        return Rendered::of(content);
    };
    let content_type = cpim
        .content_type()
        .map_or(SipStr::from_static(text::PLAIN), |inner| {
            SipStr::copy_from(&inner)
        });
    Rendered {
        content_type,
        body: cpim.body().clone(),
    }
}

/// A typing indication inside a session or outside, for a client of this family.
pub(crate) fn typing(family: ClientFamily, in_session: bool, typing: Typing) -> (Method, Rendered) {
    if family == ClientFamily::Lync && in_session {
        let activity = match typing {
            Typing::Active { .. } => KeyboardActivity::Typing,
            Typing::Idle => KeyboardActivity::Idle,
        };
        let content_type = SipStr::from_static(keyboard_activity::CONTENT_TYPE);
        return (
            Method::Info,
            Rendered {
                content_type,
                body: activity.print(),
            },
        );
    }
    let composing = match typing {
        Typing::Active { refresh } => IsComposing {
            refresh: Some(refresh),
            ..IsComposing::new(ComposingState::Active)
        },
        Typing::Idle => IsComposing::new(ComposingState::Idle),
    };
    let content_type = SipStr::from_static(is_composing::CONTENT_TYPE);
    (
        Method::Message,
        Rendered {
            content_type,
            body: composing.print(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(content_type: &'static str, body: &'static str) -> Content {
        Content {
            content_type: SipStr::from_static(content_type),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    const CPIM: &str = "From: <sip:a@example.test>\r\nTo: <sip:b@example.test>\r\n\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nhello";

    #[test]
    fn a_simple_client_does_not_see_the_font_and_reads_html_as_text() {
        let font = message(
            ClientFamily::Simple,
            false,
            &content("text/plain;charset=UTF-8;msgr=WAAt", "hi"),
        );
        assert_eq!(
            (font.content_type.as_str(), font.body.as_ref()),
            ("text/plain;charset=UTF-8", b"hi".as_ref())
        );
        let html = message(
            ClientFamily::Simple,
            false,
            &content("text/html", "<b>hi</b> &amp; bye"),
        );
        assert_eq!(
            (html.content_type.as_str(), html.body.as_ref()),
            (text::PLAIN, b"hi & bye".as_ref())
        );
    }

    #[test]
    fn a_lync_family_client_gets_the_content_of_a_cpim_message_and_its_own_forms_untouched() {
        let cpim = message(ClientFamily::Lync, false, &content("message/cpim", CPIM));
        assert_eq!(
            (cpim.content_type.as_str(), cpim.body.as_ref()),
            ("text/plain; charset=utf-8", b"hello".as_ref())
        );
        let html = message(ClientFamily::Lync, false, &content("text/html", "<b>hi</b>"));
        assert_eq!(html.content_type.as_str(), "text/html");
    }

    #[test]
    fn cpim_goes_whole_to_a_simple_client_until_it_has_refused_it() {
        let whole = message(ClientFamily::Simple, false, &content("message/cpim", CPIM));
        assert_eq!(whole.body.as_ref(), CPIM.as_bytes());
        let plain = message(ClientFamily::Simple, true, &content("message/cpim", CPIM));
        assert_eq!(plain.body.as_ref(), b"hello");
    }

    #[test]
    fn typing_is_said_in_the_words_of_the_family() {
        let (method, body) = typing(ClientFamily::Lync, true, Typing::Active { refresh: 60 });
        assert_eq!(
            (method, body.content_type.as_str()),
            (Method::Info, "application/xml")
        );
        let (method, body) = typing(ClientFamily::Simple, true, Typing::Idle);
        assert_eq!(
            (method, body.content_type.as_str()),
            (Method::Message, "application/im-iscomposing+xml")
        );
    }
}
