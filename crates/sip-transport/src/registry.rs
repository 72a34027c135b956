//! The connections of one listener, so that a drain can reach them.

use crate::connection::{CloseReason, Connection, ConnectionId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Usable connections by number. Locked once when a connection begins and once when it ends.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    connections: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
    /// Cancelled: no connection may begin any more.
    stop: CancellationToken,
}

impl Registry {
    /// Adds a connection; one that became usable just when the listener was shut down is closed.
    pub(crate) fn insert(&self, connection: &Arc<Connection>) {
        self.connections
            .lock()
            .insert(connection.id(), Arc::clone(connection));
        // Looked at afterwards: whoever stops looks at the connections after saying so, and one of the two sees the other.
        if self.stop.is_cancelled() {
            connection.close(CloseReason::Shutdown);
        }
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        let mut connections = self.connections.lock();
        connections.remove(&id);
        // After a storm the map gives its memory back.
        if connections.capacity() > 1024 && connections.len() < connections.capacity() / 8 {
            connections.shrink_to_fit();
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Done once no connection may begin any more.
    pub(crate) fn stopped(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.connections.lock().values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.lock().len()
    }
}
