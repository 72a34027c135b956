//! The pool's key file: the root secrets every member shares, by generation.
//!
//! ```text
//! # Portico key file. Keep it secret and back it up: without it stored credentials are lost.
//! portico-keys 1
//! key 1 3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
//! key 2 vu/erQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
//! ```
//!
//! A first line that names the format, then one line per generation: a number from 1 to 255 and 32 random bytes
//! in base64. The highest number is the current generation; older ones still open what they sealed. Blank lines
//! and lines that begin with `#` are skipped.
//!
//! To rotate: write [`KeyFile::rotated`] on every member, restart, reseal ([`SealKey::is_outdated`]), and after
//! that remove the old line. Nonces take the two newest generations.
//!
//! Invariant: a root key is used for nothing but deriving one key per [`Purpose`] (HKDF-SHA-256, RFC 5869), and
//! is wiped as soon as that is done.

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::nonce::NonceKey;
use crate::seal::SealKey;

/// Longest file read, in bytes.
const MAX_LEN: usize = 16 * 1024;
/// The first line.
const FORMAT: &str = "portico-keys 1";

/// What a key is for. Keys of different purposes have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Sealing of stored credentials.
    Credentials,
    /// MACs of Digest nonces.
    Nonce,
    /// Sealing of the private key of the pool's internal certificate authority.
    InternalCa,
    /// The private key itself of the authority that signs the certificates of members.
    MemberAuthority,
}

impl Purpose {
    /// The label that enters the derivation. Never change one: what it sealed would be lost.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Nonce => "nonce",
            Self::InternalCa => "internal-ca",
            Self::MemberAuthority => "member-authority",
        }
    }
}

/// A key file that cannot be used. Tell the operator and refuse to start; no message contains key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// Over 16 KiB.
    #[error("key file is too long to be one")]
    TooLong,
    /// The format line is missing or of another version.
    #[error("key file does not begin with `portico-keys 1`")]
    Format,
    /// A line that is no key.
    #[error("key file line {line}: expected `key NUMBER BASE64`")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A generation outside 1 to 255.
    #[error("key file line {line}: the number must be from 1 to 255")]
    Generation {
        /// Counted from 1.
        line: usize,
    },
    /// The key is not 32 bytes in base64.
    #[error("key file line {line}: the key must be 32 bytes in base64")]
    Key {
        /// Counted from 1.
        line: usize,
    },
    /// A generation that stands twice.
    #[error("key file line {line}: generation {generation} stands twice")]
    Duplicate {
        /// Counted from 1.
        line: usize,
        /// The generation.
        generation: u8,
    },
    /// No key at all.
    #[error("key file contains no key")]
    Empty,
    /// All 255 generations are used up.
    #[error("key file has no generation left, remove old ones and start over")]
    Exhausted,
    /// The cryptographic library refused; a defect of ours.
    #[error("keys could not be derived")]
    Derivation,
}

/// A parsed key file: its text, for a rotation, and the derived keys of each generation.
pub struct KeyFile {
    text: Zeroizing<String>,
    current: Generation,
    /// Newest first.
    older: Vec<Generation>,
}

/// The keys derived from one root key.
struct Generation {
    number: u8,
    credentials: Zeroizing<[u8; 32]>,
    nonce: Zeroizing<[u8; 32]>,
    internal_ca: Zeroizing<[u8; 32]>,
    member_authority: Zeroizing<[u8; 32]>,
}

