//! The two programs: `portico`, the server, and `porticoctl`, its control tool.
//!
//! Here are command lines, what is said to people, and exit codes. What a server is stands in [`server`]; what
//! `porticoctl` asks for travels as [`server::control::api`].
//!
//! To add a command to `portico`: a variant in [`portico::Command`] and a file beside it. To add a noun to `porticoctl`:
//! a variant in [`ctl::Noun`], a file with its verbs, and the operation in `server::control`.

pub mod ctl;
mod http;
mod out;
pub mod portico;
