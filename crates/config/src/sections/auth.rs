//! `[auth]`: what clients may prove themselves with, besides Digest SHA-256.

use crate::reader::Reader;

/// What clients may prove themselves with, besides Digest SHA-256.
#[derive(Clone, Debug)]
pub struct Auth {
    /// `auth.ntlm` (`false`; the demo: `true`): NTLM for Lync-family clients, over TLS only. It can be relayed, and
    /// accounts that may use it have an NT hash stored: off unless such clients are there.
    pub ntlm: bool,
    /// `auth.digest_md5` (`true`): Digest with MD5, the only scheme many SIP clients know.
    pub digest_md5: bool,
}

impl Auth {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        Auth {
            ntlm: reader.get("auth.ntlm", false),
            digest_md5: reader.get("auth.digest_md5", true),
        }
    }
}
