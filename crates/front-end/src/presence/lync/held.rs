//! What the Lync-family endpoint of a connection has published and ends with it, or with the last one of its user, so that the next
//! owner can be told: the copy an owner leaves may lack what came last, or be lost.
//!
//! What ends with the user may be changed by every endpoint of it: it is told only to an owner that has nothing by its name, and
//! forgotten here as soon as another endpoint replaced it or took it back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use hashbrown::HashSet;
use parking_lot::Mutex;
use rpc::EndpointId;
use rpc::presence::{
    Bound, Kept, Lifetime, OwnData, PresenceVersion, PublicationContent, PublicationKey, Publish, PublishOne,
    PublishRefusal,
};
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
    /// Of the own data that was answered last.
    version: Option<PresenceVersion>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Held(Mutex<Inner>);

impl Held {
    /// A request of the client was accepted, and own data of this version answered.
    pub(crate) fn published(&self, request: &Publish, version: PresenceVersion, now: Instant) {
        let mut inner = self.0.lock();
        if inner.user.as_ref() != Some(&request.user) {
            *inner = Inner {
                user: Some(request.user.clone()),
                ..Inner::default()
            };
        }
        inner.count += 1;
        inner.version = inner.version.max(Some(version));
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

    /// The owner tells what stands. It counts if it is the one that accepted what is held, and tells something newer: another owner
    /// may not know yet.
    pub(crate) fn heard(&self, own: &OwnData, endpoint: &EndpointId) {
        let mut inner = self.0.lock();
        let is_newer =
            |version: &PresenceVersion| version.epoch == own.version.epoch && *version < own.version;
        if inner.user.as_ref() != Some(&own.user) || !inner.version.as_ref().is_some_and(is_newer) {
            return;
        }
        inner.publications.retain(|key, _| {
            let is_told = own
                .categories
                .as_ref()
                .is_none_or(|told| told.contains(&key.category));
            let mut stands = own.publications.iter().filter(|one| one.key == *key);
            !is_told || stands.any(|one| one.endpoint.as_ref() == Some(endpoint))
        });
    }

    fn user(&self) -> Option<AddressOfRecord> {
        let inner = self.0.lock();
        inner.user.clone().filter(|_| !inner.publications.is_empty())
    }

    /// What still stands and the count of the client's requests: what ends with the endpoint, whatever the owner has by these names,
    /// and what ends with the user, where the owner has nothing.
    fn standing(&self, now: Instant) -> ([Vec<PublishOne>; 2], u64) {
        let mut inner = self.0.lock();
        inner
            .publications
            .retain(|_, one| one.until.is_none_or(|until| until > now));
        let standing = inner.publications.iter().map(|(key, one)| PublishOne::Set {
            key: key.clone(),
            known: (one.bound == Bound::User).then_some(0),
            lifetime: Lifetime {
                bound: one.bound,
                expires: one.until.map(|until| until.saturating_duration_since(now)),
            },
            content: one.content.clone(),
            kept: one.kept.clone(),
        });
        let (of_endpoint, of_user) = standing.partition(|change| change.known().is_none());
        ([of_endpoint, of_user], inner.count)
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
            let (parts, count) = flow.categories.standing(now());
            // Whoever signed in on the connection since has published nothing there yet.
            if flow.is_gone() || flow.signed_in().is_none_or(|who| who.aor != user) {
                return;
            }
            let mut told = Ok(());
            for changes in parts {
                told = told.and(self.tell_again(flow, &user, changes).await);
            }
            match told {
                // Else the client has published since, and which of the two came last to the owner is not known.
                Ok(()) if flow.categories.count() == count => return,
                Ok(()) => continue,
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

    /// Tells an owner these. What it knows otherwise stays as it knows it.
    async fn tell_again(
        &self,
        flow: &Flow,
        user: &AddressOfRecord,
        mut changes: Vec<PublishOne>,
    ) -> Result<(), rpc::Error> {
        while !changes.is_empty() {
            let publish = Publish {
                user: user.clone(),
                endpoint: Some(flow.endpoint()),
                changes: changes.clone(),
            };
            match self.presence.client.publish(publish).await? {
                Ok(_) => return Ok(()),
                Err(PublishRefusal::Conflict(known)) if !known.is_empty() => {
                    let is_known = |place: usize| known.iter().any(|(one, ..)| *one == place);
                    let all = changes.into_iter().enumerate();
                    changes = all
                        .filter(|(place, _)| !is_known(*place))
                        .map(|(_, change)| change)
                        .collect();
                }
                Err(refusal) => {
                    tracing::debug!(%refusal, "an owner does not take what an endpoint had published");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rpc::presence::Publication;

    use super::*;

    fn amy() -> AddressOfRecord {
        AddressOfRecord::parse("amy@example.test").unwrap()
    }

    fn key(category: &str) -> PublicationKey {
        PublicationKey {
            category: category.into(),
            instance: 1,
            container: 2,
        }
    }

    fn version(epoch: u64, count: u64) -> PresenceVersion {
        PresenceVersion { epoch, count }
    }

    fn held() -> Held {
        let set = |category, bound| PublishOne::Set {
            key: key(category),
            known: Some(0),
            lifetime: Lifetime { bound, expires: None },
            content: PublicationContent::Opaque,
            kept: None,
        };
        let request = Publish {
            user: amy(),
            endpoint: Some(EndpointId::new("e1")),
            changes: vec![set("device", Bound::Endpoint), set("state", Bound::User)],
        };
        let held = Held::default();
        held.published(&request, version(7, 10), crate::service::now());
        held
    }

    /// What the next owner is told: by categories, what ends with the endpoint and what ends with the user.
    fn told(held: &Held) -> [Vec<(String, Option<u32>)>; 2] {
        let (parts, _) = held.standing(crate::service::now());
        parts.map(|changes| {
            let told = changes.iter();
            told.map(|change| (change.key().category.to_string(), change.known()))
                .collect()
        })
    }

    fn own(version: PresenceVersion, by: Option<&str>) -> OwnData {
        let publication = |by: &str| Publication {
            key: key("state"),
            version: 2,
            endpoint: Some(EndpointId::new(by)),
            lifetime: Lifetime {
                bound: Bound::User,
                expires: None,
            },
            published_at: 0,
            content: PublicationContent::Opaque,
            kept: None,
        };
        OwnData {
            user: amy(),
            version,
            categories: Some(vec!["state".into()]),
            publications: by.map(publication).map(Arc::new).into_iter().collect(),
            rules: None,
            prompts: None,
            watchers: None,
        }
    }

    #[test]
    fn what_ends_with_the_user_is_told_only_to_who_has_nothing_by_its_name() {
        let all = [
            vec![("device".to_owned(), None)],
            vec![("state".to_owned(), Some(0))],
        ];
        assert_eq!(told(&held()), all);
    }

    #[test]
    fn what_another_endpoint_replaced_or_took_back_is_forgotten() {
        let left = [vec![("device".to_owned(), None)], Vec::new()];
        for by in [Some("e2"), None] {
            let held = held();
            held.heard(&own(version(7, 11), by), &EndpointId::new("e1"));
            assert_eq!(told(&held), left, "{by:?}");
        }
        // Its own, what is older than its own, and what another owner does not know yet.
        for (version, by) in [
            (version(7, 11), Some("e1")),
            (version(7, 10), None),
            (version(7, 9), Some("e2")),
            (version(8, 11), None),
        ] {
            let held = held();
            held.heard(&own(version, by), &EndpointId::new("e1"));
            assert_eq!(told(&held)[1].len(), 1, "{version:?} {by:?}");
        }
    }
}
