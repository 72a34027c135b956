//! Single rules of the machine, by hand.

use topology::Role;

use store::UNKNOWN_TABLES;

use super::*;
use crate::role::PeerAnswer;

const KEYS: Partitioned = Partitioned::Users;

/// A machine and the instants it is told.
struct Hand {
    machine: Machine,
    start: Instant,
}

fn lease(name: &str) -> Lease {
    config(name).lease()
}

fn config(name: &str) -> Config {
    Config {
        member: MemberId::new(name),
        incarnation: Incarnation(1),
        roles: vec![Role::Registrar],
        address: None,
        version: String::new(),
        // Claims are not what is looked at here.
        timing: Timing {
            settle: Duration::from_secs(86_400),
            ..Timing::default()
        },
    }
}

/// One that is placed at fe1, whoever of the others lives.
fn first() -> Partition {
    let names = ["fe1", "fe4", "fe5"].map(MemberId::new);
    Partition::all()
        .find(|one| one.place(&names) == Some(&names[0]))
        .unwrap()
}

/// The table of users, and nobody who owns anything else.
fn with(users: OwnerTable) -> [Option<OwnerTable>; Partitioned::COUNT] {
    let mut owners = Partitioned::ALL.map(|_| Some(OwnerTable::empty()));
    owners[Partitioned::Users.index()] = Some(users);
    owners
}

/// What the store tells: fe1 owns the first partition with epoch 5, nobody anything else.
fn view(history: u64, names: &[&str]) -> Reply {
    let mut table = OwnerTable::empty();
    table.version = 1;
    table.set(
        first(),
        Some(store::Owner {
            member: MemberId::new("fe1"),
            incarnation: Incarnation(1),
            epoch: 5,
        }),
    );
    Reply::View(PoolView {
        now_ms: 0,
        history,
        members: names.iter().map(|name| lease(name)).collect(),
        owners: with(table),
    })
}

impl Hand {
    /// fe1, which owns the first partition and works on it. Others are placed such that it stays there.
    fn working(names: &[&str]) -> Self {
        let start = Instant::now();
        let machine = Machine::new(&config("fe1"), Arc::default(), start);
        let mut hand = Hand { machine, start };
        assert!(matches!(hand.effects()[..], [Effect::Call(Call::Renew(..))]));
        hand.machine.answered(Ok(view(1, names)), start);
        let took = RoleCall::Take(first(), 5);
        assert!(hand.effects().contains(&Effect::Role(KEYS, took)));
        hand.machine.done([(KEYS, first(), Done::Taken)], start);
        assert!(hand.works_at(0));
        hand
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.machine.poll()).collect()
    }

    fn wake(&mut self, seconds: u64) -> Vec<Effect> {
        self.machine.handle_timeout(self.at(seconds));
        self.effects()
    }

    /// The renewal under way, or the next one, fails.
    fn fail(&mut self, seconds: u64) -> Vec<Effect> {
        let mut effects = self.wake(seconds);
        self.machine.answered(Err(Failure::Failed), self.at(seconds));
        effects.extend(self.effects());
        effects
    }

    fn works_at(&self, seconds: u64) -> bool {
        self.machine.ownership().epoch(KEYS, first(), self.at(seconds)) == Some(5)
    }
}

fn asks(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Ask(_)))
}

#[test]
fn after_a_pause_the_first_call_finds_the_member_fenced_though_no_task_ran() {
    let mut hand = Hand::working(&["fe1"]);
    let renewal = hand.wake(1);
    assert!(matches!(renewal[..], [Effect::Call(Call::Renew(..))]));
    // Stopped with the renewal under way, and goes on a minute later.
    assert!(!hand.works_at(60));
    hand.machine.answered(Ok(view(1, &["fe1"])), hand.at(60));
    assert!(!hand.works_at(60), "that renewal began before the pause");
    assert!(matches!(hand.effects()[..], [Effect::Call(Call::Renew(..))]));
    hand.machine.answered(Ok(view(1, &["fe1"])), hand.at(61));
    assert!(
        hand.works_at(61) && hand.works_at(69) && !hand.works_at(70),
        "from the start of the renewal"
    );
}

