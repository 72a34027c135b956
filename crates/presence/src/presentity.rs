//! One presentity: all that is known of it, and the document made of that. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rpc::EndpointId;
use rpc::presence::{
    AccessLevel, AccessRules, Origin, OwnData, PresenceDocument, PresenceVersion, Publication,
    PublicationContent, SeenWatcher, WatcherStatus,
};
use sip_types::AddressOfRecord;

use crate::access;
use crate::aggregate::{Aggregate, Input, aggregate};
use crate::contacts::ContactBook;
use crate::limits::Limits;
use crate::policy::PresencePolicy;
use crate::publications::{Prepared, Publications};
use crate::time::{Bucket, Now};
use crate::view::{FOR_ALL, FOR_WORKGROUP, Material, Who, views};
use crate::watchers::{Teller, Told, Watchers};

/// What is known of a presentity when it is loaded.
pub(crate) struct Loaded {
    pub(crate) user: AddressOfRecord,
    pub(crate) display_name: String,
    pub(crate) policy: PresencePolicy,
    pub(crate) publications: Publications,
    /// Endpoints that are not signed in now, and when what they published ends. Monotone milliseconds.
    pub(crate) endings: BTreeMap<EndpointId, u64>,
    /// The rules and their revision; `None`: the user never changed them.
    pub(crate) rules: Option<(AccessRules, u64)>,
    pub(crate) acknowledged: Vec<AddressOfRecord>,
    /// Present in privacy mode.
    pub(crate) contacts: Option<ContactBook>,
}

/// What inputs add up to, and since when.
#[derive(Clone, Debug)]
struct Shown {
    aggregate: Aggregate,
    /// Unix milliseconds.
    since: u64,
}

impl Shown {
    /// What is shown next: the same state stands since when it began.
    fn then(&self, mut aggregate: Aggregate, now: Now) -> Self {
        // When somebody was last seen outlives the device that told it, but not the wish not to be seen.
        if !aggregate.is_hidden {
            aggregate.last_active = aggregate.last_active.max(self.aggregate.last_active);
        }
        let is_same = self.aggregate.availability == aggregate.availability
            && self.aggregate.activity == aggregate.activity;
        let since = if is_same {
            self.since
        } else {
            aggregate.since.unwrap_or(now.unix_ms)
        };
        Shown { aggregate, since }
    }
}

/// One presentity.
#[derive(Debug)]
pub(crate) struct Presentity {
    user: AddressOfRecord,
    who: Who,
    policy: PresencePolicy,
    publications: Publications,
    /// As the user made them.
    rules: AccessRules,
    /// What is stored of them; 0: nothing.
    revision: u64,
    /// The contact list, where privacy mode needs it.
    contacts: Option<ContactBook>,
    watchers: Watchers,
    /// Endpoints whose front end died, and when what they published ends. Monotone milliseconds.
    endings: BTreeMap<EndpointId, u64>,
    publishes: HashMap<EndpointId, Bucket>,
    conflicts: Bucket,
    shown: Option<(Shown, Shown)>,
    /// When the aggregate changes by itself, Unix milliseconds.
    changes_at: Option<u64>,
    document: Arc<PresenceDocument>,
}

impl Presentity {
    /// As it was stored.
    pub(crate) fn new(loaded: Loaded, version: PresenceVersion, now: Now, limits: &Limits) -> Self {
        let (rules, revision) = loaded
            .rules
            .unwrap_or_else(|| (AccessRules::usual(loaded.user.clone()), 0));
        let who = Who {
            display_name: loaded.display_name,
            mail: loaded.user.as_str().to_owned(),
        };
        let nobody = Aggregate::nobody();
        let document = PresenceDocument {
            presentity: loaded.user.clone(),
            version,
            rules: Arc::new(rules.clone()),
            views: views(&Material {
                publications: &[],
                aggregate: &nobody,
                workgroup: &nobody,
                since: (now.unix_ms, now.unix_ms),
                who: &who,
            }),
        };
        let mut presentity = Presentity {
            user: loaded.user,
            who,
            policy: loaded.policy,
            publications: loaded.publications,
            rules,
            revision,
            contacts: loaded.contacts,
            watchers: Watchers::new(loaded.acknowledged),
            endings: loaded.endings,
            publishes: HashMap::new(),
            conflicts: Bucket::full(limits.conflicts, now),
            shown: None,
            changes_at: None,
            document: Arc::new(document),
        };
        presentity.refresh(now, version);
        presentity
    }

    pub(crate) fn user(&self) -> &AddressOfRecord {
        &self.user
    }

    pub(crate) fn policy(&self) -> PresencePolicy {
        self.policy
    }

    pub(crate) fn publications(&self) -> &Publications {
        &self.publications
    }

    /// The rules as the user made them, and the revision that is stored.
    pub(crate) fn rules(&self) -> (&AccessRules, u64) {
        (&self.rules, self.revision)
    }

    /// The newest document.
    pub(crate) fn document(&self) -> &Arc<PresenceDocument> {
        &self.document
    }

