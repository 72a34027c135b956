//! How a member stops: what it owns and its clients go to others first, where there are others.
//!
//! ```text
//!   not ready, `drain` to balancers, lease says so: what is owned begins to move   at once
//!   served as before, also new clients                                             drain.grace   only if clients
//!   nobody signs in any more, clients are moved in waves                           drain.window  can go elsewhere
//!   port closed, accepted requests answered, who is left told, connections closed
//!   the rest handed over, lease given back, tasks ended
//! ```

use std::time::Duration;

use front_end::FrontEnd;
use sip_transport::CloseReason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use topology::Role;

use super::Running;
use super::others::Others;
use crate::health::State;

/// Time for requests that were accepted to get their answers.
const ANSWERS: Duration = Duration::from_secs(5);
/// Time for clients to answer that they know that this server stops. The notices themselves need none: a connection takes
/// what is queued for it before it closes.
const FAREWELL: Duration = Duration::from_millis(500);
/// Time for connections to take what is queued for them and go.
const CONNECTIONS: Duration = Duration::from_secs(10);
/// Time to hand over what this member owns.
const HAND_OVER: Duration = Duration::from_secs(20);
/// Time for everything else.
const REST: Duration = Duration::from_secs(5);
/// Time for the store of leases to be told: the telling goes on if it takes longer.
const WORD: Duration = Duration::from_secs(1);
/// What is kept of the limit for the steps after the waves.
const AFTERWARDS: Duration = Duration::from_secs(20);

impl Running {
    /// Stops gracefully: not ready, clients moved to other front ends if there are any, no new connections, accepted requests
    /// answered, clients told, connections closed, what is owned handed over, everything else ended. Each step has a deadline,
    /// and all have `drain.limit`; what misses it is cut off and logged. Without other front ends, or after
    /// [`DrainRequest::hurry`](crate::DrainRequest::hurry), it takes 23 s at most, and 20 s more in a pool.
    pub async fn stop(self) {
        tracing::info!("stopping");
        let deadline = Instant::now() + self.pace.limit;
        // An operator's drain has had its time already, as far as it went.
        if !self.drain.unless_hurried(self.drainer.end()).await {
            tracing::warn!("told to hurry: clients on their way elsewhere are not waited for");
        }
        let (state, lasted) = self.health.state_for(std::time::Instant::now());
        let grace = match state {
            State::Drained => Duration::ZERO,
            State::Draining => self.pace.grace.saturating_sub(lasted),
            State::Starting | State::Serving => self.pace.grace,
        };
        if state < State::Draining {
            self.health.set_state(State::Draining);
        }
        if let Some(health) = &self.rpc_health {
            health.set_all(false).await;
        }
        if let Some(member) = &self.member {
            within(WORD, member.membership.hand_over()).await;
        }
        if let Some(front_end) = &self.front_end {
            let others = self
                .member
                .as_ref()
                .map(|member| Others(member.membership.clone()));
            if let Some(others) = others.filter(|others| others.run(Role::FrontEnd)) {
                self.move_clients(front_end, &others, grace, deadline - AFTERWARDS)
                    .await;
            }
            for listener in &*self.listeners {
                listener.shutdown();
            }
            self.say_goodbye(front_end, deadline).await;
        }
        self.health.set_state(State::Drained);
        if let Some(member) = &self.member {
            let drained = member.membership.drain(HAND_OVER.min(left(deadline))).await;
            if drained.left > 0 {
                tracing::warn!(left = drained.left, "some partitions were not handed over");
            }
            member.stop_serving();
        }
        self.end_rest(deadline).await;
        tracing::info!("stopped");
        if let Some(exporter) = &self.exporter {
            exporter.stop().await;
        }
    }

    /// Waits for balancers to notice, and moves all clients to other front ends, as long as there are any and there is time
    /// for it.
    async fn move_clients(&self, front_end: &FrontEnd, others: &Others, grace: Duration, deadline: Instant) {
        let never = CancellationToken::new();
        let move_all = async {
            let moved = async {
                tokio::time::sleep(grace).await;
                front_end.turn_away();
                tracing::info!(connections = front_end.connections(), "moving clients elsewhere");
                front_end.move_clients(self.pace.window, usize::MAX, &never).await;
            };
            tokio::select! {
                () = moved => {}
                // The whole pool stops, or the others died: nobody would take them.
                () = others.until(false, Role::FrontEnd) => tracing::info!("there is no other front end any more"),
            }
        };
        let in_time = async {
            if tokio::time::timeout_at(deadline, move_all).await.is_err() {
                tracing::warn!(
                    connections = front_end.connections(),
                    "some clients were not moved in time"
                );
            }
        };
        if !self.drain.unless_hurried(in_time).await {
            tracing::warn!(
                connections = front_end.connections(),
                "told to hurry: clients are not moved but told"
            );
        }
        front_end.turn_away();
    }

    /// Answers what was accepted, tells clients, and closes their connections.
    async fn say_goodbye(&self, front_end: &FrontEnd, deadline: Instant) {
        // Requests in flight, while their connections still stand.
        if !within(ANSWERS.min(left(deadline)), front_end.finish()).await {
            tracing::warn!("some requests were not answered in time");
        }
        front_end.farewell();
        if front_end.connections() > 0 {
            tokio::time::sleep(FAREWELL).await;
        }
        for listener in &*self.listeners {
            listener.close_all(CloseReason::Shutdown);
        }
        if !within(CONNECTIONS.min(left(deadline)), self.transport.finished()).await {
            tracing::warn!(connections = front_end.connections(), "connections cut off");
        }
    }

    /// Ends what neither clients nor other members see.
    async fn end_rest(&self, deadline: Instant) {
        let rest = async {
            // What the end of the connections has started: sign-outs, ends of sessions.
            if let Some(front_end) = &self.front_end {
                front_end.finish().await;
            }
            if let Some(immcu) = &self.immcu {
                immcu.stop().await;
            }
            if let Some(presence) = &self.presence {
                presence.stop().await;
            }
            if let Some(registrar) = &self.registrar {
                registrar.close_watchers();
            }
            self.background.stop.cancel();
            self.background.tasks.close();
            self.background.tasks.wait().await;
            if let Some(database) = &self.database {
                database.close().await;
            }
        };
        if !within(REST.min(left(deadline)), rest).await {
            tracing::warn!("some tasks were cut off");
            if let Some(immcu) = &self.immcu {
                immcu.abort();
            }
        }
    }
}

/// Time until then; a second at least, so that nothing is given up without a try.
fn left(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_secs(1))
}

/// Whether something was done in time.
async fn within(deadline: Duration, what: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(deadline, what).await.is_ok()
}
