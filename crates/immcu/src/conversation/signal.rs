//! Typing indications: state, not text. At most one per direction and interval leaves; a newer one replaces the one that
//! waits. They never ring and never queue behind messages.

use rpc::{ImMode, Path, Signal, Target};

use super::{Conversation, Side};
use crate::effect::{Call, Event, Purpose, Tell, Turn};
use crate::endpoints::Endpoints;
use crate::timers::Timer;

/// The typing indications for one side.
#[derive(Default, Debug)]
pub(super) struct SignalState {
    /// One was sent a moment ago: the next has to wait.
    quiet: bool,
    pending: Option<Signal>,
}

impl SignalState {
    pub(super) fn is_quiet(&self) -> bool {
        !self.quiet
    }

    pub(super) fn drop_pending(&mut self) {
        self.pending = None;
    }
}

impl Conversation {
    /// Somebody types, or stopped.
    pub(crate) fn signal(&mut self, signal: Signal, turn: &mut Turn<'_>) {
        let from = self.side_of(&signal.from, &signal.from_endpoint, signal.leg);
        if let Some(leg) = signal.leg {
            self.touch(from, leg, turn.now);
        }
        let side = from.other();
        let state = &mut self.party_mut(side).signal;
        if !state.quiet {
            self.pass_on(side, signal, turn);
        } else if state.pending.replace(signal).is_some() {
            turn.count(Event::SignalConflated);
        }
    }

    fn pass_on(&mut self, side: Side, signal: Signal, turn: &mut Turn<'_>) {
        self.party_mut(side).signal.quiet = true;
        self.timers
            .set(turn.now + self.limits.signal_distance, Timer::Signal(side));
        match self.leg_target(side) {
            Some(target) => Self::tell_signal(signal, vec![target], turn),
            None => turn.call(Call::Locate {
                aor: self.aor(side).clone(),
                purpose: Purpose::Signal(side, Box::new(signal)),
            }),
        }
    }

    /// The distance to the last one is kept: what waits may go.
    pub(super) fn signal_due(&mut self, side: Side, turn: &mut Turn<'_>) {
        let state = &mut self.party_mut(side).signal;
        state.quiet = false;
        if let Some(signal) = state.pending.take() {
            self.pass_on(side, signal, turn);
        }
    }

    /// The recipient was looked up: without a session the page-mode endpoints are shown it.
    pub(super) fn signal_located(
        &mut self,
        side: Side,
        signal: Signal,
        endpoints: &Endpoints,
        turn: &mut Turn<'_>,
    ) {
        if let Some(target) = self.leg_target(side) {
            return Self::tell_signal(signal, vec![target], turn);
        }
        let mut targets: Vec<Target> = endpoints
            .of_mode(ImMode::Page, self.except(&signal.from_endpoint))
            .map(|address| Target {
                address: address.clone(),
                path: Path::Page,
            })
            .collect();
        while let Some(first) = targets.first() {
            let member = first.address.member.clone();
            let (here, elsewhere) = targets
                .into_iter()
                .partition(|target| target.address.member == member);
            Self::tell_signal(signal.clone(), here, turn);
            targets = elsewhere;
        }
    }

    fn tell_signal(signal: Signal, targets: Vec<Target>, turn: &mut Turn<'_>) {
        let Some(member) = targets.first().map(|target| target.address.member.clone()) else {
            return;
        };
        turn.count(Event::SignalSent);
        turn.tell(member, Tell::Signal(signal, targets));
    }
}
