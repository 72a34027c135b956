//! The client's side of NTLMv2 in datagram mode as Lync-family clients use it over SIP
//! ([MS-SIPAE] sections 3 and 4, [MS-NLMP]), written apart from the product's.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest as _, Md5};

use super::digest::param;
use crate::wire::{param_of, uri_of};

/// Flags of the AUTHENTICATE message: what the one open Lync-family client sends.
const FLAGS: u32 = 0x6298_8255;
/// The sequence number of every signature: always this, it never counts.
const SEQUENCE: u32 = 100;
/// The protocol version whose signature string carries the To URI and the asserted identities.
const VERSION: &str = "4";

/// What both directions of one security association need.
#[derive(Debug, Clone)]
pub(super) struct Association {
    opaque: String,
    realm: String,
    target: String,
    sent: u32,
    ours: Keys,
    theirs: Keys,
}

#[derive(Debug, Clone)]
struct Keys {
    sign: [u8; 16],
    seal: [u8; 16],
}

/// Everything of a message that a signature covers.
pub(super) struct Signed<'a> {
    /// Looks a header field up by name.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The status code, for a response.
    pub status: Option<u16>,
}

impl Association {
    /// Answers the CHALLENGE in a `WWW-Authenticate: NTLM` value. Returns the association and the
    /// AUTHENTICATE message for `gssapi-data`.
    pub(super) fn answer(challenge: &str, user: &str, password: &str) -> Result<(Association, String)> {
        let get = |name: &str| {
            param(parameters(challenge), name).with_context(|| format!("no {name} in {challenge}"))
        };
        let message = STANDARD.decode(get("gssapi-data")?)?;
        ensure!(
            message.starts_with(b"NTLMSSP\0\x02\0\0\0"),
            "not a CHALLENGE message"
        );
        let server = message.get(24..32).context("short CHALLENGE")?;
        let info = field(&message, 40)?;
        let mut random = [0; 24];
        getrandom::fill(&mut random)?;
        let (nonce, session_key) = random.split_at(8);
        let session_key: [u8; 16] = session_key.try_into()?;

        let temp = temp(info, nonce);
        let secret = ntowf_v2(user, "", password);
        let proof = hmac_md5(&secret, &[server, &temp].concat());
        let base = hmac_md5(&secret, &proof);
        let encrypted = rc4(&base, &session_key);
        let response = [proof.as_slice(), &temp].concat();
        let authenticate = authenticate_message(user, &response, &encrypted);
        let association = Association {
            opaque: get("opaque")?,
            realm: get("realm")?,
            target: get("targetname")?,
            sent: 0,
            ours: Keys::new(&session_key, "client-to-server"),
            theirs: Keys::new(&session_key, "server-to-client"),
        };
        Ok((association, STANDARD.encode(authenticate)))
    }

    /// The `Authorization` value that signs one message of ours.
    pub(super) fn sign(&mut self, message: &Signed<'_>, gssapi_data: Option<&str>) -> Result<String> {
        self.sent += 1;
        let mut rand = [0; 4];
        getrandom::fill(&mut rand)?;
        let (rand, num) = (hex::encode(rand), self.sent.to_string());
        let text = self.text(message, &rand, &num)?;
        let response = hex::encode_upper(self.ours.mac(text.as_bytes()));
        let (opaque, realm, target) = (&self.opaque, &self.realm, &self.target);
        let data = gssapi_data
            .map(|d| format!("gssapi-data=\"{d}\", version={VERSION}, "))
            .unwrap_or_default();
        Ok(format!(
            "NTLM qop=\"auth\", opaque=\"{opaque}\", realm=\"{realm}\", targetname=\"{target}\", {data}\
             crand=\"{rand}\", cnum=\"{num}\", response=\"{response}\""
        ))
    }

    /// Checks the server's `Authentication-Info`, as a real client does before all else.
    pub(super) fn check(&self, message: &Signed<'_>) -> Result<()> {
        let Some(info) = (message.header)("Authentication-Info") else {
            bail!("the server did not sign a message");
        };
        let list = info
            .strip_prefix("NTLM ")
            .with_context(|| format!("not NTLM: {info}"))?;
        let get = |name: &str| param(list, name).with_context(|| format!("no {name} in {info}"));
        let text = self.text(message, &get("srand")?, &get("snum")?)?;
        let right = hex::encode(self.theirs.mac(text.as_bytes()));
        ensure!(
            get("rspauth")?.eq_ignore_ascii_case(&right),
            "wrong signature of the server over: {text}"
        );
        Ok(())
    }

