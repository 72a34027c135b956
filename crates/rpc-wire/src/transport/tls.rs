//! TLS between members: who is let in, and certificates that renew themselves.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientConfig, ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor,
    verify_server_name,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, ServerConfig,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use topology::MemberId;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{Authority, AuthorityError, VALIDITY};
use super::name::{self, SUFFIX};

/// What is spoken inside.
const ALPN: &[u8] = b"h2";

/// A member's side of TLS with other members. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MemberTls {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

impl MemberTls {
    /// TLS as this member, with certificates of the pool's authority.
    ///
    /// # Errors
    /// The name of the member does not fit into a certificate, or a library refuses.
    pub fn new(authority: Authority, member: MemberId) -> Result<Self, AuthorityError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(authority.roots()?);
        let certificate = Arc::new(Renewing::new(authority, member, SystemTime::now())?);

        let chain = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(MembersOnly { chain }))
            .with_cert_resolver(certificate.clone());
        server.alpn_protocols = vec![ALPN.to_vec()];
        // Connections live long, and each of them proves anew who its peer is.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let verifier = Arc::new(AMember {
            roots,
            provider: provider.clone(),
        });
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(certificate);
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        Ok(MemberTls {
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }
}

/// Whether this is the protocol a connection must have agreed on.
pub(super) fn is_ours(alpn: Option<&[u8]>) -> bool {
    alpn == Some(ALPN)
}

/// What accepts any member as a server.
#[cfg(test)]
pub(super) fn any_member(roots: Arc<RootCertStore>) -> Arc<dyn ServerCertVerifier> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    Arc::new(AMember { roots, provider })
}

/// The name to ask a server for: that of a member, or of any. `None` for a member no certificate can name.
pub(super) fn server_name(member: Option<&MemberId>) -> Option<ServerName<'static>> {
    let dns = match member {
        Some(member) => name::to_dns(member)?,
        None => SUFFIX.to_owned(),
    };
    ServerName::try_from(dns).ok()
}

/// The member a certificate is of: it has one name, and that is of ours.
pub(super) fn member_of(certificate: &CertificateDer<'_>) -> Option<MemberId> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::DNSName(dns)] => name::from_dns(dns),
        _ => None,
    }
}

fn not_a_member() -> Error {
    Error::InvalidCertificate(CertificateError::NotValidForName)
}

/// Lets clients in that are members: their chain is verified, then their name.
#[derive(Debug)]
struct MembersOnly {
    chain: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for MembersOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        member_of(end_entity).ok_or_else(not_a_member)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Accepts a server that is a member, and the one that was asked for if one was. (The library's own verifier wants a name
/// in any case; a member that knows only an address has none.)
#[derive(Debug)]
struct AMember {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AMember {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        member_of(end_entity).ok_or_else(not_a_member)?;
        if server_name.to_str() != SUFFIX {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("members speak TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A member's own certificate. A new one is made in time, by the first handshake after half its life.
#[derive(Debug)]
struct Renewing {
    authority: Authority,
    member: MemberId,
    current: Mutex<Issued>,
}

#[derive(Debug)]
struct Issued {
    certificate: Arc<CertifiedKey>,
    at: SystemTime,
}

impl Renewing {
    fn new(authority: Authority, member: MemberId, now: SystemTime) -> Result<Self, AuthorityError> {
        let certificate = Arc::new(authority.leaf(&member, now)?);
        let current = Mutex::new(Issued { certificate, at: now });
        Ok(Renewing {
            authority,
            member,
            current,
        })
    }

    fn at(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let mut current = self.current.lock();
        // A clock that was set back makes one too: the old one may not be valid yet.
        let fresh = now.duration_since(current.at).is_ok_and(|age| age < VALIDITY / 2);
        if !fresh {
            match self.authority.leaf(&self.member, now) {
                Ok(certificate) => {
                    *current = Issued {
                        certificate: Arc::new(certificate),
                        at: now,
                    };
                }
                Err(error) => tracing::error!(%error, "the certificate for other members was not renewed"),
            }
        }
        current.certificate.clone()
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(SystemTime::now()))
    }
}

impl ResolvesClientCert for Renewing {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.at(SystemTime::now()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_is_renewed_in_the_middle_of_its_life_and_names_its_member() {
        let start = SystemTime::now();
        let authority = Authority::new([&[1; 32]]).unwrap();
        let own = Renewing::new(authority, MemberId::new("Front end 1"), start).unwrap();
        let first = own.at(start);
        assert_eq!(member_of(&first.cert[0]), Some(MemberId::new("Front end 1")));
        assert!(Arc::ptr_eq(
            &first,
            &own.at(start + VALIDITY / 2 - Duration::from_secs(1))
        ));
        let second = own.at(start + VALIDITY / 2);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&second, &own.at(start + VALIDITY * 3 / 4)));
        let after_the_clock_was_set_back = own.at(start);
        assert!(!Arc::ptr_eq(&second, &after_the_clock_was_set_back));
        let (_, parsed) = X509Certificate::from_der(&second.cert[0]).unwrap();
        let validity = parsed.validity();
        let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
        assert_eq!(seconds, 7 * 24 * 3_600 + 3_600);
    }
}
