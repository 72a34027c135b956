//! `Authorization: NTLM` from the client, and the `WWW-Authenticate: NTLM` values that lead to it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::AuthorizationError::{self, Malformed, Missing, Unsupported};
use crate::ntlm::Signature;
use crate::param::{Param, Params, push_quoted, set};
use crate::signature::ProtocolVersion;

/// Base64 with or without padding: clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client sent in `Authorization: NTLM ...`, syntactically checked.
///
/// One shape serves the whole exchange:
///
/// | Message | [`token`](Self::token) | [`signature`](Self::signature) |
/// |---|---|---|
/// | asks for a challenge | empty | none |
/// | carries AUTHENTICATE | the message | present under version 4 |
/// | anything later | none | present |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NtlmAuthorization<'a> {
    /// `realm`, as it stands.
    pub realm: &'a str,
    /// `targetname`, as it stands.
    pub targetname: &'a str,
    /// The server's name for the security association.
    pub opaque: Option<&'a str>,
    /// `version`; a client that names none means 2. Only sign-in messages carry it.
    pub version: ProtocolVersion,
    /// `gssapi-data`, decoded; empty when the client asks for a challenge.
    pub token: Option<Vec<u8>>,
    /// The signature over the message that carries this header.
    pub signature: Option<ClientSignature<'a>>,
}

/// `crand`, `cnum` and `response`, which come together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSignature<'a> {
    /// The client's randomness, as it stands.
    pub crand: &'a str,
    /// The client's count, as it stands, which is how it is signed.
    pub cnum_text: &'a str,
    /// The client's count.
    pub cnum: u32,
    /// The signature.
    pub response: Signature,
}

/// The parameters as they are met, each without quotes and otherwise as it stands.
#[derive(Default)]
struct Fields<'a> {
    realm: Option<&'a str>,
    targetname: Option<&'a str>,
    opaque: Option<&'a str>,
    version: Option<&'a str>,
    gssapi_data: Option<&'a str>,
    crand: Option<&'a str>,
    cnum: Option<&'a str>,
    response: Option<&'a str>,
}

impl<'a> NtlmAuthorization<'a> {
    /// Parses the value of an `Authorization` or `Proxy-Authorization` header of a request or a response.
    ///
    /// Total and bounded: at most 8 KiB and 64 parameters.
    ///
    /// # Errors
    ///
    /// Another scheme, broken grammar, a parameter missing or standing twice, an unknown version.
    pub fn parse(value: &'a str) -> Result<Self, AuthorizationError> {
        let mut fields = Fields::default();
        for param in Params::of(value, "NTLM")? {
            fields.take(&param?)?;
        }
        fields.check()
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, param: &Param<'a>) -> Result<(), AuthorizationError> {
        let (slot, name) = match param.name.to_ascii_lowercase().as_str() {
            "realm" => (&mut self.realm, "realm"),
            "targetname" => (&mut self.targetname, "targetname"),
            "opaque" => (&mut self.opaque, "opaque"),
            "version" => (&mut self.version, "version"),
            "gssapi-data" => (&mut self.gssapi_data, "gssapi-data"),
            "crand" => (&mut self.crand, "crand"),
            "cnum" => (&mut self.cnum, "cnum"),
            "response" => (&mut self.response, "response"),
            _ => return Ok(()),
        };
        set(slot, param.raw, name)
    }

    fn check(self) -> Result<NtlmAuthorization<'a>, AuthorizationError> {
        let version = match self.version {
            None => ProtocolVersion::V2,
            Some(text) => ProtocolVersion::from_number(text).ok_or(Unsupported("version"))?,
        };
        let token = match self.gssapi_data {
            None => None,
            Some(text) => Some(BASE64.decode(text).map_err(|_| Malformed("gssapi-data"))?),
        };
        Ok(NtlmAuthorization {
            realm: self.realm.ok_or(Missing("realm"))?,
            targetname: self.targetname.ok_or(Missing("targetname"))?,
            opaque: self.opaque,
            version,
            token,
            signature: signature(self.crand, self.cnum, self.response)?,
        })
    }
}

fn signature<'a>(
    crand: Option<&'a str>,
    cnum: Option<&'a str>,
    response: Option<&'a str>,
) -> Result<Option<ClientSignature<'a>>, AuthorizationError> {
    let Some(response) = response else {
        return Ok(None);
    };
    let cnum_text = cnum.ok_or(Missing("cnum"))?;
    // `parse` alone would take a sign too.
    let digits = cnum_text.bytes().all(|b| b.is_ascii_digit());
    Ok(Some(ClientSignature {
        crand: crand.ok_or(Missing("crand"))?,
        cnum_text,
        cnum: cnum_text
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or(Malformed("cnum"))?,
        response: response.parse().map_err(|_| Malformed("response"))?,
    }))
}

/// The `WWW-Authenticate` value that offers NTLM, and that answers a wrong password.
///
/// `targetname` is the server's FQDN. Clients sign `realm` and `targetname`, so both are best the same in a whole
/// pool. `version` stands last and without quotes: clients read it only so.
#[must_use]
pub fn www_authenticate(realm: &str, targetname: &str) -> String {
    let mut out = String::from("NTLM ");
    push_quoted(&mut out, "realm", realm);
    push_quoted(&mut out, "targetname", targetname);
    push_version(&mut out);
    out
}

/// The `WWW-Authenticate` value that carries a challenge ([`crate::ntlm::ChallengeMessage`]) under the name
/// `opaque`, which the client gives back in all that follows.
#[must_use]
pub fn www_authenticate_token(opaque: &str, token: &[u8], realm: &str, targetname: &str) -> String {
    let mut out = String::from("NTLM ");
    push_quoted(&mut out, "opaque", opaque);
    push_quoted(&mut out, "gssapi-data", &BASE64.encode(token));
    push_quoted(&mut out, "targetname", targetname);
    push_quoted(&mut out, "realm", realm);
    push_version(&mut out);
    out
}

fn push_version(out: &mut String) {
    out.push_str(", version=");
    out.push(char::from(b'0' + ProtocolVersion::OFFERED.number()));
}
