//! [`CachedRegistrar`]: a registrar in another process whose answers are remembered here.
//!
//! What is remembered is true as long as this cache hears of every change, so there is a cache only while a stream of
//! changes stands. When it breaks everything is forgotten and each question is passed on, until the next stream stands.
//!
//! Whoever watches *this* registrar is told of a change after it was forgotten here: what he asks then is answered anew.

mod bounded;
mod shards;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::{
    Authenticate, Binding, EffectivePolicy, Error, ErrorCode, Freshness, Identity, Location, PeopleFound,
    PeopleSearch, Refusal, Register, RegisterError, Registered, Registrar, RegistrarChange, RegistrarClient,
    Unregister,
};
use sip_types::AddressOfRecord;
use telemetry::Page;
use telemetry::names::{self, label};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::counters::{CacheCounters, CacheSnapshot};
use shards::{Found, Shards};

/// Changes a watcher may lag behind by before it loses its stream.
const LAG: usize = 1_024;
/// First pause before a broken stream is asked for again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How much is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheSize {
    /// Users, at about 1 KiB each with two endpoints and three policies.
    pub users: usize,
    /// Addresses that are known to be nobody's, at about 100 bytes each. Their place is their own: whoever asks for invented
    /// users pushes no real ones out.
    pub unknown: usize,
}

impl Default for CacheSize {
    fn default() -> Self {
        CacheSize {
            users: 100_000,
            unknown: 10_000,
        }
    }
}

/// A registrar whose answers to [`Registrar::lookup`] and [`Registrar::policy`] are remembered until they change. Cheap to
/// clone; clones share what they remember.
///
/// Seconds left of a remembered binding are those of the time it was asked for.
#[derive(Clone)]
pub struct CachedRegistrar(Arc<Inner>);

struct Inner {
    registrar: RegistrarClient,
    shards: Shards,
    watchers: Mutex<Watchers>,
    counters: CacheCounters,
}

/// Everybody who wants to know of changes, while there is somebody who tells.
#[derive(Default)]
struct Watchers {
    stands: bool,
    senders: Vec<mpsc::Sender<RegistrarChange>>,
}

impl CachedRegistrar {
    /// Remembers what `registrar` answers. Its stream of changes is followed by one task of `tasks`, until `stop`.
    pub fn start(
        registrar: RegistrarClient,
        size: CacheSize,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let inner = Arc::new(Inner {
            registrar,
            shards: Shards::new(size.users, size.unknown),
            watchers: Mutex::default(),
            counters: CacheCounters::default(),
        });
        let follower = inner.clone();
        tasks.spawn(async move {
            tokio::select! {
                never = follower.follow() => match never {},
                () = stop.cancelled() => follower.broken(),
            }
        });
        CachedRegistrar(inner)
    }

    /// Writes what it counts on a page of metrics.
    pub fn collect(&self, page: &mut Page) {
        let now = self.counters();
        for (result, count) in [
            ("hit", now.hits),
            ("miss", now.misses),
            ("invalidated", now.invalidations),
            ("stream_broke", now.breaks),
        ] {
            page.counter(&names::RPC_CACHE, &[(label::RESULT, result)], count);
        }
    }

    /// What it answered so far.
    pub fn counters(&self) -> CacheSnapshot {
        self.0.counters.snapshot()
    }
}

/// Failures in a row before an operator is told.
const PATIENT_FAILURES: u32 = 8;

