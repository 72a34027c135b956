//! The way to Redis: connected when needed, found anew after a failure, with a deadline for every command.
//!
//! All commands share one multiplexed connection (in a cluster: one to each node). A failure that may be the connection's
//! throws it away, and the next command makes a new one: with sentinels that is when the master is asked for again. Whoever
//! comes while it is being made waits for the same attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::{MultiplexedConnection, PubSubStream};
use redis::cluster::ClusterClient;
use redis::{AsyncConnectionConfig, ConnectionInfo, FromRedisValue, RedisError, Value};
use store::StoreError;
use telemetry::Page;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::breaker::{Breaker, Turn};
use crate::counters::{Counters, CountersSnapshot, Ending};
use crate::link::{Address, Failure, Link, Question, may_be_the_link, within};
use crate::script::Call;
use crate::url::{Layout, RedisUrl};

/// How long a command may take, a connection made for it included.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

/// Commands under way on one connection; more wait, within their deadline.
const CONCURRENCY: usize = 1_024;

/// Whether the breaker may refuse a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    /// Yes: there may be thousands a second.
    Breaker,
    /// No: it comes seldom, and much hangs on it.
    None,
}

/// A link that is made by the first who needs it.
type Slot = Arc<OnceCell<Link>>;

struct Inner {
    url: RedisUrl,
    timeout: Duration,
    slot: Mutex<Slot>,
    /// The host to begin with where several are named: one that answered.
    first_host: AtomicUsize,
    breaker: Breaker,
    counters: Counters,
}

/// The shared store's servers, whatever their layout. Cloning shares the connection, the breaker and the counters.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

impl Redis {
    /// Connects when it is needed. A command may take one second.
    pub fn new(url: RedisUrl) -> Self {
        Redis::with_timeout(url, COMMAND_TIMEOUT)
    }

    /// The same with another deadline for each command, the making of a connection included.
    pub fn with_timeout(url: RedisUrl, timeout: Duration) -> Self {
        Redis {
            inner: Arc::new(Inner {
                url,
                timeout,
                slot: Mutex::default(),
                first_host: AtomicUsize::new(0),
                breaker: Breaker::default(),
                counters: Counters::default(),
            }),
        }
    }

