//! The composition root: turns a [`config::Config`] into running roles and clients, and stops them again.
//!
//! It is the only crate that knows every role.

mod error;
mod files;
mod health;
mod ops;
mod pki;
#[path = "control/socket.rs"]
mod socket;

pub use error::StartError;
pub use health::{Health, State};
