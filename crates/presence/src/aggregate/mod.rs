//! Makes one state of what all sources report. `docs/presence.md` has the table, and `tests.rs` its rows.
//!
//! A function of its inputs and the time, nothing else: the order of the inputs does not count.

use std::cmp::Reverse;

use rpc::EndpointId;
use rpc::presence::{Activity, Availability, Band, Source, StateInput};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// The user's choices busy and do-not-disturb end after this long, milliseconds.
pub(crate) const CHOICE_LAPSES_MS: u64 = 24 * 60 * 60 * 1_000;

/// A device that tells when somebody was last at it is inactive this long afterwards, milliseconds.
pub(crate) const INACTIVE_AFTER_MS: u64 = 5 * 60 * 1_000;

/// And its user is away this long afterwards, milliseconds.
pub(crate) const AWAY_AFTER_MS: u64 = 10 * 60 * 1_000;

/// One state with what the pool knows of its publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// What is reported.
    pub(crate) state: &'a StateInput,
    /// The endpoint it ends with; `None`: it does not end with an endpoint.
    pub(crate) bound_to: Option<&'a EndpointId>,
    /// Unix milliseconds.
    pub(crate) published_at: u64,
}

/// What all inputs together say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Aggregate {
    pub(crate) availability: Availability,
    pub(crate) activity: Option<Activity>,
    /// Since when, Unix milliseconds; `None`: since nobody is there.
    pub(crate) since: Option<u64>,
    /// When somebody was last seen at a device, Unix seconds.
    pub(crate) last_active: Option<u64>,
    pub(crate) location: Option<String>,
    pub(crate) meeting_subject: Option<String>,
    /// The user chose to appear offline: nothing may give away that somebody is there.
    pub(crate) is_hidden: bool,
    /// The row of the table in `docs/presence.md` that gave this.
    pub(crate) row: u8,
}

impl Aggregate {
    /// Nobody is there.
    pub(crate) fn nobody() -> Self {
        Aggregate::offline(None, false, 1)
    }

    fn offline(since: Option<u64>, is_hidden: bool, row: u8) -> Self {
        Aggregate {
            availability: Availability::OFFLINE,
            activity: None,
            since,
            last_active: None,
            location: None,
            meeting_subject: None,
            is_hidden,
            row,
        }
    }

    /// The same for those who may interrupt somebody who does not want to be disturbed.
    pub(crate) fn for_workgroup(mut self) -> Self {
        if self.availability.band() == Band::DoNotDisturb {
            self.availability = Availability::URGENT_ONLY;
            self.activity
                .get_or_insert_with(|| token("urgent-interruptions-only"));
        }
        self
    }
}

fn token(token: &str) -> Activity {
    Activity::Token(token.into())
}

/// How active a device is: the smallest wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Machine {
    Active,
    Inactive,
    Unknown,
    Away,
    Off,
}

/// A device at a moment.
#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    machine: Machine,
    /// Unix milliseconds.
    since: u64,
    input: Input<'a>,
}

/// What the user wants to be seen as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    /// Back to whatever the other sources say.
    Reset,
    Busy,
    DoNotDisturb,
    BeRightBack,
    Away,
    Offline,
}

impl Choice {
    fn of(availability: Availability) -> Option<Self> {
        match availability.band() {
            Band::Undefined => None,
            Band::Available | Band::Idle => Some(Choice::Reset),
            Band::Busy | Band::BusyIdle => Some(Choice::Busy),
            Band::DoNotDisturb => Some(Choice::DoNotDisturb),
            Band::BeRightBack => Some(Choice::BeRightBack),
            Band::Away => Some(Choice::Away),
            Band::Offline => Some(Choice::Offline),
        }
    }

    fn lapses(self) -> bool {
        matches!(self, Choice::Busy | Choice::DoNotDisturb)
    }
}

/// Notes when the result may change by itself.
struct Clock {
    now: u64,
    next: Option<u64>,
}

impl Clock {
    /// Whether this moment has come. If not, it is one to look again.
    fn has_come(&mut self, at: u64) -> bool {
        if at <= self.now {
            return true;
        }
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        false
    }
}