#[test]
fn a_member_alone_goes_on_while_attempts_fail_but_a_pause_ends_it() {
    let mut hand = Hand::working(&["fe1"]);
    for seconds in 1..60 {
        hand.fail(seconds);
    }
    assert!(hand.works_at(60));
    assert_eq!(hand.machine.ownership().validity(hand.at(60)), Validity::Frozen);
    assert!(!hand.works_at(59 + 8));
    hand.fail(70);
    assert!(
        !hand.works_at(70),
        "what has ended is not revived by another failure"
    );
}

#[test]
fn who_hears_that_nobody_can_renew_goes_on_and_who_hears_less_does_not() {
    let alive = |seconds| PeerAnswer::Alive {
        renewed_ago: Some(Duration::from_secs(seconds)),
    };
    let never = PeerAnswer::Alive { renewed_ago: None };
    for (answers, goes_on) in [
        (vec![alive(6), alive(7)], true),
        (vec![alive(6), PeerAnswer::Refused], true),
        (vec![never, alive(6)], true),
        (vec![alive(6), alive(5)], false),
        (vec![alive(6), alive(0)], false),
        (vec![alive(6), PeerAnswer::Silent], false),
        (vec![alive(6)], false),
    ] {
        let mut hand = Hand::working(&["fe1", "fe4", "fe5"]);
        for seconds in 1..6 {
            assert_eq!(asks(&hand.fail(seconds)), seconds == 5);
        }
        hand.machine.heard(&answers, hand.at(7));
        assert!(hand.works_at(9));
        assert_eq!(hand.works_at(12), goes_on, "{answers:?}");
        assert!(
            !hand.works_at(13),
            "from the start of the question and of the attempt"
        );
    }
}

#[test]
fn who_vanished_lately_is_asked_too_for_it_may_come_back_to_the_store_first() {
    let mut hand = Hand::working(&["fe1", "fe4"]);
    hand.wake(1);
    hand.machine.answered(Ok(view(1, &["fe1"])), hand.at(1));
    hand.effects();
    for seconds in 2..7 {
        let asked = hand
            .fail(seconds)
            .into_iter()
            .find(|effect| matches!(effect, Effect::Ask(_)));
        assert_eq!(asked, (seconds == 6).then(|| Effect::Ask(vec![lease("fe4")])));
    }
    assert!(
        !hand.works_at(11),
        "silence of one that vanished is no leave to go on"
    );

    // After a minute with renewals it is forgotten.
    let mut hand = Hand::working(&["fe1", "fe4"]);
    for seconds in 1..65 {
        hand.wake(seconds);
        hand.machine.answered(Ok(view(1, &["fe1"])), hand.at(seconds));
        hand.effects();
    }
    for seconds in 65..90 {
        assert!(!asks(&hand.fail(seconds)));
    }
    assert!(hand.works_at(90));
}

#[test]
fn who_was_reported_dead_is_evicted_only_if_it_refuses_again() {
    for (answer, evicted) in [
        (PeerAnswer::Refused, true),
        (PeerAnswer::Silent, false),
        (PeerAnswer::Alive { renewed_ago: None }, false),
    ] {
        let mut hand = Hand::working(&["fe1", "fe4"]);
        hand.machine
            .refused(MemberId::new("fe9"), Incarnation(1), hand.start);
        assert!(!asks(&hand.effects()), "nobody of that name lives");
        hand.machine
            .refused(MemberId::new("fe4"), Incarnation(1), hand.start);
        assert_eq!(hand.effects(), [Effect::Ask(vec![lease("fe4")])]);
        hand.machine.heard(&[answer], hand.start);
        let evict = Effect::Call(Call::Evict(MemberId::new("fe4"), Incarnation(1)));
        assert_eq!(hand.effects().contains(&evict), evicted, "{answer:?}");
    }
}

#[test]
fn what_the_store_forgot_counts_no_longer_than_before_until_it_is_asserted() {
    let mut hand = Hand::working(&["fe1"]);
    hand.wake(1);
    let empty = || {
        let Reply::View(mut view) = view(2, &["fe1"]) else {
            unreachable!()
        };
        view.owners = with(OwnerTable::empty());
        Reply::View(view)
    };
    hand.machine.answered(Ok(empty()), hand.at(1));
    assert_eq!(
        hand.effects(),
        [Effect::Call(Call::Reassert(KEYS, vec![(first(), 5)]))]
    );
    assert!(hand.works_at(9) && !hand.works_at(10));
    hand.machine
        .answered(Ok(Reply::Partitions(vec![(first(), 5)])), hand.at(1));
    assert!(hand.works_at(10) && !hand.works_at(11));
    let told = Effect::Role(KEYS, RoleCall::Reassert(vec![first()]));
    assert_eq!(hand.effects(), [told]);
}

