//! Whom recipients have blocked: [`Access`] keeps the access rules of people who are written to.
//!
//! The owner of presence is asked once, with the first message for somebody, by following that person as a front end does;
//! from then on it tells every change. So what is kept is true while its news arrive. When the owner changes or news are
//! lost, the next message asks again.
//!
//! An owner that does not answer stops no message: until it answers, only those stay blocked who were.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use rpc::PresenceClient;
use rpc::presence::{
    AccessLevel, AccessRules, Follow, Origin, PresenceDocument, PresenceNews, PresenceVersion,
};
use sip_types::AddressOfRecord;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use topology::{MemberId, Partition};

/// How long a message waits for the rules of its recipient.
const PATIENCE: Duration = Duration::from_millis(500);

/// How soon an owner that did not answer for somebody is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// How long the rules of somebody are kept to whom nobody writes.
const IDLE: Duration = Duration::from_secs(600);

/// How often such rules are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Pause before a stream of news that broke is opened again.
const REOPEN: Duration = Duration::from_millis(500);

/// People whose rules are kept; one more pushes out another.
const RECIPIENTS: usize = 100_000;

/// How a sender stands with a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Not blocked.
    Free,
    /// Blocked.
    Blocked,
    /// The owner of the recipient's presence does not answer, and nothing is known against the sender.
    Unknown,
}

/// The access rules of recipients. Cheap to clone; clones share what they keep.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    presence: PresenceClient,
    follower: MemberId,
    domains: Vec<String>,
    recipients: Mutex<HashMap<AddressOfRecord, Known>>,
    /// People the owner may still tell of although nobody wants to know.
    leaving: Mutex<HashSet<AddressOfRecord>>,
    /// By partition: grows when what was followed there is not told of any more.
    generations: Vec<AtomicU64>,
}

/// What is known of one recipient.
struct Known {
    /// `None`: nothing yet.
    rules: Option<Arc<AccessRules>>,
    version: PresenceVersion,
    /// That of the partition when the owner was asked last.
    generation: u64,
    /// Whether the owner answered then.
    is_followed: bool,
    /// If not: when it is asked again.
    again_at: Instant,
    used_at: Instant,
}

impl Access {
    /// Asks `presence`, under a name that no front end and no other user of it has. The domains are those of this
    /// enterprise. [`Access::follow`] has to run with it.
    pub fn new(presence: PresenceClient, follower: MemberId, domains: Vec<String>) -> Self {
        Access(Arc::new(Inner {
            presence,
            follower,
            domains,
            recipients: Mutex::default(),
            leaving: Mutex::default(),
            generations: Partition::all().map(|_| AtomicU64::new(0)).collect(),
        }))
    }

    /// Takes the news of the owners of presence, for ever.
    pub async fn follow(&self) -> Infallible {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.0.presence.news(&self.0.follower).await {
                Ok(news) => {
                    let mut news = news.into_inner();
                    // What was followed by an earlier stream is told by none.
                    self.0.all_are_old();
                    loop {
                        tokio::select! {
                            told = news.recv() => match told {
                                Some(told) => self.0.apply(told),
                                None => break,
                            },
                            _ = sweep.tick() => self.0.sweep().await,
                        }
                    }
                    self.0.all_are_old();
                }
                Err(error) => tracing::debug!(%error, "no news of access rules yet"),
            }
            sleep(REOPEN).await;
        }
    }

    /// How a sender stands with a recipient. Takes no longer than half a second.
    pub(crate) async fn standing(&self, recipient: &AddressOfRecord, sender: &AddressOfRecord) -> Standing {
        match self.0.known(recipient, sender) {
            Some(standing) => standing,
            None => self.0.ask(recipient, sender).await,
        }
    }
}

impl Inner {
    fn generation(&self, user: &AddressOfRecord) -> u64 {
        let place = Partition::of_user(user.as_str()).index();
        self.generations
            .get(place)
            .map_or(0, |generation| generation.load(Ordering::Acquire))
    }

