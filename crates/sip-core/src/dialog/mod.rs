//! Dialogs: RFC 3261 section 12.

mod id;
mod route_set;
mod state;

pub use id::DialogId;
pub use route_set::RouteSet;
pub use state::{Dialog, DialogError, DialogState, OutOfOrder};