    fn text(&self, message: &Signed<'_>, rand: &str, num: &str) -> Result<String> {
        let need = |name: &str| (message.header)(name).with_context(|| format!("no {name} to sign"));
        let (from, to, cseq) = (need("From")?, need("To")?, need("CSeq")?);
        let (number, method) = cseq.split_once(' ').context("CSeq")?;
        let asserted = (message.header)("P-Asserted-Identity")
            .or_else(|| (message.header)("P-Preferred-Identity"))
            .unwrap_or_default();
        let asserted_of = |scheme: &str| {
            asserted
                .split(',')
                .map(uri_of)
                .find(|uri| uri.starts_with(scheme))
                .unwrap_or_default()
                .to_owned()
        };
        let mut fields = vec![
            "NTLM".to_owned(),
            rand.to_owned(),
            num.to_owned(),
            self.realm.clone(),
            self.target.clone(),
            need("Call-ID")?,
            number.to_owned(),
            method.to_owned(),
            uri_of(&from).to_owned(),
            param_of(&from, "tag").unwrap_or_default().to_owned(),
            uri_of(&to).to_owned(),
            param_of(&to, "tag").unwrap_or_default().to_owned(),
            asserted_of("sip:"),
            asserted_of("tel:"),
            (message.header)("Expires").unwrap_or_default(),
        ];
        fields.extend(message.status.map(|status| status.to_string()));
        Ok(fields.iter().map(|field| format!("<{field}>")).collect())
    }
}

impl Keys {
    fn new(session_key: &[u8], direction: &str) -> Keys {
        let key = |purpose: &str| {
            let magic = format!("session key to {direction} {purpose} key magic constant\0");
            Md5::new()
                .chain_update(session_key)
                .chain_update(magic)
                .finalize()
                .into()
        };
        Keys {
            sign: key("signing"),
            seal: key("sealing"),
        }
    }

    fn mac(&self, text: &[u8]) -> [u8; 16] {
        let sequence = SEQUENCE.to_le_bytes();
        let hash = hmac_md5(&self.sign, &[&sequence, text].concat());
        // A fresh RC4 key per message, because of datagram mode.
        let key = Md5::new()
            .chain_update(self.seal)
            .chain_update(sequence)
            .finalize();
        let mut mac = [0; 16];
        mac[0] = 1;
        mac[4..12].copy_from_slice(&rc4(&key, &hash[..8]));
        mac[12..].copy_from_slice(&sequence);
        mac
    }
}

/// The first `Authorization` of a sign-in: "send me a challenge".
pub(super) fn hello(challenge: &str) -> Result<String> {
    let get =
        |name: &str| param(parameters(challenge), name).with_context(|| format!("no {name} in {challenge}"));
    let (realm, target) = (get("realm")?, get("targetname")?);
    ensure!(
        get("version")? == VERSION,
        "another version than {VERSION} in {challenge}"
    );
    Ok(format!(
        "NTLM qop=\"auth\", realm=\"{realm}\", targetname=\"{target}\", gssapi-data=\"\", version={VERSION}"
    ))
}

/// What stands behind the name of the scheme.
fn parameters(challenge: &str) -> &str {
    challenge.split_once(' ').map_or("", |(_scheme, rest)| rest)
}

fn temp(target_info: &[u8], client_challenge: &[u8]) -> Vec<u8> {
    let time = av_pair(target_info, 7).unwrap_or(&[0; 8]);
    let head: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 0];
    [head, time, client_challenge, &[0; 4], target_info, &[0; 4]].concat()
}

fn av_pair(mut pairs: &[u8], wanted: u16) -> Option<&[u8]> {
    while let [a, b, c, d, rest @ ..] = pairs {
        let (id, length) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
        let value = rest.get(..length.into())?;
        if id == wanted {
            return Some(value);
        }
        pairs = &rest[length.into()..];
    }
    None
}

/// The bytes a (length, maximum, offset) field at `at` points to.
fn field(message: &[u8], at: usize) -> Result<&[u8]> {
    let head = message.get(at..at + 8).context("short message")?;
    let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let offset = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    message
        .get(offset..offset + length)
        .context("a field points outside its message")
}

