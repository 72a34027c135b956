//! The connections of one listener, so that a drain can reach them.

use crate::connection::{CloseReason, Connection, ConnectionId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Usable connections by number. Locked once when a connection begins and once when it ends.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<ConnectionId, Arc<Connection>>,
    /// No connection may begin any more.
    stopped: bool,
}

impl Registry {
    /// Adds a connection; one that was still in its handshake when the listener was shut down is closed.
    pub(crate) fn insert(&self, connection: &Arc<Connection>) {
        let mut state = self.state.lock();
        state.connections.insert(connection.id(), Arc::clone(connection));
        if state.stopped {
            drop(state);
            connection.close(CloseReason::Shutdown);
        }
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        let mut state = self.state.lock();
        state.connections.remove(&id);
        // After a storm the map gives its memory back.
        if state.connections.capacity() > 1024 && state.connections.len() < state.connections.capacity() / 8 {
            state.connections.shrink_to_fit();
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
    }

    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.state.lock().connections.values().cloned().collect()
    }
}