/// What the inputs say at `now` (Unix milliseconds), and when they will say something else by themselves.
pub(crate) fn aggregate(inputs: &[Input<'_>], now: u64) -> (Aggregate, Option<u64>) {
    let mut clock = Clock { now, next: None };
    let inputs: Vec<Input<'_>> = inputs
        .iter()
        .copied()
        .filter(|input| {
            let starts_at = input.state.starts_at.unwrap_or(0).saturating_mul(1_000);
            clock.has_come(starts_at)
        })
        .collect();
    let seen = most_active(&inputs, &mut clock);
    let choice = choice(&inputs, &mut clock);
    let busy_maker = busy_maker(&inputs);
    let away = inputs
        .iter()
        .filter(|input| input.state.source == Source::OutOfOffice)
        .max_by_key(|input| order(input));
    (combine(&inputs, seen, choice, busy_maker, away), clock.next)
}

fn combine(
    inputs: &[Input<'_>],
    seen: Option<Seen<'_>>,
    choice: Option<(Choice, &Input<'_>)>,
    busy_maker: Option<&Input<'_>>,
    out_of_office: Option<&Input<'_>>,
) -> Aggregate {
    if let Some((Choice::Offline, input)) = choice {
        return Aggregate::offline(Some(input.published_at), true, 7);
    }
    let Some(seen) = seen else {
        return Aggregate::nobody();
    };
    if seen.machine == Machine::Off {
        return Aggregate::offline(None, false, 2);
    }
    let mut result = Aggregate {
        location: seen.input.state.location.clone(),
        last_active: inputs
            .iter()
            .filter(|input| input.state.source == Source::Machine && input.bound_to.is_some())
            .filter_map(|input| input.state.last_active)
            .max(),
        ..Aggregate::nobody()
    };
    match choice {
        None | Some((Choice::Reset, _)) => {
            let words = choice.and_then(|(_, input)| input.state.activity.clone());
            match busy_maker {
                Some(input) => be_busy(&mut result, input, seen.machine, words),
                None => be_at_machine(&mut result, &seen, out_of_office, words),
            }
        }
        Some((choice, input)) => be_as_chosen(&mut result, choice, input, seen.machine, busy_maker),
    }
    result
}

/// The user chose nothing, and no source says busy.
fn be_at_machine(
    result: &mut Aggregate,
    seen: &Seen<'_>,
    out_of_office: Option<&Input<'_>>,
    words: Option<Activity>,
) {
    result.since = Some(seen.since);
    result.availability = match seen.machine {
        Machine::Active => Availability::AVAILABLE,
        Machine::Inactive => Availability::IDLE,
        Machine::Unknown | Machine::Away | Machine::Off => Availability::AWAY,
    };
    result.row = match (&words, out_of_office, seen.machine) {
        (Some(_), ..) => 21,
        (None, Some(_), _) => 20,
        (None, None, Machine::Active) => 3,
        (None, None, Machine::Inactive) => 4,
        (None, None, Machine::Unknown) => 5,
        (None, None, Machine::Away | Machine::Off) => 6,
    };
    let is_away = result.availability == Availability::AWAY;
    result.activity = words
        .or_else(|| {
            let input = out_of_office?;
            Some(
                input
                    .state
                    .activity
                    .clone()
                    .unwrap_or_else(|| token("out-of-office")),
            )
        })
        .or_else(|| seen.input.state.activity.clone())
        .or_else(|| is_away.then(|| token("away")));
}

/// Calendar, phone or conference say busy, and the user chose nothing.
fn be_busy(result: &mut Aggregate, input: &Input<'_>, machine: Machine, words: Option<Activity>) {
    let starts_at = input.state.starts_at.unwrap_or(0).saturating_mul(1_000);
    result.since = Some(input.published_at.max(starts_at));
    let is_idle = input.state.source == Source::Calendar && machine != Machine::Active;
    result.availability = match input.state.availability.band() {
        Band::DoNotDisturb => Availability::DO_NOT_DISTURB,
        _ if is_idle => Availability::BUSY_IDLE,
        _ => Availability::BUSY,
    };
    result.row = match (result.availability, input.state.source) {
        (Availability::DO_NOT_DISTURB, _) => 19,
        (_, Source::Conference) => 18,
        (_, Source::Phone) => 17,
        _ if is_idle => 16,
        _ => 15,
    };
    result.activity = words.or_else(|| activity_of(input));
    add_meeting(result, input);
}

fn be_as_chosen(
    result: &mut Aggregate,
    choice: Choice,
    input: &Input<'_>,
    machine: Machine,
    busy_maker: Option<&Input<'_>>,
) {
    result.since = Some(input.published_at);
    result.activity = input.state.activity.clone();
    match choice {
        Choice::Busy => {
            // What keeps the user busy explains the choice; it never changes it.
            let why = busy_maker.filter(|why| why.state.availability.band() != Band::DoNotDisturb);
            let is_at_it = machine == Machine::Active
                || why.is_some_and(|why| matches!(why.state.source, Source::Phone | Source::Conference));
            result.availability = match input.state.availability {
                Availability::URGENT_ONLY => Availability::URGENT_ONLY,
                _ if is_at_it => Availability::BUSY,
                _ => Availability::BUSY_IDLE,
            };
            result.row = match result.availability {
                Availability::URGENT_ONLY => 14,
                Availability::BUSY_IDLE => 13,
                _ if why.is_some() => 12,
                _ => 11,
            };
            if result.availability == Availability::URGENT_ONLY {
                result
                    .activity
                    .get_or_insert_with(|| token("urgent-interruptions-only"));
            } else if let (None, Some(why)) = (&result.activity, why) {
                result.activity = activity_of(why);
                add_meeting(result, why);
            }
        }
        Choice::DoNotDisturb => {
            result.row = 8;
            result.availability = Availability::DO_NOT_DISTURB;
        }
        Choice::BeRightBack => {
            result.row = 9;
            result.availability = Availability::BE_RIGHT_BACK;
            result.activity.get_or_insert_with(|| token("be-right-back"));
        }
        Choice::Away => {
            result.row = 10;
            result.availability = Availability::AWAY;
            result.activity.get_or_insert_with(|| token("away"));
        }
        // Both were dealt with: the first is no choice, the second hides everything.
        Choice::Reset | Choice::Offline => {}
    }
}

fn add_meeting(result: &mut Aggregate, input: &Input<'_>) {
    if input.state.source == Source::Calendar {
        result.meeting_subject.clone_from(&input.state.meeting_subject);
        if let Some(place) = &input.state.meeting_location {
            result.location = Some(place.clone());
        }
    }
}

/// What a source that says busy is called, if it gives no word of its own.
fn activity_of(input: &Input<'_>) -> Option<Activity> {
    input.state.activity.clone().or_else(|| {
        let is_dnd = input.state.availability.band() == Band::DoNotDisturb;
        match input.state.source {
            Source::Conference if is_dnd => Some(token("in-presentation")),
            Source::Conference => Some(token("in-a-conference")),
            Source::Phone => Some(token("on-the-phone")),
            Source::Calendar => Some(token("in-a-meeting")),
            Source::Machine | Source::User | Source::OutOfOffice => None,
        }
    })
}

/// The device somebody is most likely at. An endpoint that says nothing of its device, but something else, is active.
fn most_active<'a>(inputs: &[Input<'a>], clock: &mut Clock) -> Option<Seen<'a>> {
    let says_machine = |endpoint: &EndpointId| -> bool {
        inputs
            .iter()
            .any(|input| input.state.source == Source::Machine && input.bound_to == Some(endpoint))
    };
    let mut best: Option<Seen<'a>> = None;
    for input in inputs {
        let Some(endpoint) = input.bound_to else { continue };
        let seen = match input.state.source {
            Source::Machine => machine(*input, clock),
            _ if says_machine(endpoint) => continue,
            _ => Seen {
                machine: Machine::Active,
                since: input.published_at,
                input: Input {
                    state: &NOTHING_SAID,
                    ..*input
                },
            },
        };
        let key = |seen: &Seen<'a>| {
            (
                seen.machine,
                Reverse(seen.input.state.last_active),
                Reverse(order(&seen.input)),
                seen.input.bound_to,
            )
        };
        if best.as_ref().is_none_or(|best| key(&seen) < key(best)) {
            best = Some(seen);
        }
    }
    best
}

