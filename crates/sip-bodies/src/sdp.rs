//! [`SessionDescription`]: as much of SDP as it takes to open an IM session.
//!
//! A session of Lync-family clients is an ordinary offer and answer (RFC 3264) whose one media line is
//! `m=message <port> sip <uri|null>`; the messages then travel as SIP MESSAGE requests in the dialog. An `m=message`
//! line with an MSRP transport (RFC 4975) is another thing and not ours, nor are audio, video and data.
//!
//! The parser is tolerant: it takes any order of lines and skips what it does not know, since all we need to decide
//! is which [`SessionKind`] was offered.

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::Bytes;

use crate::BodyError;

/// The content type of the format.
pub const CONTENT_TYPE: &str = "application/sdp";

/// Most lines of a description. Answer: 400.
pub const LINES: usize = 1_000;

/// Most media lines of a description. Answer: 400.
pub const MEDIA: usize = 32;

/// The content types SIPE and Lync clients list in their own offers and that a conversation of ours can carry.
pub const ACCEPT_TYPES: &[&str] = &[
    "text/plain",
    "text/html",
    "application/im-iscomposing+xml",
    "message/cpim",
    "message/imdn+xml",
];

/// What an offer asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionKind<'a> {
    /// An IM session over SIP.
    Message {
        /// The content types the offerer takes, in its order; empty if it does not say.
        accept_types: Vec<&'a str>,
    },
    /// Audio or video and nothing we could take: 488.
    AudioVideo,
    /// Anything else: MSRP, data, application sharing, or nothing at all: 488.
    Other,
}

/// An offer or answer, borrowed from the body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionDescription<'a> {
    /// `o=`, as written.
    pub origin: Option<&'a str>,
    /// `s=`, as written.
    pub name: Option<&'a str>,
    /// `c=` of the session, as written.
    pub connection: Option<&'a str>,
    /// `t=`, the first one, as written.
    pub time: Option<&'a str>,
    /// `a=` lines before the first `m=`.
    pub attributes: Vec<Attribute<'a>>,
    /// The media in order.
    pub media: Vec<Media<'a>>,
}

/// One `m=` line and what follows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media<'a> {
    /// `audio`, `message`, ...
    pub kind: &'a str,
    /// Zero means refused or not wanted.
    pub port: u16,
    /// `RTP/AVP`, `sip`, `TCP/MSRP`, ...
    pub protocol: &'a str,
    /// The formats, as written.
    pub formats: &'a str,
    /// `c=` of this media.
    pub connection: Option<&'a str>,
    /// `a=` lines.
    pub attributes: Vec<Attribute<'a>>,
}

/// `a=name` or `a=name:value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attribute<'a> {
    /// Before the colon.
    pub name: &'a str,
    /// After the colon; empty for a flag.
    pub value: &'a str,
}

impl<'a> SessionDescription<'a> {
    /// Reads a description.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] if it does not begin with `v=0` or a media line is broken, [`BodyError::Limit`]
    /// beyond [`LINES`] or [`MEDIA`], [`BodyError::Unsupported`] if it is not UTF-8.
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        let text = std::str::from_utf8(body).map_err(|_| BodyError::Unsupported("SDP that is not UTF-8"))?;
        // RFC 4566 section 5: parsers should accept lines that end in a bare line feed.
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        if lines.next().map(str::trim_end) != Some("v=0") {
            return Err(BodyError::Malformed("SDP that does not begin with v=0"));
        }
        let mut description = Self::default();
        for (number, line) in lines.enumerate() {
            if number + 1 >= LINES {
                return Err(BodyError::Limit("SDP lines"));
            }
            if let Some((kind, value)) = line.split_once('=') {
                description.take_line(kind, value.trim_end())?;
            }
        }
        Ok(description)
    }

    fn take_line(&mut self, kind: &str, value: &'a str) -> Result<(), BodyError> {
        let count = self.media.len();
        match (kind, self.media.last_mut()) {
            ("m", _) if count >= MEDIA => return Err(BodyError::Limit("SDP media")),
            ("m", _) => self.media.push(Media::parse(value)?),
            ("a", Some(media)) => media.attributes.push(Attribute::parse(value)),
            ("a", None) => self.attributes.push(Attribute::parse(value)),
            ("c", Some(media)) => media.connection = Some(value),
            ("c", None) => self.connection = Some(value),
            ("o", None) => self.origin = Some(value),
            ("s", None) => self.name = Some(value),
            ("t", None) => self.time = self.time.or(Some(value)),
            _ => {}
        }
        Ok(())
    }

    /// What this offer asks for.
    pub fn kind(&self) -> SessionKind<'a> {
        if let Some(message) = self.media.iter().find(|media| media.is_im()) {
            let list = accept_types(&message.attributes).or_else(|| accept_types(&self.attributes));
            return SessionKind::Message {
                accept_types: list.unwrap_or_default().split_ascii_whitespace().collect(),
            };
        }
        let is_call = |media: &Media<'_>| {
            ["audio", "video"]
                .iter()
                .any(|kind| media.kind.eq_ignore_ascii_case(kind))
        };
        if self.media.iter().any(is_call) {
            SessionKind::AudioVideo
        } else {
            SessionKind::Other
        }
    }
}

