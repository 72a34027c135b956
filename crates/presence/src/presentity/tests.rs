use rpc::presence::{
    Availability, Bound, Lifetime, PublicationKey, Publish, PublishOne, Source, StateInput, category,
};

use super::*;

fn at(ms: u64) -> Now {
    Now {
        unix_ms: 1_800_000_000_000 + ms,
        ms,
    }
}

fn version(count: u64) -> PresenceVersion {
    PresenceVersion { epoch: 0, count }
}

fn alice() -> AddressOfRecord {
    AddressOfRecord::parse("alice@example.test").unwrap()
}

fn endpoints(names: &[&str]) -> BTreeSet<EndpointId> {
    names.iter().map(|name| EndpointId::new(name)).collect()
}

struct Fixture {
    presentity: Presentity,
    limits: Limits,
    count: u64,
}

impl Fixture {
    fn new() -> Self {
        let limits = Limits::default();
        let loaded = Loaded {
            endings: BTreeMap::new(),
            user: alice(),
            display_name: "Alice".to_owned(),
            policy: PresencePolicy {
                max_contacts: 250,
                max_group_size: 100,
                max_prompted: 200,
                privacy_mode: false,
            },
            publications: Publications::default(),
            rules: None,
            acknowledged: Vec::new(),
            contacts: None,
        };
        let presentity = Presentity::new(loaded, version(1), at(0), &limits);
        Fixture {
            presentity,
            limits,
            count: 1,
        }
    }

    fn publish(&mut self, endpoint: &str, container: u16, state: StateInput, now: Now) {
        let is_user = state.source == Source::User;
        let bound = if is_user { Bound::Static } else { Bound::Endpoint };
        let set = PublishOne::Set {
            key: PublicationKey {
                category: category::STATE.into(),
                instance: if is_user {
                    1
                } else {
                    u32::from(endpoint.as_bytes()[1])
                },
                container,
            },
            known: None,
            lifetime: Lifetime { bound, expires: None },
            content: PublicationContent::States([state].into()),
            kept: None,
        };
        let publish = Publish {
            user: alice(),
            endpoint: Some(EndpointId::new(endpoint)),
            changes: vec![set],
        };
        let publications = self.presentity.publications();
        let prepared = publications.prepare(&publish, now, &self.limits).unwrap();
        self.presentity.commit(prepared);
    }

    fn refresh(&mut self, now: Now) -> bool {
        self.count += 1;
        self.presentity.refresh(now, version(self.count))
    }

    fn shown(&self, level: AccessLevel) -> (Availability, u64) {
        let view = self.presentity.document().view(level);
        (view.availability, view.since)
    }
}

fn machine(availability: Availability) -> StateInput {
    StateInput::new(Source::Machine, availability)
}

#[test]
fn a_document_is_new_only_if_something_in_it_is() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.presentity.document().version, version(1));
    fixture.publish("e1", 2, machine(Availability::AVAILABLE), at(10));
    assert!(fixture.refresh(at(10)));
    assert_eq!(fixture.presentity.document().version, version(2));
    assert!(!fixture.refresh(at(20)));
    // The same device says the same again.
    fixture.publish("e1", 2, machine(Availability::AVAILABLE), at(30));
    assert!(!fixture.refresh(at(30)));
    assert_eq!(fixture.presentity.document().version, version(2));
    let since = fixture.shown(AccessLevel::Colleagues).1;
    assert_eq!(since, at(10).unix_ms, "the same state stands since it began");
}

#[test]
fn the_workgroup_gets_its_own_states_and_those_that_have_no_counterpart() {
    let mut fixture = Fixture::new();
    fixture.publish("e1", 2, machine(Availability::AVAILABLE), at(0));
    let dnd = StateInput::new(Source::User, Availability::DO_NOT_DISTURB);
    fixture.publish("e1", 2, dnd.clone(), at(0));
    fixture.refresh(at(0));
    assert_eq!(
        fixture.shown(AccessLevel::Colleagues).0,
        Availability::DO_NOT_DISTURB
    );
    assert_eq!(fixture.shown(AccessLevel::Workgroup).0, Availability::URGENT_ONLY);
    // A client that publishes to both says it itself.
    fixture.publish("e1", 3, StateInput::new(Source::User, Availability::BUSY), at(0));
    fixture.refresh(at(0));
    assert_eq!(fixture.shown(AccessLevel::Workgroup).0, Availability::BUSY);
    assert_eq!(
        fixture.shown(AccessLevel::Friends).0,
        Availability::DO_NOT_DISTURB
    );
}

