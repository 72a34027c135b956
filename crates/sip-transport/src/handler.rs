//! What a user of the transport provides.

use crate::connection::{CloseReason, Connection};
use sip_types::{Message, ParseError};
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

/// Takes what connections receive.
///
/// All calls for one connection are made by that connection's own task, one after another, and must not
/// block: what takes time is handed to another task, which answers later with [`Connection::send`]. What is
/// sent from within a call is written when the present wake-up has been worked off, in one system call with
/// everything else.
///
/// A panic in a call ends the connection with [`CloseReason::Fault`] and no other.
pub trait Handler: Send + Sync + 'static {
    /// What the handler knows about one connection. Made when the connection becomes usable, dropped after
    /// [`Handler::closed`].
    type Session: Send + 'static;

    /// A connection became usable: a PROXY header was read and the TLS handshake is done, if there are any.
    fn accepted(&self, connection: &Arc<Connection>) -> Self::Session;

    /// A message came. It shares the memory of the read it came with, up to 64 KiB: copy what is kept for long.
    fn message(
        &self,
        connection: &Arc<Connection>,
        session: &mut Self::Session,
        message: Message,
        now: Instant,
    );

    /// Something came that is framed like a message and is not one. It was answered already, as far as it can
    /// be; this is for counting.
    fn rejected(&self, connection: &Arc<Connection>, session: &mut Self::Session, error: &ParseError) {
        let _ = (connection, session, error);
    }

    /// Called in each wake-up of the connection's task, after everything that came was handed over and before what was
    /// queued is written: to go on with what the session has under way. The waker of `cx` wakes the task.
    fn work(&self, connection: &Arc<Connection>, session: &mut Self::Session, cx: &mut Context<'_>) {
        let _ = (connection, session, cx);
    }

    /// The time given by [`Handler::next_timer`] has come, or [`Connection::wake`] was called.
    fn timer(&self, connection: &Arc<Connection>, session: &mut Self::Session, now: Instant) {
        let _ = (connection, session, now);
    }

    /// When [`Handler::timer`] wants to be called. Asked after each wake-up, so it must be cheap.
    fn next_timer(&self, session: &Self::Session) -> Option<Instant> {
        let _ = session;
        None
    }

    /// The connection takes and gives no more messages. Called exactly once for each that was accepted; what
    /// was queued before is still written.
    fn closed(&self, connection: &Arc<Connection>, session: &mut Self::Session, reason: CloseReason);
}