#[test]
fn what_the_store_forgot_while_the_member_was_fenced_is_given_up() {
    let mut hand = Hand::working(&["fe1", "fe4"]);
    hand.wake(20);
    let Reply::View(mut forgotten) = view(2, &["fe1", "fe4"]) else {
        unreachable!()
    };
    forgotten.owners = with(OwnerTable::empty());
    hand.machine.answered(Ok(Reply::View(forgotten)), hand.at(20));
    let lost = Effect::Role(KEYS, RoleCall::Lose(first()));
    let effects = hand.effects();
    assert!(effects.contains(&lost));
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Call(Call::Reassert(..))))
    );
    assert!(!hand.works_at(20));
}

#[test]
fn versions_of_another_history_are_not_believed() {
    let mut hand = Hand::working(&["fe1"]);
    hand.wake(1);
    let Reply::View(mut bare) = view(2, &["fe1"]) else {
        unreachable!()
    };
    bare.owners = Partitioned::ALL.map(|_| None);
    hand.machine.answered(Ok(Reply::View(bare)), hand.at(1));
    let [Effect::Call(Call::Renew(_, known))] = &hand.wake(2)[..] else {
        panic!("it asks again")
    };
    assert_eq!(*known, UNKNOWN_TABLES);
    assert!(!hand.works_at(10), "nothing was confirmed");
}

#[test]
fn a_later_life_ends_everything_at_once() {
    let mut hand = Hand::working(&["fe1"]);
    hand.wake(1);
    hand.machine.answered(Err(Failure::Superseded), hand.at(1));
    assert!(!hand.works_at(1));
    assert_eq!(
        hand.effects(),
        [Effect::Role(KEYS, RoleCall::Lose(first())), Effect::Superseded]
    );
    assert_eq!(hand.machine.next_timeout(), None);
}

#[test]
fn the_last_member_leaves_without_waiting_for_somebody_to_hand_over_to() {
    let mut hand = Hand::working(&["fe1"]);
    hand.machine.drain(hand.at(1_000), hand.at(1));
    let [Effect::Call(Call::Renew(told, _))] = &hand.effects()[..] else {
        panic!("others must learn of it first")
    };
    assert!(told.draining);
    let Reply::View(mut seen) = view(1, &["fe1"]) else {
        unreachable!()
    };
    seen.members[0].draining = true;
    hand.machine.answered(Ok(Reply::View(seen)), hand.at(1));
    assert_eq!(hand.effects(), [Effect::Role(KEYS, RoleCall::Give(first()))]);
    hand.machine.done([(KEYS, first(), Done::Given)], hand.at(2));
    assert_eq!(hand.effects(), [Effect::Call(Call::Leave)]);
    assert_eq!(hand.machine.ownership().validity(hand.at(2)), Validity::Fenced);
    hand.machine.answered(Ok(Reply::Done), hand.at(2));
    assert_eq!(hand.effects(), [Effect::Gone]);
}

#[test]
fn a_member_that_hands_over_keeps_its_lease_until_it_is_told_to_leave() {
    let mut hand = Hand::working(&["fe1"]);
    hand.machine.hand_over(hand.at(1));
    let [Effect::Call(Call::Renew(told, _))] = &hand.effects()[..] else {
        panic!("others must learn of it at once")
    };
    assert!(told.draining);
    // Somebody else is there who does not leave.
    let Reply::View(mut seen) = view(1, &["fe1", "fe2"]) else {
        unreachable!()
    };
    seen.members[0].draining = true;
    hand.machine.answered(Ok(Reply::View(seen)), hand.at(1));
    assert_eq!(hand.effects(), [Effect::Role(KEYS, RoleCall::Give(first()))]);
    hand.machine.done([(KEYS, first(), Done::Given)], hand.at(1));
    let effects = hand.effects();
    assert!(
        matches!(effects[..], [Effect::Call(Call::Transfer(..))]),
        "{effects:?}"
    );
    let moved = Reply::Partitions(vec![(first(), 6)]);
    hand.machine.answered(Ok(moved), hand.at(2));
    assert_eq!(hand.machine.held(KEYS), [0, 0, 0]);
    // Nothing is left, and it renews its lease all the same: clients are still here.
    let renewed = hand.wake(10);
    let says_so = |effect: &Effect| matches!(effect, Effect::Call(Call::Renew(lease, _)) if lease.draining);
    assert!(renewed.iter().any(says_so), "{renewed:?}");
    assert_eq!(hand.machine.stage(), Stage::Emptying);
    hand.machine.drain(hand.at(1_000), hand.at(10));
    assert!(matches!(hand.machine.stage(), Stage::Leaving { .. }));
}