/// The device of an endpoint that does not speak of it.
static NOTHING_SAID: StateInput = StateInput::new(Source::Machine, Availability::AVAILABLE);

/// How active a device is now. Only one that tells when somebody was at it grows idle by itself.
fn machine<'a>(input: Input<'a>, clock: &mut Clock) -> Seen<'a> {
    let said = match input.state.availability.band() {
        Band::Available | Band::Busy | Band::DoNotDisturb => Machine::Active,
        Band::Idle | Band::BusyIdle => Machine::Inactive,
        Band::Undefined => Machine::Unknown,
        Band::BeRightBack | Band::Away => Machine::Away,
        Band::Offline => Machine::Off,
    };
    let mut seen = Seen {
        machine: said,
        since: input.published_at,
        input,
    };
    if let (Machine::Active | Machine::Inactive, Some(last_active)) = (said, input.state.last_active) {
        let last_active = last_active.saturating_mul(1_000);
        let away_at = last_active.saturating_add(AWAY_AFTER_MS);
        let inactive_at = last_active.saturating_add(INACTIVE_AFTER_MS);
        if clock.has_come(away_at) {
            seen.machine = Machine::Away;
            seen.since = seen.since.max(away_at);
        } else if said == Machine::Active && clock.has_come(inactive_at) {
            seen.machine = Machine::Inactive;
            seen.since = seen.since.max(inactive_at);
        }
    }
    seen
}