impl<'a> Media<'a> {
    /// `<kind> <port>[/<count>] <protocol> <formats>` (RFC 4566 section 5.14).
    fn parse(value: &'a str) -> Result<Self, BodyError> {
        let mut words = value.splitn(4, ' ');
        let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return Err(BodyError::Malformed("SDP media line"));
        };
        let port = port.split_once('/').map_or(port, |(port, _)| port);
        if kind.is_empty() || protocol.is_empty() {
            return Err(BodyError::Malformed("SDP media line"));
        }
        Ok(Self {
            kind,
            port: port.parse().map_err(|_| BodyError::Malformed("SDP media port"))?,
            protocol,
            formats: words.next().unwrap_or_default(),
            connection: None,
            attributes: Vec::new(),
        })
    }

    /// Whether this is a wanted IM session over SIP.
    pub fn is_im(&self) -> bool {
        self.port != 0
            && self.kind.eq_ignore_ascii_case("message")
            && self.protocol.eq_ignore_ascii_case("sip")
    }
}

impl<'a> Attribute<'a> {
    fn parse(value: &'a str) -> Self {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        Self {
            name,
            value: value.trim(),
        }
    }
}

fn accept_types<'a>(attributes: &[Attribute<'a>]) -> Option<&'a str> {
    attributes
        .iter()
        .find(|attribute| attribute.name.eq_ignore_ascii_case("accept-types"))
        .map(|found| found.value)
}

/// Our side of an IM session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImSession<'a> {
    /// Address in `o=` and `c=`; nothing is ever sent to it.
    pub address: IpAddr,
    /// Session id in `o=`: constant for a session (RFC 4566 section 5.2).
    pub session_id: u64,
    /// Port in `m=`; only that it is not zero matters.
    pub port: u16,
    /// The `sip:` URI of the person at this end, or `None` for `null`.
    pub uri: Option<&'a str>,
    /// The content types we take, for instance [`ACCEPT_TYPES`].
    pub accept_types: &'a [&'a str],
}

impl ImSession<'_> {
    /// An offer with one media line.
    pub fn offer(&self) -> Bytes {
        let mut body = self.session_lines();
        self.push_message_line(&mut body);
        Bytes::from(body)
    }

    /// The answer to `offer`: its IM session taken, every other media line refused with port zero, in the same
    /// order (RFC 3264 section 6). `None` if it offers no IM session: 488.
    pub fn answer(&self, offer: &SessionDescription<'_>) -> Option<Bytes> {
        let taken = offer.media.iter().position(Media::is_im)?;
        let mut body = self.session_lines();
        for (position, media) in offer.media.iter().enumerate() {
            if position == taken {
                self.push_message_line(&mut body);
            } else {
                push_line(
                    &mut body,
                    &format!("m={} 0 {} {}", media.kind, media.protocol, media.formats),
                );
            }
        }
        Some(Bytes::from(body))
    }

    fn session_lines(&self) -> String {
        let mut body = String::with_capacity(256);
        let network = if self.address.is_ipv4() { "IP4" } else { "IP6" };
        let (id, address) = (self.session_id, self.address);
        // Writing to a String can not fail.
        let _ = write!(
            body,
            "v=0\r\no=- {id} {id} IN {network} {address}\r\ns=session\r\nc=IN {network} {address}\r\nt=0 0\r\n"
        );
        body
    }

    fn push_message_line(&self, body: &mut String) {
        push_line(
            body,
            &format!("m=message {} sip {}", self.port, self.uri.unwrap_or("null")),
        );
        if !self.accept_types.is_empty() {
            push_line(body, &format!("a=accept-types:{}", self.accept_types.join(" ")));
        }
    }
}

