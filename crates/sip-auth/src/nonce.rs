//! Nonces that need no memory: the server recognises its own by their MAC.
//!
//! A nonce is `time || random || MAC`, 32 bytes in URL-safe base64. The MAC is HMAC-SHA-256, cut to 128 bits,
//! over time, random and [`NonceScope`]. Nothing is stored when one is issued, so that a flood of
//! unauthenticated requests costs no memory (RFC 7616 section 5.4 suggests the form).
//!
//! The key comes from the pool's key file ([`crate::key_file::KeyFile::nonce_key`]). The key generation before
//! the current one is accepted as well, so that a rotation interrupts nobody.
//!
//! A valid nonce is [`CheckedNonce`], and only that can be given to [`crate::replay::ReplayWindow`].

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::{Choice, ConstantTimeEq};

/// How long a nonce may be answered, in seconds (docs/limits.md): long enough for a person who types
/// a password, short enough that what is overheard is soon worth nothing.
pub const LIFETIME: u64 = 5 * 60;
/// How long on the connection it was issued on, in seconds.
pub const LIFETIME_SAME_CONNECTION: u64 = 30 * 60;
/// How far ahead of our clock an issuer's clock may be, in seconds.
const MAX_SKEW: u64 = 60;

const MAC_LEN: usize = 16;
const LEN: usize = 16 + MAC_LEN;

/// What kind of connection a nonce was issued on. It is not good on another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionClass {
    /// TLS from inside.
    Tls,
    /// Clear-text TCP on a listener marked internal.
    ClearText,
    /// Anything that came through the edge.
    Edge,
}

/// Where a nonce is good. Everything here is under the MAC, nothing of it is in the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceScope<'a> {
    /// The realm of the challenge.
    pub realm: &'a str,
    /// The kind of connection.
    pub class: ConnectionClass,
    /// The server that keeps the replay window for the nonce: a member's name, or empty for the whole pool.
    ///
    /// With the member's name a nonce answered at another member is simply unknown there, so that a replay
    /// cannot be taken to a member whose window has not seen the original.
    pub issuer: &'a str,
}

/// On which connection a nonce comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnedOn {
    /// The connection it was issued on.
    SameConnection,
    /// Another one, or nobody remembers.
    OtherConnection,
}

/// Why a nonce is not accepted. Each is answered with a new challenge; only a right digest over an expired one
/// earns `stale=true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceFault {
    /// Not a nonce of ours in form.
    #[error("nonce is malformed")]
    Malformed,
    /// The MAC is wrong: invented, issued for another scope, or under a key that is gone.
    #[error("nonce is not ours")]
    Forged,
    /// Ours, but too old.
    #[error("nonce has expired")]
    Expired,
}

/// A nonce that is ours and in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckedNonce {
    // Field order matters: nonces sort by age.
    issued_at: u64,
    random: [u8; 8],
}

impl CheckedNonce {
    /// When it was issued, in Unix seconds.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }
}

/// Issues and recognises nonces.
#[derive(Clone)]
pub struct NonceKey {
    current: hmac::Key,
    previous: Option<hmac::Key>,
}

impl NonceKey {
    /// A key of its own; servers take [`crate::key_file::KeyFile::nonce_key`].
    #[must_use]
    pub fn new(current: &[u8; 32], previous: Option<&[u8; 32]>) -> Self {
        let key = |bytes: &[u8; 32]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Self {
            current: key(current),
            previous: previous.map(key),
        }
    }

    /// A fresh nonce: 43 characters that need no quoting or escaping.
    ///
    /// `random` keeps two nonces of one second apart; it must differ each time but need not be secret.
    #[must_use]
    pub fn issue(&self, now_unix: u64, random: [u8; 8], scope: NonceScope<'_>) -> String {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&now_unix.to_be_bytes());
        bytes[8..16].copy_from_slice(&random);
        let tag = mac(&self.current, &bytes[..16], scope);
        bytes[16..].copy_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Recognises a nonce that came back.
    ///
    /// # Errors
    ///
    /// [`NonceFault`]; the MAC is looked at before the time, so that `Expired` is only said of our own.
    pub fn check(
        &self,
        nonce: &str,
        now_unix: u64,
        scope: NonceScope<'_>,
        returned: ReturnedOn,
    ) -> Result<CheckedNonce, NonceFault> {
        let (signed, tag) = decode(nonce).ok_or(NonceFault::Malformed)?;
        let by = |key: &hmac::Key| mac(key, &signed, scope).ct_eq(&tag);
        let known = by(&self.current) | self.previous.as_ref().map_or(Choice::from(0), by);
        if !bool::from(known) {
            return Err(NonceFault::Forged);
        }
        let (time, random) = halves(signed);
        let issued_at = u64::from_be_bytes(time);
        let lifetime = match returned {
            ReturnedOn::SameConnection => LIFETIME_SAME_CONNECTION,
            ReturnedOn::OtherConnection => LIFETIME,
        };
        // A nonce from the future means a clock was set back since: a fresh one costs the client one round trip.
        let in_time =
            now_unix < issued_at.saturating_add(lifetime) && issued_at <= now_unix.saturating_add(MAX_SKEW);
        if in_time {
            Ok(CheckedNonce { issued_at, random })
        } else {
            Err(NonceFault::Expired)
        }
    }
}

impl std::fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NonceKey")
            .field("generations", &(1 + usize::from(self.previous.is_some())))
            .finish()
    }
}

