//! The role traits as gRPC services: what arrives is decoded, given to the role, and its answer is encoded.

mod directory;
mod presence;
mod registrar;
mod telling;

pub(crate) use directory::DirectoryService;
pub use presence::FOLLOW_BATCH;
pub(crate) use presence::PresenceService;
pub(crate) use registrar::RegistrarService;

use tonic::Status;

use crate::codec::Malformed;
use crate::codec::error::status;

/// The status of a call whose request is malformed.
pub(crate) fn malformed(malformed: Malformed) -> Status {
    status(&malformed.into())
}
