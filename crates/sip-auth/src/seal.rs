//! Credentials at rest: AES-256-GCM under a key of the pool's key file.
//!
//! A sealed value is `format (1) || generation || nonce (12) || ciphertext || tag (16)`. Format, generation,
//! purpose and the name of the row it belongs to are authenticated with it, so that a value copied to another
//! account's row, or to another purpose, does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::key_file::Purpose;

const FORMAT: u8 = 1;
const NONCE_LEN: usize = 12;
const HEADER_LEN: usize = 2 + NONCE_LEN;
/// What sealing adds to the plaintext, in bytes.
pub const OVERHEAD: usize = HEADER_LEN + 16;

/// Why a value cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a sealed value of a format this version knows. The store is damaged or written by a newer version.
    #[error("not a sealed value")]
    Format,
    /// Sealed under a generation that the key file no longer has: an operator has to bring the old file back.
    #[error("sealed under key generation {0}, which is not in the key file")]
    UnknownGeneration(u8),
    /// Altered, moved from another row, or sealed under another pool's key.
    #[error("sealed value does not open with this key for this account")]
    Refused,
    /// The cryptographic library refused to seal; a defect of ours.
    #[error("value could not be sealed")]
    NotSealed,
}

/// Seals and opens values of one [`Purpose`]: seals under the newest generation, opens under any.
///
/// Comes from [`crate::key_file::KeyFile::seal_key`].
pub struct SealKey {
    purpose: Purpose,
    current: (u8, LessSafeKey),
    older: Vec<(u8, LessSafeKey)>,
}

impl SealKey {
    /// The key that seals, and those that only open, each with its generation; `None` if the cryptographic
    /// library refuses one, which it has no reason to.
    pub(crate) fn new<'a>(
        purpose: Purpose,
        (number, key): (u8, &[u8; 32]),
        older: impl Iterator<Item = (u8, &'a [u8; 32])>,
    ) -> Option<Self> {
        let current = (number, aead_key(key)?);
        let older = older
            .map(|(number, key)| Some((number, aead_key(key)?)))
            .collect::<Option<_>>()?;
        Some(Self {
            purpose,
            current,
            older,
        })
    }

    /// Seals a value for the row named `row` (an account's id; any text that names the row for good).
    ///
    /// `nonce` must be twelve fresh random bytes each time: a repeated one gives the plaintext away. Random ones
    /// suffice for 2^32 values under one generation (NIST SP 800-38D section 8.3).
    ///
    /// # Errors
    ///
    /// [`SealError::NotSealed`] only.
    pub fn seal(&self, plaintext: &[u8], row: &str, nonce: [u8; NONCE_LEN]) -> Result<Vec<u8>, SealError> {
        let (number, key) = &self.current;
        let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
        out.extend([FORMAT, *number]);
        out.extend(nonce);
        out.extend(plaintext);
        // In place and without growing, so that no copy of the plaintext is left behind.
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                self.aad(*number, row),
                &mut out[HEADER_LEN..],
            )
            .map_err(|_| SealError::NotSealed)?;
        out.extend(tag.as_ref());
        Ok(out)
    }

    /// Opens a value that was sealed for the same row. The result is wiped on drop.
    ///
    /// # Errors
    ///
    /// [`SealError`], any but `NotSealed`.
    pub fn open(&self, sealed: &[u8], row: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (header, body) = sealed
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(SealError::Format)?;
        let [FORMAT, number, nonce @ ..] = *header else {
            return Err(SealError::Format);
        };
        let mut keys = std::iter::once(&self.current).chain(&self.older);
        let (_, key) = keys
            .find(|(known, _)| *known == number)
            .ok_or(SealError::UnknownGeneration(number))?;
        let mut body = Zeroizing::new(body.to_vec());
        let len = key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                self.aad(number, row),
                &mut body,
            )
            .map_err(|_| SealError::Refused)?
            .len();
        body.truncate(len);
        Ok(body)
    }

    /// Whether a value was sealed under an older generation and should be opened and sealed again.
    #[must_use]
    pub fn is_outdated(&self, sealed: &[u8]) -> bool {
        sealed.get(1) != Some(&self.current.0)
    }

    /// What is authenticated with a value. The label is one of ours and contains no zero byte, so that no other
    /// pair of label and row gives the same bytes.
    fn aad(&self, number: u8, row: &str) -> Aad<Vec<u8>> {
        Aad::from(
            [
                &[FORMAT, number],
                self.purpose.label().as_bytes(),
                &[0],
                row.as_bytes(),
            ]
            .concat(),
        )
    }
}

