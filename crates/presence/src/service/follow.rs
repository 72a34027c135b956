//! Front ends follow presentities and tell who watches them.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use rpc::Error;
use rpc::presence::{Follow, FollowRefusal, PresenceDocument, SeenWatcher};
use sip_types::AddressOfRecord;
use topology::MemberId;

use super::entries::Follower;
use super::streams::Stream;
use super::{Inner, no_such_user, unavailable};
use crate::counters::Event;

/// Presentities loaded at the same time for one front end.
const AT_ONCE: usize = 16;

/// How often a presentity is loaded again because it was forgotten at that very moment.
const ATTEMPTS: u32 = 4;

type Followed = Result<Arc<PresenceDocument>, FollowRefusal>;

impl Inner {
    fn stream_of(&self, member: &MemberId) -> Result<Arc<Stream>, Error> {
        self.streams
            .of(member)
            .ok_or_else(|| unavailable("the stream of news is not open"))
    }

    /// Follows presentities and answers in their order: all, or those before the first that failed.
    ///
    /// # Errors
    /// Of the first one.
    pub(super) async fn follow(
        self: &Arc<Self>,
        member: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Followed>, Error> {
        let stream = self.stream_of(member)?;
        let mut answers = Vec::with_capacity(follow.len());
        let mut followed = stream::iter(follow)
            .map(|follow| self.follow_one(&stream, follow))
            .buffered(AT_ONCE);
        while let Some(answer) = followed.next().await {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) if answers.is_empty() => return Err(error),
                // Those before are answered, the others are asked for again.
                Err(error) => {
                    tracing::warn!(error = error.message, "a presentity cannot be followed yet");
                    break;
                }
            }
        }
        Ok(answers)
    }

    /// Under the lock of a state: what came through a stream that was replaced since does not replace what came through the
    /// present one.
    fn check_current(&self, stream: &Stream) -> Result<(), Error> {
        if self.streams.is_current(&stream.teller) {
            return Ok(());
        }
        Err(unavailable("the stream of news is not open any more"))
    }

    async fn follow_one(self: &Arc<Self>, stream: &Arc<Stream>, follow: Follow) -> Result<Followed, Error> {
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.load(&follow.presentity).await? else {
                return Ok(Err(FollowRefusal::NoSuchUser));
            };
            let mut state = entry.state.lock();
            if state.is_gone {
                continue;
            }
            self.check_current(stream)?;
            self.counters.event(Event::Follow);
            state
                .followers
                .retain(|follower| follower.stream.teller.member != stream.teller.member);
            state.followers.push(Follower {
                stream: stream.clone(),
                own: follow.own,
                next_at: 0,
                is_due: false,
                watchers_due: false,
            });
            return Ok(Ok(state.presentity.document().clone()));
        }
        Err(unavailable("the user is being forgotten all the time"))
    }

    pub(super) fn unfollow(self: &Arc<Self>, member: &MemberId, presentities: &[AddressOfRecord]) {
        for presentity in presentities {
            let Some(entry) = self.entries.get(presentity) else {
                continue;
            };
            let mut state = entry.state.lock();
            state
                .followers
                .retain(|follower| follower.stream.teller.member != *member);
            // The alarm forgets it when nobody needs it for a while.
            self.dispatch(&entry, &mut state, self.now());
        }
    }

    pub(super) async fn watched(
        self: &Arc<Self>,
        member: &MemberId,
        presentity: &AddressOfRecord,
        watchers: Vec<SeenWatcher>,
    ) -> Result<(), Error> {
        let stream = self.stream_of(member)?;
        let entry = self.load(presentity).await?.ok_or_else(no_such_user)?;
        let mut state = entry.state.lock();
        if state.is_gone {
            return Err(unavailable("the user is being forgotten"));
        }
        self.check_current(&stream)?;
        let told = state.presentity.told(&stream.teller, watchers, &self.limits);
        self.counters.events(Event::WatcherUnlisted, told.unlisted);
        if told.is_news || told.is_prompt {
            for follower in &mut state.followers {
                follower.watchers_due |= follower.own;
            }
            self.dispatch(&entry, &mut state, self.now());
        }
        Ok(())
    }
}
