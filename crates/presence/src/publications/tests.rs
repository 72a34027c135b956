use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rpc::presence::{Kept, KeptFormat};
use sip_types::AddressOfRecord;

use super::*;

fn at(ms: u64) -> Now {
    Now {
        unix_ms: 1_800_000_000_000 + ms,
        ms,
    }
}

fn key(category: &str, instance: u32) -> PublicationKey {
    PublicationKey {
        category: category.into(),
        instance,
        container: 2,
    }
}

fn lifetime(bound: Bound) -> Lifetime {
    Lifetime { bound, expires: None }
}

fn set(category: &str, known: Option<u32>, bound: Bound) -> PublishOne {
    PublishOne::Set {
        key: key(category, 1),
        known,
        lifetime: lifetime(bound),
        content: PublicationContent::Opaque,
        kept: None,
    }
}

fn by(endpoint: Option<&str>, changes: Vec<PublishOne>) -> Publish {
    Publish {
        user: AddressOfRecord::parse("alice@example.test").unwrap(),
        endpoint: endpoint.map(EndpointId::new),
        changes,
    }
}

fn publish(
    publications: &mut Publications,
    endpoint: Option<&str>,
    change: PublishOne,
) -> Result<u32, PublishRefusal> {
    let prepared = publications.prepare(&by(endpoint, vec![change]), at(0), &Limits::default())?;
    let version = prepared.versions[0].version;
    publications.commit(prepared);
    Ok(version)
}

fn conflict(known: u32, current: u32) -> Result<u32, PublishRefusal> {
    Err(PublishRefusal::Conflict(vec![(0, known, current)]))
}

#[test]
fn a_publication_is_taken_only_at_its_current_version() {
    let mut all = Publications::default();
    assert_eq!(
        publish(&mut all, None, set("state", Some(3), Bound::Static)),
        conflict(3, 0)
    );
    assert_eq!(
        publish(&mut all, None, set("state", Some(0), Bound::Static)),
        Ok(1)
    );
    assert_eq!(
        publish(&mut all, None, set("state", Some(0), Bound::Static)),
        conflict(0, 1)
    );
    assert_eq!(
        publish(&mut all, None, set("state", Some(1), Bound::Static)),
        Ok(2)
    );
    assert_eq!(publish(&mut all, None, set("state", None, Bound::Static)), Ok(3));
}

#[test]
fn what_a_front_end_says_again_has_the_version_it_had() {
    let mut all = Publications::default();
    let again = |bound| set("state", None, bound);
    for bound in [Bound::Endpoint, Bound::User] {
        let version = publish(&mut all, Some("e1"), again(bound)).unwrap();
        assert_eq!(publish(&mut all, Some("e1"), again(bound)), Ok(version));
        let changes = all.volatile_changes();
        assert_eq!(
            publish(&mut all, Some("e2"), again(bound)),
            Ok(version + 1),
            "{bound:?}"
        );
        assert!(all.volatile_changes() > changes);
    }
}

#[test]
fn an_endpoint_that_begins_again_is_no_conflict_with_itself() {
    let mut all = Publications::default();
    let begin = || set("state", Some(0), Bound::Endpoint);
    assert_eq!(publish(&mut all, Some("e1"), begin()), Ok(1));
    assert_eq!(publish(&mut all, Some("e1"), begin()), Ok(2));
    assert_eq!(publish(&mut all, Some("e2"), begin()), conflict(0, 2));
    // Not for what outlives the endpoint, nor for a wrong version.
    assert_eq!(
        publish(&mut all, Some("e1"), set("note", Some(0), Bound::Static)),
        Ok(1)
    );
    assert_eq!(
        publish(&mut all, Some("e1"), set("note", Some(0), Bound::Static)),
        conflict(0, 1)
    );
    assert_eq!(
        publish(&mut all, Some("e1"), set("state", Some(1), Bound::Endpoint)),
        conflict(1, 2)
    );
}

#[test]
fn all_conflicts_are_told_and_nothing_is_changed() {
    let mut all = Publications::default();
    publish(&mut all, None, set("a", None, Bound::Static)).unwrap();
    let changes = vec![
        set("a", Some(7), Bound::Static),
        set("b", Some(0), Bound::Static),
        PublishOne::Remove {
            key: key("c", 1),
            known: Some(2),
        },
    ];
    let refusal = all.prepare(&by(None, changes), at(0), &Limits::default());
    assert_eq!(refusal, Err(PublishRefusal::Conflict(vec![(0, 7, 1), (2, 2, 0)])));
    assert_eq!(all.len(), 1);
}

#[test]
fn changes_of_one_publish_see_each_other() {
    let all = Publications::default();
    let changes = vec![
        set("a", Some(0), Bound::Static),
        set("a", Some(1), Bound::Static),
        PublishOne::Remove {
            key: key("a", 1),
            known: Some(2),
        },
        set("a", Some(0), Bound::Static),
    ];
    let prepared = all
        .prepare(&by(None, changes), at(0), &Limits::default())
        .unwrap();
    let versions: Vec<u32> = prepared.versions.iter().map(|one| one.version).collect();
    assert_eq!(versions, [1, 2, 0, 1]);
}

