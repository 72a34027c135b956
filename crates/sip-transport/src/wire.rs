//! The byte side of a connection: a socket, with or without TLS on it.
//!
//! A connection owns no buffers while it is idle. Bytes are read into, decrypted in, encrypted in and written
//! from scratch memory that all connections of a thread share; what a connection keeps is the rest of a record
//! that is not complete and bytes that the socket would not take.

use crate::connection::Connection;
use crate::tls::{Output, Secured, Session, TlsInfo};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most that is read or encrypted at once.
const SCRATCH: usize = 64 * 1024;

/// Most that is read at once before TLS begins: a PROXY header and the beginning of what follows.
const RAW: usize = 8 * 1024;

/// Most that may be kept of records that are not complete: a handshake message may span some.
const UNDECODED: usize = SCRATCH / 2;

/// Slices given to one vectored write.
const SLICES: usize = 64;

struct Scratch {
    read: Vec<u8>,
    plain: Vec<u8>,
    sealed: Output,
}

thread_local! {
    static SHARED: RefCell<Scratch> = RefCell::new(Scratch {
        read: vec![0; SCRATCH],
        plain: Vec::with_capacity(SCRATCH),
        sealed: Output::default(),
    });
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Something; on TLS there may still be no plain text.
    More,
    /// The peer sends nothing any more.
    End,
}

/// Numbers since they were last asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// A socket and what belongs to its bytes.
pub(crate) struct Wire<S> {
    io: S,
    tls: Option<Session>,
    /// Bytes read that do not make a whole record yet, or come before TLS begins.
    undecoded: Vec<u8>,
    /// Chunks taken from the queue and not encrypted or written yet.
    batch: VecDeque<Bytes>,
    /// Bytes in `batch`.
    batched: usize,
    /// Encrypted bytes the socket did not take yet.
    sealed: BytesMut,
    traffic: Traffic,
    /// Bytes the socket took since the beginning.
    taken: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(io: S) -> Self {
        Self {
            io,
            tls: None,
            undecoded: Vec::new(),
            batch: VecDeque::new(),
            batched: 0,
            sealed: BytesMut::new(),
            traffic: Traffic::default(),
            taken: 0,
        }
    }

    /// Bytes that were taken from the queue and not by the socket.
    pub(crate) fn unsent(&self) -> usize {
        self.batched + self.sealed.len()
    }