/// The newest choice of the user that counts still.
fn choice<'a, 'b>(inputs: &'b [Input<'a>], clock: &mut Clock) -> Option<(Choice, &'b Input<'a>)> {
    let mut newest: Option<(Choice, &'b Input<'a>)> = None;
    for input in inputs.iter().filter(|input| input.state.source == Source::User) {
        let Some(choice) = Choice::of(input.state.availability) else {
            continue;
        };
        if choice.lapses() && clock.has_come(input.published_at.saturating_add(CHOICE_LAPSES_MS)) {
            continue;
        }
        if newest.is_none_or(|(_, newest)| order(input) > order(newest)) {
            newest = Some((choice, input));
        }
    }
    newest
}

/// The strongest of calendar, phone and conference that says busy: do-not-disturb before busy, then by rank, then the newest.
fn busy_maker<'a, 'b>(inputs: &'b [Input<'a>]) -> Option<&'b Input<'a>> {
    inputs
        .iter()
        .filter_map(|input| {
            let rank = match input.state.source {
                Source::Calendar => 0,
                Source::Phone => 1,
                Source::Conference => 2,
                Source::Machine | Source::User | Source::OutOfOffice => return None,
            };
            match input.state.availability.band() {
                Band::DoNotDisturb => Some((true, rank, input)),
                Band::Busy | Band::BusyIdle => Some((false, rank, input)),
                _ => None,
            }
        })
        .max_by_key(|(is_dnd, rank, input)| (*is_dnd, *rank, order(input)))
        .map(|(.., input)| input)
}

/// A total order of inputs of one source, oldest first, so that the result never depends on the order they come in.
fn order<'a>(input: &Input<'a>) -> (u64, Availability, Option<&'a EndpointId>, Words<'a>) {
    let state = input.state;
    let activity = match &state.activity {
        None => (0, "", 0),
        Some(Activity::Token(token)) => (1, &**token, 0),
        Some(Activity::Custom(texts)) => match texts.first() {
            None => (2, "", 0),
            Some(first) => (3, first.text.as_str(), first.lcid),
        },
    };
    (
        input.published_at,
        state.availability,
        input.bound_to,
        (
            activity,
            state.location.as_deref(),
            state.meeting_subject.as_deref(),
            state.meeting_location.as_deref(),
            state.last_active,
        ),
    )
}

type Words<'a> = (
    (u8, &'a str, u32),
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<u64>,
);
