//! The client's side of NTLM, for puppets in tests and the load tool.

use super::challenge::{SIGNATURE, VERSION, push_field};
use super::crypto::{hmac_md5, utf16le};
use super::flags;
use super::proof::{NtHash, SessionKey, ntowf_v2};
use super::rc4::Rc4;
use super::target_info::{CHANNEL_BINDINGS, FLAGS, push};

/// Everything a client puts into its answer to a challenge.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Login name as typed.
    pub user: &'a str,
    /// Domain as typed; empty if only the SIP address is known.
    pub domain: &'a str,
    /// The password.
    pub password: &'a str,
    /// Randomness of the client's own.
    pub client_challenge: [u8; 8],
    /// FILETIME to put into the answer.
    pub time: [u8; 8],
    /// The session key the client chooses.
    pub session_key: SessionKey,
    /// Channel binding hash to send, if any.
    pub channel_binding: Option<[u8; 16]>,
    /// Whether to send a MIC.
    pub mic: bool,
}

impl Answer<'_> {
    /// The AUTHENTICATE message for the given CHALLENGE message; `None` if that is not one.
    #[must_use]
    pub fn to(&self, challenge: &[u8]) -> Option<Vec<u8>> {
        let server_challenge: [u8; 8] = challenge.get(24..32)?.try_into().ok()?;
        let info_field: [u8; 8] = challenge.get(40..48)?.try_into().ok()?;
        let len = usize::from(u16::from_le_bytes([info_field[0], info_field[1]]));
        let [_, _, _, _, offset @ ..] = info_field;
        let offset = usize::try_from(u32::from_le_bytes(offset)).ok()?;
        let temp = self.temp(challenge.get(offset..offset.checked_add(len)?)?);

        let hash = NtHash::from_password(self.password);
        let ntowf = ntowf_v2(&hash, &self.user.to_ascii_uppercase(), self.domain);
        let proof = hmac_md5(&ntowf, &[&server_challenge, &temp]);
        let base = hmac_md5(&ntowf, &[&proof]);
        let mut wrapped = *self.session_key.as_bytes();
        Rc4::new(&base).apply(&mut wrapped);

        let mut message = self.message(&[&proof[..], &temp].concat(), &wrapped);
        if self.mic {
            let mic = hmac_md5(self.session_key.as_bytes(), &[challenge, &message]);
            message.get_mut(72..88)?.copy_from_slice(&mic);
        }
        Some(message)
    }

    /// NTLMv2_CLIENT_CHALLENGE (section 2.2.2.7).
    fn temp(&self, target_info: &[u8]) -> Vec<u8> {
        let mut temp = vec![1, 1, 0, 0, 0, 0, 0, 0];
        temp.extend(self.time);
        temp.extend(self.client_challenge);
        temp.extend([0; 4]);
        let mut own_pairs = Vec::new();
        if self.mic {
            push(&mut own_pairs, FLAGS, &2u32.to_le_bytes());
        }
        if let Some(hash) = self.channel_binding {
            push(&mut own_pairs, CHANNEL_BINDINGS, &hash);
        }
        // The client's own pairs go before MsvAvEOL.
        let (pairs, end) = target_info.split_at(target_info.len().saturating_sub(4));
        temp.extend([pairs, &own_pairs, end, &[0; 4]].concat());
        temp
    }

    fn message(&self, nt_response: &[u8], wrapped_key: &[u8]) -> Vec<u8> {
        let (domain, user) = (
            utf16le(self.domain.encode_utf16()),
            utf16le(self.user.encode_utf16()),
        );
        let payload: [&[u8]; 6] = [&[], nt_response, &domain, &user, &[], wrapped_key];
        let mut out = Vec::from(SIGNATURE);
        out.extend(3u32.to_le_bytes());
        let mut offset = 88;
        for value in payload {
            push_field(&mut out, value, offset);
            offset += value.len();
        }
        // The 56 bit is dropped, as the open Lync-family client does.
        out.extend((flags::OFFERED & 0x7ffe_ffff).to_le_bytes());
        out.extend(VERSION);
        out.extend([0; 16]);
        out.extend(payload.concat());
        out
    }
}
