//! Tests of the product as a whole, seen from outside.
//!
//! * `scenarios`: what users see, with the real server and a puppet user agent.
//! * `architecture`: the floor plan of ARCHITECTURE.md, held against `cargo metadata` and the sources.
//! * `tidy`: rules for sources and documents that no compiler checks.
//! * `interop/` (a test binary of its own, `make interop`): real client programs.
//!
//! It is *not* a library: nothing is exported. To add a scenario, write a test in the module of
//! `scenarios` that has its subject; it starts a `Sandbox` of its own and runs beside all others.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod tidy;
