//! Whether this member is alive, and whether it should be given work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::sync::watch;

/// Without a beat for this long the process counts as wedged.
const WEDGED_AFTER: Duration = Duration::from_secs(10);

/// What a member is doing. It goes from each to the next, and back to serving when an operator takes a drain back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// Not all roles and listeners are there yet.
    Starting,
    /// Clients are welcome.
    Serving,
    /// It is going away: no new clients.
    Draining,
    /// No client is left: the process ends, or waits for its operator.
    Drained,
}

impl State {
    /// All states, in order.
    pub const ALL: [State; 4] = [State::Starting, State::Serving, State::Draining, State::Drained];

    /// The word in metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Serving => "serving",
            State::Draining => "draining",
            State::Drained => "drained",
        }
    }
}

/// Says what is wrong, or nothing. Runs in the task of the health request: it reads memory and never waits.
type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The health of this member, shared by those who report to it and the listener that shows it.
pub struct Health {
    /// What the member is doing, and since when.
    state: watch::Sender<(State, Instant)>,
    started: Instant,
    /// Milliseconds after `started` at which the process last showed that it runs tasks.
    beat: AtomicU64,
    checks: RwLock<Vec<(&'static str, Check)>>,
}

impl Health {
    /// A member that is starting.
    pub fn new(now: Instant) -> Self {
        Health {
            state: watch::Sender::new((State::Starting, now)),
            started: now,
            beat: AtomicU64::new(0),
            checks: RwLock::new(Vec::new()),
        }
    }

    /// Moves to a state.
    pub fn set_state(&self, state: State) {
        self.state.send_replace((state, Instant::now()));
    }

    /// The present state.
    pub fn state(&self) -> State {
        self.state.borrow().0
    }

    /// The present state and how long it has lasted.
    pub fn state_for(&self, now: Instant) -> (State, Duration) {
        let (state, since) = *self.state.borrow();
        (state, now.saturating_duration_since(since))
    }

    /// Waits until the member is in this state or a later one. It may never be.
    pub async fn reached(&self, state: State) {
        let mut states = self.state.subscribe();
        // Fails only without a sender, and that is ours.
        let _ = states.wait_for(|(present, _)| *present >= state).await;
    }

    /// Waits until the member is in exactly this state. It may never be.
    pub async fn is(&self, state: State) {
        let mut states = self.state.subscribe();
        // As above.
        let _ = states.wait_for(|(present, _)| *present == state).await;
    }

    /// Adds a condition of readiness.
    pub fn add_check(
        &self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.checks.write().push((name, Box::new(check)));
    }

    /// The process runs its tasks. Called every second by a task of its own.
    pub fn beat(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.started).as_millis();
        self.beat
            .store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// False: no task has run for so long that only a restart helps. Depends on no store: an outage of one must not
    /// make an orchestrator restart every member at once.
    pub fn is_alive(&self, now: Instant) -> bool {
        let last = self.started + Duration::from_millis(self.beat.load(Ordering::Relaxed));
        now.saturating_duration_since(last) < WEDGED_AFTER
    }

    /// Every condition of readiness by name, and what is wrong with it.
    pub fn report(&self) -> Vec<(&'static str, Result<(), String>)> {
        let state = match self.state() {
            State::Serving => Ok(()),
            other => Err(other.as_str().to_owned()),
        };
        let checks = self.checks.read();
        let mut report = vec![("state", state)];
        report.extend(checks.iter().map(|(name, check)| (*name, check())));
        report
    }

    /// Whether clients should be sent here.
    pub fn is_ready(&self) -> bool {
        self.report().iter().all(|(_, result)| result.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_ready_only_while_it_serves_and_every_check_holds() {
        let health = Health::new(Instant::now());
        let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = std::sync::Arc::clone(&broken);
        health.add_check("database", move || {
            if seen.load(Ordering::Relaxed) {
                Err("away".to_owned())
            } else {
                Ok(())
            }
        });
        assert!(!health.is_ready(), "starting");
        health.set_state(State::Serving);
        assert!(health.is_ready());
        broken.store(true, Ordering::Relaxed);
        assert!(!health.is_ready(), "a check fails");
        assert_eq!(health.report()[1], ("database", Err("away".to_owned())));
        broken.store(false, Ordering::Relaxed);
        health.set_state(State::Draining);
        assert!(!health.is_ready(), "draining");
    }

    #[test]
    fn a_process_that_runs_no_tasks_is_not_alive() {
        let start = Instant::now();
        let health = Health::new(start);
        assert!(health.is_alive(start + Duration::from_secs(9)));
        assert!(!health.is_alive(start + Duration::from_secs(10)));
        health.beat(start + Duration::from_secs(9));
        assert!(health.is_alive(start + Duration::from_secs(18)));
    }
}
