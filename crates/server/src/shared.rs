//! What the members of a pool share besides the database: in Redis, or at a seed.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use config::{Config, Members, StateStore};
use membership::Timing;
use rpc_wire::seed::{RemoteSeed, SeedTable};
use rpc_wire::transport::{Channel, Connector};
use store::{BindingCopy, LeaseStore, PresenceCopy, StoreError};
use store_redis::{Redis, RedisBindings, RedisLeases, RedisPresence};

use crate::error::StartError;
use crate::roles::Node;
use crate::{seat, state};

/// Where leases, owners and the copies of bindings and presence are.
pub(crate) enum Shared {
    /// In Redis.
    Redis {
        redis: Redis,
        /// Part of the name of a new history.
        random: u64,
    },
    /// At the seed, which may be this member.
    Seed {
        remote: Arc<RemoteSeed<Channel>>,
        /// What is kept here if this member is the seed.
        table: Arc<SeedTable>,
    },
}

impl Shared {
    /// Asks Redis once whether it answers; one that does not is waited for later.
    ///
    /// # Errors
    /// The Redis URL or one of its certificates cannot be used, or nothing is configured that members could share.
    pub(crate) async fn open(node: &Node<'_>, connector: &Connector) -> Result<Self, StartError> {
        if let StateStore::Redis(url) = &node.config.store.state {
            if node.config.rpc.members != Members::None {
                tracing::info!(
                    "rpc.members is not asked: members find each other in the Redis of store.state"
                );
            }
            let redis = state::reach(url, &node.config.store.state_tls).await?;
            let counted = redis.clone();
            node.registry
                .register(Box::new(move |page| counted.collect(page)));
            let mut random = [0; 8];
            getrandom::fill(&mut random)
                .map_err(|error| StartError::State(format!("no random numbers: {error}")))?;
            let random = u64::from_le_bytes(random);
            return Ok(Shared::Redis { redis, random });
        }
        let Some(seat) = seat::follow(&node.config.rpc.members, node.background) else {
            let missing = "members of a pool need a redis URL here, or rpc.members";
            return Err(StartError::State(missing.to_owned()));
        };
        let connector = connector.clone();
        let dial = move |address: &str| connector.channel(address).map_err(StoreError::driver);
        Ok(Shared::Seed {
            remote: Arc::new(RemoteSeed::new(seat.clone(), dial)),
            table: Arc::new(SeedTable::new(seat, clock())),
        })
    }

    /// The leases of the pool.
    pub(crate) fn leases(&self, config: &Config) -> Arc<dyn LeaseStore> {
        match self {
            Shared::Redis { redis, random } => {
                Arc::new(RedisLeases::new(redis.clone(), &config.pool.fqdn, *random))
            }
            Shared::Seed { remote, .. } => remote.clone(),
        }
    }

    /// The copy of the bindings of the pool.
    pub(crate) fn copy(&self, config: &Config) -> Arc<dyn BindingCopy> {
        match self {
            Shared::Redis { redis, .. } => Arc::new(RedisBindings::new(redis.clone(), &config.pool.fqdn)),
            Shared::Seed { remote, .. } => remote.clone(),
        }
    }

    /// The copy of the presence of the pool.
    pub(crate) fn presence(&self, config: &Config) -> Arc<dyn PresenceCopy> {
        match self {
            Shared::Redis { redis, .. } => Arc::new(RedisPresence::new(redis.clone(), &config.pool.fqdn)),
            Shared::Seed { remote, .. } => remote.clone(),
        }
    }

    /// The times of membership.
    pub(crate) fn timing(&self) -> Timing {
        match self {
            Shared::Redis { .. } => Timing::default(),
            Shared::Seed { .. } => Timing::for_a_store_that_forgets(),
        }
    }

    /// What this member offers to others if it is the seed.
    pub(crate) fn table(&self) -> Option<Arc<SeedTable>> {
        match self {
            Shared::Redis { .. } => None,
            Shared::Seed { table, .. } => Some(table.clone()),
        }
    }
}

/// Milliseconds since 1970 by the wall clock of now, going on with the clock that is never set.
fn clock() -> impl Fn() -> u64 + Clone + Send + Sync + 'static {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let (start, started) = (since.unwrap_or_default(), Instant::now());
    move || u64::try_from((start + started.elapsed()).as_millis()).unwrap_or(u64::MAX)
}
