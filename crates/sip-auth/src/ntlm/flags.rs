//! NegotiateFlags (MS-NLMP section 2.2.2.5): the ones this server sets or looks for.

/// Strings are UTF-16LE.
pub(super) const UNICODE: u32 = 0x0000_0001;
/// TargetName must be supplied.
const REQUEST_TARGET: u32 = 0x0000_0004;
/// Session keys for signing.
const SIGN: u32 = 0x0000_0010;
/// Connectionless authentication.
const DATAGRAM: u32 = 0x0000_0040;
/// NTLM authentication.
const NTLM: u32 = 0x0000_0200;
/// A signature block on every message.
const ALWAYS_SIGN: u32 = 0x0000_8000;
/// TargetName is a domain.
const TARGET_TYPE_DOMAIN: u32 = 0x0001_0000;
/// The signing and sealing keys of NTLM2.
pub(super) const EXTENDED_SESSIONSECURITY: u32 = 0x0008_0000;
/// An identify-level token.
const IDENTIFY: u32 = 0x0010_0000;
/// TargetInfo is present.
const TARGET_INFO: u32 = 0x0080_0000;
/// The Version field is filled.
const VERSION: u32 = 0x0200_0000;
/// 128-bit session keys.
pub(super) const KEY_128: u32 = 0x2000_0000;
/// The client chooses the session key and sends it encrypted.
pub(super) const KEY_EXCH: u32 = 0x4000_0000;
/// 56-bit encryption; offered because clients expect the bit, never used, since 128 wins.
const KEY_56: u32 = 0x8000_0000;

/// What the server offers: all that Lync-family clients insist on, and nothing more.
pub(super) const OFFERED: u32 = UNICODE
    | REQUEST_TARGET
    | SIGN
    | DATAGRAM
    | NTLM
    | ALWAYS_SIGN
    | TARGET_TYPE_DOMAIN
    | EXTENDED_SESSIONSECURITY
    | IDENTIFY
    | TARGET_INFO
    | VERSION
    | KEY_128
    | KEY_EXCH
    | KEY_56;

/// What an answer must still carry. Without any of these the keys would be derived in another, weaker way.
pub(super) const REQUIRED: u32 = UNICODE | EXTENDED_SESSIONSECURITY | KEY_128 | KEY_EXCH;

#[cfg(test)]
#[test]
fn the_offer_is_the_one_tried_with_real_clients() {
    assert_eq!(OFFERED, 0xE299_8255);
    // What such a client answers with.
    assert_eq!(0x6298_8255 & REQUIRED, REQUIRED);
}
