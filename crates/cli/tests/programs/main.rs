//! The two programs as their users meet them.

#[cfg(test)]
mod control;
#[cfg(test)]
mod pool_database;
#[cfg(test)]
mod server;
#[cfg(test)]
mod support;
