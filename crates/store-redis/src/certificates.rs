//! Certificates of TLS with the servers.

use std::fmt;

use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisError, TlsCertificates};

/// What stands above a certificate in PEM (RFC 7468 section 5.1).
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How the servers are known, and this member to them. `Debug` shows no key.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Certificates {
    /// The authorities a server's certificate is verified against, in PEM, in place of those of the system.
    pub authorities: Option<Vec<u8>>,
    /// What this member shows to servers that ask for a certificate.
    pub own: Option<OwnCertificate>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The certificate with its chain, leaf first.
    pub chain: Vec<u8>,
    /// Its key (PKCS #8, SEC 1 or PKCS #1).
    pub key: Vec<u8>,
}

/// Why certificates cannot be used. No text has anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The URL is one without TLS.
    #[error("certificates are of no use without TLS: the URL must begin with rediss")]
    NoTls,
    /// No certificate of an authority.
    #[error("the file of authorities has no certificate in PEM")]
    NoAuthority,
    /// No certificate of our own.
    #[error("the file of the certificate has none in PEM")]
    NoCertificate,
    /// Something in PEM that cannot be read.
    #[error(transparent)]
    Unreadable(RedisError),
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("authorities", &self.authorities.as_ref().map(Vec::len))
            .field("own", &self.own.is_some())
            .finish()
    }
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnCertificate")
    }
}

impl Certificates {
    /// Whether they can be read, all but whether the key is that of the certificate. `server` is any over TLS.
    pub(crate) fn check(&self, server: ConnectionInfo) -> Result<(), CertificateError> {
        // The driver takes a text without any for an authority that knows nobody.
        if self
            .authorities
            .as_deref()
            .is_some_and(|pem| !has_certificate(pem))
        {
            return Err(CertificateError::NoAuthority);
        }
        if self.own.as_ref().is_some_and(|own| !has_certificate(&own.chain)) {
            return Err(CertificateError::NoCertificate);
        }
        Client::build_with_tls(server, self.for_driver())
            .map(drop)
            .map_err(CertificateError::Unreadable)
    }

    /// As the driver wants them.
    pub(crate) fn for_driver(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: self.own.as_ref().map(|own| ClientTlsConfig {
                client_cert: own.chain.clone(),
                client_key: own.key.clone(),
            }),
            root_cert: self.authorities.clone(),
        }
    }
}

fn has_certificate(pem: &[u8]) -> bool {
    pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE)
}
