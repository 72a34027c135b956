//! Tests of what connections share: the scratch memory of their thread.

use super::*;
use crate::tls::CertificateStore;
use crate::tls::tests::{Authority, localhost};
use std::sync::Arc;
use std::task::Waker;
use tokio::io::DuplexStream;

/// A socket that can be broken for writing, as by a peer that resets the connection.
struct Fragile {
    io: DuplexStream,
    broken: bool,
}

impl AsyncRead for Fragile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Fragile {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Both ends of a TLS connection, after the handshake.
struct Link {
    client: Wire<Fragile>,
    server: Wire<Fragile>,
}

impl Link {
    fn new(authority: &Authority) -> Self {
        let store = CertificateStore::load(authority.issue(2099)).unwrap();
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut link = Self {
            client: Wire::new(Fragile {
                io: near,
                broken: false,
            }),
            server: Wire::new(Fragile {
                io: far,
                broken: false,
            }),
        };
        let mut nothing = BytesMut::new();
        let session = Session::server(&store.current()).unwrap();
        link.server.start(Some(session), &mut nothing).unwrap();
        let session = Session::client(Arc::new(authority.client()), localhost()).unwrap();
        link.client.start(Some(session), &mut nothing).unwrap();
        for _ in 0..4 {
            link.settle(&mut nothing);
        }
        assert!(!link.client.is_handshaking() && !link.server.is_handshaking());
        assert!(nothing.is_empty());
        link
    }

    /// Carries what is there from either end to the other. Plain text is appended to `into`.
    fn settle(&mut self, into: &mut BytesMut) {
        let cx = &mut Context::from_waker(Waker::noop());
        for wire in [&mut self.client, &mut self.server] {
            while let Poll::Ready(filled) = wire.poll_fill(cx, into) {
                assert_eq!(filled.unwrap(), Filled::More);
            }
            assert!(wire.poll_flush(cx, None).unwrap());
        }
    }
}

fn queue<S>(wire: &mut Wire<S>, text: &'static str) {
    wire.batch.push_back(Bytes::from_static(text.as_bytes()));
    wire.batched += text.len();
}

/// A client that resets its connection while something is written to it must not be noticed by the next one.
#[tokio::test]
async fn records_of_a_broken_connection_are_never_sent_on_another() {
    let authority = Authority::new();
    let (mut one, mut other) = (Link::new(&authority), Link::new(&authority));
    let cx = &mut Context::from_waker(Waker::noop());

    // On its way before the other one breaks, so that nothing is encrypted in between.
    queue(&mut other.client, "hello");
    assert!(other.client.poll_flush(cx, None).unwrap());
    queue(&mut one.server, "for a client that is gone");
    one.server.io.broken = true;
    assert!(matches!(one.server.poll_flush(cx, None), Err(WireError::Io(_))));

    let mut heard = BytesMut::new();
    assert!(matches!(
        other.server.poll_fill(cx, &mut heard),
        Poll::Ready(Ok(Filled::More))
    ));
    assert_eq!(&heard[..], b"hello");
    assert_eq!(other.server.unsent(), 0, "there was nothing to answer");

    queue(&mut other.server, "world");
    let mut answered = BytesMut::new();
    for _ in 0..2 {
        other.settle(&mut answered);
    }
    assert_eq!(&answered[..], b"world");
}
