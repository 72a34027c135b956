//! The streams of news, one per front end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use rpc::presence::PresenceNews;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_stream::wrappers::ReceiverStream;
use topology::MemberId;

use crate::counters::{Counters, Event};
use crate::watchers::Teller;

/// One life of the stream of a front end.
pub(super) struct Stream {
    pub(super) teller: Teller,
    /// `None`: it ended.
    sender: Mutex<Option<mpsc::Sender<PresenceNews>>>,
    counters: Arc<Counters>,
}

impl Stream {
    /// Sends news. False: the stream has ended, or ends with this because the front end lags; what follows by it is void.
    pub(super) fn send(&self, news: PresenceNews) -> bool {
        let mut sender = self.sender.lock();
        let Some(open) = &*sender else {
            return false;
        };
        match open.try_send(news) {
            Ok(()) => true,
            Err(error) => {
                if matches!(error, TrySendError::Full(_)) {
                    self.counters.event(Event::Lagged);
                    tracing::warn!(member = %self.teller.member, "a front end lags behind the news of presence");
                }
                *sender = None;
                self.counters.front_ends.fetch_sub(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Whether news still reach somebody.
    pub(super) fn is_open(&self) -> bool {
        self.sender
            .lock()
            .as_ref()
            .is_some_and(|sender| !sender.is_closed())
    }

    fn end(&self) {
        if self.sender.lock().take().is_some() {
            self.counters.front_ends.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// All streams.
pub(super) struct Streams {
    streams: Mutex<HashMap<MemberId, Arc<Stream>>>,
    generations: AtomicU64,
    counters: Arc<Counters>,
    /// News that may wait in one stream.
    capacity: usize,
}

impl Streams {
    pub(super) fn new(counters: Arc<Counters>, capacity: usize) -> Self {
        Streams {
            streams: Mutex::default(),
            generations: AtomicU64::new(0),
            counters,
            capacity: capacity.max(1),
        }
    }

    /// A stream for a front end, in place of the one it had.
    pub(super) fn open(&self, member: &MemberId) -> ReceiverStream<PresenceNews> {
        let (sender, receiver) = mpsc::channel(self.capacity);
        let stream = Arc::new(Stream {
            teller: Teller {
                member: member.clone(),
                generation: self.generations.fetch_add(1, Ordering::Relaxed) + 1,
            },
            sender: Mutex::new(Some(sender)),
            counters: self.counters.clone(),
        });
        self.counters.front_ends.fetch_add(1, Ordering::Relaxed);
        let mut streams = self.streams.lock();
        if let Some(before) = streams.insert(member.clone(), stream) {
            before.end();
        }
        // Some receivers come for a moment only, under a name of their own.
        streams.retain(|_, stream| {
            let is_open = stream.is_open();
            if !is_open {
                stream.end();
            }
            is_open
        });
        ReceiverStream::new(receiver)
    }

    /// The open stream of a front end.
    pub(super) fn of(&self, member: &MemberId) -> Option<Arc<Stream>> {
        self.streams
            .lock()
            .get(member)
            .filter(|stream| stream.is_open())
            .cloned()
    }

    /// Whether this is the present life of a front end's stream.
    pub(super) fn is_current(&self, teller: &Teller) -> bool {
        self.of(&teller.member)
            .is_some_and(|stream| stream.teller == *teller)
    }

    /// Sends news to every front end.
    pub(super) fn tell_all(&self, news: &PresenceNews) {
        for stream in self.streams.lock().values() {
            stream.send(news.clone());
        }
    }

    /// Ends all streams: front ends follow again when they find another owner.
    pub(super) fn end_all(&self) {
        for (_, stream) in self.streams.lock().drain() {
            stream.end();
        }
    }
}
