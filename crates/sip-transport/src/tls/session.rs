//! One TLS connection as a function over bytes: records in, plain text and records out. No I/O.
//!
//! rustls' unbuffered connections are used because they own no buffers: an idle connection costs its keys and
//! nothing more, and the bytes of all connections of a thread pass through the same scratch memory.

use super::certificate::end_point_of;
use super::{ServerIdentity, TlsInfo};
use bytes::BytesMut;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{ClientConfig, CommonState, Error};
use std::fmt::Display;
use std::sync::Arc;

/// Room for the header, nonce, padding and tag of one record in any cipher suite.
const RECORD_OVERHEAD: usize = 64;

/// Largest plain text of one record (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;

/// One end of a TLS connection.
pub(crate) enum Session {
    Server {
        connection: Box<UnbufferedServerConnection>,
        end_point: Arc<[u8]>,
    },
    Client {
        connection: Box<UnbufferedClientConnection>,
    },
}

/// How far incoming records were processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes to drop from the front of what was given; the rest must be given again, with more behind it.
    pub(crate) consumed: usize,
    /// The peer said that nothing more will come.
    pub(crate) peer_closed: bool,
}

/// What to do when the connection can be written to.
pub(crate) enum Secured<'a> {
    /// Nothing.
    Nothing,
    /// Encrypt this.
    Data(&'a [u8]),
    /// Say that nothing more will come.
    CloseNotify,
}

impl Session {
    pub(crate) fn server(identity: &ServerIdentity) -> Result<Self, Error> {
        Ok(Self::Server {
            connection: Box::new(UnbufferedServerConnection::new(Arc::clone(&identity.config))?),
            end_point: Arc::clone(&identity.server_end_point),
        })
    }

    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        Ok(Self::Client {
            connection: Box::new(UnbufferedClientConnection::new(config, name)?),
        })
    }

    /// Processes the records in `incoming`, appends what they said to `plain` and what must be sent to `out`,
    /// then carries out `action` if the handshake is done.
    ///
    /// `incoming` must begin with what earlier calls did not consume, also when there is nothing new.
    ///
    /// # Errors
    /// The connection is lost. `out` may hold an alert that tells the peer why.
    pub(crate) fn process(
        &mut self,
        incoming: &mut [u8],
        action: Secured<'_>,
        plain: &mut BytesMut,
        out: &mut Output,
    ) -> Result<Step, Error> {
        let mut sink = Sink {
            action,
            plain,
            out,
            step: Step::default(),
        };
        let mut failure = None;
        loop {
            let rest = incoming.get_mut(sink.step.consumed..).unwrap_or_default();
            let turn = match self {
                Self::Server { connection, .. } => sink.take(connection.process_tls_records(rest)),
                Self::Client { connection } => sink.take(connection.process_tls_records(rest)),
            };
            match (turn, failure) {
                (Ok(Turn::Again), None) => failure = None,
                (Ok(Turn::Done), None) => return Ok(sink.step),
                // One more turn puts the alert into `out`.
                (Err(error), None) => failure = Some(error),
                (_, Some(error)) => return Err(error),
            }
        }
    }

    /// Whether the handshake still goes on.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// What was agreed; `None` while the handshake goes on.
    pub(crate) fn info(&self) -> Option<TlsInfo> {
        let state = self.state();
        let peer_certificate = state.peer_certificates().and_then(|chain| chain.first()).cloned();
        let server_end_point = match self {
            Self::Server { end_point, .. } => Arc::clone(end_point),
            Self::Client { .. } => peer_certificate.as_ref().map(end_point_of).unwrap_or_default(),
        };
        Some(TlsInfo {
            version: state.protocol_version()?,
            cipher_suite: state.negotiated_cipher_suite()?.suite(),
            server_end_point,
            peer_certificate: peer_certificate.map(|certificate| certificate.into_owned()),
        })
    }

    fn state(&self) -> &CommonState {
        match self {
            Self::Server { connection, .. } => connection,
            Self::Client { connection } => connection,
        }
    }
}

enum Turn {
    Again,
    Done,
}

/// Where the outcome of processing goes.
struct Sink<'a> {
    action: Secured<'a>,
    plain: &'a mut BytesMut,
    out: &'a mut Output,
    step: Step,
}

impl Sink<'_> {
    fn take<Data>(&mut self, status: UnbufferedStatus<'_, '_, Data>) -> Result<Turn, Error> {
        let UnbufferedStatus { discard, state } = status;
        self.step.consumed += discard;
        match state? {
            ConnectionState::ReadTraffic(mut records) => {
                while let Some(record) = records.next_record() {
                    let record = record?;
                    self.step.consumed += record.discard;
                    self.plain.extend_from_slice(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(data) => encode(data, self.out)?,
            // `out` will be sent: it is handed on in order.
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => self.step.peer_closed = true,
            ConnectionState::WriteTraffic(traffic) => {
                match std::mem::replace(&mut self.action, Secured::Nothing) {
                    Secured::Nothing => return Ok(Turn::Done),
                    Secured::Data(data) => encrypt(traffic, data, self.out)?,
                    Secured::CloseNotify => close_notify(traffic, self.out)?,
                }
            }
            ConnectionState::Closed => {
                self.step.peer_closed = true;
                return Ok(Turn::Done);
            }
            // Blocked in the handshake; early data is never accepted; a state added to rustls later is not one
            // that we asked for.
            _ => return Ok(Turn::Done),
        }
        Ok(Turn::Again)
    }
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Output) -> Result<(), Error> {
    out.append(
        RECORD_OVERHEAD,
        |room| data.encode(room),
        |error| match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncodeError::AlreadyEncoded => None,
        },
    )
}

fn encrypt<Data>(mut traffic: WriteTraffic<'_, Data>, data: &[u8], out: &mut Output) -> Result<(), Error> {
    let records = data.len().div_ceil(RECORD).max(1);
    let size = data.len() + records * RECORD_OVERHEAD;
    out.append(size, |room| traffic.encrypt(data, room), required_size)
}

fn close_notify<Data>(mut traffic: WriteTraffic<'_, Data>, out: &mut Output) -> Result<(), Error> {
    out.append(
        RECORD_OVERHEAD,
        |room| traffic.queue_close_notify(room),
        required_size,
    )
}

fn required_size(error: &EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Records to be sent. The memory is written over again and again without being cleared in between.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    used: usize,
}

impl Output {
    /// What was written since the last [`Output::clear`].
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// Appends what `write` puts into a buffer of at least `size` bytes, asking again if that is too small.
    fn append<E: Display>(
        &mut self,
        mut size: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
        too_small: impl Fn(&E) -> Option<usize>,
    ) -> Result<(), Error> {
        // Twice: the second time with the size that was asked for.
        for _ in 0..2 {
            if self.bytes.len() < self.used + size {
                self.bytes.resize(self.used + size, 0);
            }
            match write(self.bytes.get_mut(self.used..).unwrap_or_default()) {
                Ok(written) => {
                    self.used += written;
                    return Ok(());
                }
                Err(error) => match too_small(&error) {
                    Some(required) => size = required,
                    None => return Err(Error::General(error.to_string())),
                },
            }
        }
        Err(Error::General(
            "record does not fit the buffer it asked for".to_owned(),
        ))
    }
}
