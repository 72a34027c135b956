//! RC4, which NTLM needs and nothing else here may use.
//!
//! It protects eight bytes of an HMAC and one random key per sign-in, under keys that are used once: the known
//! biases of its output do not matter there. Kept private so that it stays so.

use zeroize::Zeroize;

/// The running state.
pub(super) struct Rc4 {
    s: [u8; 256],
    i: u8,
    j: u8,
}

impl Rc4 {
    /// Schedules a 16-byte key, the only length NTLM uses here.
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let mut s = [0; 256];
        for (i, slot) in (0..=255u8).zip(&mut s) {
            *slot = i;
        }
        let mut j = 0u8;
        for (i, k) in (0..256).zip(key.iter().cycle()) {
            j = j.wrapping_add(s[i]).wrapping_add(*k);
            s.swap(i, usize::from(j));
        }
        Self { s, i: 0, j: 0 }
    }

    /// Encrypts or decrypts in place.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        for byte in data {
            self.i = self.i.wrapping_add(1);
            let a = self.s[usize::from(self.i)];
            self.j = self.j.wrapping_add(a);
            let b = self.s[usize::from(self.j)];
            self.s.swap(usize::from(self.i), usize::from(self.j));
            *byte ^= self.s[usize::from(a.wrapping_add(b))];
        }
    }
}

impl Drop for Rc4 {
    fn drop(&mut self) {
        self.s.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_128_bit_key_stream_is_the_one_of_rfc_6229() {
        let mut key = [0; 16];
        (1..=16).zip(&mut key).for_each(|(i, k)| *k = i);
        let mut out = [0; 32];
        Rc4::new(&key).apply(&mut out);
        assert_eq!(
            hex::encode(out),
            "9ac7cc9a609d1ef7b2932899cde41b975248c4959014126a6e8a84f11d1a9e1c"
        );
    }
}