impl KeyFile {
    /// The text of a new key file with one key. `random` must come from the system's generator.
    #[must_use]
    pub fn generate(random: &[u8; 32]) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!(
            "# Portico key file. Keep it secret and back it up: without it stored credentials are lost.\n\
             # Every member of a pool has the same file. The highest number is in use, lower ones open what is older.\n\
             {FORMAT}\n"
        ));
        push_key(&mut text, 1, random);
        text
    }

    /// Parses the text of a key file.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`], with the line where there is one.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        if text.len() > MAX_LEN {
            return Err(KeyFileError::TooLong);
        }
        let mut lines = (1..)
            .zip(text.lines().map(str::trim))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        if lines.next().is_none_or(|(_, line)| line != FORMAT) {
            return Err(KeyFileError::Format);
        }
        let mut generations: Vec<Generation> = Vec::new();
        for (line, content) in lines {
            let (generation, root) = key_line(line, content)?;
            if generations.iter().any(|known| known.number == generation) {
                return Err(KeyFileError::Duplicate { line, generation });
            }
            generations.push(Generation::derive(generation, &root)?);
        }
        generations.sort_by_key(|generation| generation.number);
        let current = generations.pop().ok_or(KeyFileError::Empty)?;
        generations.reverse();
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            current,
            older: generations,
        })
    }

    /// The text of this file with one more, now current, generation.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Exhausted`] after generation 255.
    pub fn rotated(&self, random: &[u8; 32]) -> Result<Zeroizing<String>, KeyFileError> {
        let next = self
            .current_generation()
            .checked_add(1)
            .ok_or(KeyFileError::Exhausted)?;
        let mut text = self.text.clone();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        push_key(&mut text, next, random);
        Ok(text)
    }

    /// The number of the current generation.
    #[must_use]
    pub fn current_generation(&self) -> u8 {
        self.current.number
    }

    /// The sealing key of a purpose, all generations.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Derivation`] only.
    pub fn seal_key(&self, purpose: Purpose) -> Result<SealKey, KeyFileError> {
        let older = self
            .older
            .iter()
            .map(|generation| (generation.number, generation.key(purpose)));
        SealKey::new(purpose, (self.current.number, self.current.key(purpose)), older)
            .ok_or(KeyFileError::Derivation)
    }

    /// The seeds of the authority that signs the certificates of members, newest generation first. Every member of a pool
    /// makes the same authority from them, so they are as secret as this file.
    pub fn member_authority_seeds(&self) -> impl Iterator<Item = &[u8; 32]> {
        let all = std::iter::once(&self.current).chain(&self.older);
        all.map(|generation| generation.key(Purpose::MemberAuthority))
    }

    /// The nonce key: the newest generation issues, the one before it is accepted too.
    #[must_use]
    pub fn nonce_key(&self) -> NonceKey {
        NonceKey::new(
            &self.current.nonce,
            self.older.first().map(|generation| &*generation.nonce),
        )
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile")
            .field("current", &self.current.number)
            .finish_non_exhaustive()
    }
}

impl Generation {
    fn derive(number: u8, root: &[u8; 32]) -> Result<Self, KeyFileError> {
        // RFC 5869 section 3.1: a fixed salt is better than none, and need not be secret.
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portico key file 1").extract(root);
        let key = |purpose: Purpose| {
            let mut out = Zeroizing::new([0; 32]);
            prk.expand(&[purpose.label().as_bytes()], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut *out))
                .map_err(|_| KeyFileError::Derivation)?;
            Ok(out)
        };
        Ok(Self {
            number,
            credentials: key(Purpose::Credentials)?,
            nonce: key(Purpose::Nonce)?,
            internal_ca: key(Purpose::InternalCa)?,
            member_authority: key(Purpose::MemberAuthority)?,
        })
    }

    fn key(&self, purpose: Purpose) -> &[u8; 32] {
        match purpose {
            Purpose::Credentials => &self.credentials,
            Purpose::Nonce => &self.nonce,
            Purpose::InternalCa => &self.internal_ca,
            Purpose::MemberAuthority => &self.member_authority,
        }
    }
}

/// Reads `key NUMBER BASE64`.
fn key_line(line: usize, content: &str) -> Result<(u8, Zeroizing<[u8; 32]>), KeyFileError> {
    let mut words = content.split_ascii_whitespace();
    let (Some("key"), Some(number), Some(base64), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(KeyFileError::Line { line });
    };
    let number: u8 = number
        .parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or(KeyFileError::Generation { line })?;
    let decoded = Zeroizing::new(STANDARD.decode(base64).map_err(|_| KeyFileError::Key { line })?);
    let mut key = Zeroizing::new([0; 32]);
    if decoded.len() != key.len() {
        return Err(KeyFileError::Key { line });
    }
    key.copy_from_slice(&decoded);
    Ok((number, key))
}