#[test]
fn a_refresh_prolongs_and_changes_nothing_but_the_version() {
    let mut all = Publications::default();
    let expires = |seconds| Lifetime {
        bound: Bound::Endpoint,
        expires: Some(Duration::from_secs(seconds)),
    };
    let first = PublishOne::Set {
        key: key("pidf", 1),
        known: Some(0),
        lifetime: expires(10),
        content: PublicationContent::Opaque,
        kept: None,
    };
    publish(&mut all, Some("e1"), first).unwrap();
    assert_eq!(all.next_deadline(), Some(10_000));
    let refresh = |known| PublishOne::Refresh {
        key: key("pidf", 1),
        known,
        lifetime: expires(60),
    };
    let prepared = all
        .prepare(&by(Some("e1"), vec![refresh(1)]), at(5_000), &Limits::default())
        .unwrap();
    all.commit(prepared);
    assert_eq!(all.version_of(&key("pidf", 1)), 2);
    assert_eq!(all.next_deadline(), Some(65_000));
    let published_at: Vec<u64> = all.iter().map(|one| one.published_at).collect();
    assert_eq!(published_at, [at(0).unix_ms]);
    assert_eq!(publish(&mut all, Some("e1"), refresh(1)), conflict(1, 2));
    assert!(all.due(at(64_999)).is_empty());
    let due = all.due(at(65_000));
    all.commit(due);
    assert_eq!(all.len(), 0);
    assert_eq!(publish(&mut all, Some("e1"), refresh(2)), conflict(2, 0));
}

#[test]
fn each_publication_ends_with_what_it_is_bound_to() {
    let mut all = Publications::default();
    publish(&mut all, Some("e1"), set("device", None, Bound::Endpoint)).unwrap();
    publish(&mut all, Some("e2"), set("state", None, Bound::Endpoint)).unwrap();
    publish(&mut all, Some("e1"), set("user", None, Bound::User)).unwrap();
    publish(&mut all, Some("e1"), set("note", None, Bound::Static)).unwrap();
    let left =
        |all: &Publications| -> Vec<String> { all.iter().map(|one| one.key.category.to_string()).collect() };
    all.commit(all.of_endpoint(&EndpointId::new("e1")));
    assert_eq!(left(&all), ["note", "state", "user"]);
    all.commit(all.of_endpoint(&EndpointId::new("e2")));
    assert_eq!(left(&all), ["note", "user"]);
    all.commit(all.of_user());
    assert_eq!(left(&all), ["note"]);
    assert!(!all.has_volatile());
}

#[test]
fn only_what_is_static_is_stored_and_what_becomes_volatile_is_removed() {
    let mut all = Publications::default();
    let durable = |all: &Publications, change: PublishOne| -> Vec<(u32, bool)> {
        let prepared = all
            .prepare(&by(Some("e1"), vec![change]), at(0), &Limits::default())
            .unwrap();
        all.durable(&prepared)
            .iter()
            .map(|one| (one.expected, one.held.is_some()))
            .collect()
    };
    assert_eq!(durable(&all, set("a", None, Bound::Endpoint)), []);
    assert_eq!(durable(&all, set("a", None, Bound::Static)), [(0, true)]);
    publish(&mut all, Some("e1"), set("a", None, Bound::Static)).unwrap();
    assert_eq!(durable(&all, set("a", None, Bound::Static)), [(1, true)]);
    assert_eq!(durable(&all, set("a", None, Bound::Endpoint)), [(1, false)]);
    let remove = PublishOne::Remove {
        key: key("a", 1),
        known: None,
    };
    assert_eq!(durable(&all, remove), [(1, false)]);
}

#[test]
fn what_cannot_be_is_refused_with_words() {
    let all = Publications::default();
    let refusal = |endpoint, change| {
        all.prepare(&by(endpoint, vec![change]), at(0), &Limits::default())
            .unwrap_err()
    };
    let with =
        |category: &str, container, bound, expires: Option<Duration>, xml: &'static [u8]| PublishOne::Set {
            key: PublicationKey {
                category: category.into(),
                instance: 1,
                container,
            },
            known: None,
            lifetime: Lifetime { bound, expires },
            content: PublicationContent::Opaque,
            kept: Some(Kept {
                format: KeptFormat::Category,
                xml: Bytes::from_static(xml),
            }),
        };
    static LARGE: [u8; 25 * 1_024] = [b'x'; 25 * 1_024];
    for (what, change) in [
        ("large container", with("a", 32_768, Bound::Static, None, b"")),
        ("container 0", with("a", 0, Bound::Static, None, b"")),
        ("no name", with("", 2, Bound::Static, None, b"")),
        ("blank in name", with("a b", 2, Bound::Static, None, b"")),
        ("not text", with("a", 2, Bound::Static, None, b"\xff")),
        ("no endpoint", with("a", 2, Bound::Endpoint, None, b"")),
        ("no time", with("a", 2, Bound::Static, Some(Duration::ZERO), b"")),
    ] {
        let refusal = refusal(None, change);
        assert!(
            matches!(refusal, PublishRefusal::Invalid(_)),
            "{what}: {refusal:?}"
        );
    }
    for (what, change) in [
        ("long name", with(&"a".repeat(65), 2, Bound::Static, None, b"")),
        ("large", with("a", 2, Bound::Static, None, &LARGE)),
    ] {
        let refusal = refusal(None, change);
        assert!(matches!(refusal, PublishRefusal::Limit(_)), "{what}: {refusal:?}");
    }
    let many = (0..129).map(|_| set("a", None, Bound::Static)).collect();
    let refusal = all.prepare(&by(None, many), at(0), &Limits::default());
    assert!(matches!(refusal, Err(PublishRefusal::Limit(_))), "{refusal:?}");
}

