//! The streams of news, one per front end.
//!
//! News go straight to who reads them. While a front end reads more slowly than they come they wait, in their order, but of
//! documents the newest replaces the one that waits: a whole pool may change at once, and what waits is not more than is followed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use rpc::presence::{PresenceDocument, PresenceNews};
use sip_types::AddressOfRecord;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::MemberId;

use crate::counters::{Counters, Event};
use crate::watchers::Teller;

/// One life of the stream of a front end.
pub(super) struct Stream {
    pub(super) teller: Teller,
    /// `None`: it ended.
    open: Mutex<Option<Open>>,
    counters: Arc<Counters>,
    work: Work,
    /// News that are no documents and wait.
    capacity: usize,
}

struct Open {
    sender: mpsc::Sender<PresenceNews>,
    waiting: Waiting,
    /// A task passes on what waits.
    is_passing_on: bool,
}

/// What the front end does not read yet.
#[derive(Default)]
struct Waiting {
    order: VecDeque<Place>,
    documents: HashMap<AddressOfRecord, Arc<PresenceDocument>>,
    others: usize,
}

enum Place {
    /// The newest document of this user.
    Document(AddressOfRecord),
    Other(PresenceNews),
}

impl Waiting {
    /// True: it replaced what waited.
    fn push(&mut self, news: PresenceNews) -> bool {
        match news {
            PresenceNews::Document(document) => {
                let user = document.presentity.clone();
                let is_new = self.documents.insert(user.clone(), document).is_none();
                if is_new {
                    self.order.push_back(Place::Document(user));
                }
                !is_new
            }
            other => {
                self.others += 1;
                self.order.push_back(Place::Other(other));
                false
            }
        }
    }

    fn pop(&mut self) -> Option<PresenceNews> {
        match self.order.pop_front()? {
            Place::Document(user) => self.documents.remove(&user).map(PresenceNews::Document),
            Place::Other(news) => {
                self.others -= 1;
                Some(news)
            }
        }
    }
}

/// Where tasks run, and until when.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Stream {
    /// Sends news. False: the stream has ended, or ends with this because the front end lags; what follows by it is void.
    pub(super) fn send(self: &Arc<Self>, news: PresenceNews) -> bool {
        let mut slot = self.open.lock();
        let Some(open) = &mut *slot else {
            return false;
        };
        if !open.is_passing_on {
            match open.sender.try_send(news) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => {
                    self.end_now(&mut slot);
                    return false;
                }
                Err(TrySendError::Full(news)) => {
                    open.waiting.push(news);
                    open.is_passing_on = true;
                    let (stream, sender) = (self.clone(), open.sender.clone());
                    self.work.tasks.spawn(async move {
                        let stop = stream.work.stop.clone();
                        stop.run_until_cancelled(stream.pass_on(sender)).await;
                    });
                    return true;
                }
            }
        }
        if open.waiting.push(news) {
            self.counters.event(Event::Conflated);
        }
        if open.waiting.others <= self.capacity {
            return true;
        }
        self.counters.event(Event::Lagged);
        tracing::warn!(member = %self.teller.member, "a front end lags behind the news of presence");
        self.end_now(&mut slot);
        false
    }

    /// Passes on what waits, until nothing does.
    async fn pass_on(&self, sender: mpsc::Sender<PresenceNews>) {
        while let Ok(place) = sender.reserve().await {
            let mut slot = self.open.lock();
            let Some(open) = &mut *slot else {
                return;
            };
            match open.waiting.pop() {
                Some(news) => place.send(news),
                None => {
                    open.is_passing_on = false;
                    return;
                }
            }
        }
        self.end();
    }

    /// Whether news still reach somebody.
    pub(super) fn is_open(&self) -> bool {
        self.open
            .lock()
            .as_ref()
            .is_some_and(|open| !open.sender.is_closed())
    }

    fn end(&self) {
        self.end_now(&mut self.open.lock());
    }

    fn end_now(&self, slot: &mut Option<Open>) {
        if slot.take().is_some() {
            self.counters.front_ends.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// All streams.
pub(super) struct Streams {
    streams: Mutex<HashMap<MemberId, Arc<Stream>>>,
    generations: AtomicU64,
    counters: Arc<Counters>,
    work: Work,
    /// News that are under way in one stream, and as many that are no documents and wait.
    capacity: usize,
}

impl Streams {
    pub(super) fn new(counters: Arc<Counters>, work: Work, capacity: usize) -> Self {
        Streams {
            streams: Mutex::default(),
            generations: AtomicU64::new(0),
            counters,
            work,
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
            open: Mutex::new(Some(Open {
                sender,
                waiting: Waiting::default(),
                is_passing_on: false,
            })),
            counters: self.counters.clone(),
            work: self.work.clone(),
            capacity: self.capacity,
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
