//! Follows what others change in the stores this registrar caches from: one task.
//!
//! Changes of this registrar's own come back the same way. So obeying one only ever compares with what is stored **now**:
//! an account that was disabled and enabled again is left alone, and one whose sessions are ended has none to end twice.
//! Whatever could not be obeyed is made up for by looking at everything.

use std::sync::Arc;
use std::time::Duration;

use rpc::{Error, ErrorCode, RegistrarChange};
use sip_types::AddressOfRecord;
use store::{StoreChange, StoreChanges};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::service::Inner;

/// How long to wait after a store failed.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until `stop`.
pub(crate) async fn run(inner: Arc<Inner>, changes: StoreChanges, stop: CancellationToken) {
    stop.run_until_cancelled(follow(&inner, changes)).await;
}

async fn follow(inner: &Inner, mut changes: StoreChanges) {
    loop {
        let mut change = match changes.next().await {
            Some(change) => change,
            None => {
                changes = watch_again(inner).await;
                StoreChange::Everything
            }
        };
        while let Err(error) = inner.obey(&change).await {
            tracing::warn!(
                error = error.message,
                "a change made by others could not be followed yet"
            );
            tokio::time::sleep(RETRY).await;
            change = StoreChange::Everything;
        }
    }
}

/// A stream does not end while its store is there; if one does, caches must not grow old behind it.
async fn watch_again(inner: &Inner) -> StoreChanges {
    loop {
        tokio::time::sleep(RETRY).await;
        match inner.stores.changes.watch().await {
            Ok(changes) => return changes,
            Err(error) => tracing::warn!(%error, "changes made by others are not heard"),
        }
    }
}

impl Inner {
    async fn obey(&self, change: &StoreChange) -> Result<(), Error> {
        match change {
            StoreChange::Account(aor) => {
                // Before bindings end: see `check_still_allowed`.
                self.accounts.forget(aor);
                self.look_at(aor).await
            }
            StoreChange::Policies => {
                self.engine.refresh().await?;
                self.watchers.publish(RegistrarChange::Policies);
                Ok(())
            }
            StoreChange::Group(address) => {
                self.watchers
                    .publish(RegistrarChange::Group(Some(address.clone())));
                Ok(())
            }
            StoreChange::Everything => {
                self.accounts.forget_all();
                self.engine.refresh().await?;
                self.watchers.publish(RegistrarChange::Policies);
                self.watchers.publish(RegistrarChange::Group(None));
                // One after the other: the store may just have come back, and everybody asks it now.
                for aor in self.locations.users() {
                    self.look_at(&aor).await?;
                }
                Ok(())
            }
        }
    }

    /// Does for an account what a change of it here would have done.
    async fn look_at(&self, aor: &AddressOfRecord) -> Result<(), Error> {
        match self.accounts.get(aor).await? {
            Some(known) if known.stored.account.enabled => {
                self.locations.rename(aor, &known.display_name);
                self.watchers.publish(RegistrarChange::Account(aor.clone()));
            }
            _ => {
                match self.end_all(aor, None).await {
                    // Somebody else's user: its registrar hears the same and ends the bindings.
                    Err(error) if error.code == ErrorCode::Unavailable => {}
                    ended => drop(ended?),
                }
                self.announce_account_ended(aor);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