fn decode(nonce: &str) -> Option<([u8; 16], [u8; MAC_LEN])> {
    let mut bytes = [0; LEN];
    // Too short and too long are both refused: the length must come out exactly.
    let len = URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).ok()?;
    let (signed, tag) = bytes.split_first_chunk::<16>()?;
    (len == LEN).then_some((*signed, tag.try_into().ok()?))
}

fn halves(bytes: [u8; 16]) -> ([u8; 8], [u8; 8]) {
    let (mut a, mut b) = ([0; 8], [0; 8]);
    a.copy_from_slice(&bytes[..8]);
    b.copy_from_slice(&bytes[8..]);
    (a, b)
}

/// MAC over the nonce's own bytes and its scope; each text behind its length, so that no two scopes run together.
fn mac(key: &hmac::Key, signed: &[u8], scope: NonceScope<'_>) -> [u8; MAC_LEN] {
    let mut context = hmac::Context::with_key(key);
    context.update(signed);
    context.update(&[match scope.class {
        ConnectionClass::Tls => 1,
        ConnectionClass::ClearText => 2,
        ConnectionClass::Edge => 3,
    }]);
    for text in [scope.realm, scope.issuer] {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut tag = [0; MAC_LEN];
    tag.copy_from_slice(&context.sign().as_ref()[..MAC_LEN]);
    tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ReturnedOn::{OtherConnection, SameConnection};
    use super::*;

    const SCOPE: NonceScope<'_> = NonceScope {
        realm: "example.test",
        class: ConnectionClass::Tls,
        issuer: "fe1",
    };
    const NOW: u64 = 1_800_000_000;

    fn key(byte: u8) -> NonceKey {
        NonceKey::new(&[byte; 32], None)
    }

    #[test]
    fn a_nonce_lives_five_minutes_and_thirty_on_its_own_connection() {
        let nonce = key(1).issue(NOW, [7; 8], SCOPE);
        assert_eq!(nonce.len(), 43);
        let at = |after, on| {
            key(1)
                .check(&nonce, NOW + after, SCOPE, on)
                .map(|n| n.issued_at())
        };
        assert_eq!(at(0, OtherConnection), Ok(NOW));
        assert_eq!(at(299, OtherConnection), Ok(NOW));
        assert_eq!(at(300, OtherConnection), Err(NonceFault::Expired));
        assert_eq!(at(1799, SameConnection), Ok(NOW));
        assert_eq!(at(1800, SameConnection), Err(NonceFault::Expired));
    }

    #[test]
    fn a_clock_set_back_expires_a_nonce_but_skew_does_not() {
        let nonce = key(1).issue(NOW, [7; 8], SCOPE);
        assert!(key(1).check(&nonce, NOW - 60, SCOPE, SameConnection).is_ok());
        assert_eq!(
            key(1).check(&nonce, NOW - 61, SCOPE, SameConnection),
            Err(NonceFault::Expired)
        );
        assert_eq!(
            key(1).check(&nonce, 0, SCOPE, SameConnection),
            Err(NonceFault::Expired)
        );
    }

    #[test]
    fn another_realm_class_issuer_or_key_does_not_know_it() {
        let nonce = key(1).issue(NOW, [7; 8], SCOPE);
        let forged = Err(NonceFault::Forged);
        for scope in [
            NonceScope {
                realm: "example.tes",
                issuer: "tfe1",
                ..SCOPE
            },
            NonceScope {
                class: ConnectionClass::ClearText,
                ..SCOPE
            },
            NonceScope {
                class: ConnectionClass::Edge,
                ..SCOPE
            },
            NonceScope {
                issuer: "fe2",
                ..SCOPE
            },
        ] {
            assert_eq!(
                key(1).check(&nonce, NOW, scope, SameConnection),
                forged,
                "{scope:?}"
            );
        }
        assert_eq!(key(2).check(&nonce, NOW, SCOPE, SameConnection), forged);
    }

    #[test]
    fn the_generation_before_is_accepted_and_the_one_before_that_is_not() {
        let nonce = key(1).issue(NOW, [7; 8], SCOPE);
        assert!(
            NonceKey::new(&[2; 32], Some(&[1; 32]))
                .check(&nonce, NOW, SCOPE, SameConnection)
                .is_ok()
        );
        let later = NonceKey::new(&[3; 32], Some(&[2; 32]));
        assert_eq!(
            later.check(&nonce, NOW, SCOPE, SameConnection),
            Err(NonceFault::Forged)
        );
    }

    #[test]
    fn a_wrong_length_or_alphabet_is_malformed() {
        let nonce = key(1).issue(NOW, [7; 8], SCOPE);
        for bad in [
            "",
            "abc",
            &nonce[..42],
            &format!("{nonce}A"),
            &format!("{nonce}AAAA"),
            &nonce.replace(&nonce[..1], "+"),
        ] {
            assert_eq!(
                key(1).check(bad, NOW, SCOPE, SameConnection),
                Err(NonceFault::Malformed),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(nonce in "\\PC{0,64}", now in any::<u64>()) {
            prop_assert!(key(1).check(&nonce, now, SCOPE, SameConnection).is_err());
        }

        #[test]
        fn no_bit_can_be_changed(random in any::<[u8; 8]>(), now in any::<u64>(), bit in 0usize..256) {
            let nonce = key(1).issue(now, random, SCOPE);
            let mut bytes = URL_SAFE_NO_PAD.decode(nonce).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(key(1).check(&changed, now, SCOPE, SameConnection), Err(NonceFault::Forged));
        }
    }
}
