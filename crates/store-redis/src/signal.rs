//! Hints that something changed: a channel of the server, and a tick for what it misses.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use redis::aio::PubSubStream;
use tokio::time::Instant;

use crate::connection::Redis;

/// Never wait longer: a message may be lost with its connection, and a connection may be dead without a word.
const TICK: Duration = Duration::from_secs(1);

/// Between two attempts to connect; doubled with each that fails, up to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Messages taken together.
const AT_ONCE: usize = 1_000;

/// Listens while somebody waits. One waiter at a time is told at once; others learn it by the tick.
pub(crate) struct Signal {
    redis: Redis,
    channel: String,
    ear: Mutex<Ear>,
}

struct Ear {
    stream: Option<PubSubStream>,
    /// True while somebody has the stream or connects.
    lent: bool,
    retry_at: Option<Instant>,
    backoff: Duration,
}

/// The stream in the hands of one waiter: it comes back also if he is cancelled.
struct Lent<'a> {
    ear: &'a Mutex<Ear>,
    stream: Option<PubSubStream>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut ear = self.ear.lock();
        ear.stream = self.stream.take();
        ear.lent = false;
    }
}

impl Signal {
    pub(crate) fn new(redis: Redis, channel: String) -> Self {
        Signal {
            redis,
            channel,
            ear: Mutex::new(Ear {
                stream: None,
                lent: false,
                retry_at: None,
                backoff: BACKOFF.0,
            }),
        }
    }

    /// Waits for a message, at most one tick.
    pub(crate) async fn wait(&self) {
        let heard = tokio::time::timeout(TICK, self.message()).await;
        if heard.is_err() {
            tracing::trace!(channel = %self.channel, "no message within a tick");
        }
    }

    async fn message(&self) {
        let Some(mut lent) = self.lend() else {
            return std::future::pending().await;
        };
        if let Some(stream) = &mut lent.stream {
            if stream.next().await.is_some() {
                // What else is there already says no more.
                for _ in 0..AT_ONCE {
                    if !matches!(stream.next().now_or_never(), Some(Some(_))) {
                        break;
                    }
                }
                return;
            }
            lent.stream = None;
        }
        loop {
            let retry_at = self.ear.lock().retry_at;
            if let Some(at) = retry_at {
                tokio::time::sleep_until(at).await;
            }
            match self.redis.subscribe(&self.channel).await {
                Ok(stream) => {
                    let mut ear = self.ear.lock();
                    ear.retry_at = None;
                    ear.backoff = BACKOFF.0;
                    lent.stream = Some(stream);
                    // Something may have changed before.
                    break;
                }
                Err(failure) => {
                    let mut ear = self.ear.lock();
                    ear.retry_at = Some(Instant::now() + ear.backoff);
                    ear.backoff = (ear.backoff * 2).min(BACKOFF.1);
                    tracing::debug!(channel = %self.channel, error = %failure, "no subscription");
                }
            }
        }
    }

    fn lend(&self) -> Option<Lent<'_>> {
        let mut ear = self.ear.lock();
        if std::mem::replace(&mut ear.lent, true) {
            return None;
        }
        Some(Lent {
            ear: &self.ear,
            stream: ear.stream.take(),
        })
    }
}