    /// Whether the server answers, in a cluster every master: for the start of a member and for its health.
    ///
    /// # Errors
    /// [`StoreError::Driver`]: it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.ask(Gate::None, Question::Ping).await?;
        Ok(())
    }

    /// The counters now.
    pub fn counters(&self) -> CountersSnapshot {
        self.inner.counters.snapshot(self.inner.breaker.is_open())
    }

    /// Puts the counters on a page of metrics.
    pub fn collect(&self, page: &mut Page) {
        self.inner.counters.collect(self.inner.breaker.is_open(), page);
    }

    /// Calls a script.
    pub(crate) async fn run<T: FromRedisValue>(&self, gate: Gate, call: &Call<'_>) -> Result<T, Failure> {
        let value = self.ask(gate, Question::Script(call)).await?;
        Ok(redis::from_redis_value(value).map_err(RedisError::from)?)
    }

    /// Listens to a channel, on a connection of its own.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<PubSubStream, Failure> {
        let timeout = self.inner.timeout;
        let subscribing = async {
            let server = match &self.inner.url.layout {
                Layout::Sentinel { master } => {
                    let (host, port) = self.find_master(master).await?;
                    self.inner.url.server(&host, port)?
                }
                // In a cluster every node has every message.
                Layout::Standalone | Layout::Cluster => self.host(self.next_host())?,
            };
            let url = &self.inner.url;
            let connecting = url.client(server)?.get_async_pubsub().await;
            let mut pubsub = connecting.map_err(|error| not_connected(url, error))?;
            pubsub.subscribe(channel).await?;
            Ok(pubsub.into_on_message())
        };
        let result = within(timeout, subscribing).await;
        if result.is_err() {
            self.inner.first_host.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Sends something over the link and accounts for what comes of it.
    async fn ask(&self, gate: Gate, question: Question<'_>) -> Result<Value, Failure> {
        let inner = &*self.inner;
        let begun = Instant::now();
        if gate == Gate::Breaker && !inner.breaker.admits(begun) {
            inner.counters.ended(Ending::Refused);
            return Err(Failure::Open);
        }
        let mut slot = inner.slot.lock().clone();
        let result = within(inner.timeout, async {
            if gate == Gate::None && self.is_deposed(&slot).await {
                self.give_up(&slot);
                slot = inner.slot.lock().clone();
            }
            let mut link = slot.get_or_try_init(|| self.connect()).await?.clone();
            match link.ask(question).await {
                // The link may be gone for long: a server restarted while nobody asked.
                Err(error) if error.is_connection_dropped() => {
                    self.give_up(&slot);
                    slot = inner.slot.lock().clone();
                    let mut link = slot.get_or_try_init(|| self.connect()).await?.clone();
                    Ok(link.ask(question).await?)
                }
                other => Ok(other?),
            }
        })
        .await;
        let now = Instant::now();
        let turn = match &result {
            Ok(_) => {
                inner.counters.answered(now - begun);
                inner.breaker.succeeded(now)
            }
            Err(failure) => {
                inner.counters.ended(Ending::Failed);
                if may_be_the_link(failure) {
                    self.give_up(&slot);
                }
                inner.breaker.failed(now)
            }
        };
        match (turn, &result) {
            (Turn::Opened, Err(failure)) => {
                tracing::warn!(redis = %inner.url, error = %failure, "Redis failed several times in a row");
            }
            (Turn::Closed, _) => tracing::info!(redis = %inner.url, "Redis answers again"),
            _ => {}
        }
        result
    }

    /// Lets the next command make a new link, unless somebody else saw to that already.
    fn give_up(&self, failed: &Slot) {
        let mut slot = self.inner.slot.lock();
        if Arc::ptr_eq(&slot, failed) {
            *slot = Slot::default();
        }
    }

    /// Whether the sentinels name another master by now. The one before goes on taking writes, which are lost, until a
    /// sentinel reaches it: ten seconds, or as long as it is cut off. What comes seldom looks first, for all.
    async fn is_deposed(&self, slot: &Slot) -> bool {
        let Layout::Sentinel { master } = &self.inner.url.layout else {
            return false;
        };
        let Some(Link::Master(_, present)) = slot.get() else {
            return false;
        };
        // Sentinels that do not answer are no reason to leave a master that does, or to ask it too late.
        let found = within(self.inner.timeout / 2, self.find_master(master)).await;
        found.is_ok_and(|address| address != *present)
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let url = &self.inner.url;
        let link = match &url.layout {
            Layout::Standalone => Link::One(self.open(self.host(0)?).await?),
            Layout::Sentinel { master } => {
                let address = self.find_master(master).await?;
                let mut connection = self.open(url.server(&address.0, address.1)?).await?;
                // A sentinel may be the last to hear of a failover.
                let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
                let role = role.into_iter().next().map(redis::from_redis_value::<String>);
                if !matches!(role, Some(Ok(role)) if role == "master") {
                    return Err(Failure::NotMaster);
                }
                Link::Master(connection, address)
            }
            Layout::Cluster => {
                let nodes = url
                    .hosts
                    .iter()
                    .map(|(host, port)| url.server(host, *port))
                    .collect::<Result<Vec<_>, _>>()?;
                // Redirections are followed at once; whatever takes longer is for the next command.
                let mut client = ClusterClient::builder(nodes)
                    .connection_timeout(self.inner.timeout)
                    .response_timeout(self.inner.timeout)
                    .retries(3)
                    .connection_concurrency_limit(CONCURRENCY);
                if let Some(certificates) = &url.certificates {
                    client = client.certs(certificates.for_driver());
                }
                let connecting = client.build()?.get_async_connection().await;
                Link::Cluster(connecting.map_err(|error| not_connected(url, error))?)
            }
        };
        self.inner.counters.connected();
        Ok(link)
    }

    async fn open(&self, server: ConnectionInfo) -> Result<MultiplexedConnection, Failure> {
        // The deadline is around all of it.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_concurrency_limit(CONCURRENCY);
        let client = self.inner.url.client(server)?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config).await;
        connecting.map_err(|error| not_connected(&self.inner.url, error))
    }

    /// Asks the sentinels, one after another, beginning with the one that knew it last time.
    async fn find_master(&self, master: &str) -> Result<Address, Failure> {
        let url = &self.inner.url;
        let count = url.hosts.len();
        // So that two may be silent and there still is time for the third.
        let patience = self.inner.timeout / 4;
        for _ in 0..count {
            let (host, port) = &url.hosts[self.next_host()];
            let asking = async {
                let mut sentinel = self.open(url.sentinel(host, *port)?).await?;
                let mut command = redis::cmd("SENTINEL");
                command.arg("get-master-addr-by-name").arg(master);
                let address: Option<Address> = command.query_async(&mut sentinel).await?;
                Ok(address)
            };
            match within(patience, asking).await {
                Ok(Some(address)) => return Ok(address),
                Ok(None) => {}
                Err(failure) => {
                    tracing::debug!(sentinel = %host, error = %failure, "a sentinel does not answer")
                }
            }
            self.inner.first_host.fetch_add(1, Ordering::Relaxed);
        }
        Err(Failure::NoMaster(master.to_owned()))
    }

    fn next_host(&self) -> usize {
        self.inner.first_host.load(Ordering::Relaxed) % self.inner.url.hosts.len().max(1)
    }

    fn host(&self, index: usize) -> Result<ConnectionInfo, RedisError> {
        let (host, port) = &self.inner.url.hosts[index];
        self.inner.url.server(host, *port)
    }
}

/// Why there is no connection. The driver's text may be the end of a stream and no more, so it is said whether that was TLS.
fn not_connected(url: &RedisUrl, error: RedisError) -> Failure {
    match url.tls {
        true => Failure::Tls(error),
        false if error.is_connection_dropped() && !error.is_connection_refusal() => Failure::HungUp(error),
        false => Failure::Redis(error),
    }
}
