//! Requests of ours on a connection, and who waits for their final responses.

use std::sync::Arc;

use sip_core::ClientKey;
use sip_types::{Request, Response};
use tokio::sync::oneshot;

use super::{Flow, Inner};
use crate::presence::subscription::Subscription;
use crate::service::{FrontEndService, now};

/// Who waits for the final response of a request of ours.
pub(super) enum Waiter {
    Response(oneshot::Sender<Response>),
    /// A subscription, for that of its NOTIFY: it heeds it in the task of the connection, and may send the next one there.
    Subscription(Arc<Subscription>),
}

impl Waiter {
    /// Whether it is given up.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Waiter::Response(sender) => sender.is_closed(),
            Waiter::Subscription(_) => false,
        }
    }
}

/// What a final response is to who asked.
pub(super) enum Answered {
    /// It has it.
    Told,
    /// It is to heed it, without a lock.
    Heeds(Arc<Subscription>, Response),
    /// A repeated 2xx, or one whose wait was given up.
    Again(Response),
}

impl Flow {
    /// Sends a request. The receiver gets the final response; it is dropped when there will be none.
    pub(crate) fn send(
        &self,
        service: &FrontEndService,
        request: Request,
    ) -> (Option<ClientKey>, oneshot::Receiver<Response>) {
        let (sender, receiver) = oneshot::channel();
        // If it is not sent, the dropped sender tells the caller that there will be no answer.
        let key = self.start(service, request, Waiter::Response(sender));
        (key, receiver)
    }

    /// Sends a NOTIFY. The subscription is told the answer, or that there is none by Timer F; if the connection closes, it ends
    /// with that. False: it was not sent, and nothing will be told.
    pub(crate) fn send_notify(
        &self,
        service: &FrontEndService,
        request: Request,
        subscription: &Arc<Subscription>,
    ) -> bool {
        let waiter = Waiter::Subscription(Arc::clone(subscription));
        self.start(service, request, waiter).is_some()
    }

    /// Sends a request; `None`: it was not sent.
    fn start(&self, service: &FrontEndService, request: Request, waiter: Waiter) -> Option<ClientKey> {
        service.counters.request_out(request.method());
        let mut inner = self.inner.lock();
        if inner.gone {
            // Nobody would read the answer.
            return None;
        }
        let key = match inner.transactions.start(&request, now()) {
            Ok(key) => key,
            Err(error) => {
                // A defect of ours.
                tracing::error!(%error, method = %request.method(), "request not sent");
                return None;
            }
        };
        if !self.write_request(&mut inner, request) {
            return None;
        }
        inner.waiting.insert(key.clone(), waiter);
        drop(inner);
        // The connection's task may sleep longer than the new transaction's timer.
        self.connection.wake();
        Some(key)
    }
}

impl Inner {
    /// Hands a final response to whoever waits for it.
    pub(super) fn answer(&mut self, key: &ClientKey, response: Response) -> Answered {
        match self.waiting.remove(key) {
            Some(Waiter::Response(sender)) => match sender.send(response) {
                Ok(()) => Answered::Told,
                Err(response) => Answered::Again(response),
            },
            Some(Waiter::Subscription(subscription)) => Answered::Heeds(subscription, response),
            None => Answered::Again(response),
        }
    }
}
