//! Where a user can be reached, as far as a conversation cares.

use std::sync::Arc;

use rpc::{Binding, EndpointAddress, EndpointId, ImMode};

/// The live endpoints of one user at the time of a lookup, oldest first.
#[derive(Clone, Default, Debug)]
pub(crate) struct Endpoints(Arc<[Binding]>);

impl Endpoints {
    pub(crate) fn new(bindings: Arc<[Binding]>) -> Self {
        Endpoints(bindings)
    }

    /// Only this one of them, when its own address was called.
    pub(crate) fn only(&self, endpoint: &EndpointId) -> Self {
        Endpoints(self.binding(endpoint).cloned().into_iter().collect())
    }

    /// Only this one of them, outside any session, when a message was sent to its own address: a session would be offered
    /// to the whole user. If it holds the session already the message goes there all the same.
    pub(crate) fn only_copy(&self, endpoint: &EndpointId) -> Self {
        let outside = |binding: &Binding| Binding {
            mode: ImMode::Page,
            ..binding.clone()
        };
        Endpoints(self.binding(endpoint).map(outside).into_iter().collect())
    }

    /// The address of one endpoint.
    pub(crate) fn find(&self, endpoint: &EndpointId) -> Option<&EndpointAddress> {
        self.binding(endpoint).map(|binding| &binding.address)
    }

    /// How one endpoint takes part; `None` if it is not there.
    pub(crate) fn mode(&self, endpoint: &EndpointId) -> Option<ImMode> {
        self.binding(endpoint).map(|binding| binding.mode)
    }

    /// The endpoints of one mode, without the one a message came from.
    pub(crate) fn of_mode<'a>(
        &'a self,
        mode: ImMode,
        except: Option<&'a EndpointId>,
    ) -> impl Iterator<Item = &'a EndpointAddress> + 'a {
        self.0
            .iter()
            .filter(move |binding| binding.mode == mode && Some(&binding.address.endpoint) != except)
            .map(|binding| &binding.address)
    }

    /// Whether there is an endpoint of this mode, without the one a message came from.
    pub(crate) fn has(&self, mode: ImMode, except: Option<&EndpointId>) -> bool {
        self.of_mode(mode, except).next().is_some()
    }

    fn binding(&self, endpoint: &EndpointId) -> Option<&Binding> {
        self.0
            .iter()
            .find(|binding| binding.address.endpoint == *endpoint)
    }
}