    /// Bytes the socket took since the beginning.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(Session::is_handshaking)
    }

    pub(crate) fn tls_info(&self) -> Option<TlsInfo> {
        self.tls.as_ref().and_then(Session::info)
    }

    /// Reads without decoding, for what comes before TLS.
    pub(crate) fn poll_read_raw(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        SHARED.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch.read.get_mut(..RAW).unwrap_or_default());
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            self.undecoded.extend_from_slice(buf.filled());
            Poll::Ready(Ok(self.note_read(buf.filled().len())))
        })
    }

    /// Bytes read by [`Wire::poll_read_raw`].
    pub(crate) fn raw(&self) -> &[u8] {
        &self.undecoded
    }

    /// Drops the first of them.
    pub(crate) fn consume_raw(&mut self, amount: usize) {
        self.undecoded.drain(..amount.min(self.undecoded.len()));
    }

    /// TLS begins, or clear text if there is no session. Bytes read before are decoded.
    ///
    /// # Errors
    /// [`WireError`]; the connection is lost, but what is unsent may hold an alert.
    pub(crate) fn start(&mut self, tls: Option<Session>, into: &mut BytesMut) -> Result<Filled, WireError> {
        self.tls = tls;
        let early = std::mem::take(&mut self.undecoded);
        SHARED.with_borrow_mut(|scratch| {
            let room = scratch
                .read
                .get_mut(..early.len())
                .ok_or(io::Error::from(io::ErrorKind::InvalidData))?;
            room.copy_from_slice(&early);
            // Also without input: a client speaks first.
            self.decode(scratch, early.len(), into)
        })
    }

    /// Reads once and appends what it brought to `into`.
    ///
    /// # Errors
    /// As for [`Wire::start`].
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Filled, WireError>> {
        SHARED.with_borrow_mut(|scratch| {
            let held = self.undecoded.len();
            let (front, room) = scratch.read.split_at_mut(held);
            let mut buf = ReadBuf::new(room);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            let read = buf.filled().len();
            if self.note_read(read) == Filled::End {
                return Poll::Ready(Ok(Filled::End));
            }
            front.copy_from_slice(&self.undecoded);
            Poll::Ready(self.decode(scratch, held + read, into))
        })
    }

    /// Throws away what the peer still sends. `Ready`: it sends nothing any more, or is gone.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        SHARED.with_borrow_mut(|scratch| {
            loop {
                let mut buf = ReadBuf::new(&mut scratch.read);
                match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)) {
                    Ok(()) if self.note_read(buf.filled().len()) == Filled::More => {}
                    _ => return Poll::Ready(()),
                }
            }
        })
    }

    fn note_read(&mut self, read: usize) -> Filled {
        if read == 0 {
            return Filled::End;
        }
        self.traffic.reads += 1;
        self.traffic.bytes_in += read as u64;
        Filled::More
    }

    /// Decodes the first `length` bytes of the scratch memory.
    fn decode(
        &mut self,
        scratch: &mut Scratch,
        length: usize,
        into: &mut BytesMut,
    ) -> Result<Filled, WireError> {
        let incoming = scratch.read.get_mut(..length).unwrap_or_default();
        let Some(tls) = &mut self.tls else {
            into.extend_from_slice(incoming);
            return Ok(Filled::More);
        };
        // Invariant: what another connection left here is never ours to send.
        scratch.sealed.clear();
        let step = tls.process(incoming, Secured::Nothing, into, &mut scratch.sealed);
        // Part of the handshake, an answer to a key update, or the alert that says why it failed.
        self.sealed.extend_from_slice(scratch.sealed.filled());
        scratch.sealed.clear();
        let step = step?;
        let rest = incoming.get(step.consumed..).unwrap_or_default();
        if rest.len() > UNDECODED {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        self.undecoded = rest.to_vec();
        Ok(if step.peer_closed {
            Filled::End
        } else {
            Filled::More
        })
    }

    /// Writes what waits, then what is queued, until nothing is left (`true`) or the socket takes no more
    /// (`false`).
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        queue: Option<&Connection>,
    ) -> Result<bool, WireError> {
        loop {
            while !self.sealed.is_empty() {
                let Poll::Ready(written) = Pin::new(&mut self.io).poll_write(cx, &self.sealed) else {
                    return Ok(false);
                };
                let written = self.note_written(written)?;
                self.sealed.advance(written);
            }
            self.sealed = BytesMut::new();
            if self.batch.is_empty() {
                let Some(queue) = queue else { return Ok(true) };
                if !queue.take_queued(&mut self.batch) {
                    return Ok(true);
                }
                self.batched = self.batch.iter().map(Bytes::len).sum();
            }
            let more = if self.tls.is_some() {
                self.write_sealed(cx)?
            } else {
                self.write_clear(cx)?
            };
            if !more {
                return Ok(false);
            }
        }
    }

    /// Says that we send nothing more: after this, [`Wire::poll_flush`] and [`Wire::poll_shutdown`].
    pub(crate) fn close_notify(&mut self) {
        if self.tls.is_some() && !self.is_handshaking() {
            // A session that cannot say it any more was closed or broken by the peer: there is nobody to tell.
            let _ = SHARED.with_borrow_mut(|scratch| {
                scratch.plain.clear();
                self.seal(scratch, Secured::CloseNotify)?;
                self.sealed.extend_from_slice(scratch.sealed.filled());
                scratch.sealed.clear();
                Ok::<(), WireError>(())
            });
        }
    }

    /// Closes the sending side of the socket.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// One vectored write of the batch. False: the socket takes no more.
    fn write_clear(&mut self, cx: &mut Context<'_>) -> Result<bool, WireError> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = self.batch.len().min(SLICES);
        for (slice, chunk) in slices.iter_mut().zip(&self.batch) {
            *slice = IoSlice::new(chunk);
        }
        let slices = slices.get(..used).unwrap_or_default();
        let Poll::Ready(written) = Pin::new(&mut self.io).poll_write_vectored(cx, slices) else {
            return Ok(false);
        };
        let written = self.note_written(written)?;
        self.drop_from_batch(written, |_| {});
        Ok(true)
    }

    /// Encrypts as much of the batch as fits the scratch memory and writes it. False: the socket takes no more.
    fn write_sealed(&mut self, cx: &mut Context<'_>) -> Result<bool, WireError> {
        SHARED.with_borrow_mut(|scratch| {
            let mut plain = std::mem::take(&mut scratch.plain);
            plain.clear();
            self.drop_from_batch(SCRATCH, |chunk| plain.extend_from_slice(chunk));
            let sealed = self.seal(scratch, Secured::Data(&plain));
            scratch.plain = plain;
            sealed?;
            let records = scratch.sealed.filled();
            // A session that was closed encrypts nothing.
            if records.is_empty() {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
            }
            let written = match Pin::new(&mut self.io).poll_write(cx, records) {
                Poll::Ready(written) => self.note_written(written),
                Poll::Pending => Ok(0),
            };
            if let Ok(written) = written {
                self.sealed
                    .extend_from_slice(records.get(written..).unwrap_or_default());
            }
            // Also when the socket is broken: the next connection of this thread works here.
            scratch.sealed.clear();
            written?;
            // With a rest, the write is tried once more: it is the one that asks to be woken.
            Ok(true)
        })
    }

    /// Lets the session act; records to be sent are in the scratch memory afterwards.
    fn seal(&mut self, scratch: &mut Scratch, action: Secured<'_>) -> Result<(), WireError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        scratch.sealed.clear();
        // The session wants to see what it did not consume.
        let mut plain = BytesMut::new();
        let step = tls.process(&mut self.undecoded, action, &mut plain, &mut scratch.sealed)?;
        self.undecoded.drain(..step.consumed.min(self.undecoded.len()));
        debug_assert!(plain.is_empty(), "whole records are decoded when they are read");
        Ok(())
    }

    /// Drops `amount` bytes from the front of the batch, showing them first.
    fn drop_from_batch(&mut self, mut amount: usize, mut show: impl FnMut(&[u8])) {
        while amount > 0 {
            let Some(chunk) = self.batch.front_mut() else {
                return;
            };
            let part = amount.min(chunk.len());
            show(chunk.get(..part).unwrap_or_default());
            chunk.advance(part);
            amount -= part;
            self.batched -= part;
            if chunk.is_empty() {
                self.batch.pop_front();
            }
        }
    }

    fn note_written(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        let written = written?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.traffic.writes += 1;
        self.traffic.bytes_out += written as u64;
        self.taken += written as u64;
        Ok(written)
    }

    /// Bytes of memory this side of the connection holds, for tests.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.undecoded.capacity()
            + self.sealed.capacity()
            + self.batch.capacity() * size_of::<Bytes>()
            + self.batched
    }
}

#[cfg(test)]
mod tests;
