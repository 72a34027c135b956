use super::*;

fn aor(text: &str) -> AddressOfRecord {
    AddressOfRecord::parse(text).unwrap()
}

fn contact(uri: &str, groups: &[u32]) -> Contact {
    Contact {
        uri: aor(uri),
        name: String::new(),
        groups: groups.to_vec(),
        subscribed: true,
        external_uri: String::new(),
    }
}

fn group(id: u32, name: &str) -> ContactGroup {
    ContactGroup {
        id,
        name: name.to_owned(),
        external_uri: String::new(),
    }
}

fn add_group(name: &str) -> ContactChange {
    ContactChange::AddGroup {
        name: name.to_owned(),
        external_uri: String::new(),
    }
}

fn change(book: &ContactBook, change: ContactChange) -> Result<Change, ContactRefusal> {
    book.change(&aor("alice@example.test"), None, change, 2, &Limits::default())
}

/// A list with the group Friends (2), where bob is.
fn with_bob() -> ContactBook {
    let book = change(&ContactBook::new(None), add_group("Friends"))
        .unwrap()
        .after;
    let bob = ContactChange::SetContact(contact("bob@example.test", &[2]));
    change(&book, bob).unwrap().after
}

#[test]
fn the_list_of_somebody_who_changed_nothing_has_the_default_group() {
    let book = ContactBook::new(None);
    assert_eq!(book.list().delta, 1);
    assert_eq!(book.list().groups, [group(1, "~")]);
    assert_eq!(book.list().contacts, []);
}

#[test]
fn each_change_moves_the_number_by_one_and_tells_both() {
    let changed = change(&ContactBook::new(None), add_group("Friends")).unwrap();
    assert_eq!(
        changed.news.changed,
        ContactChanged::AddedGroup(group(2, "Friends"))
    );
    assert_eq!((changed.news.previous, changed.news.delta), (1, 2));
    // The first write brings the default group along.
    assert_eq!(changed.write.expected, 0);
    assert_eq!(changed.write.put_groups.len(), 2);
    let bob = ContactChange::SetContact(contact("bob@example.test", &[]));
    let changed = change(&changed.after, bob).unwrap();
    assert_eq!((changed.news.previous, changed.news.delta), (2, 3));
    assert_eq!(changed.write.expected, 2);
    assert_eq!(changed.write.put_groups, []);
    assert_eq!(
        changed.news.changed,
        ContactChanged::AddedContact(contact("bob@example.test", &[1]))
    );
}

#[test]
fn a_stale_number_is_told_the_current_one_and_changes_nothing() {
    let book = with_bob();
    for known in [0, 2, 4] {
        let outcome = book.change(
            &aor("alice@example.test"),
            Some(known),
            add_group(""),
            2,
            &Limits::default(),
        );
        assert_eq!(outcome, Err(ContactRefusal::Stale(3)));
    }
}

#[test]
fn a_deleted_group_leaves_its_contacts_in_the_default_group_and_its_number_is_never_given_again() {
    let changed = change(&with_bob(), ContactChange::DeleteGroup(2)).unwrap();
    let bob = contact("bob@example.test", &[1]);
    assert_eq!(
        changed.news.changed,
        ContactChanged::DeletedGroup(2, vec![bob.clone()])
    );
    assert_eq!(changed.write.remove_groups, [2]);
    assert_eq!(changed.write.put_contacts.len(), 1);
    assert_eq!(changed.after.list().contacts, [bob]);
    let again = change(&changed.after, add_group("Friends")).unwrap();
    assert_eq!(
        again.news.changed,
        ContactChanged::AddedGroup(group(3, "Friends"))
    );
}

#[test]
fn a_contact_is_changed_in_its_place_and_deleted() {
    let book = with_bob();
    let mut bob = contact("bob@example.test", &[2, 1, 2]);
    bob.name = "Bob".to_owned();
    let changed = change(&book, ContactChange::SetContact(bob.clone())).unwrap();
    bob.groups = vec![1, 2];
    assert_eq!(changed.news.changed, ContactChanged::ModifiedContact(bob));
    // It was added at number 3 and stays there.
    assert_eq!(changed.write.put_contacts[0].added, 3);
    let gone = change(
        &changed.after,
        ContactChange::DeleteContact(aor("bob@example.test")),
    )
    .unwrap();
    assert_eq!(gone.after.list().contacts, []);
    let again = change(&gone.after, ContactChange::DeleteContact(aor("bob@example.test")));
    assert_eq!(again, Err(ContactRefusal::NotFound("contact")));
}