    /// What was followed in a partition is not told of any more.
    fn is_old(&self, partition: Partition) {
        if let Some(generation) = self.generations.get(partition.index()) {
            generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn all_are_old(&self) {
        Partition::all().for_each(|partition| self.is_old(partition));
    }

    /// The standing by rules that are kept; `None`: the owner has to be asked.
    fn known(&self, recipient: &AddressOfRecord, sender: &AddressOfRecord) -> Option<Standing> {
        let (generation, now) = (self.generation(recipient), Instant::now());
        let mut recipients = self.recipients.lock();
        let known = recipients.get_mut(recipient)?;
        if known.generation != generation || (!known.is_followed && now >= known.again_at) {
            return None;
        }
        known.used_at = now;
        Some(self.by(known, sender))
    }

    fn by(&self, known: &Known, sender: &AddressOfRecord) -> Standing {
        let is_blocked = known.rules.as_ref().is_some_and(|rules| {
            let is_ours = self.domains.iter().any(|domain| domain == sender.domain());
            let origin = if is_ours {
                Origin::SameEnterprise
            } else {
                Origin::Federated
            };
            rules.level_of(sender, origin) == AccessLevel::Blocked
        });
        match (is_blocked, known.is_followed) {
            (true, _) => Standing::Blocked,
            (false, true) => Standing::Free,
            (false, false) => Standing::Unknown,
        }
    }

    /// Follows a recipient. Several messages may do so at once: it is harmless.
    async fn ask(&self, recipient: &AddressOfRecord, sender: &AddressOfRecord) -> Standing {
        let generation = self.generation(recipient);
        // News may be faster than the answer, and must find their place.
        self.make_place(recipient);
        let wish = Follow {
            presentity: recipient.clone(),
            own: false,
        };
        let asked = self.presence.follow(&self.follower, vec![wish]);
        let document = match timeout(PATIENCE, asked).await {
            Ok(Ok(answers)) => match answers.into_iter().next() {
                Some(Ok(document)) => Some(document),
                // Nobody is there to block anybody.
                Some(Err(_)) | None => {
                    self.recipients.lock().remove(recipient);
                    return Standing::Free;
                }
            },
            Ok(Err(error)) => {
                tracing::debug!(%error, "the access rules of a recipient are not known");
                None
            }
            Err(_) => None,
        };
        let now = Instant::now();
        let mut recipients = self.recipients.lock();
        let Some(known) = recipients.get_mut(recipient) else {
            // Pushed out meanwhile: what was heard counts for this message.
            let known = Known::new(now, document.as_deref());
            return self.by(&known, sender);
        };
        known.generation = generation;
        known.is_followed = document.is_some();
        known.again_at = now + AGAIN;
        known.used_at = now;
        if let Some(document) = document {
            known.take(&document);
        }
        self.by(known, sender)
    }

    fn make_place(&self, recipient: &AddressOfRecord) {
        let mut recipients = self.recipients.lock();
        if recipients.contains_key(recipient) {
            return;
        }
        if recipients.len() >= RECIPIENTS
            && let Some(other) = recipients.keys().next().cloned()
        {
            recipients.remove(&other);
            self.leaving.lock().insert(other);
        }
        recipients.insert(recipient.clone(), Known::new(Instant::now(), None));
    }

    fn apply(&self, news: PresenceNews) {
        match news {
            PresenceNews::Document(document) => match self.recipients.lock().get_mut(&document.presentity) {
                Some(known) => known.take(&document),
                None => {
                    self.leaving.lock().insert(document.presentity.clone());
                }
            },
            PresenceNews::Lost(partition) => self.is_old(partition),
            // For the endpoints of users.
            PresenceNews::Own(_) | PresenceNews::Contacts(_) | PresenceNews::GroupsChanged(_) => {}
        }
    }

    /// Forgets people to whom nobody writes any more.
    async fn sweep(&self) {
        let now = Instant::now();
        let mut leaving = std::mem::take(&mut *self.leaving.lock());
        self.recipients.lock().retain(|recipient, known| {
            let stays = now.saturating_duration_since(known.used_at) < IDLE;
            if !stays {
                leaving.insert(recipient.clone());
            }
            stays
        });
        if leaving.is_empty() {
            return;
        }
        let told = leaving.iter().cloned().collect();
        if let Err(error) = self.presence.unfollow(&self.follower, told).await {
            tracing::debug!(%error, "an owner of presence was not told who is not followed any more");
        }
        // Who was followed anew at that moment may have been unfollowed with it.
        let recipients = self.recipients.lock();
        for back in leaving.iter().filter(|user| recipients.contains_key(*user)) {
            self.is_old(Partition::of_user(back.as_str()));
        }
    }
}

impl Known {
    fn new(now: Instant, document: Option<&PresenceDocument>) -> Self {
        let mut known = Known {
            rules: None,
            version: PresenceVersion { epoch: 0, count: 0 },
            generation: 0,
            is_followed: document.is_some(),
            again_at: now,
            used_at: now,
        };
        if let Some(document) = document {
            known.take(document);
        }
        known
    }

    /// Takes the rules of a document, unless newer ones are known.
    fn take(&mut self, document: &PresenceDocument) {
        if document.version >= self.version {
            self.version = document.version;
            self.rules = Some(Arc::clone(&document.rules));
        }
    }
}

#[cfg(test)]
mod tests;
