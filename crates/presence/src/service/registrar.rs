//! Follows the registrar: endpoints that ended, accounts, policies and groups that changed. One task, one more per change that has
//! to wait for something, and one that looks at everybody after a gap.
//!
//! A change only says where to look; what counts is what the registrar knows now. So a change that comes late ends nothing
//! that has begun again since, and one that was missed is made up for by looking at everybody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rpc::{EndpointAddress, EndpointId, Error, Freshness, RegistrarChange};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::entries::Entry;
use crate::counters::Event;

/// How long to wait after the registrar failed.
const RETRY: Duration = Duration::from_secs(1);

/// Presentities looked at at the same time after a gap.
const AT_ONCE: usize = 16;

impl Inner {
    /// Runs until the role stops.
    pub(super) async fn follow_registrar(self: Arc<Self>) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.follow_for_ever()).await;
    }

    async fn follow_for_ever(self: Arc<Self>) {
        loop {
            let mut changes = self.watch().await;
            // Whatever happened while nobody listened. Changes are read meanwhile: they do not wait for ever.
            self.entries.all_changed();
            self.group_changed(None);
            let over = self.stop.child_token();
            self.tasks.spawn(self.clone().look_at_all(over.clone()));
            while let Some(change) = changes.next().await {
                self.obey(change).await;
            }
            over.cancel();
            tracing::info!("changes of the registrar are watched anew");
        }
    }

    /// Looks once at everybody in memory, until that is begun anew. Whoever cannot be looked at now holds up nobody.
    async fn look_at_all(self: Arc<Self>, over: CancellationToken) {
        let look = |entry: Arc<Entry>| {
            let (inner, over) = (&self, &over);
            async move {
                if over.is_cancelled() {
                    return;
                }
                inner.counters.event(Event::Missed);
                let result = inner.try_look_at(&entry).await;
                if result.is_err() {
                    let again = inner.clone();
                    inner.tasks.spawn(async move {
                        if !again.is_done(&entry, result).await {
                            again.look_at(&entry).await;
                        }
                    });
                }
            }
        };
        stream::iter(self.entries.all())
            .for_each_concurrent(AT_ONCE, look)
            .await;
    }

    async fn try_look_at(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<(), Error> {
        let _turn = entry.turn.lock().await;
        self.try_end_what_left(entry, &[]).await?;
        self.try_refresh_account(entry).await
    }

    async fn watch(&self) -> ReceiverStream<RegistrarChange> {
        loop {
            match self.registrar.watch().await {
                Ok(changes) => return changes,
                Err(error) => {
                    tracing::warn!(error = error.message, "changes of the registrar are not heard");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn obey(self: &Arc<Self>, change: RegistrarChange) {
        match change {
            RegistrarChange::Bindings(change) => {
                // Who is being loaded right now may have been looked up before.
                if change.account_ended || !change.ended.is_empty() {
                    self.entries.account_changed(&change.aor);
                }
                let Some(entry) = self.entries.get(&change.aor) else {
                    return;
                };
                if change.account_ended {
                    let inner = self.clone();
                    self.tasks.spawn(async move { inner.look_at(&entry).await });
                } else if !change.ended.is_empty() {
                    let ended = change
                        .ended
                        .into_iter()
                        .map(|(address, _)| address)
                        .collect::<Vec<_>>();
                    let inner = self.clone();
                    self.tasks.spawn(async move {
                        inner.a_moment().await;
                        inner.end_what_left(&entry, &ended).await;
                    });
                }
            }
            RegistrarChange::Account(user) => {
                self.entries.account_changed(&user);
                if let Some(entry) = self.entries.get(&user) {
                    let inner = self.clone();
                    self.tasks
                        .spawn(async move { inner.refresh_account(&entry).await });
                }
            }
            RegistrarChange::Group(group) => self.group_changed(group),
            RegistrarChange::Policies => {
                let inner = self.clone();
                self.tasks.spawn(async move {
                    // Who is being loaded right now may have been looked up before.
                    inner.entries.all_changed();
                    for entry in inner.entries.all() {
                        inner.refresh_account(&entry).await;
                    }
                });
            }
        }
    }

    /// In a pool a front end's death is known to the registrar perhaps sooner than here: what ends with its endpoints must not
    /// end before it is.
    async fn a_moment(&self) {
        if self.partitions.is_pooled() {
            let wait = tokio::time::sleep(self.limits.notice);
            self.stop.run_until_cancelled(wait).await;
        }
    }

    /// Everything a change could be about.
    async fn look_at(self: &Arc<Self>, entry: &Arc<Entry>) {
        self.end_what_left(entry, &[]).await;
        self.refresh_account(entry).await;
    }

    /// Ends what is bound to endpoints that are not signed in any more. `ended`: those that were just told to be.
    pub(super) async fn end_what_left(self: &Arc<Self>, entry: &Arc<Entry>, ended: &[EndpointAddress]) {
        loop {
            let turn = entry.turn.lock().await;
            let result = self.try_end_what_left(entry, ended).await;
            drop(turn);
            if self.is_done(entry, result).await {
                return;
            }
        }
    }

    async fn try_end_what_left(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        ended: &[EndpointAddress],
    ) -> Result<(), Error> {
        let location = self.registrar.lookup(&entry.user, Freshness::Newest).await?;
        let live: BTreeSet<EndpointId> = location
            .iter()
            .flat_map(|location| location.bindings.iter())
            .map(|binding| binding.address.endpoint.clone())
            .collect();
        let graced = self.graced(ended);
        let prepared = {
            let mut state = entry.state.lock();
            if state.is_gone {
                return Ok(());
            }
            let now = self.now();
            state
                .presentity
                .without_the_ended(&live, &graced, now, &self.limits)
        };
        self.end(entry, prepared).await
    }

    /// Those of the endpoints that ended because their front end died.
    fn graced(&self, ended: &[EndpointAddress]) -> BTreeSet<EndpointId> {
        let now = self.now().ms;
        let mut died = self.died.lock();
        died.retain(|_, until| *until > now);
        ended
            .iter()
            .filter(|address| died.contains_key(&address.member))
            .map(|address| address.endpoint.clone())
            .collect()
    }

    /// Reads the name and the policy of somebody in memory anew, and forgets whoever has no account any more.
    async fn refresh_account(self: &Arc<Self>, entry: &Arc<Entry>) {
        loop {
            let turn = entry.turn.lock().await;
            let result = self.try_refresh_account(entry).await;
            drop(turn);
            if self.is_done(entry, result).await {
                return;
            }
        }
    }

    async fn try_refresh_account(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<(), Error> {
        let account = self.account(&entry.user).await?;
        let contacts = match &account {
            Some(account) if account.policy.privacy_mode => Some(self.read_contacts(&entry.user).await?),
            _ => None,
        };
        let mut state = entry.state.lock();
        if state.is_gone {
            return Ok(());
        }
        let is_deleted = account.is_none();
        let mut is_resized = false;
        match account {
            Some(account) => {
                is_resized = state.presentity.policy().max_group_size != account.policy.max_group_size;
                state.presentity.set_account(account.display_name, account.policy);
                if let Some(contacts) = contacts {
                    state.presentity.set_contacts(contacts);
                }
            }
            None => {
                state.presentity.end();
                for follower in &mut state.followers {
                    // Nothing comes later, so this does not wait.
                    follower.next_at = 0;
                }
            }
        }
        self.settle(entry, &mut state, self.now());
        drop(state);
        if is_deleted {
            self.entries.forget(entry);
        }
        if is_resized {
            let (inner, entry) = (self.clone(), entry.clone());
            self.tasks.spawn(async move {
                let stop = inner.stop.clone();
                stop.run_until_cancelled(inner.tell_if_groups(&entry)).await;
            });
        }
        Ok(())
    }

    /// False: it failed, and is to be tried again now, some time later. What it is about would otherwise stay wrong for as long
    /// as it is in memory.
    async fn is_done(&self, entry: &Entry, result: Result<(), Error>) -> bool {
        let Err(error) = result else {
            return true;
        };
        if entry.is_gone() {
            return true;
        }
        tracing::warn!(
            error = error.message,
            "a change of the registrar could not be followed yet"
        );
        self.stop
            .run_until_cancelled(tokio::time::sleep(RETRY))
            .await
            .is_none()
    }
}
