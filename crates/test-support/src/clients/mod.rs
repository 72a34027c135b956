//! Drivers for real client programs. Each starts the program with a throw-away home directory, waits
//! for what it reports, and ends it by its process id when dropped.
//!
//! `tests/interop/install.sh` installs the programs.

mod baresip;
mod linphone;
mod lyncdrive;
mod program;
mod sipp;

pub use baresip::Baresip;
pub use linphone::Linphone;
pub use lyncdrive::Lyncdrive;
pub use program::Program;
pub use sipp::{Sipp, SippRun};
