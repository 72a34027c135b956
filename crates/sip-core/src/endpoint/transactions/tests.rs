use std::time::Duration;

use super::*;
use crate::testing::{Event, Pair, Side, request};
use crate::transaction::timer::{INVITE_TRYING, INVITE_UNANSWERED, NON_INVITE_TRYING, TIMEOUT, TIMER_C};

mod matching;
mod random;

use Side::{Alice, Bob};

const SECOND: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(10);

/// Long enough for a message to arrive, short of any timer.
const SOON: Duration = Duration::from_millis(50);

fn pair() -> Pair {
    Pair::new(1)
}

/// Alice sends a request of this method, Bob has it.
fn sent(pair: &mut Pair, method: Method) -> (ClientKey, ServerKey, Request) {
    let request = pair.alice.request(method);
    let client = pair.start(Alice, &request);
    pair.run(SOON);
    let (server, request) = pair.next_request(Bob);
    (client, server, request)
}

fn assert_no_answer(event: Event, expected: &ClientKey) {
    match event {
        Event::TimedOut(TimedOut::NoAnswer(key)) => assert_eq!(&key, expected),
        other => panic!("not the end of a wait: {other:?}"),
    }
}

// === requests other than INVITE ===

#[test]
fn a_request_gets_its_answer_and_nothing_remains() {
    let mut pair = pair();
    let (_, server, request) = sent(&mut pair, Method::Message);
    assert_eq!(pair.bob.transactions.pending(), 1);
    assert!(pair.respond(Bob, &server, &request, StatusCode::OK));
    assert!(pair.bob.transactions.is_idle(), "timer J is zero");
    pair.run(SOON);
    assert_eq!(pair.next_status(Alice), 200);
    pair.assert_idle();
}

#[test]
fn a_second_final_answer_is_refused() {
    let mut pair = pair();
    let (_, server, request) = sent(&mut pair, Method::Message);
    assert!(pair.respond(Bob, &server, &request, StatusCode::OK));
    let late = request.reply(StatusCode::SERVER_TIMEOUT).build();
    let now = pair.now;
    assert_eq!(
        pair.bob.transactions.respond(&server, &late, now),
        Err(RespondError::AlreadyAnswered)
    );
}

#[test]
fn a_slow_answer_is_preceded_by_one_100_after_three_and_a_half_seconds() {
    let mut pair = pair();
    let (_, server, request) = sent(&mut pair, Method::Message);
    pair.run(NON_INVITE_TRYING - SOON);
    assert!(pair.written_by(Bob).is_empty());
    pair.run(10 * SECOND);
    assert_eq!(pair.written_by(Bob), ["100"]);
    assert_eq!(pair.next_status(Alice), 100);
    assert!(pair.respond(Bob, &server, &request, StatusCode::OK));
    pair.run(SOON);
    assert_eq!(pair.next_status(Alice), 200);
    pair.assert_idle();
}

#[test]
fn other_provisional_answers_are_for_invite_only() {
    let mut pair = pair();
    let (_, server, request) = sent(&mut pair, Method::Message);
    let now = pair.now;
    let ringing = request.reply(StatusCode::RINGING).build();
    let refused = pair.bob.transactions.respond(&server, &ringing, now);
    assert_eq!(refused, Err(RespondError::ProvisionalNotAllowed));
    assert!(pair.respond(Bob, &server, &request, StatusCode::TRYING));
    assert!(pair.respond(Bob, &server, &request, StatusCode::OK));
}

#[test]
fn nobody_answers_and_both_ends_give_up_without_a_word() {
    let mut pair = pair();
    let (client, server, request) = sent(&mut pair, Method::Message);
    pair.run(TIMEOUT + SECOND);
    assert_eq!(pair.next_status(Alice), 100);
    assert_no_answer(pair.next(Alice), &client);
    assert!(matches!(pair.next(Bob), Event::TimedOut(TimedOut::Trying(..))));
    assert!(matches!(pair.next(Bob), Event::TimedOut(TimedOut::Unanswered(key)) if key == server));
    // RFC 4320 section 4.2: not even a late 408.
    assert!(!pair.respond(Bob, &server, &request, StatusCode::REQUEST_TIMEOUT));
    assert_eq!(pair.written_by(Bob), ["100"]);
    pair.assert_idle();
}

