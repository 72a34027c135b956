//! The text that is signed.

use std::fmt::Write as _;

/// Version of the authentication protocol (the `version` parameter). The server offers 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProtocolVersion {
    /// Leaves To URI and the asserted identities out of the signed text.
    V2,
    /// Signs all fields.
    V3,
    /// Signs all fields, and the REGISTER that carries the AUTHENTICATE message already.
    V4,
}

impl ProtocolVersion {
    /// What the server offers.
    pub const OFFERED: Self = Self::V4;

    /// The version of a parameter's value.
    #[must_use]
    pub fn from_number(text: &str) -> Option<Self> {
        match text {
            "2" => Some(Self::V2),
            "3" => Some(Self::V3),
            "4" => Some(Self::V4),
            _ => None,
        }
    }

    /// The parameter's value.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// Whether the REGISTER with the AUTHENTICATE message is signed.
    #[must_use]
    pub fn signs_sign_in(self) -> bool {
        self == Self::V4
    }
}

/// What a signature takes from the message, each text exactly as it stands there; empty where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFields<'a> {
    /// Value of `Call-ID`.
    pub call_id: &'a str,
    /// The number of `CSeq`.
    pub cseq: &'a str,
    /// The method; of a response, the one in its `CSeq`.
    pub method: &'a str,
    /// URI of `From`: the text between the brackets, or without brackets up to the first `;`.
    pub from_uri: &'a str,
    /// Tag of `From`.
    pub from_tag: &'a str,
    /// URI of `To`.
    pub to_uri: &'a str,
    /// Tag of `To`.
    pub to_tag: &'a str,
    /// The `sip:` URI of `P-Asserted-Identity`, or of `P-Preferred-Identity`.
    pub asserted_sip: &'a str,
    /// The `tel:` URI there.
    pub asserted_tel: &'a str,
    /// Value of `Expires`.
    pub expires: &'a str,
    /// Status code of a response; `None` for a request.
    pub status: Option<u16>,
}

/// The text that is signed: fields in angle brackets, one behind the other (MS-SIPAE, signature buffer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedFields<'a> {
    /// `NTLM`; other schemes sign the same text.
    pub scheme: &'a str,
    /// `crand` or `srand`, as it stands.
    pub rand: &'a str,
    /// `cnum` or `snum`, as it stands.
    pub num: &'a str,
    /// `realm` of the same header.
    pub realm: &'a str,
    /// `targetname` of the same header.
    pub targetname: &'a str,
    /// The message's own fields.
    pub message: MessageFields<'a>,
}

impl SignedFields<'_> {
    /// Hands the text to `sink` piece by piece, so that nothing is assembled on the way into a hash.
    pub fn pieces(&self, version: ProtocolVersion, sink: &mut dyn FnMut(&[u8])) {
        let message = &self.message;
        let mut field = |text: &str| {
            sink(b"<");
            sink(text.as_bytes());
            sink(b">");
        };
        for text in [self.scheme, self.rand, self.num, self.realm, self.targetname] {
            field(text);
        }
        for text in [
            message.call_id,
            message.cseq,
            message.method,
            message.from_uri,
            message.from_tag,
        ] {
            field(text);
        }
        let whole = version != ProtocolVersion::V2;
        if whole {
            field(message.to_uri);
        }
        field(message.to_tag);
        if whole {
            field(message.asserted_sip);
            field(message.asserted_tel);
        }
        field(message.expires);
        if let Some(status) = message.status {
            let mut digits = String::with_capacity(5);
            // Writing to a `String` cannot fail.
            let _ = write!(digits, "{status}");
            field(&digits);
        }
    }

    /// The text in one piece, for logs of failed checks and for tests.
    #[must_use]
    pub fn text(&self, version: ProtocolVersion) -> String {
        let mut out = Vec::with_capacity(256);
        self.pieces(version, &mut |piece| out.extend_from_slice(piece));
        // All pieces are `str`, so nothing is ever replaced.
        String::from_utf8_lossy(&out).into_owned()
    }
}
