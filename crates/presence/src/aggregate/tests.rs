//! The rows of the table in `docs/presence.md`, in its order.

use rpc::presence::CustomText;

use super::*;

/// Unix milliseconds at which everything happens unless a row says otherwise.
const NOW: u64 = 1_800_000_000_000;

/// What a row gives: availability and token, empty for none.
type Result = (u16, &'static str);

fn state(source: Source, availability: u16) -> StateInput {
    StateInput::new(source, Availability(availability))
}

fn machine(availability: u16) -> StateInput {
    state(Source::Machine, availability)
}

fn user(availability: u16) -> StateInput {
    state(Source::User, availability)
}

fn calendar(availability: u16) -> StateInput {
    state(Source::Calendar, availability)
}

fn phone() -> StateInput {
    state(Source::Phone, 6_500)
}

fn conference(availability: u16) -> StateInput {
    state(Source::Conference, availability)
}

fn out_of_office() -> StateInput {
    state(Source::OutOfOffice, 15_500)
}

fn endpoint() -> EndpointId {
    EndpointId::new("e1")
}

/// All states from endpoints of their own, published at [`NOW`]; what the user chose is bound to none.
fn of(states: &[StateInput]) -> Aggregate {
    let endpoints: Vec<EndpointId> = (0..states.len())
        .map(|n| EndpointId::new(&format!("e{n}")))
        .collect();
    // One endpoint has all but machine states, so that these do not count as devices of their own.
    let inputs: Vec<Input<'_>> = states
        .iter()
        .zip(&endpoints)
        .map(|(state, endpoint)| Input {
            state,
            bound_to: match state.source {
                Source::Machine => Some(endpoint),
                _ => None,
            },
            published_at: NOW,
        })
        .collect();
    aggregate(&inputs, NOW).0
}

fn seen(aggregate: &Aggregate) -> (u16, String) {
    let word = match &aggregate.activity {
        None => String::new(),
        Some(Activity::Token(token)) => token.to_string(),
        Some(Activity::Custom(texts)) => format!("custom:{}", texts[0].text),
    };
    (aggregate.availability.0, word)
}

fn check(rows: &[(&str, &[StateInput], Result)]) {
    for (row, states, (availability, word)) in rows {
        let aggregate = of(states);
        assert_eq!(seen(&aggregate), (*availability, (*word).to_owned()), "{row}");
        assert_eq!(aggregate.row.to_string(), *row, "{states:?}");
    }
}

#[test]
fn nobody_signed_in_is_offline_whatever_else_is_said() {
    check(&[
        ("1", &[], (18_500, "")),
        ("1", &[user(6_500)], (18_500, "")),
        ("1", &[user(3_500), phone(), calendar(6_500)], (18_500, "")),
        ("2", &[machine(18_500), user(6_500)], (18_500, "")),
    ]);
}

#[test]
fn the_most_active_device_counts() {
    check(&[
        ("3", &[machine(3_500)], (3_500, "")),
        ("4", &[machine(5_000)], (5_000, "")),
        ("5", &[machine(0)], (15_500, "away")),
        ("6", &[machine(15_500)], (15_500, "away")),
        (
            "3",
            &[machine(15_500), machine(3_500), machine(5_000)],
            (3_500, ""),
        ),
        ("4", &[machine(5_000), machine(0), machine(15_500)], (5_000, "")),
        ("6", &[machine(18_500), machine(15_500)], (15_500, "away")),
    ]);
}

#[test]
fn what_the_user_chose_is_shown_whatever_other_sources_say() {
    let others = [phone(), calendar(6_500), conference(9_500), out_of_office()];
    for (row, availability, expected) in [
        ("7", 18_500, (18_500, "")),
        ("8", 9_500, (9_500, "")),
        ("9", 12_500, (12_500, "be-right-back")),
        ("10", 15_500, (15_500, "away")),
    ] {
        let alone = [machine(3_500), user(availability)];
        check(&[(row, &alone, expected)]);
        let mut with_others = alone.to_vec();
        with_others.extend(others.clone());
        check(&[(row, &with_others, expected)]);
        with_others[0] = machine(15_500);
        check(&[(row, &with_others, expected)]);
    }
}

#[test]
fn busy_by_choice_stays_busy_and_is_explained_by_what_keeps_busy() {
    check(&[
        ("11", &[machine(3_500), user(6_500)], (6_500, "")),
        ("11", &[machine(3_500), user(6_500), calendar(3_500)], (6_500, "")),
        (
            "12",
            &[machine(3_500), user(6_500), phone()],
            (6_500, "on-the-phone"),
        ),
        (
            "12",
            &[machine(3_500), user(6_500), calendar(6_500)],
            (6_500, "in-a-meeting"),
        ),
        (
            "11",
            &[machine(3_500), user(6_500), conference(9_500)],
            (6_500, ""),
        ),
        ("13", &[machine(5_000), user(6_500)], (7_500, "")),
        ("13", &[machine(15_500), user(6_500)], (7_500, "")),
        (
            "12",
            &[machine(5_000), user(6_500), phone()],
            (6_500, "on-the-phone"),
        ),
        (
            "14",
            &[machine(5_000), user(6_900)],
            (6_900, "urgent-interruptions-only"),
        ),
    ]);
}

#[test]
fn without_a_choice_conference_phone_and_calendar_override_by_rank() {
    check(&[
        ("15", &[machine(3_500), calendar(6_500)], (6_500, "in-a-meeting")),
        ("3", &[machine(3_500), calendar(3_500)], (3_500, "")),
        ("16", &[machine(5_000), calendar(6_500)], (7_500, "in-a-meeting")),
        ("16", &[machine(15_500), calendar(6_500)], (7_500, "in-a-meeting")),
        (
            "17",
            &[machine(3_500), calendar(6_500), phone()],
            (6_500, "on-the-phone"),
        ),
        ("17", &[machine(15_500), phone()], (6_500, "on-the-phone")),
        (
            "18",
            &[machine(3_500), phone(), conference(6_500)],
            (6_500, "in-a-conference"),
        ),
        (
            "19",
            &[machine(3_500), phone(), conference(9_500)],
            (9_500, "in-presentation"),
        ),
        (
            "15",
            &[machine(3_500), user(3_500), calendar(6_500)],
            (6_500, "in-a-meeting"),
        ),
    ]);
}

#[test]
fn out_of_office_is_a_word_where_nobody_said_anything_else() {
    check(&[
        ("20", &[machine(3_500), out_of_office()], (3_500, "out-of-office")),
        ("20", &[machine(5_000), out_of_office()], (5_000, "out-of-office")),
        (
            "20",
            &[machine(15_500), out_of_office()],
            (15_500, "out-of-office"),
        ),
        (
            "17",
            &[machine(3_500), out_of_office(), phone()],
            (6_500, "on-the-phone"),
        ),
        ("11", &[machine(3_500), out_of_office(), user(6_500)], (6_500, "")),
        ("1", &[out_of_office()], (18_500, "")),
    ]);
}

#[test]
fn a_word_of_the_users_own_is_shown_with_its_availability() {
    let mut busy = user(6_500);
    busy.activity = Some(Activity::Custom(
        [CustomText {
            lcid: 1_033,
            text: "Writing".to_owned(),
        }]
        .into(),
    ));
    check(&[(
        "12",
        &[machine(3_500), busy.clone(), phone()],
        (6_500, "custom:Writing"),
    )]);
    let mut available = busy;
    available.availability = Availability::AVAILABLE;
    check(&[
        (
            "21",
            &[machine(3_500), available.clone()],
            (3_500, "custom:Writing"),
        ),
        (
            "21",
            &[machine(5_000), available, out_of_office()],
            (5_000, "custom:Writing"),
        ),
    ]);
}

#[test]
fn the_newest_choice_counts_and_available_takes_it_back() {
    let (busy, available, machine) = (user(6_500), user(3_500), machine(3_500));
    let endpoint = endpoint();
    let at = |state, bound_to, published_at| Input {
        state,
        bound_to,
        published_at,
    };
    let device = at(&machine, Some(&endpoint), NOW);
    let newer_busy = [device, at(&available, None, NOW - 2), at(&busy, None, NOW - 1)];
    assert_eq!(aggregate(&newer_busy, NOW).0.availability, Availability::BUSY);
    let newer_available = [device, at(&available, None, NOW - 1), at(&busy, None, NOW - 2)];
    assert_eq!(
        aggregate(&newer_available, NOW).0.availability,
        Availability::AVAILABLE
    );
}

#[test]
fn busy_and_do_not_disturb_lapse_after_a_day_and_other_choices_do_not() {
    let (machine, endpoint) = (machine(3_500), endpoint());
    for (availability, lapses) in [
        (6_500, true),
        (9_500, true),
        (12_500, false),
        (15_500, false),
        (18_500, false),
    ] {
        let chosen = user(availability);
        let inputs = [
            Input {
                state: &machine,
                bound_to: Some(&endpoint),
                published_at: NOW,
            },
            Input {
                state: &chosen,
                bound_to: None,
                published_at: NOW,
            },
        ];
        let end = NOW + CHOICE_LAPSES_MS;
        let (before, next) = aggregate(&inputs, end - 1);
        assert_eq!(before.availability.0, availability);
        assert_eq!(next, lapses.then_some(end));
        let (after, next) = aggregate(&inputs, end);
        assert_eq!(after.availability.0, if lapses { 3_500 } else { availability });
        assert_eq!(next, None);
    }
}

#[test]
fn the_workgroup_may_interrupt_who_does_not_want_to_be_disturbed() {
    let chosen = of(&[machine(3_500), user(9_500)]).for_workgroup();
    assert_eq!(seen(&chosen), (6_900, "urgent-interruptions-only".to_owned()));
    let presenting = of(&[machine(3_500), conference(9_500)]).for_workgroup();
    assert_eq!(seen(&presenting), (6_900, "in-presentation".to_owned()));
    let busy = of(&[machine(3_500), user(6_500)]);
    assert_eq!(busy.clone().for_workgroup(), busy);
}

#[test]
fn only_a_device_that_says_when_somebody_was_there_grows_idle() {
    let endpoint = endpoint();
    let mut told = machine(3_500);
    told.last_active = Some(NOW / 1_000);
    let untold = machine(3_500);
    let at = |state, now| {
        let input = Input {
            state,
            bound_to: Some(&endpoint),
            published_at: NOW,
        };
        let (aggregate, next) = aggregate(&[input], now);
        (aggregate.availability, aggregate.since, next)
    };
    let (inactive, away) = (NOW + INACTIVE_AFTER_MS, NOW + AWAY_AFTER_MS);
    assert_eq!(
        at(&told, inactive - 1),
        (Availability::AVAILABLE, Some(NOW), Some(inactive))
    );
    assert_eq!(
        at(&told, inactive),
        (Availability::IDLE, Some(inactive), Some(away))
    );
    assert_eq!(at(&told, away), (Availability::AWAY, Some(away), None));
    assert_eq!(at(&untold, away), (Availability::AVAILABLE, Some(NOW), None));
}

#[test]
fn a_meeting_counts_from_its_start_and_brings_subject_and_place() {
    let endpoint = endpoint();
    let mut desk = machine(3_500);
    desk.location = Some("Desk".to_owned());
    let mut meeting = calendar(6_500);
    meeting.starts_at = Some(NOW / 1_000 + 60);
    meeting.meeting_subject = Some("Budget".to_owned());
    meeting.meeting_location = Some("Room 5".to_owned());
    let inputs = [&desk, &meeting].map(|state| Input {
        state,
        bound_to: Some(&endpoint),
        published_at: NOW,
    });
    let (before, next) = aggregate(&inputs, NOW);
    assert_eq!(
        (before.availability, before.location.as_deref()),
        (Availability::AVAILABLE, Some("Desk"))
    );
    let start = NOW + 60_000;
    assert_eq!(next, Some(start));
    let (during, next) = aggregate(&inputs, start);
    assert_eq!(during.availability, Availability::BUSY);
    assert_eq!(during.since, Some(start));
    assert_eq!(during.meeting_subject.as_deref(), Some("Budget"));
    assert_eq!(during.location.as_deref(), Some("Room 5"));
    assert_eq!(next, None);
}

#[test]
fn an_endpoint_that_does_not_speak_of_its_device_is_active() {
    let endpoint = endpoint();
    let call = phone();
    let input = Input {
        state: &call,
        bound_to: Some(&endpoint),
        published_at: NOW,
    };
    assert_eq!(
        seen(&aggregate(&[input], NOW).0),
        (6_500, "on-the-phone".to_owned())
    );
}

#[test]
fn whoever_appears_offline_gives_nothing_away() {
    let mut desk = machine(3_500);
    desk.location = Some("Desk".to_owned());
    desk.last_active = Some(NOW / 1_000);
    let hidden = of(&[desk, user(18_500), phone()]);
    assert!(hidden.is_hidden);
    assert_eq!(
        (hidden.location, hidden.last_active, hidden.activity),
        (None, None, None)
    );
}
