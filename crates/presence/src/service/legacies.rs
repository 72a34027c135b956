//! What former owners left of users nobody needed yet.
//!
//! It is kept as it was found until somebody needs the user, at most for [`Limits::grace`](crate::Limits::grace). Then what is bound
//! to endpoints that are not signed in any more is left out; until the grace is over it stays, for the front end may have died
//! together with the owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hashbrown::HashMap;
use parking_lot::Mutex;
use rpc::EndpointId;
use rpc::presence::Bound;
use sip_types::AddressOfRecord;
use store::CopiedPresence;
use topology::Partition;

use super::Inner;
use crate::copied::{self, Left};
use crate::publications::Publications;
use crate::time::{Now, millis_of};

/// Between looks at whose time is over.
const EVERY: Duration = Duration::from_secs(1);

/// Users that are taken into memory in one look.
const INTO_MEMORY: usize = 500;

/// Users that are taken into memory at the same time.
const AT_ONCE: usize = 16;

/// What a former owner left of one user.
#[derive(Debug)]
pub(super) struct Legacy {
    pub(super) publications: Vec<Left>,
    /// When the partition was taken, monotone milliseconds.
    taken_at: u64,
}

/// All that was left, by partition.
#[derive(Default)]
pub(super) struct Legacies(Mutex<HashMap<Partition, HashMap<AddressOfRecord, Arc<Legacy>>>>);

impl Legacies {
    /// A partition was taken over, with this in the copy.
    pub(super) fn inherit(&self, partition: Partition, taken: Vec<CopiedPresence>, now: Now) {
        let mut users = HashMap::new();
        for one in taken {
            match copied::read(&one.text, one.age_ms, now) {
                Ok(publications) => {
                    let legacy = Legacy {
                        publications,
                        taken_at: now.ms,
                    };
                    users.insert(one.user, Arc::new(legacy));
                }
                Err(error) => tracing::error!(%error, "a user is taken over without what was published"),
            }
        }
        if !users.is_empty() {
            self.0.lock().insert(partition, users);
        }
    }

    /// A partition is somebody else's, or taken anew.
    pub(super) fn forget(&self, partition: Partition) {
        self.0.lock().remove(&partition);
    }

    /// What was left of a user.
    pub(super) fn get(&self, user: &AddressOfRecord) -> Option<Arc<Legacy>> {
        let legacies = self.0.lock();
        let users = legacies.get(&Partition::of_user(user.as_str()))?;
        users.get(user).cloned()
    }

    /// What was left of a user counts no more: the user is in memory with it, or gone. False: there was nothing.
    pub(super) fn take(&self, user: &AddressOfRecord) -> bool {
        let partition = Partition::of_user(user.as_str());
        let mut legacies = self.0.lock();
        let Some(users) = legacies.get_mut(&partition) else {
            return false;
        };
        let was_there = users.remove(user).is_some();
        if users.is_empty() {
            legacies.remove(&partition);
        }
        was_there
    }

    /// Everybody of a partition of whom something was left.
    pub(super) fn of(&self, partition: Partition) -> Vec<AddressOfRecord> {
        let legacies = self.0.lock();
        let users = legacies.get(&partition).into_iter().flat_map(HashMap::keys);
        users.cloned().collect()
    }

    /// Some of those whose time to come back is over.
    fn overdue(&self, grace: Duration, now: Now) -> Vec<AddressOfRecord> {
        let legacies = self.0.lock();
        let all = legacies.values().flatten();
        all.filter(|(_, legacy)| legacy.until(grace) <= now.ms)
            .map(|(user, _)| user.clone())
            .take(INTO_MEMORY)
            .collect()
    }
}

impl Legacy {
    /// Until when endpoints may come back, monotone milliseconds.
    fn until(&self, grace: Duration) -> u64 {
        self.taken_at.saturating_add(millis_of(grace))
    }

    /// Takes over what still counts: what is bound to live endpoints, and for a while to those that were live a moment ago.
    /// Returns when each of the latter ends, and whether anything was left out.
    pub(super) fn restore(
        &self,
        publications: &mut Publications,
        live: &BTreeSet<EndpointId>,
        grace: Duration,
        now: Now,
    ) -> (BTreeMap<EndpointId, u64>, bool) {
        let until = self.until(grace);
        let mut endings = BTreeMap::new();
        let mut is_less = false;
        for (publication, ends_at) in &self.publications {
            let is_over = ends_at.is_some_and(|at| at <= now.ms);
            let is_live = match (&publication.lifetime.bound, &publication.endpoint) {
                (Bound::Endpoint, Some(endpoint)) => live.contains(endpoint),
                _ => !live.is_empty(),
            };
            if is_over || !(is_live || now.ms < until) {
                is_less = true;
                continue;
            }
            // What is bound to the user ends with the last of these.
            if !is_live && let Some(endpoint) = &publication.endpoint {
                endings.insert(endpoint.clone(), until);
            }
            publications.inherit(publication.clone(), *ends_at);
        }
        (endings, is_less)
    }
}

impl Inner {
    /// Takes those into memory whom nobody needed, as they were with the owner before: what they have is to end with their
    /// endpoints. Until the role stops.
    pub(super) async fn keep_legacies(self: Arc<Self>) {
        let stop = self.stop.clone();
        while stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            let overdue = self.copying.legacies.overdue(self.limits.grace, self.now());
            let loads =
                stream::iter(overdue).for_each_concurrent(AT_ONCE, |user| self.clone().load_legacy(user));
            stop.run_until_cancelled(loads).await;
        }
    }

    async fn load_legacy(self: Arc<Self>, user: AddressOfRecord) {
        if let Err(error) = self.load(&user).await {
            tracing::debug!(%error, "a user is taken into memory later");
        }
    }
}
