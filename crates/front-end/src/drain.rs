//! Moving clients elsewhere, all of them or some: in waves, those first who have been quiet longest.
//!
//! A Lync-family client is told, signs in at another front end, and keeps this connection meanwhile: what is said to it until
//! its new registration takes the place of the old one still goes down here. Any other client finds its connection closed once
//! nothing is under way on it, and comes back by itself.
//!
//! Whoever is let go loses its registrations first and its connection afterwards, under one lock with whatever is sent to it:
//! a message is either on its way, and then waited for, or not sent here at all.

use std::sync::Arc;
use std::time::Duration;

use rpc::ClientFamily;
use sip_core::ServerKey;
use sip_transport::CloseReason;
use sip_types::{HeaderName, Request, StatusCode};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::counters::Refused;
use crate::flow::{Flow, Parting};
use crate::service::FrontEndService;

/// Between two waves.
const WAVE: Duration = Duration::from_secs(1);
/// A wave has at least so many clients: so few do no harm to those they go to, and a small member stops sooner.
const AT_LEAST: usize = 10;
/// How long a client may take to go, and what is under way with it to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so long of it nothing new is begun with it, so that nothing has to be cut off at the end.
const LAST_CALL: Duration = Duration::from_secs(4);
/// How often those who were told are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A client to be moved.
pub(crate) trait Mover {
    /// When it last did something of its own accord.
    fn last_active(&self) -> std::time::Instant;

    /// Tells it to go, in the words of its dialect if there are any. Called once.
    fn tell(&self);

    /// Closes its connection if nothing is under way on it any more, or if it was told [`PATIENCE`] ago. True: it is gone.
    fn let_go(&self, waited: Duration) -> bool;
}

/// Moves clients, `most` at most, spread over `window`. `staying` lists those that were not told to go yet. Returns when none is
/// left to be moved and all who were told have gone: `window` and a few seconds later at the latest if no new ones come. After
/// `enough` nobody more is told.
pub(crate) async fn in_waves<M: Mover>(
    window: Duration,
    most: usize,
    enough: &CancellationToken,
    staying: impl Fn() -> Vec<M>,
) {
    let seconds = usize::try_from(window.as_secs()).unwrap_or(usize::MAX).max(1);
    let wave = staying().len().min(most).div_ceil(seconds).max(AT_LEAST);
    let mut left = most;
    let mut going: Vec<(Instant, M)> = Vec::new();
    let mut next_wave = Instant::now();
    loop {
        let now = Instant::now();
        let over = enough.is_cancelled() || left == 0;
        if now >= next_wave && !over {
            next_wave += WAVE;
            let mut clients = staying();
            if clients.len() > wave.min(left) {
                clients.sort_by_cached_key(Mover::last_active);
                clients.truncate(wave.min(left));
            }
            left -= clients.len();
            for client in clients {
                client.tell();
                going.push((now, client));
            }
        }
        going.retain(|(told, client)| !client.let_go(now - *told));
        if going.is_empty() && (over || left == 0 || staying().is_empty()) {
            return;
        }
        sleep(LOOK).await;
    }
}

/// A signed-in client of this front end.
struct Client {
    service: Arc<FrontEndService>,
    flow: Arc<Flow>,
}

impl Mover for Client {
    fn last_active(&self) -> std::time::Instant {
        self.flow.last_active()
    }

    fn tell(&self) {
        // Somebody else may have told it since it was listed.
        if self.flow.set_parting() {
            self.service.tell_to_go(&self.flow);
        }
    }

    fn let_go(&self, waited: Duration) -> bool {
        if waited >= LAST_CALL {
            self.flow.shut();
        }
        match self.flow.part(waited >= PATIENCE) {
            Parting::NotYet => return false,
            Parting::Gone => {}
            Parting::Now(registrations) => {
                for registration in registrations {
                    self.service
                        .unregister(registration.aor, registration.endpoint, registration.epoch);
                }
                self.flow.close(CloseReason::Shutdown);
            }
        }
        true
    }
}

impl FrontEndService {
    /// Moves `most` of those who are signed in, spread over `window`, until it is `enough`.
    pub(crate) async fn move_clients(
        self: &Arc<Self>,
        window: Duration,
        most: usize,
        enough: &CancellationToken,
    ) {
        in_waves(window, most, enough, || {
            let client = |flow| Client {
                service: Arc::clone(self),
                flow,
            };
            self.staying().map(client).collect()
        })
        .await;
    }

    /// Connections of those who are signed in and were not told to go.
    pub(crate) fn staying(&self) -> impl Iterator<Item = Arc<Flow>> {
        let flows = self.flows.values().into_iter();
        flows.filter(|flow| flow.signed_in().is_some() && !flow.is_parting())
    }

    /// Tells every client whose dialect knows how, and that was not told before, that this member stops, so that it signs in
    /// elsewhere at once instead of waiting for its next request to fail.
    pub(crate) fn farewell(self: &Arc<Self>) {
        for flow in self.flows.values() {
            if !flow.is_parting() {
                self.tell_to_go(&flow);
            }
        }
    }

    fn tell_to_go(self: &Arc<Self>, flow: &Arc<Flow>) {
        self.deactivate_watching(flow);
        for registration in flow.registrations() {
            if registration.client.family == ClientFamily::Lync {
                let why = "the server asks to sign in again";
                self.send_notice(flow, &registration, &registration.aor, "deactivated", why);
            }
        }
    }

    /// Sends somebody away who wants to sign in here: at once, to another front end.
    pub(crate) fn turn_away(&self, flow: &Flow, key: &ServerKey, request: &Request) {
        self.counters.refused(Refused::Draining);
        let reply = request
            .reply(StatusCode::SERVICE_UNAVAILABLE)
            .to_tag(&self.ids.tag())
            .header(HeaderName::RetryAfter, 0);
        flow.respond(self, key, reply.build());
    }
}

#[cfg(test)]
mod tests;