fn authenticate_message(user: &str, nt_response: &[u8], session_key: &[u8]) -> Vec<u8> {
    const HEAD: usize = 72;
    let (user, host) = (utf16(user), utf16("puppet"));
    let lm_response = [0; 24];
    let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let mut payload = Vec::new();
    // The domain is empty: the login name is the whole SIP address.
    for part in [&lm_response[..], nt_response, &[], &user, &host, session_key] {
        let length = (part.len() as u16).to_le_bytes();
        message.extend([length, length].concat());
        message.extend(((HEAD + payload.len()) as u32).to_le_bytes());
        payload.extend_from_slice(part);
    }
    message.extend(FLAGS.to_le_bytes());
    message.extend([6, 1, 0, 0, 0, 0, 0, 15]);
    message.extend(payload);
    message
}

fn ntowf_v2(user: &str, domain: &str, password: &str) -> [u8; 16] {
    let nt = Md4::digest(utf16(password));
    hmac_md5(&nt, &utf16(&(user.to_ascii_uppercase() + domain)))
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
fn hmac_md5(key: &[u8], data: &[u8]) -> [u8; 16] {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("any length will do");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// RC4 has no place in new software, so no crate of ours brings it; NTLM can not do without.
fn rc4(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut state: [u8; 256] = std::array::from_fn(|i| i as u8);
    let mut j = 0u8;
    for i in 0..256 {
        j = j.wrapping_add(state[i]).wrapping_add(key[i % key.len()]);
        state.swap(i, j.into());
    }
    let (mut i, mut j) = (0u8, 0u8);
    data.iter()
        .map(|byte| {
            i = i.wrapping_add(1);
            j = j.wrapping_add(state[usize::from(i)]);
            state.swap(i.into(), j.into());
            byte ^ state[usize::from(state[usize::from(i)].wrapping_add(state[usize::from(j)]))]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [0x55; 16];

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text.replace(char::is_whitespace, "")).unwrap()
    }

    /// Numbers reproduced with an independent NTLM library.
    #[test]
    fn the_key_schedule_gives_the_known_values() {
        let info = unhex(
            "02000e004500580041004d0050004c0045000100040046004500040018006500780061006d0070006c0065002e0074006500730074
             0003001e00660065002e006500780061006d0070006c0065002e00740065007300740007000800000000000079dd0100000000",
        );
        let temp = temp(&info, &[0xaa; 8]);
        let secret = ntowf_v2("alice", "EXAMPLE", "Passw0rd!");
        assert_eq!(hex::encode(secret), "c85c6789395b678a69c523c158561d3b");
        let proof = hmac_md5(&secret, &[unhex("0123456789abcdef"), temp].concat());
        assert_eq!(hex::encode(proof), "b2492e32703bcefdfe436a152f42da4a");
        let base = hmac_md5(&secret, &proof);
        assert_eq!(hex::encode(rc4(&base, &KEY)), "e7463830bb9a3472f033701cd4513ed4");
        let ours = Keys::new(&KEY, "client-to-server");
        assert_eq!(hex::encode(ours.sign), "4788dc861b4782f35d43fd98fe1a2d39");
        assert_eq!(hex::encode(ours.seal), "59f600973cc4960a25480a7c196e4c58");
    }

    #[test]
    fn a_request_and_its_answer_are_signed_as_known() {
        let association = Association {
            opaque: String::new(),
            realm: "SIP Communications Service".into(),
            target: "fe.example.test".into(),
            sent: 0,
            ours: Keys::new(&KEY, "client-to-server"),
            theirs: Keys::new(&KEY, "server-to-client"),
        };
        let look = |answer: bool| {
            move |name: &str| {
                let value = match name {
                    "Call-ID" => "b2f1c4d0e9",
                    "CSeq" => "3 REGISTER",
                    "From" => "<sip:alice@example.test>;tag=1122334455;epid=0",
                    "To" if answer => "<sip:alice@example.test>;tag=A1B2C3D4E5F60718",
                    "To" => "<sip:alice@example.test>",
                    "Expires" if answer => "600",
                    _ => return None,
                };
                Some(value.to_owned())
            }
        };
        let request = Signed {
            header: &look(false),
            status: None,
        };
        let text = association.text(&request, "0a1b2c3d", "1").unwrap();
        assert_eq!(
            hex::encode_upper(association.ours.mac(text.as_bytes())),
            "01000000CC0884EE406B10FC64000000"
        );
        let answer = Signed {
            header: &look(true),
            status: Some(200),
        };
        let text = association.text(&answer, "4D3C2B1A", "1").unwrap();
        assert_eq!(
            hex::encode_upper(association.theirs.mac(text.as_bytes())),
            "010000007C9A546C6F01BCAA64000000"
        );
    }
}
