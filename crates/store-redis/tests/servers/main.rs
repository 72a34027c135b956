//! The shared state of a pool on real servers: one of its own for each test, on a free port in a temporary directory.
//!
//! `redis-server` (with `redis-sentinel`) must be installed: a test that does not find it fails.

#![cfg(test)]

mod bindings;
mod cluster;
mod leases;
mod outages;
mod pool;
mod presence;
mod sentinel;
mod server;
mod tls;