#[test]
fn the_last_endpoint_leaves_the_user_offline_since_then_and_last_seen() {
    let mut fixture = Fixture::new();
    let mut active = machine(Availability::AVAILABLE);
    active.last_active = Some(at(0).unix_ms / 1_000);
    fixture.publish("e1", 2, active, at(0));
    fixture.refresh(at(0));
    let prepared =
        fixture
            .presentity
            .without_the_ended(&endpoints(&[]), &endpoints(&[]), at(500), &fixture.limits);
    fixture.presentity.commit(prepared);
    assert!(fixture.refresh(at(500)));
    assert_eq!(
        fixture.shown(AccessLevel::Colleagues),
        (Availability::OFFLINE, at(500).unix_ms)
    );
    let view = fixture.presentity.document().view(AccessLevel::Colleagues);
    assert_eq!(view.last_active, Some(at(0).unix_ms / 1_000));
}

#[test]
fn what_a_dead_front_end_held_stays_for_a_while_and_for_good_if_the_endpoint_is_back() {
    for is_back in [false, true] {
        let mut fixture = Fixture::new();
        fixture.publish("e1", 2, machine(Availability::AVAILABLE), at(0));
        fixture.refresh(at(0));
        let dead = endpoints(&["e1"]);
        let prepared =
            fixture
                .presentity
                .without_the_ended(&endpoints(&[]), &dead, at(1_000), &fixture.limits);
        assert!(prepared.is_empty());
        assert_eq!(fixture.presentity.next_deadline(at(1_000)), Some(21_000));
        assert!(!fixture.presentity.is_idle());
        // Another look changes nothing.
        let prepared = fixture.presentity.without_the_ended(
            &endpoints(&[]),
            &endpoints(&[]),
            at(2_000),
            &fixture.limits,
        );
        assert!(prepared.is_empty());
        if is_back {
            fixture.presentity.is_back(&EndpointId::new("e1"));
        }
        assert_eq!(fixture.presentity.is_due(at(21_000)), !is_back);
        let (prepared, has_ended) = fixture.presentity.due(at(21_000));
        assert!(prepared.is_empty());
        assert_eq!(has_ended, !is_back);
        let live = endpoints(if is_back { &["e1"] } else { &[] });
        let prepared =
            fixture
                .presentity
                .without_the_ended(&live, &endpoints(&[]), at(21_000), &fixture.limits);
        fixture.presentity.commit(prepared);
        fixture.refresh(at(21_000));
        let expected = if is_back {
            Availability::AVAILABLE
        } else {
            Availability::OFFLINE
        };
        assert_eq!(fixture.shown(AccessLevel::Colleagues).0, expected);
    }
}

#[test]
fn a_choice_that_lapses_is_something_to_wake_up_for() {
    let mut fixture = Fixture::new();
    fixture.publish("e1", 2, machine(Availability::AVAILABLE), at(0));
    fixture.publish("e1", 2, StateInput::new(Source::User, Availability::BUSY), at(0));
    fixture.refresh(at(0));
    let day = 24 * 60 * 60 * 1_000;
    assert_eq!(fixture.presentity.next_deadline(at(0)), Some(day));
    assert!(fixture.refresh(at(day)));
    assert_eq!(fixture.shown(AccessLevel::Colleagues).0, Availability::AVAILABLE);
    assert_eq!(fixture.presentity.next_deadline(at(day)), None);
}

#[test]
fn blocked_watchers_and_oneself_are_no_reason_for_a_prompt() {
    let mut fixture = Fixture::new();
    let mut rules = AccessRules::usual(alice());
    let mallory = AddressOfRecord::parse("mallory@example.test").unwrap();
    rules.containers.push(rpc::presence::Container {
        id: 32_000,
        version: 1,
        members: vec![rpc::presence::ContainerMember::User(mallory.clone())],
    });
    fixture.presentity.set_rules(rules, 1);
    fixture.refresh(at(0));
    let seen = |watcher: AddressOfRecord| SeenWatcher {
        watcher,
        display_name: String::new(),
        status: WatcherStatus::Active,
    };
    let teller = Teller {
        member: topology::MemberId::new("fe1"),
        generation: 1,
    };
    let bob = AddressOfRecord::parse("bob@example.test").unwrap();
    let told = fixture.presentity.told(
        &teller,
        vec![seen(alice()), seen(mallory), seen(bob.clone())],
        &fixture.limits,
    );
    assert!(told.is_news && told.is_prompt);
    assert_eq!(fixture.presentity.watchers().prompts(), [seen(bob)]);
    assert_eq!(fixture.presentity.watchers_mut().active(|_| true).len(), 3);
}

#[test]
fn an_endpoint_publishes_so_fast_and_no_faster() {
    let mut fixture = Fixture::new();
    let mut accepted = |name, ms| {
        fixture
            .presentity
            .may_publish(&EndpointId::new(name), at(ms), &fixture.limits)
    };
    assert_eq!((0..12).filter(|_| accepted("e1", 0)).count(), 10);
    assert!(accepted("e2", 0));
    assert!(accepted("e1", 2_000));
    assert!(!accepted("e1", 2_001));
}
