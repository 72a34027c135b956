//! AUTHENTICATE_MESSAGE (MS-NLMP section 2.2.1.3), read without trusting a single offset.

use std::ops::Range;

use subtle::ConstantTimeEq;

use super::challenge::SIGNATURE;
use super::crypto::hmac_md5;
use super::proof::SessionKey;
use super::{flags, target_info};

/// Longest message read. Real ones are 300 to 600 bytes; the header that carries it holds 6 KiB of base64.
const MAX_LEN: usize = 6 * 1024;
/// Where the payload may begin at the earliest: behind NegotiateFlags.
const FIXED_LEN: usize = 64;
/// Where a MIC stands: behind Version.
const MIC: Range<usize> = 72..88;
/// NTProofStr and the fixed part of NTLMv2_CLIENT_CHALLENGE (MS-NLMP section 2.2.2.7).
const MIN_NT_RESPONSE: usize = 16 + 28;

/// Why an AUTHENTICATE message is not usable. The peer's doing: answer as for a wrong password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NtlmFault {
    /// Not an AUTHENTICATE message, or one whose fields do not lie within it.
    #[error("malformed ntlm message: {0}")]
    Malformed(&'static str),
    /// The client did not agree to Unicode, extended session security, key exchange and 128-bit keys.
    #[error("client declined required ntlm flags, left {0:#010x}")]
    Flags(u32),
    /// NTLM version 1, LM or an anonymous answer.
    #[error("ntlm answer is not of version 2")]
    NotVersion2,
}

/// The client's answer to a challenge.
#[derive(Clone)]
pub struct AuthenticateMessage<'a> {
    bytes: &'a [u8],
    user: String,
    domain: String,
    /// NTProofStr and `temp`.
    pub(super) proof: [u8; 16],
    pub(super) temp: &'a [u8],
    pub(super) encrypted_session_key: [u8; 16],
}

impl<'a> AuthenticateMessage<'a> {
    /// Parses the decoded `gssapi-data`.
    ///
    /// Total: every offset and length is checked against the message, whatever order the payload has.
    ///
    /// # Errors
    ///
    /// [`NtlmFault`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NtlmFault> {
        if bytes.len() > MAX_LEN {
            return Err(NtlmFault::Malformed("too long"));
        }
        if bytes.get(..8) != Some(&SIGNATURE) || number(bytes, 8) != Some(3) {
            return Err(NtlmFault::Malformed("not an authenticate message"));
        }
        let flags = number(bytes, 60).ok_or(NtlmFault::Malformed("too short"))?;
        if flags & flags::REQUIRED != flags::REQUIRED {
            return Err(NtlmFault::Flags(flags));
        }
        let (proof, temp) = nt_response(field(bytes, 20)?)?;
        Ok(Self {
            bytes,
            user: text(field(bytes, 36)?)?,
            domain: text(field(bytes, 28)?)?,
            proof,
            temp,
            encrypted_session_key: field(bytes, 52)?
                .try_into()
                .map_err(|_| NtlmFault::Malformed("session key"))?,
        })
    }

    /// The user name as sent; may be a whole SIP address.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The domain as sent; often empty.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The channel binding hash the client sent, if any; compare with [`super::channel_binding_hash`] of this
    /// connection. Sixteen zero bytes mean that the client knows of none (MS-NLMP section 2.2.2.1).
    ///
    /// Trustworthy once the proof was verified, since the proof covers it.
    #[must_use]
    pub fn channel_binding(&self) -> Option<[u8; 16]> {
        let hash = self.av_pair(target_info::CHANNEL_BINDINGS)?.try_into().ok()?;
        (hash != [0; 16]).then_some(hash)
    }

    /// Whether the client says that the message carries a MIC.
    #[must_use]
    pub fn has_mic(&self) -> bool {
        const MIC_PRESENT: u8 = 2;
        self.av_pair(target_info::FLAGS)
            .and_then(<[u8]>::first)
            .is_some_and(|bits| bits & MIC_PRESENT != 0)
    }

    /// Checks the MIC over both messages, once the proof was verified; true if the client sends none.
    ///
    /// In the connectionless variant there is no NEGOTIATE message before the two (MS-NLMP section 3.1.5.2.1).
    /// The one open Lync-family client sends no MIC, so it cannot be demanded.
    #[must_use]
    pub fn mic_is_right(&self, session_key: &SessionKey, challenge: &[u8]) -> bool {
        if !self.has_mic() {
            return true;
        }
        let (Some(before), Some(mic), Some(after)) = (
            self.bytes.get(..MIC.start),
            self.bytes.get(MIC),
            self.bytes.get(MIC.end..),
        ) else {
            return false;
        };
        let expected = hmac_md5(session_key.as_bytes(), &[challenge, before, &[0; 16], after]);
        expected.ct_eq(mic).into()
    }

    fn av_pair(&self, id: u16) -> Option<&'a [u8]> {
        // AvPairs follow 28 fixed bytes of NTLMv2_CLIENT_CHALLENGE.
        target_info::pairs(self.temp.get(28..)?)
            .find(|pair| pair.0 == id)
            .map(|pair| pair.1)
    }
}

impl std::fmt::Debug for AuthenticateMessage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticateMessage")
            .field("user", &self.user)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// A 32-bit number at a fixed place.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let (chunk, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_le_bytes(*chunk))
}

/// The payload that the field at a fixed place points to.
fn field(bytes: &[u8], at: usize) -> Result<&[u8], NtlmFault> {
    let read = || {
        let (len, offset) = (number(bytes, at)? & 0xffff, number(bytes, at + 4)?);
        let (len, offset) = (usize::try_from(len).ok()?, usize::try_from(offset).ok()?);
        if len == 0 {
            return Some(&[][..]);
        }
        (offset >= FIXED_LEN)
            .then(|| bytes.get(offset..offset.checked_add(len)?))
            .flatten()
    };
    read().ok_or(NtlmFault::Malformed("field outside the message"))
}

/// Splits an NTLMv2_RESPONSE into NTProofStr and `temp`.
fn nt_response(response: &[u8]) -> Result<([u8; 16], &[u8]), NtlmFault> {
    if response.len() < MIN_NT_RESPONSE {
        return Err(NtlmFault::NotVersion2);
    }
    let (proof, temp) = response.split_first_chunk::<16>().ok_or(NtlmFault::NotVersion2)?;
    // RespType and HiRespType.
    if temp.get(..2) != Some(&[1, 1]) {
        return Err(NtlmFault::NotVersion2);
    }
    Ok((*proof, temp))
}

fn text(bytes: &[u8]) -> Result<String, NtlmFault> {
    let (units, []) = bytes.as_chunks::<2>() else {
        return Err(NtlmFault::Malformed("odd string"));
    };
    let units = units.iter().map(|&unit| u16::from_le_bytes(unit));
    char::decode_utf16(units)
        .collect::<Result<_, _>>()
        .map_err(|_| NtlmFault::Malformed("string is not utf-16"))
}