/// One line, with anything that would end it early replaced.
fn push_line(body: &mut String, line: &str) {
    body.push_str(&line.replace(['\r', '\n', '\0'], " "));
    body.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const SIPE: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=message 5061 sip null\r\na=accept-types:text/plain text/html image/gif application/im-iscomposing+xml \
        application/ms-imdn+xml text/x-msmsgsinvite\r\n";

    fn kind_of(media: &str) -> SessionKind<'_> {
        // Leaked in a test: the kind borrows the text.
        let text: &'static str = Box::leak(format!("v=0\r\ns=-\r\n{media}").into_boxed_str());
        SessionDescription::parse(text.as_bytes()).unwrap().kind()
    }

    fn ours() -> ImSession<'static> {
        ImSession {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            session_id: 7,
            port: 5061,
            uri: Some("sip:bob@example.test"),
            accept_types: ACCEPT_TYPES,
        }
    }

    #[test]
    fn the_offer_of_a_lync_family_client_is_an_im_session() {
        let offer = SessionDescription::parse(SIPE.as_bytes()).unwrap();
        assert_eq!(offer.origin, Some("- 0 0 IN IP4 127.0.0.1"));
        assert_eq!(offer.name, Some("session"));
        assert_eq!(offer.connection, Some("IN IP4 127.0.0.1"));
        assert_eq!(offer.time, Some("0 0"));
        let SessionKind::Message { accept_types } = offer.kind() else {
            panic!("{:?}", offer.kind())
        };
        assert_eq!(accept_types.first(), Some(&"text/plain"));
        assert_eq!(accept_types.len(), 6);
    }

    #[test]
    fn only_a_wanted_message_line_over_sip_is_an_im_session() {
        assert_eq!(
            kind_of("m=message 5060 SIP null\n"),
            SessionKind::Message { accept_types: vec![] }
        );
        assert_eq!(kind_of("m=message 0 sip null\r\n"), SessionKind::Other);
        assert_eq!(
            kind_of("m=message 7654 TCP/MSRP *\r\na=accept-types:text/plain\r\n"),
            SessionKind::Other
        );
        assert_eq!(kind_of("m=message 7654 TCP/TLS/MSRP *\r\n"), SessionKind::Other);
        assert_eq!(
            kind_of("m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 31\r\n"),
            SessionKind::AudioVideo
        );
        assert_eq!(kind_of("m=application 5000 RTP/AVP 127\r\n"), SessionKind::Other);
        assert_eq!(kind_of("m=data 5000 RTP/AVP 127\r\n"), SessionKind::Other);
        assert_eq!(kind_of(""), SessionKind::Other);
    }

    #[test]
    fn an_im_session_beside_a_call_is_still_an_im_session() {
        let mixed = "m=audio 4000/2 RTP/AVP 0\r\na=sendrecv\r\nm=message 5060 sip null\r\na=accept-types: text/plain\r\n";
        assert_eq!(
            kind_of(mixed),
            SessionKind::Message {
                accept_types: vec!["text/plain"]
            }
        );
    }

    #[test]
    fn the_answer_has_a_line_for_each_line_of_the_offer() {
        let text =
            "v=0\r\nm=audio 4000 RTP/AVP 0 8\r\nm=message 5060 sip null\r\nm=message 5070 sip null\r\n";
        let offer = SessionDescription::parse(text.as_bytes()).unwrap();
        let answer = ours().answer(&offer).unwrap();
        let answer = SessionDescription::parse(&answer).unwrap();
        let lines: Vec<_> = answer
            .media
            .iter()
            .map(|media| (media.kind, media.port, media.formats))
            .collect();
        assert_eq!(
            lines,
            [
                ("audio", 0, "0 8"),
                ("message", 5061, "sip:bob@example.test"),
                ("message", 0, "null")
            ]
        );
    }

    #[test]
    fn a_call_is_not_answered() {
        let offer = SessionDescription::parse(b"v=0\r\nm=audio 4000 RTP/AVP 0\r\n").unwrap();
        assert_eq!(ours().answer(&offer), None);
    }

    #[test]
    fn our_offer_is_in_the_form_clients_write() {
        let offer = ImSession { uri: None, ..ours() }.offer();
        assert_eq!(
            std::str::from_utf8(&offer).unwrap(),
            "v=0\r\no=- 7 7 IN IP4 192.0.2.1\r\ns=session\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=message 5061 sip null\r\n\
             a=accept-types:text/plain text/html application/im-iscomposing+xml message/cpim message/imdn+xml\r\n"
        );
        let six = ImSession {
            address: IpAddr::V6(Ipv6Addr::LOCALHOST),
            ..ours()
        }
        .offer();
        assert_eq!(
            SessionDescription::parse(&six).unwrap().connection,
            Some("IN IP6 ::1")
        );
    }

    #[test]
    fn a_value_can_not_smuggle_a_line() {
        let offer = ImSession {
            uri: Some("x\r\nm=audio 1 RTP/AVP 0"),
            ..ours()
        }
        .offer();
        assert_eq!(SessionDescription::parse(&offer).unwrap().media.len(), 1);
    }

    #[test]
    fn broken_descriptions_are_refused() {
        for text in [
            "",
            "hello",
            "v=1\r\n",
            "v=0\r\nm=\r\n",
            "v=0\r\nm=audio\r\n",
            "v=0\r\nm=audio x RTP/AVP 0\r\n",
            "v=0\r\nm=audio 70000 RTP/AVP 0\r\n",
            "v=0\r\nm=audio -1 RTP/AVP 0\r\n",
            "v=0\r\nm= 1  x\r\n",
        ] {
            let parsed = SessionDescription::parse(text.as_bytes());
            assert!(
                matches!(parsed, Err(BodyError::Malformed(_))),
                "{text:?}: {parsed:?}"
            );
        }
        assert!(matches!(
            SessionDescription::parse(b"v=0\r\ns=\xff"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn every_limit_holds_at_its_value_and_one_above() {
        let lines = |count: usize| format!("v=0\r\n{}", "a=x\r\n".repeat(count - 1));
        assert!(SessionDescription::parse(lines(LINES).as_bytes()).is_ok());
        assert!(matches!(
            SessionDescription::parse(lines(LINES + 1).as_bytes()),
            Err(BodyError::Limit(_))
        ));
        let media = |count: usize| format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(count));
        assert!(SessionDescription::parse(media(MEDIA).as_bytes()).is_ok());
        assert!(matches!(
            SessionDescription::parse(media(MEDIA + 1).as_bytes()),
            Err(BodyError::Limit(_))
        ));
    }

    proptest! {
        #[test]
        fn what_we_print_we_read(port in 1..=u16::MAX, id: u64, uri in proptest::option::of("sip:[a-z]{1,9}@[a-z]{1,9}")) {
            let session = ImSession { port, session_id: id, uri: uri.as_deref(), ..ours() };
            let offer = session.offer();
            let read = SessionDescription::parse(&offer).unwrap();
            prop_assert_eq!(read.kind(), SessionKind::Message { accept_types: ACCEPT_TYPES.to_vec() });
            let media = read.media.first().unwrap();
            prop_assert_eq!((media.port, media.formats), (port, uri.as_deref().unwrap_or("null")));
            prop_assert_eq!(session.answer(&read), Some(offer.clone()));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SessionDescription::parse(&bytes);
        }

        #[test]
        fn random_lines_never_panic(text in "v=0\r\n([a-z]=[a-z0-9/: ]{0,12}\r\n){0,12}") {
            if let Ok(description) = SessionDescription::parse(text.as_bytes()) {
                let _ = ours().answer(&description);
            }
        }
    }
}
