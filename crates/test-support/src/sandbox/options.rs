//! What a sandbox starts.

/// In which shape the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// All roles in one process, with demo people and the echo contact.
    Standard,
    /// Two front ends, a registrar and two owners of conversations, each a process, over Redis and Postgres.
    Pool,
}

impl Topology {
    /// What `PORTICO_TEST_TOPOLOGY` says: `pool`, or the Standard Edition.
    pub(super) fn wanted() -> Topology {
        match std::env::var("PORTICO_TEST_TOPOLOGY").as_deref() {
            Ok("pool") => Topology::Pool,
            _ => Topology::Standard,
        }
    }
}

/// How the members of a pool without Redis find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// The member that keeps what Redis would keep.
    pub member: &'static str,
    /// Whether it is found by a DNS name and not by its address.
    pub by_name: bool,
}

/// What a sandbox starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// `run`, or `demo` for the demo people and the echo contact; in a pool it is always `run`.
    pub command: &'static str,
    /// Configuration by environment, as (`PORTICO_SECTION__KEY`, value), of every process; later ones win.
    pub env: Vec<(String, String)>,
    /// Whether a pool has a Redis of its own, to be mistreated.
    pub own_redis: bool,
    /// A pool without Redis.
    pub seed: Option<Seed>,
}

impl Default for Options {
    fn default() -> Options {
        let env = [
            ("PORTICO_SIP__TLS_LISTEN", "127.0.0.1:0"),
            ("PORTICO_SIP__TCP_LISTEN", "127.0.0.1:0"),
            ("PORTICO_OPS__LISTEN", "127.0.0.1:0"),
            ("PORTICO_AUTH__NTLM", "true"),
            // All clients of a test come from one address.
            ("PORTICO_LIMITS__UNAUTHENTICATED_REQUESTS_PER_SECOND", "1000"),
            ("PORTICO_LIMITS__NEW_CONNECTIONS_PER_SECOND_PER_ADDRESS", "1000"),
        ];
        let env = env
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec();
        Options {
            command: "demo",
            env,
            own_redis: false,
            seed: None,
        }
    }
}

impl Options {
    /// The same with this setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Options {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same with a Redis of its own ([`super::Sandbox::redis`]).
    #[must_use]
    pub fn with_own_redis(mut self) -> Options {
        self.own_redis = true;
        self
    }

    /// The same without Redis: `member` keeps what Redis would keep, and is found by its address.
    #[must_use]
    pub fn with_seed(mut self, member: &'static str) -> Options {
        self.seed = Some(Seed {
            member,
            by_name: false,
        });
        self
    }

    /// As [`Options::with_seed`], found by the name `localhost`.
    #[must_use]
    pub fn with_seed_by_name(mut self, member: &'static str) -> Options {
        self.seed = Some(Seed {
            member,
            by_name: true,
        });
        self
    }
}
