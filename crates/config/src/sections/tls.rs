//! `[tls]`: the certificate clients see.

use std::path::PathBuf;

use crate::reader::Reader;

/// The certificate clients see. With none of it set, a development authority in the data directory issues one.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// `tls.certificate`: PEM file with the certificate and its chain, leaf first. Read again when it changes and on
    /// SIGHUP.
    pub certificate: Option<PathBuf>,
    /// `tls.private_key`: PEM file with the key (PKCS #8, SEC 1 or PKCS #1).
    pub private_key: Option<PathBuf>,
    /// `tls.client_ca`: PEM file with the authorities of client certificates. Set: clients may present one, and one
    /// that does not verify is refused.
    pub client_ca: Option<PathBuf>,
}

impl Tls {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let tls = Tls {
            certificate: reader.get("tls.certificate", None::<PathBuf>),
            private_key: reader.get("tls.private_key", None::<PathBuf>),
            client_ca: reader.get("tls.client_ca", None::<PathBuf>),
        };
        if tls.certificate.is_some() && tls.private_key.is_none() {
            reader.problem("tls.certificate", "needs tls.private_key beside it");
        }
        if tls.private_key.is_some() && tls.certificate.is_none() {
            reader.problem("tls.private_key", "needs tls.certificate beside it");
        }
        tls
    }
}