#[test]
fn a_lost_request_ends_with_timer_f() {
    let mut pair = pair();
    pair.link.loss_percent = 100;
    let request = pair.alice.request(Method::Message);
    let start = pair.now;
    let client = pair.start(Alice, &request);
    assert_eq!(pair.alice.transactions.next_timeout(), Some(start + TIMEOUT));
    pair.run(TIMEOUT);
    assert_no_answer(pair.next(Alice), &client);
    assert_eq!(pair.written_by(Alice), ["MESSAGE"], "timer E is off");
    pair.assert_idle();
}

#[test]
fn a_late_answer_is_a_stray() {
    let mut pair = pair();
    pair.link.latency = TIMEOUT - SECOND;
    let request = pair.alice.request(Method::Message);
    let client = pair.start(Alice, &request);
    pair.run(TIMEOUT - SECOND);
    let (server, request) = pair.next_request(Bob);
    assert!(pair.respond(Bob, &server, &request, StatusCode::OK));
    pair.run(TIMEOUT);
    assert_no_answer(pair.next(Alice), &client);
    assert!(
        matches!(pair.next(Alice), Event::Received(Received::Stray(response)) if response.status() == StatusCode::OK)
    );
}

#[test]
fn a_repeated_request_is_absorbed_and_then_gets_the_stored_100() {
    let mut pair = pair();
    let (_, _, request) = sent(&mut pair, Method::Message);
    pair.write(Alice, request.clone());
    pair.run(SOON);
    assert!(matches!(pair.next(Bob), Event::Received(Received::Absorbed)));
    pair.run(NON_INVITE_TRYING);
    pair.write(Alice, request);
    pair.run(SOON);
    assert_eq!(pair.written_by(Bob), ["100", "100"]);
}

// === INVITE ===

#[test]
fn an_accepted_invite_passes_its_ack_to_the_dialog() {
    let mut pair = pair();
    let (_, server, invite) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    assert!(pair.respond(Bob, &server, &invite, StatusCode::OK));
    pair.run(SOON);
    assert_eq!((pair.next_status(Alice), pair.next_status(Alice)), (180, 200));
    let ack = pair.alice.request(Method::Ack);
    pair.write(Alice, ack);
    pair.run(SOON);
    assert!(matches!(pair.next(Bob), Event::Received(Received::Ack(_))));
    assert_eq!(
        (pair.alice.transactions.pending(), pair.bob.transactions.pending()),
        (0, 0)
    );
    assert!(!pair.bob.transactions.is_idle(), "timer L runs");
    pair.run(TIMEOUT);
    pair.assert_idle();
    assert!(
        pair.alice.events.is_empty() && pair.bob.events.is_empty(),
        "timers L and M are silent"
    );
}

#[test]
fn accepted_absorbs_the_invite_and_passes_every_2xx() {
    let mut pair = pair();
    let (client, server, invite) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::OK));
    pair.write(Alice, invite.clone());
    pair.run(SOON);
    assert!(matches!(pair.next(Bob), Event::Received(Received::Absorbed)));
    assert_eq!(
        pair.written_by(Bob),
        ["200"],
        "the transaction does not repeat a 2xx"
    );
    // The 2xx again, and one of another branch of the call.
    pair.write(Bob, invite.reply(StatusCode::OK).to_tag("answer").build());
    pair.write(Bob, invite.reply(StatusCode::OK).to_tag("fork").build());
    pair.write(Bob, invite.reply(StatusCode::BUSY_HERE).to_tag("answer").build());
    pair.run(SOON);
    assert_eq!([(); 3].map(|()| pair.next_status(Alice)), [200, 200, 200]);
    assert!(
        matches!(pair.next(Alice), Event::Received(Received::Absorbed)),
        "a refusal after a 2xx"
    );
    let now = pair.now;
    assert!(pair.alice.transactions.cancel(&client, now).is_none());
    pair.run(TIMEOUT);
    pair.write(Bob, invite.reply(StatusCode::OK).to_tag("answer").build());
    pair.run(SOON);
    assert!(
        matches!(pair.next(Alice), Event::Received(Received::Stray(_))),
        "timer M has passed"
    );
}

