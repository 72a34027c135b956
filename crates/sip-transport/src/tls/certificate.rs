//! The serving certificate: read from files, swapped without a restart, its expiry known.

use super::{ALPN_SIP, provider};
use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or text is not PEM, or holds something else than it should.
    #[error("not usable as PEM: {0}")]
    Pem(pem::Error),
    /// There is no certificate in the text.
    #[error("no certificate found")]
    NoCertificate,
    /// The certificate could not be understood.
    #[error("certificate is malformed: {0}")]
    Certificate(String),
    /// Certificate and key do not belong together, or the TLS library refuses them.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The client authorities cannot be used.
    #[error("client authority: {0}")]
    ClientAuthority(#[from] rustls::server::VerifierBuilderError),
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; one they send must lead to an authority in this PEM file.
    Optional(PathBuf),
    /// They must send one that leads to an authority in this PEM file.
    Required(PathBuf),
}

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's certificate and those that lead to its authority, PEM, the server's own first.
    pub certificate: PathBuf,
    /// The private key of the first certificate, PEM (PKCS #8, SEC1 or PKCS #1).
    pub private_key: PathBuf,
    /// Whether clients are asked for certificates.
    pub client_certificates: ClientCertificates,
}

/// One loaded certificate with everything that is derived from it.
#[derive(Debug)]
pub struct ServerIdentity {
    /// The configuration new connections are served with.
    pub config: Arc<ServerConfig>,
    /// Channel binding `tls-server-end-point` (RFC 5929 section 4).
    pub server_end_point: Arc<[u8]>,
    /// When the certificate ends, in seconds since 1970.
    pub not_after: i64,
}

/// Modification times of the files last loaded; a change of any asks for a reload.
type Stamps = Vec<Option<SystemTime>>;

/// Holds the serving certificate. New connections take the present one; those already made keep theirs.
///
/// Nothing is watched by itself: the owner calls [`CertificateStore::reload_if_changed`] now and then (each
/// minute is plenty) and [`CertificateStore::reload`] on SIGHUP. Session tickets stay valid over a reload.
#[derive(Debug)]
pub struct CertificateStore {
    files: CertificateFiles,
    ticketer: Arc<dyn ProducesTickets>,
    current: ArcSwap<ServerIdentity>,
    stamps: Mutex<Stamps>,
}

impl CertificateStore {
    /// Reads the files. Blocks for as long as the file system takes.
    ///
    /// # Errors
    /// [`TlsError`] if anything about the files is not usable.
    pub fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        let ticketer = Ticketer::new()?;
        let stamps = stamps(&files);
        let identity = load(&files, &ticketer)?;
        Ok(Self {
            files,
            ticketer,
            current: ArcSwap::from_pointee(identity),
            stamps: Mutex::new(stamps),
        })
    }

    /// What new connections are served with.
    pub fn current(&self) -> Arc<ServerIdentity> {
        self.current.load_full()
    }

    /// Reads the files again, whatever their times say.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        // Taken before reading: a file written meanwhile is read again next time.
        let stamps = stamps(&self.files);
        *self.stamps.lock() = stamps;
        self.current.store(Arc::new(load(&self.files, &self.ticketer)?));
        Ok(())
    }

    /// Reads the files again if one was modified since the last time. True: there is a new certificate.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use stays, and the files are not tried again before they change.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        if *self.stamps.lock() == stamps(&self.files) {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// Seconds until the certificate ends, negative afterwards. `now` is in seconds since 1970.
    pub fn remaining_seconds(&self, now: i64) -> i64 {
        self.current.load().not_after.saturating_sub(now)
    }
}

fn stamps(files: &CertificateFiles) -> Stamps {
    let authority = match &files.client_certificates {
        ClientCertificates::Off => None,
        ClientCertificates::Optional(path) | ClientCertificates::Required(path) => Some(path),
    };
    let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    [&files.certificate, &files.private_key]
        .into_iter()
        .chain(authority)
        .map(modified)
        .collect()
}

fn load(files: &CertificateFiles, ticketer: &Arc<dyn ProducesTickets>) -> Result<ServerIdentity, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.private_key)?).map_err(TlsError::Pem)?;
    let leaf = chain.first().ok_or(TlsError::NoCertificate)?;
    let (server_end_point, not_after) = describe(leaf)?;

    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match &files.client_certificates {
        ClientCertificates::Off => builder.with_no_client_auth(),
        ClientCertificates::Optional(path) => {
            builder.with_client_cert_verifier(verifier(path)?.allow_unauthenticated().build()?)
        }
        ClientCertificates::Required(path) => builder.with_client_cert_verifier(verifier(path)?.build()?),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN_SIP.to_vec()];
    config.require_ems = true;
    config.ticketer = Arc::clone(ticketer);
    // A client keeps one connection, so one ticket is what it can use.
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(ServerIdentity {
        config: Arc::new(config),
        server_end_point,
        not_after,
    })
}

fn verifier(authorities: &Path) -> Result<rustls::server::ClientCertVerifierBuilder, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        roots.add(certificate)?;
    }
    Ok(WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider(),
    ))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(TlsError::Pem)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Channel binding and expiry of a certificate.
fn describe(certificate: &CertificateDer<'_>) -> Result<(Arc<[u8]>, i64), TlsError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| TlsError::Certificate(error.to_string()))?;
    Ok((
        end_point(&parsed, certificate),
        parsed.validity().not_after.timestamp(),
    ))
}

/// RFC 5929 section 4.1: the hash of the certificate by the hash of its signature, but no weaker one than
/// SHA-256.
fn end_point(parsed: &X509Certificate<'_>, der: &[u8]) -> Arc<[u8]> {
    let signature = &parsed.signature_algorithm.algorithm;
    let algorithm =
        if *signature == oid::OID_SIG_ECDSA_WITH_SHA384 || *signature == oid::OID_PKCS1_SHA384WITHRSA {
            &digest::SHA384
        } else if *signature == oid::OID_SIG_ECDSA_WITH_SHA512 || *signature == oid::OID_PKCS1_SHA512WITHRSA {
            &digest::SHA512
        } else {
            &digest::SHA256
        };
    digest::digest(algorithm, der).as_ref().into()
}

/// Channel binding of a peer's certificate; empty if it cannot be read.
pub(super) fn end_point_of(certificate: &CertificateDer<'_>) -> Arc<[u8]> {
    describe(certificate)
        .map(|(end_point, _)| end_point)
        .unwrap_or_default()
}