fn push_key(text: &mut Zeroizing<String>, number: u8, key: &[u8; 32]) {
    let base64 = Zeroizing::new(STANDARD.encode(key));
    // Grown at once: a reallocation would leave a copy of the keys before it behind.
    let mut longer = Zeroizing::new(String::with_capacity(text.len() + base64.len() + 16));
    longer.push_str(text);
    longer.push_str("key ");
    longer.push_str(&number.to_string());
    longer.push(' ');
    longer.push_str(&base64);
    longer.push('\n');
    *text = longer;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nonce::{ConnectionClass, NonceScope, ReturnedOn};

    fn parse(rest: &str) -> Result<u8, KeyFileError> {
        KeyFile::parse(&format!("portico-keys 1\n{rest}")).map(|file| file.current_generation())
    }

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    #[test]
    fn a_generated_file_is_parsed_and_rotated() {
        let first = KeyFile::parse(&KeyFile::generate(&[1; 32])).unwrap();
        assert_eq!(first.current_generation(), 1);
        let text = first.rotated(&[2; 32]).unwrap();
        assert!(text.starts_with(&**KeyFile::generate(&[1; 32])));
        let second = KeyFile::parse(&text).unwrap();
        assert_eq!(second.current_generation(), 2);
        assert_eq!(format!("{second:?}"), "KeyFile { current: 2, .. }");
    }

    #[test]
    fn the_highest_number_is_current_in_any_order_of_lines() {
        let text = format!(
            "# new\n\tkey 9 {}  \r\n\nkey 255 {}\nkey 3 {}",
            key(1),
            key(2),
            key(3)
        );
        assert_eq!(parse(&text), Ok(255));
        let file = KeyFile::parse(&format!("portico-keys 1\n{text}")).unwrap();
        assert_eq!(file.rotated(&[0; 32]).unwrap_err(), KeyFileError::Exhausted);
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        assert_eq!(KeyFile::parse("").unwrap_err(), KeyFileError::Format);
        assert_eq!(
            KeyFile::parse("portico-keys 2\n").unwrap_err(),
            KeyFileError::Format
        );
        assert_eq!(
            KeyFile::parse(&"#".repeat(MAX_LEN + 1)).unwrap_err(),
            KeyFileError::TooLong
        );
        assert_eq!(parse("# nothing"), Err(KeyFileError::Empty));
        assert_eq!(parse("\nhello"), Err(KeyFileError::Line { line: 3 }));
        assert_eq!(parse("key 1"), Err(KeyFileError::Line { line: 2 }));
        assert_eq!(
            parse(&format!("key 1 {} x", key(1))),
            Err(KeyFileError::Line { line: 2 })
        );
        for number in ["0", "256", "-1", "x"] {
            assert_eq!(
                parse(&format!("key {number} {}", key(1))),
                Err(KeyFileError::Generation { line: 2 })
            );
        }
        for bad in [&key(1)[1..], "!", "AAAA"] {
            assert_eq!(parse(&format!("key 1 {bad}")), Err(KeyFileError::Key { line: 2 }));
        }
        let twice = format!("key 1 {}\nkey 1 {}", key(1), key(2));
        assert_eq!(
            parse(&twice),
            Err(KeyFileError::Duplicate {
                line: 3,
                generation: 1
            })
        );
        assert_eq!(
            parse(&twice).unwrap_err().to_string(),
            "key file line 3: generation 1 stands twice"
        );
    }

    #[test]
    fn keys_are_derived_as_rfc_5869_says_and_stay_the_same() {
        // Computed apart with Python's hmac: what is sealed today must open with every later version.
        let generation = Generation::derive(1, &[1; 32]).unwrap();
        assert_eq!(
            hex::encode(generation.key(Purpose::Credentials)),
            "6e3ff9902a523e79b5aad894a58d6059d6c540443318d4ca9b6e07057a967002"
        );
        assert_eq!(
            hex::encode(generation.key(Purpose::Nonce)),
            "6d0e5e023cc0c29c8d5720f8d6c2e692596c0faedd198e8b85817e1955b8a61d"
        );
        assert_eq!(
            hex::encode(generation.key(Purpose::InternalCa)),
            "915b96f0dac090e5ba7f49ff50061e9d4ee18683a9dc651238d36c3632afb383"
        );
        assert_eq!(
            hex::encode(generation.key(Purpose::MemberAuthority)),
            "a8365e836045fe8538714b3caf6cfcf7081852048dcca879a73b512b0b30e75c"
        );
    }

    #[test]
    fn members_are_given_the_seeds_of_all_generations_the_newest_first() {
        let first = KeyFile::parse(&KeyFile::generate(&[1; 32])).unwrap();
        let second = KeyFile::parse(&first.rotated(&[2; 32]).unwrap()).unwrap();
        let seeds: Vec<_> = second.member_authority_seeds().collect();
        assert_eq!(seeds.len(), 2);
        assert_eq!(Some(seeds[1]), first.member_authority_seeds().next());
        assert_ne!(seeds[0], seeds[1]);
    }

    #[test]
    fn a_nonce_outlives_one_rotation() {
        let scope = NonceScope {
            realm: "r",
            class: ConnectionClass::Tls,
            issuer: "",
        };
        let rotate = |file: &KeyFile, byte| KeyFile::parse(&file.rotated(&[byte; 32]).unwrap()).unwrap();
        let first = KeyFile::parse(&KeyFile::generate(&[1; 32])).unwrap();
        let nonce = first.nonce_key().issue(1000, [0; 8], scope);
        let known = |file: &KeyFile| {
            file.nonce_key()
                .check(&nonce, 1000, scope, ReturnedOn::SameConnection)
                .is_ok()
        };
        let second = rotate(&first, 2);
        assert!(known(&first) && known(&second));
        assert!(!known(&rotate(&second, 3)));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,200}", lines in "(key [0-9]{1,3} [A-Za-z0-9+/=]{0,48}\n){0,4}") {
            let _ = KeyFile::parse(&text);
            let _ = parse(&lines);
        }
    }
}
