//! What every backend of presence does.

use futures_util::future::join_all;
use sip_types::AddressOfRecord;

use super::{Outcome, account, aor};
use crate::{
    AccountStore, ContactsWrite, PlaceStore, PresenceStore, PublicationWrite, StoreError, StoredContact,
    StoredContacts, StoredContainer, StoredGroup, StoredPresence, StoredPublication, StoredRules,
};

async fn user(store: &(impl AccountStore + PlaceStore), name: &str) -> Result<AddressOfRecord, StoreError> {
    store.add_domain("example.test").await?;
    let account = account(name)?;
    let key = account.account.aor.clone();
    store.create_account(account).await?;
    Ok(key)
}

fn publication(category: &str, instance: u32, container: u16, version: u32) -> StoredPublication {
    StoredPublication {
        category: category.to_owned(),
        instance,
        container,
        version,
        published_at: 1_800_000_000_123,
        expires_at: None,
        // Not text: no backend may take it for some.
        data: vec![0, 0xff, b'x', u8::try_from(version).unwrap_or(0)],
    }
}

fn put(expected: u32, publication: StoredPublication) -> PublicationWrite {
    PublicationWrite::Put {
        expected,
        publication,
    }
}

fn remove(expected: u32, category: &str, instance: u32, container: u16) -> PublicationWrite {
    PublicationWrite::Remove {
        expected,
        category: category.to_owned(),
        instance,
        container,
    }
}

fn conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
}

pub async fn of_a_user_who_changed_nothing_nothing_is_kept(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    for who in [&alice, &aor("nobody@example.test")?] {
        assert_eq!(store.presence(who).await?, StoredPresence::default());
        assert_eq!(store.contacts(who).await?, None);
    }
    Ok(())
}

pub async fn publications_are_read_back_as_they_were_written_in_order(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    let bob = user(store, "bob").await?;
    let mut largest = publication("state", u32::MAX, 32_767, u32::MAX);
    largest.expires_at = Some(1_800_000_999_999);
    largest.data = Vec::new();
    let expected = [
        publication("Note", 0, 200, 1),
        publication("note", 0, 200, 1),
        publication("note", 0, 300, 1),
        publication("note", 7, 200, 1),
        largest,
    ];
    let writes: Vec<_> = expected.iter().rev().cloned().map(|one| put(0, one)).collect();
    store.write_publications(&alice, &writes).await?;
    assert_eq!(store.presence(&alice).await?.publications, expected);
    assert_eq!(store.presence(&bob).await?, StoredPresence::default());
    Ok(())
}

pub async fn publications_change_only_at_the_expected_version_and_all_or_none(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    let first = publication("state", 1, 2, 1);
    let second = publication("note", 0, 200, 4);
    store
        .write_publications(&alice, &[put(0, first.clone()), put(0, second.clone())])
        .await?;
    for wrong in [
        put(0, publication("note", 0, 200, 5)),
        put(3, publication("note", 0, 200, 5)),
        put(1, publication("note", 0, 300, 5)),
        remove(3, "note", 0, 200),
        remove(1, "note", 0, 300),
    ] {
        let writes = [put(1, publication("state", 1, 2, 2)), wrong];
        conflict(store.write_publications(&alice, &writes).await);
        let stored = store.presence(&alice).await?.publications;
        assert_eq!(stored, [second.clone(), first.clone()]);
    }
    let newer = publication("state", 1, 2, 2);
    store
        .write_publications(&alice, &[put(1, newer.clone()), remove(4, "note", 0, 200)])
        .await?;
    assert_eq!(store.presence(&alice).await?.publications, [newer]);
    Ok(())
}

pub async fn a_repeated_write_of_publications_is_a_conflict(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    let write = [put(0, publication("state", 1, 2, 1))];
    store.write_publications(&alice, &write).await?;
    conflict(store.write_publications(&alice, &write).await);
    let gone = [remove(1, "state", 1, 2)];
    store.write_publications(&alice, &gone).await?;
    conflict(store.write_publications(&alice, &gone).await);
    Ok(())
}

fn rules(revision: u64, members: &[&str]) -> StoredRules {
    StoredRules {
        revision,
        containers: vec![
            StoredContainer {
                id: 200,
                version: 3,
                members: members.iter().map(|member| (*member).to_owned()).collect(),
            },
            StoredContainer {
                id: 32_000,
                version: u32::MAX,
                members: Vec::new(),
            },
        ],
    }
}

pub async fn rules_are_replaced_as_a_whole_at_the_expected_revision(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    conflict(store.write_rules(&alice, 1, &rules(2, &["b"])).await);
    store
        .write_rules(&alice, 0, &rules(1, &["user:bob@example.test", "a"]))
        .await?;
    conflict(store.write_rules(&alice, 0, &rules(1, &["c"])).await);
    let stored = store.presence(&alice).await?.rules;
    assert_eq!(stored, Some(rules(1, &["user:bob@example.test", "a"])));
    let mut empty = rules(2, &[]);
    empty.containers.truncate(1);
    store.write_rules(&alice, 1, &empty).await?;
    assert_eq!(store.presence(&alice).await?.rules, Some(empty));
    Ok(())
}

pub async fn acknowledged_watchers_are_kept_once_in_order(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    let (bob, carol) = (aor("bob@example.test")?, aor("carol@other.test")?);
    store.acknowledge(&alice, &[carol.clone(), bob.clone()]).await?;
    store.acknowledge(&alice, std::slice::from_ref(&bob)).await?;
    store.acknowledge(&alice, &[]).await?;
    assert_eq!(store.presence(&alice).await?.acknowledged, [bob, carol]);
    Ok(())
}

fn group(id: u32, name: &str) -> StoredGroup {
    StoredGroup {
        id,
        name: name.to_owned(),
        external_uri: String::new(),
    }
}

