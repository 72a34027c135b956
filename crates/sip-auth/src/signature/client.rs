//! The client's side of a security association, for puppets in tests and the load tool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::AuthorizationError::{self, Malformed, Missing};
use crate::ntlm::{MessageSigner, SessionKey, Signature};
use crate::param::{Params, push_quoted, set};
use crate::signature::{MessageFields, ProtocolVersion, SignedFields};

/// A `WWW-Authenticate: NTLM` value as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// `realm`.
    pub realm: String,
    /// `targetname`.
    pub targetname: String,
    /// `opaque`; empty in the first offer.
    pub opaque: String,
    /// `gssapi-data`, decoded; empty in the first offer.
    pub token: Vec<u8>,
}

impl Challenge {
    /// Parses the value.
    ///
    /// # Errors
    ///
    /// Another scheme or broken grammar.
    pub fn parse(value: &str) -> Result<Self, AuthorizationError> {
        let (mut realm, mut targetname, mut opaque, mut token) = (None, None, None, None);
        for param in Params::of(value, "NTLM")? {
            let param = param?;
            let slot = match param.name.to_ascii_lowercase().as_str() {
                "realm" => &mut realm,
                "targetname" => &mut targetname,
                "opaque" => &mut opaque,
                "gssapi-data" => &mut token,
                _ => continue,
            };
            set(slot, param.raw, "a parameter")?;
        }
        Ok(Self {
            realm: realm.ok_or(Missing("realm"))?.into(),
            targetname: targetname.ok_or(Missing("targetname"))?.into(),
            opaque: opaque.unwrap_or_default().into(),
            token: STANDARD
                .decode(token.unwrap_or_default())
                .map_err(|_| Malformed("gssapi-data"))?,
        })
    }

    /// The `Authorization` value that asks for a challenge.
    #[must_use]
    pub fn begin(&self) -> String {
        let mut out = String::from("NTLM ");
        push_quoted(&mut out, "qop", "auth");
        push_quoted(&mut out, "realm", &self.realm);
        push_quoted(&mut out, "targetname", &self.targetname);
        push_quoted(&mut out, "gssapi-data", "");
        out.push_str(", version=4");
        out
    }
}

/// The client's security association.
#[derive(Debug)]
pub struct ClientAssociation {
    challenge: Challenge,
    signer: MessageSigner,
    sent: u32,
}

impl ClientAssociation {
    /// Begins the association with the key the client chose in its answer to `challenge`.
    #[must_use]
    pub fn new(challenge: Challenge, key: &SessionKey) -> Self {
        Self {
            challenge,
            signer: MessageSigner::client(key),
            sent: 0,
        }
    }

    /// The `Authorization` value for one message; `authenticate` is the AUTHENTICATE message, in the REGISTER
    /// that ends the sign-in.
    #[must_use]
    pub fn sign(&mut self, crand: &str, message: &MessageFields<'_>, authenticate: Option<&[u8]>) -> String {
        self.sent += 1;
        let cnum = self.sent.to_string();
        let response = self
            .signer
            .sign(|sink| self.fields(crand, &cnum, message).pieces(VERSION, sink));
        let mut out = String::from("NTLM ");
        push_quoted(&mut out, "qop", "auth");
        push_quoted(&mut out, "opaque", &self.challenge.opaque);
        push_quoted(&mut out, "realm", &self.challenge.realm);
        push_quoted(&mut out, "targetname", &self.challenge.targetname);
        if let Some(token) = authenticate {
            push_quoted(&mut out, "gssapi-data", &STANDARD.encode(token));
            out.push_str(", version=4");
        }
        push_quoted(&mut out, "crand", crand);
        push_quoted(&mut out, "cnum", &cnum);
        push_quoted(&mut out, "response", &response.to_string());
        out
    }

    /// Whether an `Authentication-Info` value is the server's signature over the message.
    #[must_use]
    pub fn verify(&self, authentication_info: &str, message: &MessageFields<'_>) -> bool {
        let (mut rspauth, mut srand, mut snum) = (None, None, None);
        let Ok(params) = Params::of(authentication_info, "NTLM") else {
            return false;
        };
        for param in params.flatten() {
            match param.name {
                "rspauth" => rspauth = param.raw.parse::<Signature>().ok(),
                "srand" => srand = Some(param.raw),
                "snum" => snum = Some(param.raw),
                _ => {}
            }
        }
        let (Some(rspauth), Some(srand), Some(snum)) = (rspauth, srand, snum) else {
            return false;
        };
        self.signer.verify(
            |sink| self.fields(srand, snum, message).pieces(VERSION, sink),
            &rspauth,
        )
    }

    fn fields<'a>(&'a self, rand: &'a str, num: &'a str, message: &MessageFields<'a>) -> SignedFields<'a> {
        SignedFields {
            scheme: "NTLM",
            rand,
            num,
            realm: &self.challenge.realm,
            targetname: &self.challenge.targetname,
            message: *message,
        }
    }
}

const VERSION: ProtocolVersion = ProtocolVersion::V4;
