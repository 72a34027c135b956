//! The composition root: turns a [`config::Config`] into running roles and clients, and stops them again.
//!
//! It is the only crate that knows every role.

mod agent;
mod background;
mod certificate;
pub mod control;
mod database;
mod demo;
mod echo;
mod error;
mod files;
mod health;
mod keys;
mod listeners;
mod member;
mod metrics;
mod move_to_pool;
mod ops;
mod otlp;
mod password;
mod pki;
mod pool;
mod ready;
mod roles;
mod seat;
mod serve;
mod shared;
mod signals;
mod state;
mod status;

pub use database::migrate;
pub use error::StartError;
pub use health::{Health, State};
pub use move_to_pool::{MoveError, MoveReport, MovedTable, move_to_pool};
pub use ops::DrainRequest;
pub use otlp::otlp_settings;
pub use password::readable_password;
pub use ready::{Demo, DemoPerson, Ready};
pub use serve::{Options, Running, serve};
pub use signals::{Signal, Signals};