#[test]
fn the_ack_of_a_refusal_is_made_and_absorbed_by_the_machines() {
    let mut pair = pair();
    let invite = pair
        .alice
        .request(Method::Invite)
        .with_header(sip_types::HeaderName::Route, "<sip:p.example.test;lr>");
    pair.start(Alice, &invite);
    pair.run(SOON);
    let (server, received) = pair.next_request(Bob);
    assert!(pair.respond(Bob, &server, &received, StatusCode::BUSY_HERE));
    pair.run(SOON);
    assert_eq!(pair.next_status(Alice), 486);
    assert!(pair.alice.transactions.is_idle(), "timer D is zero");
    assert!(matches!(pair.next(Bob), Event::Received(Received::Absorbed)));
    let Some((_, Message::Request(ack))) = pair.written.last() else {
        panic!("no ACK")
    };
    assert_eq!(ack.method(), &Method::Ack);
    assert_eq!(ack.uri(), invite.uri());
    assert_eq!(ack.top_via(), invite.top_via());
    assert_eq!(ack.to().unwrap().tag().unwrap(), "answer");
    assert_eq!(ack.cseq().unwrap().number, 1);
    assert_eq!(
        ack.headers().get(&sip_types::HeaderName::Route).unwrap(),
        "<sip:p.example.test;lr>"
    );
    pair.assert_idle();
}

#[test]
fn a_repeated_invite_gets_the_stored_answer_until_its_ack_comes() {
    let mut pair = pair();
    let (_, server, invite) = sent(&mut pair, Method::Invite);
    pair.write(Alice, invite.clone());
    pair.run(SOON);
    assert!(
        matches!(pair.next(Bob), Event::Received(Received::Absorbed)),
        "no response yet"
    );
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    pair.write(Alice, invite.clone());
    pair.run(SOON);
    assert_eq!(pair.written_by(Bob), ["180", "180"]);
    // Alice's ACKs get lost.
    assert!(pair.respond(Bob, &server, &invite, StatusCode::BUSY_HERE));
    pair.link.loss_percent = 100;
    pair.run(SOON);
    pair.link.loss_percent = 0;
    pair.write(Alice, invite.clone());
    pair.run(SOON);
    assert_eq!(pair.written_by(Bob), ["180", "180", "486", "486"]);
    let refusals: Vec<_> = pair
        .written
        .iter()
        .filter(|(from, _)| *from == Bob)
        .skip(2)
        .collect();
    assert_eq!(refusals.first(), refusals.last(), "the same bytes");
}

#[test]
fn an_invite_without_answer_gets_100_after_a_fifth_of_a_second() {
    let mut pair = pair();
    let (_, server, invite) = sent(&mut pair, Method::Invite);
    pair.run(INVITE_TRYING);
    assert_eq!(pair.next_status(Alice), 100);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    pair.run(SECOND);
    assert_eq!(pair.written_by(Bob), ["100", "180"]);
}

#[test]
fn an_early_provisional_answer_saves_the_100() {
    let mut pair = pair();
    let (_, server, invite) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    pair.run(10 * SECOND);
    assert_eq!(pair.written_by(Bob), ["180"]);
}

