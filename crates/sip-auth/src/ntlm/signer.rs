//! Signatures of messages (MS-NLMP section 3.4.4.2, in the connectionless form).

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac as _};
use md5::Md5;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::SessionKey;
use super::crypto::{hmac_state, md5};
use super::rc4::Rc4;

/// The sequence number of every SIP message. It never counts (MS-SIPAE); `cnum` and `snum` do.
const SEQUENCE: [u8; 4] = 100u32.to_le_bytes();

/// A message signature: NTLMSSP_MESSAGE_SIGNATURE, written as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature([u8; 16]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl FromStr for Signature {
    type Err = hex::FromHexError;

    /// Reads hex of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Signs what one side sends and checks what the other side sent.
///
/// Because a datagram's sealing key depends on the sequence number alone and that never changes, the RC4 key
/// stream over the checksum is the same for every message of a direction. So it is computed once, and a
/// signature costs one HMAC-MD5 from a prepared state. About 400 bytes.
pub struct MessageSigner {
    outgoing: Direction,
    incoming: Direction,
}

impl MessageSigner {
    /// The server's signer.
    #[must_use]
    pub fn server(key: &SessionKey) -> Self {
        Self {
            outgoing: Direction::new(key, "server-to-client"),
            incoming: Direction::new(key, "client-to-server"),
        }
    }

    /// The client's signer: the same with the directions exchanged.
    #[cfg(any(test, feature = "client"))]
    #[must_use]
    pub fn client(key: &SessionKey) -> Self {
        let Self { outgoing, incoming } = Self::server(key);
        Self {
            outgoing: incoming,
            incoming: outgoing,
        }
    }

    /// Signs a text that is handed over in pieces: `pieces` is called with a sink that takes them in order.
    #[must_use]
    pub fn sign(&self, pieces: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Signature {
        self.outgoing.sign(pieces)
    }

    /// Whether `signature` is the other side's over the text; constant time.
    #[must_use]
    pub fn verify(&self, pieces: impl FnOnce(&mut dyn FnMut(&[u8])), signature: &Signature) -> bool {
        self.incoming.sign(pieces).0.ct_eq(&signature.0).into()
    }
}

impl fmt::Debug for MessageSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageSigner")
    }
}

/// One direction's keys, prepared.
struct Direction {
    /// HMAC-MD5 under the signing key, the sequence number already in.
    checksum: Hmac<Md5>,
    /// What RC4 under the sealing key of this sequence number XORs onto the checksum.
    key_stream: [u8; 8],
}

impl Direction {
    fn new(key: &SessionKey, direction: &str) -> Self {
        let derive = |purpose: &str| {
            let magic = format!("session key to {direction} {purpose} key magic constant\0");
            Zeroizing::new(md5(&[key.as_bytes(), magic.as_bytes()]))
        };
        let mut checksum = hmac_state(&derive("signing"));
        checksum.update(&SEQUENCE);
        let sealing = Zeroizing::new(md5(&[&*derive("sealing"), &SEQUENCE]));
        let mut key_stream = [0; 8];
        Rc4::new(&sealing).apply(&mut key_stream);
        Self { checksum, key_stream }
    }

    fn sign(&self, pieces: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Signature {
        let mut state = self.checksum.clone();
        pieces(&mut |piece| state.update(piece));
        let checksum: [u8; 16] = state.finalize().into_bytes().into();
        let mut out = [0; 16];
        out[0] = 1;
        for (to, (a, b)) in out[4..12].iter_mut().zip(checksum.iter().zip(self.key_stream)) {
            *to = a ^ b;
        }
        out[12..].copy_from_slice(&SEQUENCE);
        Signature(out)
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        // The HMAC state wipes itself.
        self.key_stream.zeroize();
    }
}