fn aead_key(bytes: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new)
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey")
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key_file::KeyFile;

    fn file(byte: u8) -> KeyFile {
        KeyFile::parse(&KeyFile::generate(&[byte; 32])).unwrap()
    }

    fn key() -> SealKey {
        file(1).seal_key(Purpose::Credentials).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_for_its_own_row_only() {
        let sealed = key().seal(b"secret", "alice@example.test", [7; 12]).unwrap();
        assert_eq!(sealed.len(), 6 + OVERHEAD);
        assert_eq!(**key().open(&sealed, "alice@example.test").unwrap(), *b"secret");
        assert_eq!(key().open(&sealed, "bob@example.test"), Err(SealError::Refused));
        assert_eq!(key().open(&sealed, ""), Err(SealError::Refused));
    }

    #[test]
    fn another_purpose_or_pool_does_not_open_it() {
        let sealed = key().seal(b"secret", "alice", [7; 12]).unwrap();
        assert_eq!(
            file(1)
                .seal_key(Purpose::InternalCa)
                .unwrap()
                .open(&sealed, "alice"),
            Err(SealError::Refused)
        );
        assert_eq!(
            file(2)
                .seal_key(Purpose::Credentials)
                .unwrap()
                .open(&sealed, "alice"),
            Err(SealError::Refused)
        );
    }

    #[test]
    fn a_rotation_keeps_old_values_open_until_their_key_is_removed() {
        let old = key().seal(b"secret", "alice", [7; 12]).unwrap();
        let text = file(1).rotated(&[2; 32]).unwrap();
        let rotated = KeyFile::parse(&text)
            .unwrap()
            .seal_key(Purpose::Credentials)
            .unwrap();
        assert_eq!(**rotated.open(&old, "alice").unwrap(), *b"secret");
        assert!(rotated.is_outdated(&old) && !key().is_outdated(&old));

        let new = rotated.seal(b"secret", "alice", [8; 12]).unwrap();
        assert!(!rotated.is_outdated(&new));
        assert_eq!(key().open(&new, "alice"), Err(SealError::UnknownGeneration(2)));
        // The generation is authenticated: a value cannot be passed off as of another one.
        let mut relabelled = new.clone();
        relabelled[1] = 1;
        assert_eq!(rotated.open(&relabelled, "alice"), Err(SealError::Refused));
    }

    #[test]
    fn what_is_not_sealed_is_named_so() {
        assert_eq!(key().open(b"", "alice"), Err(SealError::Format));
        assert_eq!(key().open(&[2; 40], "alice"), Err(SealError::Format));
        assert_eq!(key().open(&[1; HEADER_LEN], "alice"), Err(SealError::Refused));
    }

    #[test]
    fn the_format_stays_what_it_is() {
        // Computed apart with Python's cryptography package: stored rows must open with every later version.
        let sealed =
            hex::decode("0101070707070707070707070707ecf3831ddf14e63d3d42eaee9ff05ae0acfcc345e59a").unwrap();
        assert_eq!(**key().open(&sealed, "alice@example.test").unwrap(), *b"secret");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_no_bit_may_change(
            plain in prop::collection::vec(any::<u8>(), 0..80), row in "\\PC{0,30}", nonce in any::<[u8; 12]>(),
            at in any::<prop::sample::Index>(), bit in 0u8..8
        ) {
            let mut sealed = key().seal(&plain, &row, nonce).unwrap();
            prop_assert_eq!(&**key().open(&sealed, &row).unwrap(), &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(key().open(&sealed, &row).is_err());
        }

        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(key().open(&bytes, "alice").is_err());
        }
    }
}