#[test]
fn an_invite_that_nobody_answers_is_not_kept_for_ever() {
    let mut pair = pair();
    let (_, server, invite) = sent(&mut pair, Method::Invite);
    pair.run(100 * SECOND);
    assert!(
        pair.respond(Bob, &server, &invite, StatusCode::RINGING),
        "which begins the wait anew"
    );
    pair.bob.events.clear();
    // Alice is gone: her CANCEL does not come.
    pair.link.loss_percent = 100;
    pair.run(INVITE_UNANSWERED - SECOND);
    assert_eq!(pair.bob.transactions.pending(), 1);
    pair.run(2 * SECOND);
    assert!(matches!(pair.next(Bob), Event::TimedOut(TimedOut::Unanswered(key)) if key == server));
    assert!(!pair.respond(Bob, &server, &invite, StatusCode::OK));
    assert!(pair.bob.transactions.is_idle());
}

#[test]
fn an_invite_without_any_response_ends_with_timer_b() {
    let mut pair = pair();
    pair.link.loss_percent = 100;
    let invite = pair.alice.request(Method::Invite);
    let client = pair.start(Alice, &invite);
    pair.run(TIMEOUT);
    assert_no_answer(pair.next(Alice), &client);
    assert_eq!(pair.written_by(Alice), ["INVITE"], "timer A is off");
    pair.assert_idle();
}

#[test]
fn a_refusal_without_ack_ends_with_timer_h() {
    let mut pair = pair();
    let (_, server, invite) = sent(&mut pair, Method::Invite);
    pair.link.loss_percent = 100;
    assert!(pair.respond(Bob, &server, &invite, StatusCode::DECLINE));
    pair.run(TIMEOUT);
    assert!(matches!(pair.next(Bob), Event::TimedOut(TimedOut::NoAck(key)) if key == server));
    assert!(pair.bob.transactions.is_idle());
    assert_eq!(pair.written_by(Bob), ["603"], "timer G is off");
}

#[test]
fn an_invite_that_rings_for_ever_is_cancelled_by_timer_c() {
    let mut pair = pair();
    let (client, server, invite) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    pair.run(TIMER_C + SECOND);
    assert_eq!(pair.next_status(Alice), 180);
    assert!(matches!(pair.next(Alice), Event::TimedOut(TimedOut::Cancel(key, _)) if key == client));
    assert!(matches!(pair.next(Bob), Event::Received(Received::Cancel { invite, .. }) if invite == server));
    pair.run(TIMEOUT);
    assert!(
        matches!(pair.next(Alice), Event::Received(Received::Absorbed)),
        "the 100 to the CANCEL"
    );
    assert_no_answer(pair.next(Alice), &client);
    assert!(pair.alice.transactions.is_idle());
}

// === CANCEL ===

/// Bob has a CANCEL; he answers it and gives up the INVITE. Whether that was in time.
fn obey_cancel(pair: &mut Pair, invite_request: &Request) -> bool {
    let Event::Received(Received::Cancel {
        cancel: (key, cancel),
        invite,
    }) = pair.next(Bob)
    else {
        panic!("no CANCEL");
    };
    assert!(pair.respond(Bob, &key, &cancel, StatusCode::OK));
    pair.respond(Bob, &invite, invite_request, StatusCode::REQUEST_TERMINATED)
}

#[test]
fn a_cancel_after_a_provisional_response_goes_out_at_once() {
    let mut pair = pair();
    let (client, server, invite) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    pair.run(SOON);
    assert_eq!(pair.next_status(Alice), 180);
    let now = pair.now;
    let cancel = pair.alice.transactions.cancel(&client, now).expect("a CANCEL");
    assert_eq!(cancel.top_via(), invite.top_via());
    assert_eq!(cancel.to(), invite.to());
    assert_eq!((cancel.uri(), cancel.cseq().unwrap().number), (invite.uri(), 1));
    assert!(pair.alice.transactions.cancel(&client, now).is_none(), "once");
    pair.write(Alice, cancel);
    pair.run(SOON);
    assert!(obey_cancel(&mut pair, &invite));
    pair.run(SOON);
    assert!(
        matches!(pair.next(Alice), Event::Received(Received::Absorbed)),
        "the answer to the CANCEL"
    );
    assert_eq!(pair.next_status(Alice), 487);
    pair.run(SOON);
    pair.assert_idle();
}

