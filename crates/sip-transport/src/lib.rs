//! Carries SIP over TLS and TCP: accepts and opens flows, cuts them into messages, keeps them alive and bounds
//! what a peer may do to us.

mod cidr;
pub mod framing;
pub mod proxy;

pub use cidr::{Cidr, InvalidCidr};
