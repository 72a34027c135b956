//! Everything that changes a presentity: prepared, stored, committed, told.

use std::sync::Arc;
use std::time::Duration;

use rpc::presence::{
    AccessRules, Bound, ContactChange, ContactList, ContactNews, ContactRefusal, MemberChanges, OwnData,
    PresenceNews, Publish, PublishOne, PublishRefusal, Published,
};
use rpc::{EndpointId, Error, ErrorCode, Freshness};
use sip_types::AddressOfRecord;
use store::{PublicationWrite, StoreError};
use tokio::sync::OwnedMutexGuard;

use super::entries::Entry;
use super::{Inner, dependency_failed, no_such_user, unavailable};
use crate::access;
use crate::counters::Event;
use crate::publications::{Durable, Prepared};
use crate::stored;
use crate::time::Now;

/// When somebody who is too fast should come again.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// How often a presentity is loaded again because it was forgotten at that very moment.
const ATTEMPTS: u32 = 4;

/// The right to change a presentity.
type Turn = OwnedMutexGuard<()>;

fn too_fast(what: &str) -> Error {
    Error::new(ErrorCode::TooMany, what).retry_after(COME_AGAIN)
}

impl Inner {
    /// A presentity and its turn. `None`: no such user.
    async fn turn(self: &Arc<Self>, user: &AddressOfRecord) -> Result<Option<(Arc<Entry>, Turn)>, Error> {
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.load(user).await? else {
                return Ok(None);
            };
            let turn = entry.turn.clone().lock_owned().await;
            if !entry.state.lock().is_gone {
                return Ok(Some((entry, turn)));
            }
        }
        Err(unavailable("the user is being forgotten all the time"))
    }

    // === publications ===

    pub(super) async fn publish(
        self: &Arc<Self>,
        publish: Publish,
    ) -> Result<Result<Published, PublishRefusal>, Error> {
        match self.turn(&publish.user).await? {
            Some((entry, _turn)) => self.publish_in_turn(&entry, &publish).await,
            None => Ok(Err(PublishRefusal::NoSuchUser)),
        }
    }

    async fn publish_in_turn(
        &self,
        entry: &Arc<Entry>,
        publish: &Publish,
    ) -> Result<Result<Published, PublishRefusal>, Error> {
        if let Some(endpoint) = &publish.endpoint {
            let is_known = {
                let mut state = entry.state.lock();
                if !state.presentity.may_publish(endpoint, self.now(), &self.limits) {
                    return Err(too_fast("this endpoint publishes too often"));
                }
                state.presentity.knows(endpoint)
            };
            let binds = |change: &PublishOne| match change {
                PublishOne::Set { lifetime, .. } | PublishOne::Refresh { lifetime, .. } => {
                    lifetime.bound == Bound::Endpoint
                }
                PublishOne::Remove { .. } => false,
            };
            // Asked once per sign-in: what is bound to an endpoint that is gone would stay for ever.
            if !is_known && publish.changes.iter().any(binds) {
                if !self.is_signed_in(&publish.user, endpoint).await? {
                    let why = "the endpoint is not signed in".to_owned();
                    return Ok(Err(PublishRefusal::Invalid(why)));
                }
                entry.state.lock().presentity.is_back(endpoint);
            }
        }
        let now = self.now();
        let prepared = {
            let mut state = entry.state.lock();
            let prepared = state
                .presentity
                .publications()
                .prepare(publish, now, &self.limits);
            match prepared {
                Ok(prepared) => prepared,
                Err(refusal) => {
                    if matches!(refusal, PublishRefusal::Conflict(_))
                        && !state.presentity.may_conflict(now, &self.limits)
                    {
                        return Err(too_fast("too many conflicts"));
                    }
                    return Ok(Err(refusal));
                }
            }
        };
        self.write(entry, &prepared, now).await?;
        let versions = prepared.versions.clone();
        let categories = prepared.categories();
        let mut state = entry.present()?;
        state.presentity.commit(prepared);
        let own = Arc::new(
            state
                .presentity
                .own(Some(categories), self.next_version(&entry.user)),
        );
        self.send_own(&mut state, &own);
        self.settle(entry, &mut state, now);
        Ok(Ok(Published { versions, own }))
    }

    async fn is_signed_in(&self, user: &AddressOfRecord, endpoint: &EndpointId) -> Result<bool, Error> {
        let location = self.registrar.lookup(user, Freshness::Newest).await;
        let location = location.map_err(dependency_failed)?;
        Ok(location.is_some_and(|location| {
            let is_it = |binding: &rpc::Binding| binding.address.endpoint == *endpoint;
            location.bindings.iter().any(is_it)
        }))
    }

    /// Stores what has to be stored of this.
    async fn write(&self, entry: &Arc<Entry>, prepared: &Prepared, now: Now) -> Result<(), Error> {
        let writes = {
            let state = entry.state.lock();
            let durable = state.presentity.publications().durable(prepared);
            let writes = durable.iter().map(|durable| publication_write(durable, now));
            writes
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| self.store_failed(error))?
        };
        if writes.is_empty() {
            return Ok(());
        }
        let outcome = self.store.write_publications(&entry.user, &writes).await;
        self.written(entry, outcome).await
    }

    /// What came of a write. If something else is stored than this owner knew, it reads anew, so that whoever tries again
    /// finds the truth.
    async fn written(&self, entry: &Arc<Entry>, outcome: Result<(), StoreError>) -> Result<(), Error> {
        let error = match outcome {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let is_conflict = matches!(error, StoreError::Conflict(_));
        let error = self.store_failed(error);
        if !is_conflict {
            return Err(error);
        }
        tracing::info!("presence was changed elsewhere and is read anew");
        let stored = self.read_stored(&entry.user).await?;
        let mut state = entry.present()?;
        state
            .presentity
            .set_stored(stored.publications, stored.rules, stored.acknowledged);
        let own = Arc::new(self.all_of(&mut state.presentity));
        self.send_own(&mut state, &own);
        self.settle(entry, &mut state, self.now());
        Err(unavailable("presence was changed elsewhere"))
    }

    /// Ends publications. What is stored and cannot be removed now stays, and is an error.
    pub(super) async fn end(&self, entry: &Arc<Entry>, mut prepared: Prepared) -> Result<(), Error> {
        if prepared.is_empty() {
            let mut state = entry.state.lock();
            self.settle(entry, &mut state, self.now());
            return Ok(());
        }
        let written = self.write(entry, &prepared, self.now()).await;
        let mut state = entry.state.lock();
        if state.is_gone {
            // Whoever loads it next ends it.
            return Ok(());
        }
        if written.is_err() {
            let stored: Vec<_> = state
                .presentity
                .publications()
                .durable(&prepared)
                .into_iter()
                .map(|durable| durable.key.clone())
                .collect();
            prepared.after.retain(|key, _| !stored.contains(key));
        }
        if !prepared.is_empty() {
            self.counters.events(Event::Ended, prepared.after.len());
            let categories = prepared.categories();
            state.presentity.commit(prepared);
            let own = Arc::new(
                state
                    .presentity
                    .own(Some(categories), self.next_version(&entry.user)),
            );
            self.send_own(&mut state, &own);
        }
        self.settle(entry, &mut state, self.now());
        written
    }

    // === access ===

    pub(super) async fn change_members(
        self: &Arc<Self>,
        user: &AddressOfRecord,
        changes: &MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        match self.turn(user).await? {
            Some((entry, _turn)) => self.change_members_in_turn(&entry, changes).await,
            None => Ok(Err(PublishRefusal::NoSuchUser)),
        }
    }

    async fn change_members_in_turn(
        &self,
        entry: &Arc<Entry>,
        changes: &MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        let (rules, revision) = {
            let mut state = entry.state.lock();
            let (rules, revision) = state.presentity.rules();
            match access::apply(rules, changes, &self.limits) {
                Ok(rules) => (rules, revision),
                Err(refusal) => {
                    if matches!(refusal, PublishRefusal::Conflict(_))
                        && !state.presentity.may_conflict(self.now(), &self.limits)
                    {
                        return Err(too_fast("too many conflicts"));
                    }
                    return Ok(Err(refusal));
                }
            }
        };
        let write = stored::rules_to_store(&rules, revision + 1);
        let outcome = self.store.write_rules(&entry.user, revision, &write).await;
        self.written(entry, outcome).await?;
        let mut state = entry.present()?;
        let answer = Arc::new(rules.clone());
        state.presentity.set_rules(rules, revision + 1);
        let mut own = state
            .presentity
            .own(Some(Vec::new()), self.next_version(&entry.user));
        own.rules = Some(answer.clone());
        self.send_own(&mut state, &Arc::new(own));
        self.settle(entry, &mut state, self.now());
        Ok(Ok(answer))
    }

    // === watchers ===

    pub(super) async fn acknowledge(
        self: &Arc<Self>,
        user: &AddressOfRecord,
        watchers: Vec<AddressOfRecord>,
    ) -> Result<(), Error> {
        let (entry, _turn) = self.turn(user).await?.ok_or_else(no_such_user)?;
        let unseen = {
            let state = entry.state.lock();
            let known = state.presentity.watchers();
            let unseen = known.unseen(watchers);
            if known.acknowledged() + unseen.len() > self.limits.acknowledged {
                return Err(Error::new(
                    ErrorCode::TooMany,
                    format!("at most {} watchers are acknowledged", self.limits.acknowledged),
                ));
            }
            unseen
        };
        if unseen.is_empty() {
            return Ok(());
        }
        let outcome = self.store.acknowledge(&entry.user, &unseen).await;
        self.written(&entry, outcome).await?;
        let mut state = entry.present()?;
        state.presentity.watchers_mut().acknowledge(&unseen);
        let mut own = state
            .presentity
            .own(Some(Vec::new()), self.next_version(&entry.user));
        own.prompts = Some(state.presentity.watchers().prompts());
        self.send_own(&mut state, &Arc::new(own));
        Ok(())
    }

    // === contacts ===

    pub(super) async fn contacts(
        self: &Arc<Self>,
        user: &AddressOfRecord,
    ) -> Result<Arc<ContactList>, Error> {
        let entry = self.load(user).await?.ok_or_else(no_such_user)?;
        let known = entry.state.lock().presentity.contacts().cloned();
        let book = match known {
            Some(book) => book,
            None => self.read_contacts(user).await?,
        };
        self.with_groups(&entry, &book).await.map(Arc::new)
    }

    pub(super) async fn change_contacts(
        self: &Arc<Self>,
        user: &AddressOfRecord,
        known: Option<u64>,
        change: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        match self.turn(user).await? {
            Some((entry, _turn)) => self.change_contacts_in_turn(&entry, known, change).await,
            None => Ok(Err(ContactRefusal::NotFound("user"))),
        }
    }

    async fn change_contacts_in_turn(
        &self,
        entry: &Arc<Entry>,
        known: Option<u64>,
        change: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        let (book, max_contacts) = {
            let state = entry.state.lock();
            let presentity = &state.presentity;
            (presentity.contacts().cloned(), presentity.policy().max_contacts)
        };
        let book = match book {
            Some(book) => book,
            None => self.read_contacts(&entry.user).await?,
        };
        let has_groups = self.touches_groups(&entry.user, &change).await?;
        let mut changed = match book.change(&entry.user, known, change, max_contacts, &self.limits) {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        changed.news.has_groups = has_groups;
        match self.store.write_contacts(&entry.user, &changed.write).await {
            Ok(()) => {}
            Err(StoreError::Conflict(_)) => {
                let book = self.read_contacts(&entry.user).await?;
                let delta = book.list().delta;
                let mut state = entry.present()?;
                state.presentity.set_contacts(book);
                self.settle(entry, &mut state, self.now());
                return Ok(Err(ContactRefusal::Stale(delta)));
            }
            Err(error) => return Err(self.store_failed(error)),
        }
        let mut state = entry.present()?;
        state.presentity.set_contacts(changed.after);
        let news = Arc::new(changed.news.clone());
        self.send_to_own(&mut state, || PresenceNews::Contacts(news.clone()));
        self.settle(entry, &mut state, self.now());
        Ok(Ok(changed.news))
    }

    // === own data ===

    pub(super) async fn own(self: &Arc<Self>, user: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error> {
        let Some(entry) = self.load(user).await? else {
            return Ok(None);
        };
        let mut state = entry.state.lock();
        Ok(Some(Arc::new(self.all_of(&mut state.presentity))))
    }

    /// Everything a user's endpoints may know.
    fn all_of(&self, presentity: &mut crate::presentity::Presentity) -> OwnData {
        let mut own = presentity.own(None, self.next_version(presentity.user()));
        own.rules = Some(Arc::new(presentity.rules().0.clone()));
        own.prompts = Some(presentity.watchers().prompts());
        let active = presentity
            .watchers_mut()
            .active(|teller| self.streams.is_current(teller));
        own.watchers = Some(active);
        own
    }
}

fn publication_write(durable: &Durable<'_>, now: Now) -> Result<PublicationWrite, StoreError> {
    let key = durable.key;
    Ok(match durable.held {
        Some(held) => {
            let in_wall_time = |at: u64| now.unix_ms.saturating_add(at.saturating_sub(now.ms));
            PublicationWrite::Put {
                expected: durable.expected,
                publication: stored::publication_to_store(&held.publication, held.ends_at.map(in_wall_time))?,
            }
        }
        None => PublicationWrite::Remove {
            expected: durable.expected,
            category: key.category.to_string(),
            instance: key.instance,
            container: key.container,
        },
    })
}