#[test]
fn a_cancel_before_any_response_goes_out_behind_its_invite() {
    let mut pair = pair();
    let (client, _, invite) = sent(&mut pair, Method::Invite);
    let now = pair.now;
    let cancel = pair.alice.transactions.cancel(&client, now).expect("a CANCEL");
    pair.write(Alice, cancel);
    pair.run(SOON);
    assert_eq!(pair.written_by(Alice), ["INVITE", "CANCEL"]);
    assert!(obey_cancel(&mut pair, &invite));
    pair.run(SOON);
    pair.run(SOON);
    pair.assert_idle();
}

#[test]
fn a_cancel_that_crosses_a_200_changes_nothing() {
    let mut pair = pair();
    let (client, server, invite) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    pair.run(SOON);
    assert_eq!(pair.next_status(Alice), 180);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::OK));
    let now = pair.now;
    let cancel = pair
        .alice
        .transactions
        .cancel(&client, now)
        .expect("the 200 is not here yet");
    pair.write(Alice, cancel);
    pair.run(LATENCY);
    assert_eq!(
        pair.next_status(Alice),
        200,
        "the caller has to acknowledge it and say BYE"
    );
    assert!(!obey_cancel(&mut pair, &invite), "487 after 200");
    pair.run(TIMEOUT + SECOND);
    pair.assert_idle();
}

#[test]
fn a_cancel_that_finds_no_invite_gets_481() {
    let mut pair = pair();
    let cancel = pair.alice.request(Method::Cancel);
    pair.write(Alice, cancel);
    pair.run(SOON);
    assert_eq!(pair.written_by(Bob), ["481"]);
    assert!(pair.bob.transactions.is_idle());
}

#[test]
fn an_unanswered_cancel_is_forgotten_with_its_invite() {
    let mut pair = pair();
    let (client, server, invite) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &server, &invite, StatusCode::RINGING));
    pair.run(SOON);
    pair.link.loss_percent = 100;
    let now = pair.now;
    assert!(pair.alice.transactions.cancel(&client, now).is_some());
    pair.run(TIMEOUT);
    assert_eq!(pair.next_status(Alice), 180);
    assert_no_answer(pair.next(Alice), &client);
    assert!(pair.alice.transactions.is_idle());
    assert!(
        pair.alice.events.is_empty(),
        "the CANCEL itself is of no interest"
    );
}

#[test]
fn only_an_invite_can_be_cancelled() {
    let mut pair = pair();
    let (client, _, _) = sent(&mut pair, Method::Message);
    let now = pair.now;
    assert!(pair.alice.transactions.cancel(&client, now).is_none());
}

// === the flow as a whole ===

#[test]
fn one_request_too_many_gets_503_and_acks_and_cancels_still_pass() {
    let mut pair = pair();
    pair.bob.transactions = Transactions::with_max_pending(9, 2);
    let (client, invite_key, invite) = sent(&mut pair, Method::Invite);
    sent(&mut pair, Method::Message);
    let third = pair.alice.request(Method::Message);
    pair.start(Alice, &third);
    pair.run(SOON);
    let Event::Received(Received::Rejected(response)) = pair.next(Bob) else {
        panic!("not rejected")
    };
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().has(&sip_types::HeaderName::RetryAfter));
    assert!(response.to().unwrap().tag().is_some());
    assert!(pair.respond(Bob, &invite_key, &invite, StatusCode::RINGING));
    pair.run(SOON);
    let now = pair.now;
    let cancel = pair.alice.transactions.cancel(&client, now).unwrap();
    pair.write(Alice, cancel);
    pair.run(SOON);
    assert!(obey_cancel(&mut pair, &invite));
    pair.run(SOON);
    assert_eq!(pair.bob.transactions.pending(), 1);
    assert!(
        matches!(pair.next(Bob), Event::Received(Received::Absorbed)),
        "the ACK of the 487"
    );
    let (_, key, request) = sent(&mut pair, Method::Message);
    assert!(pair.respond(Bob, &key, &request, StatusCode::OK));
}

