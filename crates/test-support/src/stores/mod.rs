//! Database servers for tests: Postgres and Redis as child processes on loopback, nothing kept on disk.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use test_support::stores::{PostgresServer, RedisServer};
//! let database = PostgresServer::shared().await?.database().await?; // empty, dropped with the value
//! println!("{}", database.url());
//! let redis = RedisServer::shared().await?; // with a name for keys of this test: redis.pool()
//! println!("{} {}", redis.url(), redis.pool());
//! let mut own = RedisServer::own().await?; // only this test's: it may stop, pause and empty it
//! own.kill().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A test that is about TLS has an [`Authority`] and servers of its own: [`RedisServer::own_with_tls`],
//! [`OwnPostgres::with_tls`].
//!
//! **Shared** servers are started by the first test of a run and joined by the others, whichever process they are in;
//! see `shared` for how they end. A server that is not installed is a failed test that says what to install
//! (`make test` installs it), never a skipped one.

mod authority;
mod postgres;
mod postgres_tls;
mod process;
mod redis;
mod shared;

pub use authority::{Authority, Issued};
pub use postgres::{PostgresDatabase, PostgresServer};
pub use postgres_tls::OwnPostgres;
pub use redis::{OwnRedis, RedisServer};
