//! The two programs as their users meet them.

#[cfg(test)]
mod control;
#[cfg(test)]
mod server;
#[cfg(test)]
mod support;
