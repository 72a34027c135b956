//! What the Lync-family endpoint of a connection has published and ends with it, so that the next owner of its user can be told:
//! no owner hands over what ends with an endpoint. Versions count anew there; the client learns them with its own data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use hashbrown::HashSet;
use parking_lot::Mutex;
use rpc::presence::{Bound, Kept, Lifetime, PublicationContent, PublicationKey, Publish, PublishOne};
use sip_types::AddressOfRecord;
use topology::Partition;

use crate::flow::Flow;
use crate::presence::follower::CALLS;
use crate::service::{FrontEndService, now};

/// Before publications that were not taken are sent once more.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct One {
    bound: Bound,
    until: Option<Instant>,
    content: PublicationContent,
    kept: Option<Kept>,
}

#[derive(Default)]
struct Inner {
    user: Option<AddressOfRecord>,
    publications: BTreeMap<PublicationKey, One>,
    /// Counts what the client published.
    count: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Held(Mutex<Inner>);

impl Held {
    /// A request of the client was accepted.
    pub(crate) fn published(&self, request: &Publish, now: Instant) {
        let mut inner = self.0.lock();
        if inner.user.as_ref() != Some(&request.user) {
            *inner = Inner {
                user: Some(request.user.clone()),
                ..Inner::default()
            };
        }
        inner.count += 1;
        for change in &request.changes {
            match change {
                PublishOne::Set {
                    key,
                    lifetime,
                    content,
                    kept,
                    ..
                } if lifetime.bound != Bound::Static => {
                    let one = One {
                        bound: lifetime.bound,
                        until: lifetime.expires.map(|expires| now + expires),
                        content: content.clone(),
                        kept: kept.clone(),
                    };
                    inner.publications.insert(key.clone(), one);
                }
                PublishOne::Set { key, .. } | PublishOne::Remove { key, .. } => {
                    inner.publications.remove(key);
                }
                PublishOne::Refresh { .. } => {}
            }
        }
    }

    fn user(&self) -> Option<AddressOfRecord> {
        let inner = self.0.lock();
        inner.user.clone().filter(|_| !inner.publications.is_empty())
    }

    /// What still stands, whatever the owner has by these names, and the count of the client's requests.
    fn standing(&self, now: Instant) -> (Vec<PublishOne>, u64) {
        let mut inner = self.0.lock();
        inner
            .publications
            .retain(|_, one| one.until.is_none_or(|until| until > now));
        let standing = inner.publications.iter().map(|(key, one)| PublishOne::Set {
            key: key.clone(),
            known: None,
            lifetime: Lifetime {
                bound: one.bound,
                expires: one.until.map(|until| until.saturating_duration_since(now)),
            },
            content: one.content.clone(),
            kept: one.kept.clone(),
        });
        (standing.collect(), inner.count)
    }

    fn count(&self) -> u64 {
        self.0.lock().count
    }
}

impl FrontEndService {
    /// Partitions have other owners: they are told what the Lync-family endpoints here have published.
    pub(crate) fn publish_categories_again(self: &Arc<Self>, partitions: &HashSet<Partition>) {
        let of_lost = |flow: Arc<Flow>| {
            let user = flow.categories.user()?;
            let is_lost = partitions.contains(&Partition::of_user(user.as_str()));
            is_lost.then_some((flow, user))
        };
        let flows: Vec<_> = self.flows.values().into_iter().filter_map(of_lost).collect();
        if flows.is_empty() {
            return;
        }
        let service = Arc::clone(self);
        self.presence.spawn_calls(async move {
            let service = &service;
            let restore = |(flow, user): (Arc<Flow>, AddressOfRecord)| async move {
                service.restore_categories(&flow, user).await;
            };
            stream::iter(flows).for_each_concurrent(CALLS, restore).await;
        });
    }

    async fn restore_categories(&self, flow: &Flow, user: AddressOfRecord) {
        loop {
            let (changes, count) = flow.categories.standing(now());
            // Whoever signed in on the connection since has published nothing there yet.
            if changes.is_empty() || flow.is_gone() || flow.signed_in().is_none_or(|who| who.aor != user) {
                return;
            }
            let publish = Publish {
                user: user.clone(),
                endpoint: Some(flow.endpoint()),
                changes,
            };
            match self.presence.client.publish(publish).await {
                // Else the client has published since, and which of the two came last to the owner is not known.
                Ok(Ok(_)) if flow.categories.count() == count => return,
                Ok(Ok(_)) => continue,
                Ok(Err(refusal)) => {
                    tracing::debug!(%refusal, "an owner does not take what an endpoint had published");
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "an owner is told later what an endpoint has published");
                }
            }
            tokio::select! {
                () = self.presence.stopped() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}