    pub(crate) fn contacts(&self) -> Option<&ContactBook> {
        self.contacts.as_ref()
    }

    // === changes; each is followed by a refresh ===

    pub(crate) fn commit(&mut self, prepared: Prepared) {
        self.publications.commit(prepared);
    }

    pub(crate) fn set_rules(&mut self, rules: AccessRules, revision: u64) {
        self.rules = rules;
        self.revision = revision;
    }

    /// Keeps the contact list where privacy mode needs it, and drops it where not.
    pub(crate) fn set_contacts(&mut self, contacts: ContactBook) {
        self.contacts = self.policy.privacy_mode.then_some(contacts);
    }

    /// The name and the policy are these now. In privacy mode the contact list has to be set too.
    pub(crate) fn set_account(&mut self, display_name: String, policy: PresencePolicy) {
        self.who.display_name = display_name;
        self.policy = policy;
        if !policy.privacy_mode {
            self.contacts = None;
        }
    }

    /// Replaces what is stored of it by what was read again.
    pub(crate) fn set_stored(
        &mut self,
        statics: Publications,
        rules: Option<(AccessRules, u64)>,
        acknowledged: Vec<AddressOfRecord>,
    ) {
        self.publications.replace_static(statics);
        (self.rules, self.revision) = rules.unwrap_or_else(|| (AccessRules::usual(self.user.clone()), 0));
        self.watchers.set_acknowledged(acknowledged);
    }

    /// The account is gone: nothing is shown of it, to nobody.
    pub(crate) fn end(&mut self) {
        self.publications = Publications::default();
        self.rules.containers.clear();
        self.who.display_name.clear();
        self.contacts = None;
    }

    // === rates ===

    /// False: this endpoint publishes too fast.
    pub(crate) fn may_publish(&mut self, endpoint: &EndpointId, now: Now, limits: &Limits) -> bool {
        if let Some(bucket) = self.publishes.get_mut(endpoint) {
            return bucket.take(limits.publishes, now);
        }
        // One that is full again is as good as none.
        self.publishes
            .retain(|_, bucket| !bucket.is_full(limits.publishes, now));
        self.publishes
            .entry(endpoint.clone())
            .or_insert_with(|| Bucket::full(limits.publishes, now))
            .take(limits.publishes, now)
    }

    /// False: there were too many conflicts.
    pub(crate) fn may_conflict(&mut self, now: Now, limits: &Limits) -> bool {
        self.conflicts.take(limits.conflicts, now)
    }

    // === endpoints ===

    /// Whether this endpoint is known to be signed in.
    pub(crate) fn knows(&self, endpoint: &EndpointId) -> bool {
        !self.endings.contains_key(endpoint) && self.publications.endpoints().contains(endpoint)
    }

    /// The endpoint is signed in: what was about to end stays.
    pub(crate) fn is_back(&mut self, endpoint: &EndpointId) {
        self.endings.remove(endpoint);
    }

    /// What ends now that only these endpoints are signed in. Those in `graced` end later, if they do not come back.
    pub(crate) fn without_the_ended(
        &mut self,
        live: &BTreeSet<EndpointId>,
        graced: &BTreeSet<EndpointId>,
        now: Now,
        limits: &Limits,
    ) -> Prepared {
        self.endings.retain(|endpoint, _| !live.contains(endpoint));
        let mut prepared = Prepared::nothing();
        for endpoint in self.publications.endpoints() {
            if live.contains(&endpoint) || self.endings.contains_key(&endpoint) {
                continue;
            }
            if graced.contains(&endpoint) {
                let at = now.ms.saturating_add(crate::time::millis_of(limits.grace));
                self.endings.insert(endpoint, at);
            } else {
                prepared.add(self.publications.of_endpoint(&endpoint));
            }
        }
        if live.is_empty() && self.endings.is_empty() {
            prepared.add(self.publications.of_user());
        }
        prepared
    }

    /// What is due to end by itself, and whether the time of endpoints is up whose front end died: who is signed in has to
    /// be asked then.
    pub(crate) fn due(&mut self, now: Now) -> (Prepared, bool) {
        let count = self.endings.len();
        self.endings.retain(|_, at| *at > now.ms);
        (self.publications.due(now), self.endings.len() < count)
    }

    /// Whether something is due to end by itself.
    pub(crate) fn is_due(&self, now: Now) -> bool {
        let ends = [
            self.publications.next_deadline(),
            self.endings.values().copied().min(),
        ];
        ends.into_iter().flatten().any(|at| at <= now.ms)
    }

