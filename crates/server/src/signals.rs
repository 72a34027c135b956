//! What the operating system tells a server: SIGTERM and SIGINT stop it, SIGHUP makes it read its files again.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::error::StartError;

/// Something the operator wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Read certificates again.
    Reload,
    /// Stop gracefully.
    Stop,
}

/// The signals of this process. Installed before anything else starts, so that none is missed.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
}

impl Signals {
    /// Takes the signals over. Call it from within the runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub fn install() -> Result<Self, StartError> {
        let take = |kind| signal(kind).map_err(StartError::Signals);
        Ok(Signals {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Waits until the operator asks to stop once more.
    pub async fn stop_again(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}
