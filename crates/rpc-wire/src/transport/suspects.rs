//! Members with which something went wrong, and connections that tell.

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use topology::MemberId;

use super::io::Io;

/// Names kept at once. What does not fit is dropped: whoever meets that member next says it again.
const MOST: usize = 1_024;

/// Members to which a connection broke or could not be made, until somebody looks how they are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Suspects(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    members: Mutex<HashSet<MemberId>>,
    more: Notify,
}

impl Suspects {
    /// Something between this process and that member broke, or did not come about.
    pub fn add(&self, member: &MemberId) {
        let mut members = self.0.members.lock();
        if members.len() < MOST && members.insert(member.clone()) {
            self.0.more.notify_one();
        }
    }

    /// Waits until there are some, and takes them out. For one task.
    pub async fn next(&self) -> HashSet<MemberId> {
        loop {
            let members = std::mem::take(&mut *self.0.members.lock());
            if !members.is_empty() {
                return members;
            }
            self.0.more.notified().await;
        }
    }
}

/// Who is to be suspected, and where that is said.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    pub(super) member: MemberId,
    pub(super) suspects: Suspects,
}

impl Suspicion {
    pub(super) fn tell(&self) {
        self.suspects.add(&self.member);
    }
}

/// A connection that says once that it was ended from outside. When it is dropped here it says nothing.
#[derive(Debug)]
pub(super) struct Watched {
    io: Io,
    suspicion: Option<Suspicion>,
}

impl Watched {
    pub(super) fn new(io: Io, suspicion: Option<Suspicion>) -> Self {
        Watched { io, suspicion }
    }

    fn ended(&mut self) {
        if let Some(suspicion) = self.suspicion.take() {
            suspicion.tell();
        }
    }

    /// Looks at what became of a step. The system reports a break once, to whoever reads or writes first.
    fn after<T>(&mut self, step: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(step, Poll::Ready(Err(_))) {
            self.ended();
        }
        step
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = buffer.remaining();
        let read = Pin::new(&mut this.io).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && room > 0 && buffer.remaining() == room {
            this.ended();
        }
        this.after(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.after(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.after(flushed)
    }

    /// Whoever shuts down has ended it himself: what becomes of that is no reason.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.after(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;
    use tonic::transport::Channel;

    use super::*;
    use crate::RemoteMember;
    use crate::transport::Connector;

    const SOON: Duration = Duration::from_secs(3);

    fn fe2() -> HashSet<MemberId> {
        [MemberId::new("fe2")].into()
    }

    struct Site {
        listener: TcpListener,
        address: SocketAddr,
        suspects: Suspects,
        connector: Connector,
    }

    impl Site {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let suspects = Suspects::default();
            Site {
                listener,
                address,
                connector: Connector::new(None).reporting(suspects.clone()),
                suspects,
            }
        }

        fn channel(&self) -> Channel {
            let member = MemberId::new("fe2");
            self.connector
                .channel_to(&member, &self.address.to_string())
                .unwrap()
        }

        /// The other end of a connection over which a call is under way.
        async fn call(&self) -> (TcpStream, tokio::task::JoinHandle<()>) {
            let remote = RemoteMember::new(self.channel()).deadline(SOON);
            let calling = tokio::spawn(async move { drop(remote.describe().await) });
            let (stream, _) = timeout(SOON, self.listener.accept()).await.unwrap().unwrap();
            // The call has begun when something of it came.
            timeout(SOON, stream.readable()).await.unwrap().unwrap();
            (stream, calling)
        }

        async fn suspected(&self) -> HashSet<MemberId> {
            timeout(SOON, self.suspects.next())
                .await
                .expect("somebody is suspected")
        }
    }

    #[tokio::test]
    async fn who_breaks_a_connection_is_suspected() {
        let site = Site::new().await;
        let (stream, calling) = site.call().await;
        assert!(site.suspects.next().now_or_never().is_none());
        drop(stream);
        assert_eq!(site.suspected().await, fe2());
        calling.abort();
    }

    #[tokio::test]
    async fn who_cannot_be_reached_is_suspected() {
        let site = Site::new().await;
        let remote = RemoteMember::new(site.channel()).deadline(SOON);
        drop(site.listener);
        remote.describe().await.unwrap_err();
        assert_eq!(site.suspects.next().now_or_never(), Some(fe2()));
        assert!(
            site.suspects.next().now_or_never().is_none(),
            "they are taken out"
        );
    }

    #[tokio::test]
    async fn a_connection_that_ends_here_makes_nobody_suspect() {
        let site = Site::new().await;
        let (mut stream, calling) = site.call().await;
        calling.abort();
        assert!(calling.await.unwrap_err().is_cancelled());
        // The end is seen there, so it is over here.
        let mut rest = Vec::new();
        let ended = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
        timeout(SOON, ended).await.expect("the connection ends").unwrap();
        assert!(site.suspects.next().now_or_never().is_none());
    }

    #[test]
    fn names_are_bounded() {
        let suspects = Suspects::default();
        for number in 0..2 * MOST {
            suspects.add(&MemberId::new(&format!("fe{number}")));
        }
        assert_eq!(suspects.next().now_or_never().unwrap().len(), MOST);
    }
}
