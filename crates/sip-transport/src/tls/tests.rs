//! Certificates for tests, and tests of TLS between two ends in memory.

use super::*;
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use std::path::PathBuf;

/// A certificate authority that lives as long as a test.
pub(crate) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub(crate) pem: String,
    directory: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: rcgen::Issuer::new(params, key),
            pem,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Writes a new certificate for `localhost` that ends in `year` over the files.
    pub(crate) fn issue(&self, year: i32) -> CertificateFiles {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = CertificateFiles {
            certificate: self.directory.path().join("cert.pem"),
            private_key: self.directory.path().join("key.pem"),
            client_certificates: ClientCertificates::Off,
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.private_key, key.serialize_pem()).unwrap();
        files
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A client that trusts this authority.
    pub(crate) fn client(&self) -> ClientConfig {
        client_config(self.pem.as_bytes()).unwrap()
    }
}

pub(crate) fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Both ends of a connection; records go from one to the other in pieces of at most `piece` bytes.
struct Pair {
    client: End,
    server: End,
    piece: usize,
}

struct End {
    session: Session,
    incoming: Vec<u8>,
    plain: BytesMut,
    out: Output,
    peer_closed: bool,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            incoming: Vec::new(),
            plain: BytesMut::new(),
            out: Output::default(),
            peer_closed: false,
        }
    }

    fn process(&mut self, action: Secured<'_>) -> Result<(), rustls::Error> {
        let step = self
            .session
            .process(&mut self.incoming, action, &mut self.plain, &mut self.out)?;
        self.incoming.drain(..step.consumed);
        self.peer_closed |= step.peer_closed;
        Ok(())
    }
}

impl Pair {
    fn new(client: ClientConfig, identity: &ServerIdentity, piece: usize) -> Self {
        Self {
            client: End::new(Session::client(Arc::new(client), localhost()).unwrap()),
            server: End::new(Session::server(identity).unwrap()),
            piece,
        }
    }

    /// Carries records both ways until none are left.
    fn settle(&mut self) -> Result<(), rustls::Error> {
        self.client.process(Secured::Nothing)?;
        loop {
            let mut moved = false;
            for turn in 0..2 {
                let (from, to) = match turn {
                    0 => (&mut self.client, &mut self.server),
                    _ => (&mut self.server, &mut self.client),
                };
                let records = from.out.filled().to_vec();
                from.out.clear();
                for piece in records.chunks(self.piece) {
                    moved = true;
                    to.incoming.extend_from_slice(piece);
                    to.process(Secured::Nothing)?;
                }
            }
            if !moved {
                return Ok(());
            }
        }
    }
}

#[test]
fn both_versions_carry_data_and_close_however_records_are_cut() {
    let authority = Authority::new();
    let store = CertificateStore::load(authority.issue(2040)).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for piece in [1, 7, 1000, usize::MAX] {
            let mut config = ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates({
                    let mut roots = RootCertStore::empty();
                    roots
                        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
                        .unwrap();
                    roots
                })
                .with_no_client_auth();
            config.alpn_protocols = vec![ALPN_SIP.to_vec()];
            let mut pair = Pair::new(config, &store.current(), piece);
            assert!(pair.server.session.is_handshaking());
            pair.settle().unwrap();
            assert!(!pair.server.session.is_handshaking() && !pair.client.session.is_handshaking());

            let (seen, known) = (
                pair.client.session.info().unwrap(),
                pair.server.session.info().unwrap(),
            );
            assert_eq!((seen.version, known.version), (version.version, version.version));
            assert_eq!(seen.server_end_point, known.server_end_point);
            assert_eq!(seen.server_end_point.len(), 32);

            let text = vec![b'x'; 40_000];
            pair.client.process(Secured::Data(&text)).unwrap();
            pair.server.process(Secured::Data(b"answer")).unwrap();
            pair.settle().unwrap();
            assert_eq!(pair.server.plain, text);
            assert_eq!(pair.client.plain, &b"answer"[..]);

            pair.server.process(Secured::CloseNotify).unwrap();
            pair.settle().unwrap();
            assert!(pair.client.peer_closed && !pair.server.peer_closed);
            assert!(pair.server.incoming.is_empty() && pair.client.incoming.is_empty());
        }
    }
}

fn handshake_with_alpn(offered: &[&str]) -> Result<(), rustls::Error> {
    let authority = Authority::new();
    let store = CertificateStore::load(authority.issue(2040)).unwrap();
    let mut config = authority.client();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    Pair::new(config, &store.current(), usize::MAX).settle()
}

#[test]
fn another_protocol_is_refused_and_none_is_fine() {
    assert!(handshake_with_alpn(&["sip"]).is_ok());
    assert!(handshake_with_alpn(&["h2", "sip"]).is_ok());
    assert!(handshake_with_alpn(&[]).is_ok());
    assert!(handshake_with_alpn(&["h2", "http/1.1"]).is_err());
}

#[test]
fn garbage_is_an_error_with_an_alert() {
    let authority = Authority::new();
    let store = CertificateStore::load(authority.issue(2040)).unwrap();
    let mut server = End::new(Session::server(&store.current()).unwrap());
    server.incoming = b"REGISTER sip:example.test SIP/2.0\r\n".to_vec();
    assert!(server.process(Secured::Nothing).is_err());

    // A record of a type that does not belong here.
    let mut server = End::new(Session::server(&store.current()).unwrap());
    server.incoming = vec![0x16, 3, 1, 0, 4, 2, 0, 0, 0];
    assert!(server.process(Secured::Nothing).is_err());
    assert_eq!(server.out.filled().first(), Some(&0x15), "an alert");
}

#[test]
fn a_required_client_certificate_is_demanded() {
    let authority = Authority::new();
    let mut files = authority.issue(2040);
    let ca = authority.write("ca.pem", &authority.pem);
    files.client_certificates = ClientCertificates::Required(ca.clone());
    let store = CertificateStore::load(files.clone()).unwrap();
    assert!(
        Pair::new(authority.client(), &store.current(), usize::MAX)
            .settle()
            .is_err()
    );

    files.client_certificates = ClientCertificates::Optional(ca);
    let store = CertificateStore::load(files).unwrap();
    let mut pair = Pair::new(authority.client(), &store.current(), usize::MAX);
    pair.settle().unwrap();
    assert!(pair.server.session.info().unwrap().peer_certificate.is_none());
}

#[test]
fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let files = authority.issue(2040);
    let store = CertificateStore::load(files.clone()).unwrap();
    let first = store.current();
    assert!(!store.reload_if_changed().unwrap());
    assert_eq!(store.remaining_seconds(first.not_after - 60), 60);

    authority.issue(2041);
    assert!(store.reload_if_changed().unwrap());
    let second = store.current();
    assert!(second.not_after > first.not_after);
    assert_ne!(second.server_end_point, first.server_end_point);

    std::fs::write(&files.certificate, "not a certificate").unwrap();
    assert!(store.reload_if_changed().is_err());
    assert!(Arc::ptr_eq(&store.current(), &second));
    assert!(
        !store.reload_if_changed().unwrap(),
        "not tried again before it changes"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new();
    let mut files = authority.issue(2040);
    files.private_key = authority.write("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    assert!(matches!(CertificateStore::load(files), Err(TlsError::Tls(_))));
}
