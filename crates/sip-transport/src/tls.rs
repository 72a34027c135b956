//! TLS for SIP: the server's certificate, kept current without a restart, and the client side.
//!
//! TLS 1.3 and 1.2 only. In 1.2 rustls offers nothing but ECDHE with AES-GCM or ChaCha20-Poly1305; the
//! extended master secret (RFC 7627) is demanded on top. There is no compression, no renegotiation and no
//! early data. ALPN (RFC 7301): a client that offers protocols must offer `sip`; one that offers none is fine.

mod certificate;
mod session;
#[cfg(test)]
pub(crate) mod tests;

pub use certificate::{CertificateFiles, CertificateStore, ClientCertificates, ServerIdentity, TlsError};
pub(crate) use session::{Output, Secured, Session};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// The ALPN name of SIP.
const ALPN_SIP: &[u8] = b"sip";

/// What was agreed in a handshake.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: rustls::ProtocolVersion,
    /// The cipher suite.
    pub cipher_suite: rustls::CipherSuite,
    /// Channel binding `tls-server-end-point` (RFC 5929 section 4): the hash of the server's certificate. On
    /// a connection we opened it is that of the peer's certificate, empty if the peer sent none.
    pub server_end_point: Arc<[u8]>,
    /// The peer's own certificate, verified against the configured roots, if it sent one.
    pub peer_certificate: Option<CertificateDer<'static>>,
}

/// A client configuration that trusts the authorities in this PEM text and nobody else.
///
/// # Errors
/// [`TlsError`] if the text holds no certificate or one that cannot be an authority.
pub fn client_config(ca_pem: &[u8]) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.map_err(TlsError::Pem)?)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_SIP.to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}
