//! What others changed in a directory: so that whoever caches from a shared one drops what is old.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sip_types::AddressOfRecord;

use crate::StoreError;

/// Something is not as it was. It says where to look, not what is there now: whoever gets it reads the store again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum StoreChange {
    /// This account, its credentials or its grants: made, changed or removed.
    Account(AddressOfRecord),
    /// Policies. Grants that ended with a policy are told as [`StoreChange::Account`] beside it.
    Policies,
    /// The organisational group of this address: made, changed or removed.
    Group(AddressOfRecord),
    /// Anything: changes may have been missed.
    Everything,
}

/// Changes as they happen.
pub type StoreChanges = BoxStream<'static, StoreChange>;

/// Tells of changes of accounts, policies and groups, whoever made them: the caller too, so acting on a change twice must do no harm.
#[async_trait]
pub trait ChangeFeed: Send + Sync + 'static {
    /// Follows changes from now on: each one committed after this call returned is yielded, at least once. Where the
    /// stream may have missed one (its connection was lost) it yields [`StoreChange::Everything`] once it hears again. It
    /// does not end while the store is open, and keeps nothing for a reader that does not ask.
    ///
    /// # Errors
    /// [`StoreError::Driver`]: the store can not be reached.
    async fn watch(&self) -> Result<StoreChanges, StoreError>;
}
