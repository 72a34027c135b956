//! What holds for whatever anybody reports.

use proptest::prelude::*;

use super::*;

/// Unix milliseconds.
const NOW: u64 = 1_800_000_000_000;

/// A state of one of three endpoints, or of none, published in one of a few moments so that ties happen.
#[derive(Clone, Debug)]
struct Reported {
    state: StateInput,
    endpoint: Option<EndpointId>,
    published_at: u64,
}

impl Reported {
    fn input(&self) -> Input<'_> {
        Input {
            state: &self.state,
            bound_to: self.endpoint.as_ref(),
            published_at: self.published_at,
        }
    }
}

fn source() -> impl Strategy<Value = Source> {
    prop::sample::select(vec![
        Source::Machine,
        Source::User,
        Source::Calendar,
        Source::OutOfOffice,
        Source::Phone,
        Source::Conference,
    ])
}

fn reported(source: impl Strategy<Value = Source>) -> impl Strategy<Value = Reported> {
    let availability = prop_oneof![
        prop::sample::select(vec![
            0, 3_500, 5_000, 6_500, 6_900, 7_500, 9_500, 12_500, 15_500, 18_500
        ]),
        any::<u16>()
    ];
    let activity = prop::option::of(prop::sample::select(vec!["away", "on-the-phone", "off-work"]));
    let endpoint = prop::option::of(0..3_u8);
    let ago = prop::sample::select(vec![0, 1, 60_000, CHOICE_LAPSES_MS]);
    let starts_in = prop::option::of(-60..60_i64);
    let active_ago = prop::option::of(0..900_u64);
    (
        source,
        availability,
        activity,
        endpoint,
        ago,
        starts_in,
        active_ago,
    )
        .prop_map(
            |(source, availability, activity, endpoint, ago, starts_in, active_ago)| {
                let mut state = StateInput::new(source, Availability(availability));
                state.activity = activity.map(token);
                state.starts_at = starts_in.map(|seconds| (NOW / 1_000).saturating_add_signed(seconds));
                state.last_active = active_ago.map(|seconds| NOW / 1_000 - seconds);
                Reported {
                    state,
                    endpoint: endpoint.map(|n| EndpointId::new(&format!("e{n}"))),
                    published_at: NOW - ago,
                }
            },
        )
}

fn of(reported: &[Reported], now: u64) -> (Aggregate, Option<u64>) {
    let inputs: Vec<Input<'_>> = reported.iter().map(Reported::input).collect();
    aggregate(&inputs, now)
}

const SHOWN: [Availability; 9] = [
    Availability::AVAILABLE,
    Availability::IDLE,
    Availability::BUSY,
    Availability::URGENT_ONLY,
    Availability::BUSY_IDLE,
    Availability::DO_NOT_DISTURB,
    Availability::BE_RIGHT_BACK,
    Availability::AWAY,
    Availability::OFFLINE,
];

proptest! {
    #[test]
    fn the_order_of_the_inputs_does_not_count(
        (all, shuffled) in prop::collection::vec(reported(source()), 0..8)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        prop_assert_eq!(of(&all, NOW), of(&shuffled, NOW));
    }

    #[test]
    fn only_the_nine_numbers_are_shown(all in prop::collection::vec(reported(source()), 0..8)) {
        let (aggregate, _) = of(&all, NOW);
        prop_assert!(SHOWN.contains(&aggregate.availability));
        let workgroup = aggregate.for_workgroup();
        prop_assert!(SHOWN.contains(&workgroup.availability));
        prop_assert_ne!(workgroup.availability, Availability::DO_NOT_DISTURB);
    }

    #[test]
    fn offline_is_who_is_nowhere_or_wants_to_be_seen_so(all in prop::collection::vec(reported(source()), 0..8)) {
        let (aggregate, _) = of(&all, NOW);
        let started = |one: &&Reported| one.state.starts_at.is_none_or(|at| at * 1_000 <= NOW);
        let bound: Vec<&Reported> = all.iter().filter(started).filter(|one| one.endpoint.is_some()).collect();
        let is_machine = |one: &&&Reported| one.state.source == Source::Machine;
        let is_somewhere = bound.iter().any(|one| {
            let mut machines = bound.iter().filter(is_machine).filter(|other| other.endpoint == one.endpoint).peekable();
            machines.peek().is_none() || machines.any(|machine| machine.state.availability.band() != Band::Offline)
        });
        let is_offline = aggregate.availability == Availability::OFFLINE;
        prop_assert_eq!(is_offline, aggregate.is_hidden || !is_somewhere);
    }

    #[test]
    fn what_ranks_lower_never_changes_a_choice(
        chosen in prop::sample::select(vec![6_500, 6_900, 9_500, 12_500, 15_500, 18_500]),
        devices in prop::collection::vec(reported(Just(Source::Machine)), 0..4),
        others in prop::collection::vec(
            reported(prop::sample::select(vec![
                Source::Calendar, Source::OutOfOffice, Source::Phone, Source::Conference,
            ])),
            0..4,
        ),
    ) {
        let choice = Reported {
            state: StateInput::new(Source::User, Availability(chosen)),
            endpoint: None,
            published_at: NOW,
        };
        let mut all = devices;
        // A device of its own, so that the user is somewhere.
        all.push(Reported {
            state: StateInput::new(Source::Machine, Availability::AVAILABLE),
            endpoint: Some(EndpointId::new("desk")),
            published_at: NOW,
        });
        all.push(choice);
        all.extend(others);
        prop_assert_eq!(of(&all, NOW).0.availability, Availability(chosen));
    }

    #[test]
    fn nothing_changes_by_itself_before_it_says_so(
        all in prop::collection::vec(reported(source()), 0..6),
        share in 0.0..1.0_f64,
    ) {
        let (now, next) = of(&all, NOW);
        let next = next.unwrap_or(NOW + 1_000_000_000);
        prop_assert!(next > NOW);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any moment between the two will do")]
        let between = NOW + ((next - NOW - 1) as f64 * share) as u64;
        prop_assert_eq!(of(&all, between).0, now);
    }
}