#[test]
fn answered_invites_do_not_count_as_pending_but_are_bounded() {
    let mut pair = pair();
    pair.bob.transactions = Transactions::with_max_pending(9, 1);
    for _ in 0..LINGERING_FACTOR {
        let (_, key, invite) = sent(&mut pair, Method::Invite);
        assert!(pair.respond(Bob, &key, &invite, StatusCode::OK));
    }
    let invite = pair.alice.request(Method::Invite);
    pair.start(Alice, &invite);
    pair.run(SOON);
    assert!(matches!(pair.next(Bob), Event::Received(Received::Rejected(_))));
    pair.run(TIMEOUT);
    assert!(
        matches!(pair.next(Bob), Event::Received(Received::Ack(_))),
        "nothing is remembered of a rejected INVITE"
    );
    sent(&mut pair, Method::Invite);
}

#[test]
fn closing_gives_back_what_still_waits() {
    let mut pair = pair();
    let (invite, _, _) = sent(&mut pair, Method::Invite);
    let (message, _, _) = sent(&mut pair, Method::Message);
    let (_, answered, request) = sent(&mut pair, Method::Invite);
    assert!(pair.respond(Bob, &answered, &request, StatusCode::OK));
    pair.run(SOON);
    let waiting = pair.alice.transactions.close();
    assert_eq!(waiting.len(), 2);
    assert!(waiting.contains(&invite) && waiting.contains(&message));
    assert!(pair.bob.transactions.close().is_empty());
    for end in [&pair.alice, &pair.bob] {
        assert!(end.transactions.is_idle());
        assert_eq!(end.transactions.next_timeout(), None);
        assert_eq!(end.transactions.pending(), 0);
    }
    let now = pair.now;
    let late = request.reply(StatusCode::OK).build();
    assert_eq!(
        pair.bob.transactions.respond(&answered, &late, now),
        Err(RespondError::AlreadyAnswered)
    );
}

#[test]
fn an_idle_flow_is_small_and_holds_no_memory() {
    assert!(
        size_of::<Transactions>() <= 200,
        "{} bytes",
        size_of::<Transactions>()
    );
    let mut pair = pair();
    assert_eq!(pair.bob.transactions.servers.allocation_size(), 0);
    let (_, key, request) = sent(&mut pair, Method::Message);
    assert!(pair.respond(Bob, &key, &request, StatusCode::OK));
    pair.run(SOON);
    for end in [&pair.alice, &pair.bob] {
        assert_eq!(end.transactions.servers.allocation_size(), 0);
        assert_eq!(end.transactions.clients.allocation_size(), 0);
        assert_eq!(end.transactions.timers.len(), 0);
    }
}

#[test]
fn what_is_no_transaction_can_not_be_started() {
    let mut pair = pair();
    let now = pair.now;
    let message = pair.alice.request(Method::Message);
    assert!(pair.alice.transactions.start(&message, now).is_ok());
    assert_eq!(
        pair.alice.transactions.start(&message, now),
        Err(StartError::BranchInUse)
    );
    let ack = pair.alice.request(Method::Ack);
    assert_eq!(pair.alice.transactions.start(&ack, now), Err(StartError::Method));
    let bare = Request::builder(Method::Message, "sip:bob@example.test").build();
    assert_eq!(
        pair.alice.transactions.start(&bare, now),
        Err(StartError::NoBranch)
    );
}
