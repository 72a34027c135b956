use super::*;

fn aor(text: &str) -> AddressOfRecord {
    AddressOfRecord::parse(text).unwrap()
}

fn user(text: &str) -> ContainerMember {
    ContainerMember::User(aor(text))
}

fn usual() -> AccessRules {
    AccessRules::usual(aor("alice@example.test"))
}

fn change(
    rules: &AccessRules,
    container: u16,
    known: Option<u32>,
    changes: Vec<MemberChange>,
) -> Result<AccessRules, PublishRefusal> {
    let changes = MemberChanges {
        containers: vec![(container, known, changes)],
    };
    apply(rules, &changes, &Limits::default())
}

#[test]
fn a_member_is_added_once_and_removed_and_the_version_grows_each_time() {
    let bob = || user("bob@example.test");
    let rules = change(&usual(), 300, Some(0), vec![MemberChange::Add(bob())]).unwrap();
    let rules = change(&rules, 300, Some(1), vec![MemberChange::Add(bob())]).unwrap();
    let ids: Vec<u16> = rules.containers.iter().map(|container| container.id).collect();
    assert_eq!(ids, [100, 200, 300]);
    assert_eq!(rules.containers[2].version, 2);
    assert_eq!(rules.containers[2].members, [bob()]);
    let rules = change(&rules, 300, None, vec![MemberChange::Remove(bob())]).unwrap();
    assert_eq!(rules.containers[2].version, 3);
    assert_eq!(rules.containers[2].members, []);
}

#[test]
fn a_container_changes_only_at_its_version_and_all_or_none_do() {
    let changes = MemberChanges {
        containers: vec![
            (200, Some(1), vec![MemberChange::Add(user("bob@example.test"))]),
            (300, Some(5), vec![]),
            (400, Some(0), vec![]),
            (32_000, Some(1), vec![]),
        ],
    };
    assert_eq!(
        apply(&usual(), &changes, &Limits::default()),
        Err(PublishRefusal::Conflict(vec![(1, 5, 0), (3, 1, 0)]))
    );
}

#[test]
fn each_level_holds_only_the_kinds_of_members_it_may() {
    let domain = || ContainerMember::Domain("other.test".into());
    let kinds: [(ContainerMember, &[u16]); 6] = [
        (user("bob@example.test"), &[100, 200, 300, 400, 32_000]),
        (domain(), &[100, 200, 300, 400, 32_000]),
        (ContainerMember::SameEnterprise, &[100, 200, 32_000]),
        (ContainerMember::Federated, &[100, 32_000]),
        (ContainerMember::PublicCloud, &[100, 32_000]),
        (ContainerMember::Everyone, &[100]),
    ];
    for (member, allowed) in kinds {
        for container in [0, 1, 2, 3, 100, 200, 300, 400, 500, 32_000] {
            let outcome = change(&usual(), container, None, vec![MemberChange::Add(member.clone())]);
            assert_eq!(
                outcome.is_ok(),
                allowed.contains(&container),
                "{member:?} in {container}"
            );
        }
    }
    for domain in ["", "Other.test", "a b"] {
        let member = ContainerMember::Domain(domain.into());
        let outcome = change(&usual(), 200, None, vec![MemberChange::Add(member)]);
        assert!(matches!(outcome, Err(PublishRefusal::Invalid(_))), "{domain:?}");
    }
}

#[test]
fn there_are_only_so_many_members_and_one_less_is_always_possible() {
    let limits = Limits {
        members: 3,
        ..Limits::default()
    };
    let add = |rules: &AccessRules, name: &str| {
        let changes = MemberChanges {
            containers: vec![(400, None, vec![MemberChange::Add(user(name))])],
        };
        apply(rules, &changes, &limits)
    };
    let full = add(&usual(), "bob@example.test").unwrap();
    let outcome = add(&full, "carol@example.test");
    assert!(matches!(outcome, Err(PublishRefusal::Limit(_))), "{outcome:?}");
    let fewer = Limits {
        members: 1,
        ..Limits::default()
    };
    let changes = MemberChanges {
        containers: vec![(400, None, vec![MemberChange::Remove(user("bob@example.test"))])],
    };
    assert!(apply(&full, &changes, &fewer).is_ok());
}

#[test]
fn in_privacy_mode_contacts_see_as_much_as_their_class_and_others_nothing() {
    let contact = |uri: &str| Contact {
        uri: aor(uri),
        name: String::new(),
        groups: vec![1],
        subscribed: true,
        external_uri: String::new(),
    };
    let rules = change(
        &usual(),
        32_000,
        None,
        vec![MemberChange::Add(user("mallory@example.test"))],
    )
    .unwrap();
    let contacts = [
        contact("bob@example.test"),
        contact("dave@other.test"),
        contact("mallory@example.test"),
    ];
    let private = with_privacy(&rules, contacts.iter());
    let level = |who: &str, origin| private.level_of(&aor(who), origin);
    use rpc::presence::Origin::{Federated, SameEnterprise};
    assert_eq!(level("bob@example.test", SameEnterprise), AccessLevel::Colleagues);
    assert_eq!(level("dave@other.test", Federated), AccessLevel::External);
    assert_eq!(
        level("mallory@example.test", SameEnterprise),
        AccessLevel::Blocked
    );
    assert_eq!(level("carol@example.test", SameEnterprise), AccessLevel::Default);
    assert_eq!(level("eve@other.test", Federated), AccessLevel::Default);
}
