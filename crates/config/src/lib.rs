//! Reads, merges and validates the configuration into one typed [`Config`].
//!
//! Four layers, later wins: built-in defaults, the file, environment variables `PORTICO_<SECTION>__<KEY>`, command-line
//! flags. [`Layers`] collects them, [`Layers::load`] turns them into a [`Config`] or into [`Problems`]: every problem at
//! once, each with the file and line, the variable or the flag it comes from. An unknown key is a problem. `<key>_file` takes
//! a key's value from a file.
//!
//! What this crate is not: it opens no socket, reads no certificate and creates no file. Nothing below it reads the
//! environment, and it reads it only when [`Layers::environment`] is given its variables.
//!
//! To add a key: a field with its doc comment in the section's file under `sections/`, one line in that section's
//! `read`, and a commented line in `deploy/config/standard-edition.toml`. A key that nothing obeys is not added.

mod effective;
mod file;
mod layers;
mod net;
mod problem;
mod raw;
mod reader;
mod secret_file;
mod sections;
mod suggest;
mod value;

pub use effective::Setting;
pub use layers::{DATA_DIR, Layers};
pub use net::{Host, HostPort, IpNet};
pub use problem::{Problem, Problems};
pub use raw::Origin;
pub use sections::{
    Auth, Config, Database, DatabaseUrl, Drain, Limits, Members, Ops, Pool, ProxyProtocol, Rpc, Secrets, Sip,
    StateStore, StateTls, StateUrl, Store, Telemetry, Tls,
};
pub use value::parse_duration;

#[cfg(test)]
mod tests;