#[test]
fn a_member_that_takes_its_word_back_works_again_on_what_it_was_about_to_give() {
    let mut hand = Hand::working(&["fe1", "fe4"]);
    let seen = |draining: bool| {
        let Reply::View(mut seen) = view(1, &["fe1", "fe4"]) else {
            unreachable!()
        };
        seen.members[0].draining = draining;
        Ok(Reply::View(seen))
    };
    hand.machine.hand_over(hand.at(1));
    hand.effects();
    hand.machine.answered(seen(true), hand.at(1));
    assert_eq!(hand.effects(), [Effect::Role(KEYS, RoleCall::Give(first()))]);
    assert!(!hand.machine.has_handed_over());
    hand.machine.take_back(hand.at(2));
    assert_eq!(hand.machine.stage(), Stage::Serving);
    let [Effect::Call(Call::Renew(told, _))] = &hand.effects()[..] else {
        panic!("others must learn of it at once")
    };
    assert!(!told.draining);
    hand.machine.answered(seen(false), hand.at(2));
    assert_eq!(hand.effects(), []);
    // The role finishes only now.
    hand.machine.done([(KEYS, first(), Done::Given)], hand.at(2));
    let took = RoleCall::Take(first(), 5);
    assert_eq!(hand.effects(), [Effect::Role(KEYS, took)]);
    hand.machine.done([(KEYS, first(), Done::Taken)], hand.at(2));
    assert!(hand.works_at(2));
    // Who leaves for good does not come back.
    hand.machine.drain(hand.at(1_000), hand.at(4));
    hand.machine.take_back(hand.at(5));
    assert!(hand.machine.lease().draining);
}

#[test]
fn a_member_alone_goes_on_with_what_nobody_else_could_take() {
    let mut hand = Hand::working(&["fe1"]);
    hand.machine.hand_over(hand.at(1));
    hand.effects();
    let Reply::View(mut seen) = view(1, &["fe1"]) else {
        unreachable!()
    };
    seen.members[0].draining = true;
    hand.machine.answered(Ok(Reply::View(seen)), hand.at(1));
    assert_eq!(hand.effects(), []);
    assert!(hand.works_at(2));
}

#[test]
fn what_an_evicted_member_owned_is_claimed_though_nothing_else_changes() {
    let mut hand = Hand::working(&["fe1", "fe4"]);
    let names = ["fe1", "fe4"].map(MemberId::new);
    // All others: nothing is left that the machine would look at for another reason.
    let theirs: Vec<Partition> = Partition::all().filter(|one| *one != first()).collect();
    let Reply::View(mut both) = view(1, &["fe1", "fe4"]) else {
        unreachable!()
    };
    if let Some(table) = &mut both.owners[KEYS.index()] {
        table.version = 2;
        let owner = store::Owner {
            member: names[1].clone(),
            incarnation: Incarnation(1),
            epoch: 6,
        };
        theirs.iter().for_each(|one| table.set(*one, Some(owner.clone())));
    }
    let mut unchanged = both.clone();
    unchanged.owners = Partitioned::ALL.map(|_| None);
    hand.wake(1);
    hand.machine.answered(Ok(Reply::View(both)), hand.at(1));
    for seconds in 2..=20 {
        hand.wake(seconds);
        let answer = Ok(Reply::View(unchanged.clone()));
        hand.machine.answered(answer, hand.at(seconds));
    }
    hand.machine
        .refused(names[1].clone(), Incarnation(1), hand.at(20));
    assert!(asks(&hand.effects()));
    hand.machine.heard(&[PeerAnswer::Refused], hand.at(20));
    hand.effects();
    hand.machine.answered(Ok(Reply::Done), hand.at(20));
    assert!(matches!(hand.effects()[..], [Effect::Call(Call::Renew(..))]));
    unchanged.members.retain(|lease| lease.member == names[0]);
    hand.machine.answered(Ok(Reply::View(unchanged)), hand.at(20));
    let claim = Effect::Call(Call::Claim(KEYS, theirs));
    assert!(hand.effects().contains(&claim));
}
