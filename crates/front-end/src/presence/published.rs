//! What the endpoint of a connection has published, so that the next owner of its user can be told when the last one is gone: the
//! copy an owner leaves may lack what came last, or be lost.

use hashbrown::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use rpc::presence::{Bound, Kept, Lifetime, PublicationContent, Publish, PublishOne};
use sip_types::AddressOfRecord;
use topology::Partition;

use super::EntityTag;
use super::follower::CALLS;
use crate::flow::Flow;
use crate::service::{FrontEndService, now};

/// Before a publication that was not taken is sent once more.
const RETRY: Duration = Duration::from_secs(1);

/// A publication that stands.
#[derive(Clone)]
struct Standing {
    user: AddressOfRecord,
    /// The tag its client has.
    given: EntityTag,
    /// What the owner calls it. Another owner that knows nothing of it counts anew.
    stored: EntityTag,
    until: Instant,
    content: PublicationContent,
    kept: Option<Kept>,
}

/// The publication of one connection, if there is one.
#[derive(Default)]
pub(crate) struct Published {
    standing: Mutex<Option<Standing>>,
    /// An owner is being told.
    is_told: AtomicBool,
    /// The owner has changed since it was begun to be told.
    is_due: AtomicBool,
}

impl Published {
    /// The tag as the owner knows it.
    pub(crate) fn stored(&self, given: EntityTag) -> EntityTag {
        let standing = self.standing.lock();
        let same = standing.as_ref().filter(|standing| standing.given == given);
        same.map_or(given, |standing| standing.stored)
    }

    /// A document was accepted.
    pub(crate) fn set(
        &self,
        user: AddressOfRecord,
        tag: EntityTag,
        expires: Duration,
        content: PublicationContent,
        kept: Option<Kept>,
    ) {
        *self.standing.lock() = Some(Standing {
            user,
            given: tag,
            stored: tag,
            until: now() + expires,
            content,
            kept,
        });
    }

    /// It was prolonged. False: nothing is known of it here, as after its client came on another connection.
    pub(crate) fn refreshed(&self, tag: EntityTag, expires: Duration) -> bool {
        let mut standing = self.standing.lock();
        let same = standing
            .as_mut()
            .filter(|standing| standing.given.instance == tag.instance);
        let Some(standing) = same else {
            return false;
        };
        (standing.given, standing.stored) = (tag, tag);
        standing.until = now() + expires;
        true
    }

    /// A change of what has this tag, as one that counts at an owner that does not know it, or by another version: it is being told
    /// of it, or was just now. `None`: it does not stand, or has a newer tag.
    pub(crate) fn vouch(&self, given: EntityTag, change: PublishOne) -> Option<PublishOne> {
        let (standing, _) = self.standing().filter(|(standing, _)| standing.given == given)?;
        let key = standing.stored.key();
        Some(match change {
            PublishOne::Set {
                lifetime,
                content,
                kept,
                ..
            } => PublishOne::Set {
                key,
                known: None,
                lifetime,
                content,
                kept,
            },
            PublishOne::Refresh { lifetime, .. } => PublishOne::Set {
                key,
                known: None,
                lifetime,
                content: standing.content,
                kept: standing.kept,
            },
            PublishOne::Remove { .. } => PublishOne::Remove { key, known: None },
        })
    }

    /// What has this tag was taken back.
    pub(crate) fn removed(&self, tag: EntityTag) {
        let is_it = |standing: &mut Standing| standing.given.instance == tag.instance;
        let _removed = self.standing.lock().take_if(is_it);
    }

    /// Whether something stands of a user of these partitions.
    fn stands_in(&self, partitions: &HashSet<Partition>) -> bool {
        let standing = self.standing.lock();
        standing
            .as_ref()
            .is_some_and(|standing| partitions.contains(&Partition::of_user(standing.user.as_str())))
    }

    /// What still stands, and for how long.
    fn standing(&self) -> Option<(Standing, Duration)> {
        let standing = self.standing.lock().clone()?;
        let left = standing.until.checked_duration_since(now())?;
        Some((standing, left))
    }

    /// The owner of now has it under this tag. False: its client has published since, and which of the two came last to the
    /// owner is not known.
    fn restored(&self, before: EntityTag, stored: EntityTag) -> bool {
        match &mut *self.standing.lock() {
            Some(standing) if standing.stored == before => {
                standing.stored = stored;
                true
            }
            Some(_) => false,
            None => true,
        }
    }
}

impl FrontEndService {
    /// Partitions have other owners: they are told what the endpoints here have published.
    pub(crate) fn publish_again(self: &Arc<Self>, partitions: &HashSet<Partition>) {
        let begin = |flow: &Arc<Flow>| {
            let published = &flow.published;
            published.stands_in(partitions) && {
                published.is_due.store(true, Ordering::SeqCst);
                !published.is_told.swap(true, Ordering::SeqCst)
            }
        };
        let flows: Vec<Arc<Flow>> = self.flows.values().into_iter().filter(begin).collect();
        if flows.is_empty() {
            return;
        }
        let service = Arc::clone(self);
        self.presence.spawn_calls(async move {
            let service = &service;
            let restore = |flow: Arc<Flow>| async move { service.restore(&flow).await };
            stream::iter(flows).for_each_concurrent(CALLS, restore).await;
        });
    }

    async fn restore(&self, flow: &Flow) {
        let published = &flow.published;
        loop {
            while published.is_due.swap(false, Ordering::SeqCst) {
                self.restore_once(flow).await;
            }
            published.is_told.store(false, Ordering::SeqCst);
            // It may have become due in between.
            if !published.is_due.load(Ordering::SeqCst) || published.is_told.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    async fn restore_once(&self, flow: &Flow) {
        while let Some((standing, left)) = flow.published.standing() {
            // Whoever signed in on the connection since has published nothing there yet.
            if flow.signed_in().is_none_or(|who| who.aor != standing.user) {
                return flow.published.removed(standing.given);
            }
            let key = standing.stored.key();
            let set = PublishOne::Set {
                key: key.clone(),
                known: None,
                lifetime: Lifetime {
                    bound: Bound::Endpoint,
                    expires: Some(left),
                },
                content: standing.content,
                kept: standing.kept,
            };
            let publish = Publish {
                user: standing.user.clone(),
                endpoint: Some(flow.endpoint()),
                changes: vec![set],
            };
            match self.presence.client.publish(publish).await {
                Ok(Ok(published)) => {
                    let version = published.versions.iter().find(|stored| stored.key == key);
                    let stored = EntityTag {
                        version: version.map_or(0, |stored| stored.version),
                        ..standing.stored
                    };
                    if flow.published.restored(standing.stored, stored) {
                        return;
                    }
                    continue;
                }
                Ok(Err(refusal)) => {
                    tracing::debug!(%refusal, "an owner does not take what an endpoint had published");
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "an owner is told later what an endpoint has published")
                }
            }
            tokio::select! {
                () = self.presence.stopped() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}
