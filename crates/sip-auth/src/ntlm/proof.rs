//! The NTLMv2 proof and what follows from it (MS-NLMP sections 3.3.2 and 3.4.5.1).

use md4::{Digest as _, Md4};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::AuthenticateMessage;
use super::crypto::{hmac_md5, utf16le};
use super::rc4::Rc4;

/// MD4 over the password in UTF-16LE: what is stored for accounts that may use NTLM.
///
/// As good as the password itself. Wiped on drop; `Debug` shows nothing.
#[derive(Clone)]
pub struct NtHash(Zeroizing<[u8; 16]>);

impl NtHash {
    /// Computes the hash of a password.
    #[must_use]
    pub fn from_password(password: &str) -> Self {
        let bytes = Zeroizing::new(utf16le(password.encode_utf16()));
        Self(Zeroizing::new(Md4::digest(&*bytes).into()))
    }

    /// A hash read back from a store.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The raw hash, for the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Debug for NtHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NtHash")
    }
}

/// ExportedSessionKey: the secret of one sign-in, from which both sides sign.
///
/// Passed once from the registrar to the front end that asked. Wiped on drop; `Debug` shows nothing.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<[u8; 16]>);

impl SessionKey {
    /// A key that arrived from the role that verified the proof.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The raw key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for SessionKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for SessionKey {}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey")
    }
}

/// Checks the client's proof; the session key if it is right.
///
/// `nt_hash` is `None` for an unknown or disabled account, or one that may not use NTLM: the same work is done
/// over a dummy and the answer is `None`. The proof is compared in constant time.
///
/// The names enter the proof exactly as the client sent them, the user in capitals. The open Lync-family client
/// raises ASCII letters only, Windows every letter; for a name where that differs both are tried. Whether the
/// sent names belong to the account is the caller's to check, and so are channel binding and MIC
/// ([`AuthenticateMessage::channel_binding`], [`AuthenticateMessage::mic_is_right`]).
#[must_use]
pub fn verify_authenticate(
    nt_hash: Option<&NtHash>,
    server_challenge: [u8; 8],
    message: &AuthenticateMessage<'_>,
) -> Option<SessionKey> {
    let dummy = NtHash::from_bytes([0; 16]);
    let hash = nt_hash.unwrap_or(&dummy);
    let mut found = None;
    for user in capital_forms(message.user()) {
        let ntowf = ntowf_v2(hash, &user, message.domain());
        let expected = Zeroizing::new(hmac_md5(&ntowf, &[&server_challenge, message.temp]));
        let session_key = session_key(&ntowf, message);
        if expected.ct_eq(&message.proof).into() {
            found = Some(session_key);
        }
    }
    nt_hash.and(found)
}

/// The key both sides derive when the proof is right: the client's random key, unwrapped (section 3.4.5.1,
/// KXKEY is SessionBaseKey under NTLMv2).
fn session_key(ntowf: &[u8; 16], message: &AuthenticateMessage<'_>) -> SessionKey {
    let base = Zeroizing::new(hmac_md5(ntowf, &[&message.proof]));
    let mut key = SessionKey::from_bytes(message.encrypted_session_key);
    Rc4::new(&base).apply(&mut *key.0);
    key
}

/// NTOWFv2, with the user already in capitals.
pub(super) fn ntowf_v2(hash: &NtHash, capital_user: &str, domain: &str) -> Zeroizing<[u8; 16]> {
    let names = utf16le(capital_user.encode_utf16().chain(domain.encode_utf16()));
    Zeroizing::new(hmac_md5(&hash.0, &[&names]))
}

/// The user name with ASCII letters raised, and with all letters raised where that is another name.
fn capital_forms(user: &str) -> impl Iterator<Item = String> {
    let ascii = user.to_ascii_uppercase();
    // Windows maps one UTF-16 unit to one: a letter whose capital form is two (ß) stays.
    let all: String = user
        .chars()
        .map(|c| {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(single), None) => single,
                _ => c,
            }
        })
        .collect();
    let all = (all != ascii).then_some(all);
    std::iter::once(ascii).chain(all)
}
