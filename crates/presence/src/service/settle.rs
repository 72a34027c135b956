//! After a change: the newest document, who is told of it, and when to look again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc::presence::{OwnData, PresenceNews};
use sip_types::AddressOfRecord;
use tokio::sync::Notify;

use super::Inner;
use super::entries::{Entry, State};
use crate::counters::Event;
use crate::time::{Now, millis_of};

/// How long a presentity stays in memory that nobody needs.
const IDLE_MS: u64 = 60_000;

/// How long until what could not be stored is tried again.
const RETRY_MS: u64 = 1_000;

/// Wakes presentities: each has at most one time that counts.
#[derive(Default)]
pub(super) struct Alarm {
    times: Mutex<BinaryHeap<Reverse<(u64, AddressOfRecord)>>>,
    earlier: Notify,
}

impl Alarm {
    fn set(&self, user: &AddressOfRecord, at: u64) {
        let mut times = self.times.lock();
        let is_first = times.peek().is_none_or(|Reverse((first, _))| at < *first);
        times.push(Reverse((at, user.clone())));
        drop(times);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Who is due, or when the next one is.
    fn pop(&self, now: u64) -> Result<(u64, AddressOfRecord), Option<u64>> {
        let mut times = self.times.lock();
        match times.peek() {
            None => Err(None),
            Some(Reverse((at, _))) if *at > now => Err(Some(*at)),
            Some(_) => times.pop().map(|Reverse(due)| due).ok_or(None),
        }
    }
}

impl Inner {
    /// Makes the newest document, sends what may be sent, and sets the alarm for the rest.
    pub(super) fn settle(&self, entry: &Entry, state: &mut State, now: Now) {
        if state.presentity.refresh(now, self.next_version(&entry.user)) {
            for follower in &mut state.followers {
                if std::mem::replace(&mut follower.is_due, true) {
                    self.counters.event(Event::Conflated);
                }
            }
        }
        self.queue_copy(entry, state);
        self.dispatch(entry, state, now);
    }

    /// Sends what may be sent, and sets the alarm for the rest. Enough after what changes no document: followers and watchers.
    pub(super) fn dispatch(&self, entry: &Entry, state: &mut State, now: Now) {
        self.send_due(entry, state, now);
        self.set_alarm(entry, state, now);
    }

    fn send_due(&self, entry: &Entry, state: &mut State, now: Now) {
        let mut watchers: Option<Arc<OwnData>> = None;
        let State {
            presentity,
            followers,
            ..
        } = state;
        followers.retain_mut(|follower| {
            if !(follower.is_due || follower.watchers_due) || follower.next_at > now.ms {
                return true;
            }
            follower.next_at = now.ms.saturating_add(millis_of(self.limits.pace));
            let mut reaches = true;
            if std::mem::take(&mut follower.is_due) {
                self.counters.event(Event::Document);
                let document = presentity.document().clone();
                reaches = follower.stream.send(PresenceNews::Document(document));
            }
            if std::mem::take(&mut follower.watchers_due) && reaches {
                let own = watchers.get_or_insert_with(|| {
                    let mut own = presentity.own(Some(Vec::new()), self.next_version(&entry.user));
                    own.watchers = Some(
                        presentity
                            .watchers_mut()
                            .active(|teller| self.streams.is_current(teller)),
                    );
                    own.prompts = Some(presentity.watchers().prompts());
                    Arc::new(own)
                });
                reaches = follower.stream.send(PresenceNews::Own(own.clone()));
            }
            reaches
        });
    }

    /// Sends own data to the user's endpoints, wherever they are. It is never held back: publishing clients need it.
    pub(super) fn send_own(&self, state: &mut State, own: &Arc<OwnData>) {
        self.send_to_own(state, || PresenceNews::Own(own.clone()));
    }

    /// Sends news to the front ends where the user's own endpoints are.
    pub(super) fn send_to_own(&self, state: &mut State, news: impl Fn() -> PresenceNews) {
        state
            .followers
            .retain(|follower| !follower.own || follower.stream.send(news()));
    }

    fn set_alarm(&self, entry: &Entry, state: &mut State, now: Now) {
        if state.is_gone {
            return;
        }
        let waiting = state
            .followers
            .iter()
            .filter(|follower| follower.is_due || follower.watchers_due)
            .map(|follower| follower.next_at);
        let is_idle = state.followers.is_empty() && state.presentity.is_idle();
        let idle = is_idle.then(|| now.ms.saturating_add(IDLE_MS));
        let next = waiting
            .chain(state.presentity.next_deadline(now))
            .chain(idle)
            .min();
        let Some(next) = next else { return };
        // What is over and still there could not be removed: the store failed.
        let at = if next > now.ms {
            next
        } else {
            now.ms.saturating_add(RETRY_MS)
        };
        if state.wake_at.is_none_or(|set| at < set) {
            state.wake_at = Some(at);
            self.alarm.set(&entry.user, at);
        }
    }

    /// Wakes presentities when they are due, until the role stops.
    pub(super) async fn keep_time(self: Arc<Self>) {
        loop {
            let next = loop {
                match self.alarm.pop(self.now().ms) {
                    Ok((at, user)) => self.wake(at, &user),
                    Err(next) => break next,
                }
            };
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(self.started + Duration::from_millis(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.alarm.earlier.notified() => {}
                () = sleep => {}
            }
        }
    }

    fn wake(self: &Arc<Self>, at: u64, user: &AddressOfRecord) {
        let Some(entry) = self.entries.get(user) else {
            return;
        };
        let now = self.now();
        let mut state = entry.state.lock();
        if state.wake_at != Some(at) {
            // It was woken for something earlier since, and has set the alarm anew.
            return;
        }
        state.wake_at = None;
        if state.presentity.is_due(now) {
            drop(state);
            let inner = self.clone();
            self.tasks.spawn(async move { inner.end_due(&entry).await });
            return;
        }
        self.settle(&entry, &mut state, now);
        let is_idle = state.is_idle();
        drop(state);
        if is_idle {
            self.entries.forget_if_idle(&entry);
        }
    }

    /// Ends what is due to end by itself.
    async fn end_due(self: &Arc<Self>, entry: &Arc<Entry>) {
        let turn = entry.turn.lock().await;
        let (prepared, has_ended) = {
            let mut state = entry.state.lock();
            if state.is_gone {
                return;
            }
            state.presentity.due(self.now())
        };
        if let Err(error) = self.end(entry, prepared).await {
            tracing::warn!(
                error = error.message,
                "publications that are over are not removed yet"
            );
        }
        drop(turn);
        if has_ended {
            self.end_what_left(entry, &[]).await;
        }
    }
}