impl Inner {
    async fn follow(&self) -> std::convert::Infallible {
        let mut pause = PAUSES.0;
        let mut failures = 0_u32;
        loop {
            match self.registrar.watch().await {
                Ok(mut changes) => {
                    pause = PAUSES.0;
                    failures = 0;
                    self.stands();
                    while let Some(change) = changes.next().await {
                        self.apply(change);
                    }
                    self.broken();
                    tracing::info!(
                        "the stream of changes broke: nothing is remembered of the registrar until it stands again"
                    );
                }
                Err(error) => {
                    // A registrar that starts or moves is away for a moment.
                    failures = failures.saturating_add(1);
                    match failures == PATIENT_FAILURES {
                        true => tracing::warn!(%error, "no stream of changes from the registrar for a while"),
                        false => tracing::debug!(%error, "no stream of changes from the registrar"),
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    fn stands(&self) {
        self.shards.open();
        self.watchers.lock().stands = true;
    }

    fn broken(&self) {
        self.shards.close();
        self.counters.breaks.add();
        let mut watchers = self.watchers.lock();
        watchers.stands = false;
        // Their streams end: they have missed something and must know.
        watchers.senders.clear();
    }

    fn apply(&self, change: RegistrarChange) {
        self.counters.invalidations.add();
        match &change {
            RegistrarChange::Bindings(change) => self.shards.forget_location(&change.aor),
            RegistrarChange::Account(aor) => self.shards.forget_user(aor),
            RegistrarChange::Policies => self.shards.forget_policies(),
            // Nothing is cached of groups.
            RegistrarChange::Group(_) => {}
        }
        // A watcher that does not keep up loses its stream.
        let mut watchers = self.watchers.lock();
        watchers
            .senders
            .retain(|sender| sender.try_send(change.clone()).is_ok());
    }
}

#[async_trait]
impl Registrar for CachedRegistrar {
    async fn authenticate(&self, request: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        self.0.registrar.authenticate(request).await
    }

    async fn register(&self, request: Register) -> Result<Registered, RegisterError> {
        let aor = request.aor.clone();
        let result = self.0.registrar.register(request).await;
        // Whoever registered knows that it did: what is remembered must not say otherwise until the news arrives.
        self.0.shards.forget_location(&aor);
        result
    }

    async fn unregister(&self, request: Unregister) -> Result<Vec<Binding>, RegisterError> {
        let aor = request.aor.clone();
        let result = self.0.registrar.unregister(request).await;
        self.0.shards.forget_location(&aor);
        result
    }

    async fn lookup(&self, aor: &AddressOfRecord, freshness: Freshness) -> Result<Option<Location>, Error> {
        let inner = &self.0;
        let ask = || {
            let (registrar, aor) = (inner.registrar.clone(), aor.clone());
            async move { registrar.lookup(&aor, freshness).await }
        };
        if freshness == Freshness::Newest {
            inner.counters.misses.add();
            let since = inner.shards.generation(aor);
            let location = ask().await?;
            inner.shards.keep_location(aor, &location, since);
            return Ok(location);
        }
        match inner.shards.location(aor, ask) {
            Found::Here(location) => {
                inner.counters.hits.add();
                Ok(location)
            }
            Found::Asked(asked) => {
                if asked.first {
                    inner.counters.misses.add();
                }
                let result = asked.load.clone().await;
                inner.shards.loaded_location(aor, &asked, &result);
                result
            }
            Found::Closed => {
                inner.counters.misses.add();
                ask().await
            }
        }
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        let mut watchers = self.0.watchers.lock();
        if !watchers.stands {
            let text = "no stream of changes from the registrar stands";
            return Err(Error::new(ErrorCode::Unavailable, text).retry_after(PAUSES.0));
        }
        let (sender, receiver) = mpsc::channel(LAG);
        // Those who left are forgotten here too: changes may be rare.
        watchers.senders.retain(|sender| !sender.is_closed());
        watchers.senders.push(sender);
        Ok(ReceiverStream::new(receiver))
    }

    async fn policy(&self, kind: &str, aor: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        let inner = &self.0;
        let ask = || {
            let (registrar, kind, aor) = (inner.registrar.clone(), kind.to_owned(), aor.clone());
            async move { registrar.policy(&kind, &aor).await }
        };
        match inner.shards.policy(kind, aor, ask) {
            Found::Here(policy) => {
                inner.counters.hits.add();
                Ok(policy)
            }
            Found::Asked(asked) => {
                if asked.first {
                    inner.counters.misses.add();
                }
                let result = asked.load.clone().await;
                inner.shards.loaded_policy(kind, aor, &asked, &result);
                result
            }
            Found::Closed => {
                inner.counters.misses.add();
                ask().await
            }
        }
    }

    /// Nothing is remembered of it: people seldom search for the same, and any account may be in an answer.
    async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error> {
        self.0.registrar.search(search).await
    }
}

#[cfg(test)]
mod tests;