    /// When something happens by itself, monotone milliseconds.
    pub(crate) fn next_deadline(&self, now: Now) -> Option<u64> {
        [
            self.publications.next_deadline(),
            self.endings.values().copied().min(),
            self.changes_at.map(|at| now.monotone(at)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether nothing would be lost by loading it again later, if no front end follows it.
    pub(crate) fn is_idle(&self) -> bool {
        !self.publications.has_volatile() && self.endings.is_empty() && self.watchers.is_idle()
    }

    // === watchers ===

    /// A front end tells who watches.
    pub(crate) fn told(&mut self, teller: &Teller, seen: Vec<SeenWatcher>, limits: &Limits) -> Told {
        let mut all = Told::default();
        for watcher in seen {
            let may_prompt = watcher.status == WatcherStatus::Active
                && watcher.watcher != self.user
                && self.level_of(&watcher.watcher) != AccessLevel::Blocked;
            let max = self.policy.max_prompted;
            let told = self.watchers.tell(teller, watcher, may_prompt, max, limits);
            all.is_news |= told.is_news;
            all.is_prompt |= told.is_prompt;
            all.unlisted += told.unlisted;
        }
        all
    }

    /// The level of a watcher whose origin nobody told: the user's own domain is the same enterprise.
    fn level_of(&self, watcher: &AddressOfRecord) -> AccessLevel {
        let origin = if watcher.domain() == self.user.domain() {
            Origin::SameEnterprise
        } else {
            Origin::Federated
        };
        self.document.rules.level_of(watcher, origin)
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub(crate) fn watchers_mut(&mut self) -> &mut Watchers {
        &mut self.watchers
    }

    // === what it adds up to ===

    /// Makes the newest document. False: it is the same as before, whose version stays.
    pub(crate) fn refresh(&mut self, now: Now, version: PresenceVersion) -> bool {
        let publications: Vec<Arc<Publication>> = self.publications.iter().cloned().collect();
        let (for_all, first) = aggregate(&inputs(&publications, false), now.unix_ms);
        let (workgroup, second) = aggregate(&inputs(&publications, true), now.unix_ms);
        self.changes_at = [first, second].into_iter().flatten().min();
        let workgroup = workgroup.for_workgroup();
        let (for_all, workgroup) = match self.shown.take() {
            Some((one, other)) => (one.then(for_all, now), other.then(workgroup, now)),
            None => {
                let begin = |aggregate: Aggregate| Shown {
                    since: aggregate.since.unwrap_or(now.unix_ms),
                    aggregate,
                };
                (begin(for_all), begin(workgroup))
            }
        };
        let mut views = views(&Material {
            publications: &publications,
            aggregate: &for_all.aggregate,
            workgroup: &workgroup.aggregate,
            since: (for_all.since, workgroup.since),
            who: &self.who,
        });
        self.shown = Some((for_all, workgroup));
        let rules = if self.policy.privacy_mode {
            let contacts = self.contacts.iter().flat_map(|book| &book.list().contacts);
            access::with_privacy(&self.rules, contacts)
        } else {
            self.rules.clone()
        };
        let is_same = views == self.document.views && rules == *self.document.rules;
        if is_same {
            return false;
        }
        // What is equal is shared with the document before: front ends compare and keep it.
        for (view, before) in views.iter_mut().zip(&self.document.views) {
            if view == before {
                *view = before.clone();
            }
        }
        self.document = Arc::new(PresenceDocument {
            presentity: self.user.clone(),
            version,
            rules: Arc::new(rules),
            views,
        });
        true
    }

    /// What the user's own endpoints see: all of it, or the categories that changed.
    pub(crate) fn own(&self, categories: Option<Vec<Arc<str>>>, version: PresenceVersion) -> OwnData {
        let is_wanted = |publication: &&Arc<Publication>| {
            categories
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&publication.key.category))
        };
        OwnData {
            user: self.user.clone(),
            version,
            publications: self.publications.iter().filter(is_wanted).cloned().collect(),
            categories,
            rules: None,
            prompts: None,
            watchers: None,
        }
    }
}

fn states_of(publication: &Publication) -> &[rpc::presence::StateInput] {
    match &publication.content {
        PublicationContent::States(states) | PublicationContent::Document { states, .. } => states,
        _ => &[],
    }
}

/// The row of the table in `docs/presence.md` that decides what is seen of a user who has published this, at a moment (Unix
/// milliseconds): for the workgroup, or for the other levels that see anything.
pub fn deciding_row(publications: &[Arc<Publication>], for_workgroup: bool, unix_ms: u64) -> u8 {
    aggregate(&inputs(publications, for_workgroup), unix_ms).0.row
}

/// The states of container 2; for the workgroup those of container 3, and of container 2 what has no counterpart there.
fn inputs(publications: &[Arc<Publication>], for_workgroup: bool) -> Vec<Input<'_>> {
    let in_workgroup: BTreeSet<(&str, u32)> = publications
        .iter()
        .filter(|publication| for_workgroup && publication.key.container == FOR_WORKGROUP)
        .map(|publication| (&*publication.key.category, publication.key.instance))
        .collect();
    publications
        .iter()
        .filter(|publication| match publication.key.container {
            FOR_ALL => !in_workgroup.contains(&(&*publication.key.category, publication.key.instance)),
            FOR_WORKGROUP => for_workgroup,
            _ => false,
        })
        .flat_map(|publication| {
            let is_bound = publication.lifetime.bound == rpc::presence::Bound::Endpoint;
            states_of(publication).iter().map(move |state| Input {
                state,
                bound_to: publication.endpoint.as_ref().filter(|_| is_bound),
                published_at: publication.published_at,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