#[test]
fn a_user_has_so_many_publications_and_so_many_bytes() {
    let limits = Limits {
        publications: 2,
        user_bytes: 1_000,
        ..Limits::default()
    };
    let mut all = Publications::default();
    let mut try_set = |instance, size: usize| {
        let change = PublishOne::Set {
            key: key("a", instance),
            known: None,
            lifetime: lifetime(Bound::Static),
            content: PublicationContent::Opaque,
            kept: Some(Kept {
                format: KeptFormat::Category,
                xml: Bytes::from(vec![b'x'; size]),
            }),
        };
        let prepared = all.prepare(&by(None, vec![change]), at(0), &limits);
        prepared.map(|prepared| all.commit(prepared)).is_ok()
    };
    assert!(try_set(1, 700));
    assert!(!try_set(2, 300), "bytes");
    assert!(try_set(2, 100));
    assert!(!try_set(3, 1), "number");
    assert!(!try_set(1, 900), "bytes of a larger one");
    assert!(try_set(1, 600), "a smaller one in its place");
}

// === against a model ===

#[derive(Clone, Debug)]
enum Action {
    Set(usize, Option<u32>, Bound, usize),
    Remove(usize, Option<u32>),
    EndEndpoint(usize),
    EndUser,
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const ENDPOINTS: [&str; 2] = ["e1", "e2"];

fn action() -> impl Strategy<Value = Action> {
    let bound = prop::sample::select(vec![Bound::Static, Bound::User, Bound::Endpoint]);
    prop_oneof![
        (0..3_usize, prop::option::of(0..4_u32), bound, 0..2_usize)
            .prop_map(|(name, known, bound, endpoint)| Action::Set(name, known, bound, endpoint)),
        (0..3_usize, prop::option::of(0..4_u32)).prop_map(|(name, known)| Action::Remove(name, known)),
        (0..2_usize).prop_map(Action::EndEndpoint),
        Just(Action::EndUser),
    ]
}

proptest! {
    #[test]
    fn versions_and_ends_are_those_of_the_model(actions in prop::collection::vec(action(), 0..40)) {
        let mut all = Publications::default();
        let mut model: BTreeMap<usize, (u32, Bound, usize)> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Set(name, known, bound, endpoint) => {
                    let current = model.get(&name).copied();
                    let version = current.map_or(0, |(version, ..)| version);
                    let again = known == Some(0)
                        && bound == Bound::Endpoint
                        && current.is_some_and(|(_, was, by)| was == Bound::Endpoint && by == endpoint);
                    let accepted = again || known.is_none_or(|known| known == version);
                    let result = publish(&mut all, Some(ENDPOINTS[endpoint]), set(NAMES[name], known, bound));
                    prop_assert_eq!(result.is_ok(), accepted);
                    if accepted {
                        // What says the same again without naming a version changes nothing.
                        let same = known.is_none()
                            && bound != Bound::Static
                            && current == Some((version, bound, endpoint));
                        let version = if same { version } else { version + 1 };
                        prop_assert_eq!(result, Ok(version));
                        model.insert(name, (version, bound, endpoint));
                    }
                }
                Action::Remove(name, known) => {
                    let version = model.get(&name).map_or(0, |(version, ..)| *version);
                    let remove = PublishOne::Remove { key: key(NAMES[name], 1), known };
                    let result = publish(&mut all, None, remove);
                    prop_assert_eq!(result.is_ok(), known.is_none_or(|known| known == version));
                    if result.is_ok() {
                        model.remove(&name);
                    }
                }
                Action::EndEndpoint(endpoint) => {
                    all.commit(all.of_endpoint(&EndpointId::new(ENDPOINTS[endpoint])));
                    model.retain(|_, (_, bound, by)| *bound != Bound::Endpoint || *by != endpoint);
                }
                Action::EndUser => {
                    all.commit(all.of_user());
                    model.retain(|_, (_, bound, _)| *bound != Bound::User);
                }
            }
            let found: Vec<(String, u32)> =
                all.iter().map(|one| (one.key.category.to_string(), one.version)).collect();
            let expected: Vec<(String, u32)> =
                model.iter().map(|(name, (version, ..))| (NAMES[*name].to_owned(), *version)).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(all.bytes, all.held.values().map(|held| held.bytes).sum::<usize>());
        }
    }
}
