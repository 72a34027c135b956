use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ResolvesServerCertUsingSni, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use topology::MemberId;

use super::*;
use crate::counters::{ServerCounters, ServerSnapshot};

const SEED: [u8; 32] = [9; 32];

fn member(name: &str) -> MemberTls {
    MemberTls::new(Authority::new([&SEED]).unwrap(), MemberId::new(name)).unwrap()
}

/// A certificate of our authority for a name that is no member's.
fn not_a_member() -> CertifiedKey {
    let authority = Authority::new([&SEED]).unwrap();
    authority
        .sign("fe1.example.test".to_owned(), SystemTime::now())
        .unwrap()
}

struct Door {
    address: SocketAddr,
    accepted: mpsc::Receiver<io::Served>,
    counters: Arc<ServerCounters>,
    _open: DropGuard,
}

impl Door {
    async fn new() -> Self {
        let bound = listen("127.0.0.1:0".parse().unwrap(), Some(member("fe1")))
            .await
            .unwrap();
        let (ready, accepted) = mpsc::channel(8);
        let (address, counters, stop) = (bound.local_address(), Arc::default(), CancellationToken::new());
        let accepting = Accepting {
            bound,
            ready,
            tasks: TaskTracker::new(),
            stop: stop.clone(),
            kill: stop.clone(),
            counters: Arc::clone(&counters),
        };
        tokio::spawn(accepting.run());
        Door {
            address,
            accepted,
            counters,
            _open: stop.drop_guard(),
        }
    }

    /// Whether a client with this configuration is let in.
    async fn lets_in(&mut self, config: ClientConfig) -> bool {
        let before = self.counters.snapshot();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = tls::server_name(None).unwrap();
        // In TLS 1.3 a client is done before the server has seen its certificate: the server decides.
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let client = tokio::spawn(async move {
            if let Ok(mut stream) = connecting.await {
                let _closed: std::io::Result<usize> = stream.read(&mut [0; 1]).await;
            }
        });
        let decided = async {
            loop {
                let now = self.counters.snapshot();
                let (more, refused) = decisions(&before, &now);
                if more || refused {
                    break more;
                }
                tokio::task::yield_now().await;
            }
        };
        let let_in = timeout(Duration::from_secs(3), decided)
            .await
            .expect("a decision");
        client.abort();
        if let_in {
            assert!(self.accepted.recv().await.is_some());
        }
        let_in
    }
}

fn decisions(before: &ServerSnapshot, now: &ServerSnapshot) -> (bool, bool) {
    (
        now.connections > before.connections,
        now.failed_handshakes > before.failed_handshakes,
    )
}

#[tokio::test]
async fn only_a_member_that_speaks_our_protocol_by_tls_1_3_is_let_in() {
    let mut door = Door::new().await;
    let ours = || ClientConfig::clone(&member("fe2").client);
    assert!(door.lets_in(ours()).await);

    for alpn in [vec![], vec![b"http/1.1".to_vec()]] {
        let mut other_protocol = ours();
        other_protocol.alpn_protocols = alpn;
        assert!(!door.lets_in(other_protocol).await);
    }
    let mut stranger = ours();
    stranger.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(not_a_member()));
    assert!(
        !door.lets_in(stranger).await,
        "signed by our authority, and no member"
    );

    let roots = Arc::new(Authority::new([&SEED]).unwrap().roots().unwrap());
    let nobody = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let mut nobody = nobody;
    nobody.alpn_protocols = vec![b"h2".to_vec()];
    nobody
        .dangerous()
        .set_certificate_verifier(tls::any_member(roots.clone()));
    assert!(!door.lets_in(nobody).await, "without a certificate");

    let old = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(!door.lets_in(old).await, "TLS 1.2");
    assert!(door.lets_in(ours()).await);
}

#[tokio::test]
async fn a_server_of_our_authority_that_is_no_member_is_not_spoken_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    config.cert_resolver = Arc::new(SingleCertAndKey::from(not_a_member()));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.map(drop)
    });
    let tcp = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(member("fe2").client.clone());
    let error = connector
        .connect(tls::server_name(None).unwrap(), tcp)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("NotValidForName"), "{error}");
    assert!(server.await.unwrap().is_err());
}
