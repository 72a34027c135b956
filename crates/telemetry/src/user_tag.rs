//! Users in log lines: a keyed hash instead of an address.
//!
//! The same user has the same tag on every member that has the same key, so that lines can be joined; who it is can only
//! be told by somebody who holds the key and a list of addresses.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of the hash that are shown: 48 bits keep 10,000 users apart with a collision chance below one in a million.
const SHOWN: usize = 6;

static KEY: OnceLock<[u8; 32]> = OnceLock::new();
static IDENTITIES: AtomicBool = AtomicBool::new(false);

/// Sets the key of the tags of this process, once, before the first line is logged. False if a key was set before (or a
/// line was logged): the first one stays.
pub fn install_tag_key(key: [u8; 32]) -> bool {
    KEY.set(key).is_ok()
}

/// Shows full addresses instead of tags from now on (`telemetry.identities`).
pub fn show_identities(on: bool) {
    IDENTITIES.store(on, Ordering::Relaxed);
}

/// How to write a user in a log line: `user = %telemetry::user(aor.as_str())`. The hash is computed when the line is
/// printed, not when it is filtered out.
pub fn user(address: &str) -> UserTag<'_> {
    UserTag(address)
}

/// A user's address that prints as `u:5f2c81d09a3e`.
#[derive(Clone, Copy)]
pub struct UserTag<'a>(&'a str);

impl fmt::Display for UserTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if IDENTITIES.load(Ordering::Relaxed) {
            return f.write_str(self.0);
        }
        f.write_str("u:")?;
        for byte in digest(key(), self.0).iter().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for UserTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The installed key, else one of this process alone: lines of one run can still be joined.
fn key() -> &'static [u8; 32] {
    KEY.get_or_init(|| {
        let state = RandomState::new();
        let mut key = [0; 32];
        for (index, chunk) in key.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&state.hash_one(index).to_ne_bytes());
        }
        key
    })
}

fn digest(key: &[u8; 32], address: &str) -> [u8; 32] {
    // Invariant: HMAC takes keys of any length (RFC 2104 section 2), so the error arm cannot be reached.
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(address.as_bytes());
            mac.finalize().into_bytes().into()
        }
        Err(_) => [0; 32],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_the_same_user_alike_and_shows_nothing_of_the_address() {
        let tag = user("alice@example.test").to_string();
        assert_eq!(tag, user("alice@example.test").to_string());
        assert_ne!(tag, user("bob@example.test").to_string());
        assert_eq!(tag.len(), "u:".len() + 2 * SHOWN);
        assert!(!tag.contains("alice"));
    }

    #[test]
    fn another_key_gives_another_tag() {
        assert_ne!(
            digest(&[1; 32], "alice@example.test"),
            digest(&[2; 32], "alice@example.test")
        );
    }
}
