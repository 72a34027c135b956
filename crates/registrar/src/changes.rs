//! Tells watchers that bindings changed.

use parking_lot::Mutex;
use rpc::RegistrarChange;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Changes a receiver may lag behind by. One that falls further behind loses its stream: it must drop its caches and ask
/// again, which is cheaper than keeping what it did not read.
const BOUND: usize = 1_024;

/// Everybody who wants to know of changes.
#[derive(Default)]
pub(crate) struct Watchers {
    senders: Mutex<Vec<mpsc::Sender<RegistrarChange>>>,
}

impl Watchers {
    pub(crate) fn watch(&self) -> ReceiverStream<RegistrarChange> {
        let (sender, receiver) = mpsc::channel(BOUND);
        self.senders.lock().push(sender);
        ReceiverStream::new(receiver)
    }

    /// Passes a change on to everybody who keeps up.
    pub(crate) fn publish(&self, change: RegistrarChange) {
        // A dropped sender ends its stream after what is queued was read.
        self.senders
            .lock()
            .retain(|sender| sender.try_send(change.clone()).is_ok());
    }

    /// Ends every stream; nothing is published any more.
    pub(crate) fn close(&self) {
        self.senders.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use sip_types::AddressOfRecord;
    use tokio_stream::StreamExt;

    use super::*;

    fn change() -> RegistrarChange {
        RegistrarChange::Account(AddressOfRecord::parse("alice@example.test").unwrap())
    }

    #[tokio::test]
    async fn every_watcher_gets_every_change() {
        let watchers = Watchers::default();
        let (mut one, mut other) = (watchers.watch(), watchers.watch());
        watchers.publish(change());
        assert!(one.next().await.is_some());
        assert!(other.next().await.is_some());
        watchers.close();
        assert!(one.next().await.is_none());
    }

    #[tokio::test]
    async fn one_that_lags_loses_its_stream_and_the_others_do_not_notice() {
        let watchers = Watchers::default();
        let slow = watchers.watch();
        let mut quick = watchers.watch();
        for _ in 0..=BOUND {
            watchers.publish(change());
            assert!(quick.next().await.is_some());
        }
        assert_eq!(
            slow.fold(0, |count, _| count + 1).await,
            BOUND,
            "what was queued, then the end"
        );
        assert_eq!(watchers.senders.lock().len(), 1);
    }
}
