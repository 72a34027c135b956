//! MD5 and HMAC-MD5 over joined parts.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

/// HMAC-MD5 with a 16-byte key, which is every key here.
pub(super) fn hmac_state(key: &[u8; 16]) -> Hmac<Md5> {
    // HMAC pads a short key with zeros to the block (RFC 2104 section 2). Doing so here gives the one length the
    // constructor takes without a `Result`.
    let mut block = Zeroizing::new([0; 64]);
    block[..16].copy_from_slice(key);
    Hmac::new((&*block).into())
}

pub(super) fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let mut state = hmac_state(key);
    parts.iter().for_each(|part| state.update(part));
    state.finalize().into_bytes().into()
}

pub(super) fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut state = Md5::new();
    parts.iter().for_each(|part| state.update(part));
    state.finalize().into()
}

pub(super) fn utf16le(units: impl Iterator<Item = u16>) -> Vec<u8> {
    units.flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
#[test]
fn hmac_md5_gives_the_first_vector_of_rfc_2202() {
    assert_eq!(
        hex::encode(hmac_md5(&[0x0b; 16], &[b"Hi ", b"There"])),
        "9294727a3638bb1c13f48ef8158bfc9d"
    );
}
