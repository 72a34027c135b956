//! What all endpoints of a run share: where to, who, and what was measured.

use crate::args::Args;
use crate::histogram::Histogram;
use crate::population::Population;
use crate::process::{self, Usage};
use crate::report::{Latency, Report, Setup};
use anyhow::{Context, Result};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use sip_transport::{Limits, Target, Transport};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Local addresses that short connections take turns with.
const ADDRESSES: usize = 4000;

/// Users signed in per second from many addresses: what a server admits that wants no more than 300.
const SIGN_IN_RATE: f64 = 200.0;

/// The same from one address: two requests each, where a server takes 20 per second from strangers.
const SIGN_IN_RATE_OF_ADDRESS: f64 = 9.0;

/// One run of this tool.
#[derive(Debug)]
pub(crate) struct Run {
    /// The transport all connections use.
    pub transport: Transport,
    /// The SIP domain.
    pub domain: String,
    /// The password of all users.
    pub password: String,
    /// Time between keep-alives.
    pub ping: Duration,
    /// How long a unit of work took.
    pub unit: Histogram,
    /// How long each of the sign-ins took that prepare a load.
    pub setup: Histogram,
    /// How long all of them took together.
    pub setup_time: Mutex<Duration>,
    /// How long a part of it took, where there are parts.
    pub part: Histogram,
    /// Who watches whom, in a load of presence.
    pub population: Option<Population>,
    users: usize,
    put_off: AtomicUsize,
    /// The server, and the name it is to have; the first where there are several.
    target: Target,
    servers: Vec<SocketAddr>,
    /// All of them have the name of the command line, not their addresses.
    named: bool,
    locals: Option<(Ipv4Addr, usize)>,
    /// What makes the identifiers of this run different from those of any other.
    salt: u64,
    unique: AtomicU64,
    arrivals: AtomicUsize,
    active: AtomicBool,
    measuring: AtomicBool,
    done: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Run {
    /// A run as the command line wants it. `resume`: TLS sessions are resumed where the server offers it.
    ///
    /// # Errors
    /// The command line contradicts itself, or a file cannot be read.
    pub(crate) fn new(args: &Args, resume: bool) -> Result<Arc<Self>> {
        let tls = match &args.ca {
            None => None,
            Some(path) => {
                let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                let mut config: ClientConfig = sip_transport::tls::client_config(&pem)?;
                if !resume {
                    config.resumption = Resumption::disabled();
                }
                Some(Arc::new(config))
            }
        };
        let on_loopback = |server: &SocketAddr| server.is_ipv4() && server.ip().is_loopback();
        let locals = match args.local {
            Some(IpAddr::V4(first)) => Some(first),
            Some(IpAddr::V6(_)) => anyhow::bail!("--local takes an IPv4 address"),
            // On loopback there are addresses enough, and limits per address are not what is measured.
            None => args
                .servers
                .iter()
                .all(on_loopback)
                .then(|| Ipv4Addr::new(127, 0, 1, 1)),
        };
        let server = args.servers.first().context("--server is missing")?;
        let tls = match tls {
            Some(config) => Some((config, server_name(args, *server)?)),
            None => None,
        };
        let salt = getrandom::u64().context("no randomness")?;
        Ok(Arc::new(Self {
            transport: Transport::new(Limits::default())?,
            domain: args.domain.clone(),
            password: args.password.clone(),
            ping: args.ping,
            unit: Histogram::default(),
            setup: Histogram::default(),
            setup_time: Mutex::default(),
            part: Histogram::default(),
            population: Population::of(args, salt)?,
            users: args.users,
            put_off: AtomicUsize::new(0),
            servers: args.servers.clone(),
            named: args.server_name.is_some(),
            target: Target {
                address: *server,
                local: None,
                tls,
            },
            locals: locals.map(|first| (first, args.per_address.max(1))),
            salt,
            unique: AtomicU64::new(0),
            arrivals: AtomicUsize::new(0),
            active: AtomicBool::new(true),
            measuring: AtomicBool::new(false),
            done: AtomicU64::new(0),
            errors: Mutex::default(),
        }))
    }

    /// Where the endpoint with this index connects to and from: so many from each local address.
    pub(crate) fn target(&self, index: usize) -> Target {
        let each = self.locals.map_or(1, |(_, each)| each);
        self.target_from(index, index / each)
    }

    /// Where the next of many short connections goes to and comes from: each from another local address, since
    /// it is not the server's limit of arrivals from one address that is measured.
    pub(crate) fn next_target(&self) -> Target {
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        self.target_from(arrival, arrival % ADDRESSES)
    }

    fn target_from(&self, index: usize, offset: usize) -> Target {
        let local = self.locals.map(|(first, _)| {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            SocketAddr::from((Ipv4Addr::from_bits(first.to_bits().wrapping_add(offset)), 0))
        });
        let turn = index.checked_rem(self.servers.len());
        let server = turn.and_then(|turn| self.servers.get(turn));
        let address = server.copied().unwrap_or(self.target.address);
        let tls = self.target.tls.clone().map(|(config, name)| match self.named {
            true => (config, name),
            false => (config, ServerName::from(address.ip())),
        });
        Target { address, local, tls }
    }

    /// Users to be signed in per second while a load is set up.
    pub(crate) fn sign_in_rate(&self, args: &Args) -> f64 {
        args.sign_in_rate.unwrap_or(match self.locals {
            Some(_) => SIGN_IN_RATE,
            None => SIGN_IN_RATE_OF_ADDRESS,
        })
    }

    /// A sign-in was refused for now and is tried again.
    pub(crate) fn put_off(&self) {
        self.put_off.fetch_add(1, Ordering::Relaxed);
    }

    /// An identifier nobody else has.
    pub(crate) fn unique(&self) -> String {
        format!(
            "{:x}x{:x}",
            self.salt,
            self.unique.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Whether work goes on; afterwards endpoints begin nothing new.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// A unit of work is done. It began at `since`.
    pub(crate) fn unit_done(&self, since: Instant) {
        if self.is_measuring() {
            self.done.fetch_add(1, Ordering::Relaxed);
            self.unit.record(since.elapsed());
        }
    }

    /// A unit of work is done that nobody waited for.
    pub(crate) fn unit_counted(&self) {
        if self.is_measuring() {
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A part of a unit is done. It began at `since`.
    pub(crate) fn part_done(&self, since: Instant) {
        if self.is_measuring() {
            self.part.record(since.elapsed());
        }
    }

    /// Whether what happens now counts.
    pub(crate) fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Something went wrong.
    pub(crate) fn error(&self, what: impl Into<String>) {
        if self.is_active() {
            *self.errors.lock().entry(what.into()).or_default() += 1;
        }
    }

    fn setup_report(&self) -> Option<Setup> {
        let latency = Latency::of("sign-in", &self.setup);
        let seconds = self.setup_time.lock().as_secs_f64();
        (latency.count > 0).then(|| Setup {
            seconds,
            rate: latency.count as f64 / seconds.max(1e-9),
            put_off: self.put_off.load(Ordering::Relaxed),
            latency,
        })
    }

    /// All errors until now, with how often each happened.
    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().clone()
    }

    /// The same in words.
    pub(crate) fn errors_in_words(&self) -> String {
        self.errors
            .lock()
            .iter()
            .map(|(what, count)| format!("{what} ({count})"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// No more work: what ends from now on is no error.
    pub(crate) fn stop(&self) {
        self.active.store(false, Ordering::Relaxed);
    }

    /// Measures for this long and says what was done and used.
    ///
    /// # Errors
    /// A watched process is gone.
    pub(crate) async fn measure(&self, watched: &Watched, window: Measured) -> Result<Report> {
        tokio::time::sleep(window.warm_up).await;
        let begun = self.begin(watched)?;
        tokio::time::sleep(window.duration).await;
        self.finish(watched, begun, window)
    }

    /// Begins to measure, until [`Self::finish`].
    ///
    /// # Errors
    /// A watched process is gone.
    pub(crate) fn begin(&self, watched: &Watched) -> Result<Begun> {
        let (processes, client) = (watched.usage()?, Usage::of(std::process::id())?);
        self.measuring.store(true, Ordering::Relaxed);
        Ok(Begun {
            at: Instant::now(),
            processes,
            client,
        })
    }

    /// Says what was done and used since then.
    ///
    /// # Errors
    /// A watched process is gone.
    pub(crate) fn finish(&self, watched: &Watched, begun: Begun, window: Measured) -> Result<Report> {
        self.measuring.store(false, Ordering::Relaxed);
        let seconds = begun.at.elapsed().as_secs_f64();
        let (before, client) = (begun.processes, begun.client);
        let (after, client_after) = (watched.usage()?, Usage::of(std::process::id())?);
        let done = self.done.load(Ordering::Relaxed);
        let units = window.units_each * done.max(1);
        let processes = watched
            .idle
            .iter()
            .zip(before.iter().zip(&after))
            .map(|((pid, idle), (from, to))| {
                process::used(*pid, *idle, *from, *to, seconds, units, window.connections)
            })
            .collect();
        let client_cpu =
            (client_after.user + client_after.system).saturating_sub(client.user + client.system);
        Ok(Report {
            mode: window.mode,
            unit: window.unit,
            users: window.connections,
            missing: self.users.saturating_sub(window.connections),
            setup: self.setup_report(),
            seconds,
            done,
            rate: done as f64 / seconds,
            latencies: [(window.unit, &self.unit), (window.part, &self.part)]
                .into_iter()
                .filter(|(_, histogram)| histogram.count() > 0)
                .map(|(of, histogram)| Latency::of(of, histogram))
                .collect(),
            errors: self.errors(),
            processes,
            client_cpu_us_each: client_cpu as f64 / units as f64,
            presence: None,
            floor: None,
        })
    }
}

/// The beginning of a measurement.
#[derive(Debug)]
pub(crate) struct Begun {
    at: Instant,
    processes: Vec<Usage>,
    client: Usage,
}

/// What is measured, for how long, and how it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// The load.
    pub mode: &'static str,
    /// What a unit of work is called.
    pub unit: &'static str,
    /// What its parts are called.
    pub part: &'static str,
    /// Into how many CPU time is divided for each unit done.
    pub units_each: u64,
    /// Connections that came since the processes were idle.
    pub connections: usize,
    /// Time under load before the measurement.
    pub warm_up: Duration,
    /// Time measured.
    pub duration: Duration,
}

/// The watched processes, with what they used before the load.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    idle: Vec<(u32, Usage)>,
}

impl Watched {
    /// Looks at these processes now.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn begin(pids: &[u32]) -> Result<Self> {
        let idle = pids
            .iter()
            .map(|pid| Ok((*pid, Usage::of(*pid)?)))
            .collect::<Result<_>>()?;
        Ok(Self { idle })
    }

    fn usage(&self) -> Result<Vec<Usage>> {
        self.idle.iter().map(|(pid, _)| Usage::of(*pid)).collect()
    }
}

fn server_name(args: &Args, server: SocketAddr) -> Result<ServerName<'static>> {
    match &args.server_name {
        Some(name) => ServerName::try_from(name.clone()).context("--server-name is no name"),
        None => Ok(ServerName::from(server.ip())),
    }
}
