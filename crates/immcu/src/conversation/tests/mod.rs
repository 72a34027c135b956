//! What a conversation does, case by case. `simulation/` looks for the cases nobody thought of.

mod archive;
mod endpoint;
mod glare;
mod message;
mod receipt;
mod ringing;
mod session;
mod signal;
mod trouble;
