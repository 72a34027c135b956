//! CHALLENGE_MESSAGE (MS-NLMP section 2.2.1.2).

use super::flags;
use super::target_info::{TargetNames, encode, encode_name};

/// A challenge as it goes into `gssapi-data`.
///
/// The front end keeps the server challenge (and the bytes, for clients that send a MIC) until the answer comes,
/// at most [`super::CHALLENGE_LIFETIME`] seconds, and compares with it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeMessage {
    bytes: Vec<u8>,
}

impl ChallengeMessage {
    /// Builds the message.
    ///
    /// `server_challenge` must come from a cryptographic generator. `now_unix`, in seconds, becomes the
    /// timestamp that the client uses in place of its own clock, so that a wrong clock there does no harm.
    #[must_use]
    pub fn new(server_challenge: [u8; 8], names: &TargetNames, now_unix: u64) -> Self {
        let target_name = encode_name(&names.nb_domain);
        let target_info = encode(names, file_time(now_unix));
        let mut bytes = Vec::with_capacity(HEADER_LEN + target_name.len() + target_info.len());
        bytes.extend(SIGNATURE);
        bytes.extend(2u32.to_le_bytes());
        push_field(&mut bytes, &target_name, HEADER_LEN);
        bytes.extend(flags::OFFERED.to_le_bytes());
        bytes.extend(server_challenge);
        bytes.extend([0; 8]);
        push_field(&mut bytes, &target_info, HEADER_LEN + target_name.len());
        bytes.extend(VERSION);
        bytes.extend(target_name);
        bytes.extend(target_info);
        Self { bytes }
    }

    /// The message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Begins every NTLM message.
pub(super) const SIGNATURE: [u8; 8] = *b"NTLMSSP\0";
/// Length of the fixed part.
const HEADER_LEN: usize = 56;
/// VERSION (MS-NLMP section 2.2.2.10) of a Windows 7 machine, revision 15; said to be for debugging only.
pub(super) const VERSION: [u8; 8] = [6, 1, 0xB0, 0x1D, 0, 0, 0, 15];

/// Length, maximum length and offset of a payload field.
pub(super) fn push_field(out: &mut Vec<u8>, value: &[u8], offset: usize) {
    // Payloads are a few hundred bytes: names of at most 510 bytes each.
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes();
    out.extend(len);
    out.extend(len);
    out.extend(u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
}

/// FILETIME: 100 ns steps since 1601.
fn file_time(unix_seconds: u64) -> u64 {
    unix_seconds
        .saturating_add(11_644_473_600)
        .saturating_mul(10_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_layout_of_ms_nlmp_2_2_1_2() {
        let names = TargetNames::from_fqdn("fe.example.test");
        let message = ChallengeMessage::new(*b"\x01\x23\x45\x67\x89\xab\xcd\xef", &names, 0);
        let bytes = message.as_bytes();
        assert_eq!(hex::encode(&bytes[..12]), "4e544c4d5353500002000000");
        assert_eq!(hex::encode(&bytes[12..20]), "0e000e0038000000");
        assert_eq!(hex::encode(&bytes[20..24]), "558299e2");
        assert_eq!(hex::encode(&bytes[24..40]), "0123456789abcdef0000000000000000");
        // TargetInfo of the test vector, with the time of the Unix epoch in place of its own.
        let info = "02000e004500580041004d0050004c0045000100040046004500040018006500780061006d0070006c0065002e00740065\
                    00730074000300\
                    1e00660065002e006500780061006d0070006c0065002e007400650073007400\
                    0700080000803ed5deb19d0100000000";
        assert_eq!(hex::encode(&bytes[40..48]), "6800680046000000");
        assert_eq!(hex::encode(&bytes[56..70]), "4500580041004d0050004c004500");
        assert_eq!(hex::encode(&bytes[70..]), info);
        assert_eq!(bytes.len(), 70 + 0x68);
    }

    #[test]
    fn no_time_overflows() {
        assert_eq!(file_time(u64::MAX), u64::MAX);
    }
}