fn contact(uri: &str, added: u64, groups: &[u32]) -> Result<StoredContact, StoreError> {
    Ok(StoredContact {
        uri: aor(uri)?,
        added,
        name: format!("{uri} \u{e4}"),
        groups: groups.to_vec(),
        subscribed: added.is_multiple_of(2),
        external_uri: String::new(),
    })
}

/// Two groups and two contacts, at number 3.
fn first_list() -> Result<ContactsWrite, StoreError> {
    Ok(ContactsWrite {
        expected: 0,
        delta: 3,
        last_group: 2,
        put_groups: vec![group(2, "Friends"), group(1, "~")],
        put_contacts: vec![
            contact("bob@example.test", 3, &[2, 1])?,
            contact("carol@example.test", 2, &[1])?,
        ],
        ..ContactsWrite::default()
    })
}

pub async fn a_contact_list_is_read_back_in_order(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    store.write_contacts(&alice, &first_list()?).await?;
    let expected = StoredContacts {
        delta: 3,
        last_group: 2,
        groups: vec![group(1, "~"), group(2, "Friends")],
        contacts: vec![
            contact("carol@example.test", 2, &[1])?,
            contact("bob@example.test", 3, &[2, 1])?,
        ],
    };
    assert_eq!(store.contacts(&alice).await?, Some(expected));
    Ok(())
}

pub async fn a_contact_list_changes_only_at_the_expected_number(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    store.write_contacts(&alice, &first_list()?).await?;
    let before = store.contacts(&alice).await?;
    for expected in [0, 2, 4] {
        let write = ContactsWrite {
            expected,
            delta: expected + 1,
            last_group: 9,
            remove_contacts: vec![aor("bob@example.test")?],
            ..ContactsWrite::default()
        };
        conflict(store.write_contacts(&alice, &write).await);
        assert_eq!(store.contacts(&alice).await?, before);
    }
    Ok(())
}

pub async fn a_change_of_a_contact_list_touches_only_what_it_names(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    store.write_contacts(&alice, &first_list()?).await?;
    let write = ContactsWrite {
        expected: 3,
        delta: 4,
        last_group: 3,
        put_groups: vec![group(3, "Work")],
        remove_groups: vec![2],
        put_contacts: vec![
            contact("bob@example.test", 3, &[1])?,
            contact("dave@example.test", 4, &[3])?,
        ],
        remove_contacts: vec![aor("carol@example.test")?],
    };
    store.write_contacts(&alice, &write).await?;
    let expected = StoredContacts {
        delta: 4,
        last_group: 3,
        groups: vec![group(1, "~"), group(3, "Work")],
        contacts: vec![
            contact("bob@example.test", 3, &[1])?,
            contact("dave@example.test", 4, &[3])?,
        ],
    };
    assert_eq!(store.contacts(&alice).await?, Some(expected));
    Ok(())
}

pub async fn of_writers_at_the_same_time_one_wins(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = &user(store, "alice").await?;
    for expected in 0..4 {
        let outcomes = join_all((0..8).map(async |writer| {
            // Half of them in the other order: nobody waits for somebody who waits for them.
            let mut writes = [
                put(expected, publication("note", 0, 200, expected + 1)),
                put(expected, publication("state", 1, 2, expected + 1)),
            ];
            if writer % 2 == 1 {
                writes.reverse();
            }
            let contacts = ContactsWrite {
                expected: expected.into(),
                delta: u64::from(expected) + 1,
                ..ContactsWrite::default()
            };
            [
                store.write_publications(alice, &writes).await,
                store
                    .write_rules(alice, expected.into(), &rules(u64::from(expected) + 1, &[]))
                    .await,
                store.write_contacts(alice, &contacts).await,
            ]
        }))
        .await;
        let mut won = [0; 3];
        for (what, outcome) in outcomes
            .into_iter()
            .flat_map(|three| three.into_iter().enumerate())
        {
            match outcome {
                Ok(()) => won[what] += 1,
                refused => conflict(refused),
            }
        }
        assert_eq!(won, [1; 3], "expecting {expected}");
    }
    Ok(())
}

pub async fn presence_needs_an_account(store: &(impl PresenceStore + AccountStore + PlaceStore)) -> Outcome {
    user(store, "alice").await?;
    let nobody = aor("nobody@example.test")?;
    let outcomes = [
        store
            .write_publications(&nobody, &[put(0, publication("state", 1, 2, 1))])
            .await,
        store.write_rules(&nobody, 0, &rules(1, &[])).await,
        store.acknowledge(&nobody, &[aor("alice@example.test")?]).await,
        store.write_contacts(&nobody, &first_list()?).await,
    ];
    for outcome in outcomes {
        assert!(
            matches!(outcome, Err(StoreError::InvalidRequest(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(store.presence(&nobody).await?, StoredPresence::default());
    Ok(())
}

pub async fn what_is_kept_goes_with_the_account(
    store: &(impl PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = user(store, "alice").await?;
    let bob = user(store, "bob").await?;
    for who in [&alice, &bob] {
        store
            .write_publications(who, &[put(0, publication("state", 1, 2, 1))])
            .await?;
        store.write_rules(who, 0, &rules(1, &["a"])).await?;
        store.acknowledge(who, &[aor("carol@example.test")?]).await?;
        store.write_contacts(who, &first_list()?).await?;
    }
    assert!(store.delete_account(&alice).await?);
    store.create_account(account("alice")?).await?;
    assert_eq!(store.presence(&alice).await?, StoredPresence::default());
    assert_eq!(store.contacts(&alice).await?, None);
    assert_eq!(store.presence(&bob).await?.publications.len(), 1);
    assert!(store.contacts(&bob).await?.is_some());
    Ok(())
}