#[test]
fn the_policy_bounds_contacts_but_not_changes_of_those_there_are() {
    let carol = ContactChange::SetContact(contact("carol@example.test", &[]));
    let book = change(&with_bob(), carol.clone()).unwrap().after;
    let dave = ContactChange::SetContact(contact("dave@example.test", &[]));
    assert_eq!(change(&book, dave), Err(ContactRefusal::Limit(2)));
    assert!(change(&book, carol).is_ok());
}

#[test]
fn what_cannot_be_is_refused_with_words() {
    let book = with_bob();
    let long = "x".repeat(257);
    for bad in [
        add_group(""),
        add_group(&long),
        add_group("a\nb"),
        ContactChange::ModifyGroup(group(1, "Mine")),
        ContactChange::ModifyGroup(group(2, "")),
        ContactChange::DeleteGroup(1),
        ContactChange::AddGroup {
            name: "a".to_owned(),
            external_uri: "x".repeat(1_025),
        },
    ] {
        let outcome = change(&book, bad.clone());
        assert!(
            matches!(outcome, Err(ContactRefusal::Invalid(_))),
            "{bad:?}: {outcome:?}"
        );
    }
    for missing in [
        ContactChange::ModifyGroup(group(9, "Nine")),
        ContactChange::DeleteGroup(9),
        ContactChange::SetContact(contact("bob@example.test", &[9])),
    ] {
        assert_eq!(change(&book, missing), Err(ContactRefusal::NotFound("group")));
    }
    let mut full = ContactBook::new(None);
    for n in 0..63 {
        full = change(&full, add_group(&n.to_string())).unwrap().after;
    }
    let outcome = change(&full, add_group("one more"));
    assert!(matches!(outcome, Err(ContactRefusal::Invalid(_))), "{outcome:?}");
}

#[tokio::test]
async fn what_is_written_reads_back_as_the_list_there_is() {
    use store::{AccountStore, PlaceStore, PresenceStore};
    let store = store::memory::MemoryDirectory::new();
    let alice = aor("alice@example.test");
    store.add_domain("example.test").await.unwrap();
    let account = store::Account {
        aor: alice.clone(),
        display_name: String::new(),
        site: topology::SiteId::new("main"),
        enabled: true,
        created_at: 0,
    };
    let account = store::StoredAccount {
        account,
        credentials: Vec::new(),
    };
    store.create_account(account).await.unwrap();
    let mut book = ContactBook::new(None);
    for step in [
        add_group("Friends"),
        ContactChange::SetContact(contact("zoe@example.test", &[2])),
        ContactChange::SetContact(contact("bob@example.test", &[1, 2])),
        ContactChange::ModifyGroup(group(2, "People")),
        ContactChange::DeleteGroup(2),
        add_group("Work"),
        ContactChange::DeleteContact(aor("bob@example.test")),
    ] {
        let changed = change(&book, step).unwrap();
        store.write_contacts(&alice, &changed.write).await.unwrap();
        let stored = store.contacts(&alice).await.unwrap();
        assert_eq!(ContactBook::new(stored), changed.after);
        book = changed.after;
    }
}

#[test]
fn the_group_of_an_organisational_group_is_deleted_with_the_contact_and_never_renamed() {
    let book = with_bob();
    let bob = aor("bob@example.test");
    let id = book.listed_id(&bob).unwrap();
    assert!(id >= FIRST_LISTED);
    assert_eq!(book.listed_id(&aor("sales@example.test")), None);
    let refused = change(&book, ContactChange::ModifyGroup(group(id, "Mine")));
    assert!(matches!(refused, Err(ContactRefusal::Invalid(_))), "{refused:?}");
    let refused = change(&book, ContactChange::DeleteGroup(id + 1));
    assert_eq!(refused, Err(ContactRefusal::NotFound("group")));
    let changed = change(&book, ContactChange::DeleteGroup(id)).unwrap();
    assert_eq!(changed.news.changed, ContactChanged::DeletedContact(bob.clone()));
    assert_eq!(changed.write.remove_contacts, [bob]);
    assert_eq!(changed.after.list().contacts, []);
}

#[test]
fn what_a_user_says_of_a_member_is_said_of_a_contact() {
    let book = with_bob();
    let id = book.listed_id(&aor("bob@example.test")).unwrap();
    let carol = ContactChange::SetContact(contact("carol@example.test", &[id]));
    let changed = change(&book, carol).unwrap();
    assert_eq!(
        changed.news.changed,
        ContactChanged::AddedContact(contact("carol@example.test", &[1]))
    );
    let bob = ContactChange::SetContact(contact("bob@example.test", &[2, id]));
    let changed = change(&book, bob).unwrap();
    assert_eq!(
        changed.news.changed,
        ContactChanged::ModifiedContact(contact("bob@example.test", &[2]))
    );
}
