//! The composition root: turns a [`config::Config`] into running roles and clients, and stops them again.
//!
//! It is the only crate that knows every role.

mod background;
mod certificate;
pub mod control;
mod demo;
mod echo;
mod error;
mod files;
mod health;
mod keys;
mod listeners;
mod metrics;
mod ops;
mod password;
mod pki;
mod ready;
mod roles;
mod serve;
mod signals;
mod status;

pub use error::StartError;
pub use health::{Health, State};
pub use password::readable_password;
pub use ready::{Demo, DemoPerson, Ready};
pub use serve::{Options, Running, migrate, serve};
pub use signals::{Signal, Signals};
