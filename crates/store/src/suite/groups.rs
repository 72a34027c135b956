//! What a store of organisational groups must do.

use sip_types::AddressOfRecord;

use super::{Outcome, account, aor};
use crate::{
    AccountStore, ContactsWrite, GroupPatch, GroupStore, OrganisationalGroup, PlaceStore, PresenceStore,
    StoreError, StoredContact,
};

const MAX: u32 = 3;

fn group(name: &str) -> Result<OrganisationalGroup, StoreError> {
    Ok(OrganisationalGroup {
        address: aor(&format!("{name}@example.test"))?,
        display_name: format!("{name} of the suite"),
        created_at: 1_800_000_000,
        size: 0,
    })
}

fn adding(members: &[&AddressOfRecord]) -> GroupPatch {
    GroupPatch {
        add: members.iter().copied().cloned().collect(),
        ..GroupPatch::default()
    }
}

async fn user(store: &impl AccountStore, name: &str) -> Result<AddressOfRecord, StoreError> {
    let account = account(name)?;
    let key = account.account.aor.clone();
    store.create_account(account).await?;
    Ok(key)
}

/// Makes this address a contact of somebody who has no other.
async fn add_contact(
    store: &impl PresenceStore,
    user: &AddressOfRecord,
    contacts: &[&AddressOfRecord],
) -> Outcome {
    let put_contacts = contacts.iter().zip(1..).map(|(uri, added)| StoredContact {
        uri: (*uri).clone(),
        added,
        name: String::new(),
        groups: vec![1],
        subscribed: true,
        external_uri: String::new(),
    });
    let write = ContactsWrite {
        delta: 1,
        last_group: 1,
        put_contacts: put_contacts.collect(),
        ..ContactsWrite::default()
    };
    store.write_contacts(user, &write).await
}

pub async fn a_group_is_read_back_as_it_was_written(store: &(impl GroupStore + PlaceStore)) -> Outcome {
    let written = OrganisationalGroup {
        display_name: "Sales \"EMEA\" Ängström; DROP TABLE accounts".into(),
        ..group("sales")?
    };
    let refused = store.create_group(&written).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidRequest(_))),
        "without its domain: {refused:?}"
    );
    store.add_domain("example.test").await?;
    store.create_group(&written).await?;
    assert_eq!(store.group(&written.address).await?, Some(written.clone()));
    assert_eq!(store.group_members(&written.address).await?, []);

    let nobody = aor("nobody@example.test")?;
    assert_eq!(store.group(&nobody).await?, None);
    assert_eq!(store.group_members(&nobody).await?, []);
    let patch = adding(&[&nobody]);
    assert_eq!(store.change_group(&nobody, &patch, MAX).await?, None);
    assert!(!store.delete_group(&nobody).await?);
    Ok(())
}

pub async fn no_account_and_group_have_one_address(
    store: &(impl GroupStore + AccountStore + PlaceStore),
) -> Outcome {
    store.add_domain("example.test").await?;
    let sales = group("sales")?;
    store.create_group(&sales).await?;
    user(store, "alice").await?;
    for refused in [
        store.create_group(&sales).await,
        store.create_group(&group("alice")?).await,
        store.create_account(account("sales")?).await,
    ] {
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(store.account_count().await?, 1);
    assert_eq!(store.groups(None, 10).await?, [sales]);
    Ok(())
}

pub async fn members_are_kept_once_in_order_and_bounded(store: &(impl GroupStore + PlaceStore)) -> Outcome {
    store.add_domain("example.test").await?;
    let sales = group("sales")?;
    store.create_group(&sales).await?;
    let (amy, bob) = (aor("amy@example.test")?, aor("bob@example.test")?);
    let (zoe, kim) = (aor("zoe@partner.test")?, aor("kim@example.test")?);

    let patch = adding(&[&zoe, &bob, &amy, &bob]);
    let changed = store.change_group(&sales.address, &patch, MAX).await?;
    assert_eq!(changed.map(|group| group.size), Some(3));
    let patch = GroupPatch {
        display_name: Some("Sellers".into()),
        ..adding(&[&kim])
    };
    let refused = store.change_group(&sales.address, &patch, MAX).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidRequest(_))),
        "{refused:?}"
    );
    let full = store.group(&sales.address).await?;
    assert_eq!(full.map(|group| group.display_name), Some(sales.display_name));
    assert_eq!(
        store.group_members(&sales.address).await?,
        [amy.clone(), bob.clone(), zoe.clone()]
    );

    let patch = GroupPatch {
        remove: vec![bob, aor("nobody@example.test")?],
        ..patch
    };
    let changed = store.change_group(&sales.address, &patch, MAX).await?;
    assert_eq!(
        changed.map(|group| (group.display_name, group.size)),
        Some(("Sellers".into(), 3)),
        "whoever leaves makes room"
    );
    assert_eq!(store.group_members(&sales.address).await?, [amy, kim, zoe]);
    Ok(())
}

pub async fn groups_are_listed_in_order_page_by_page(store: &(impl GroupStore + PlaceStore)) -> Outcome {
    store.add_domain("example.test").await?;
    for name in ["sales", "board", "all"] {
        store.create_group(&group(name)?).await?;
    }
    let kim = aor("kim@example.test")?;
    store
        .change_group(&group("board")?.address, &adding(&[&kim]), MAX)
        .await?;
    let page = store.groups(None, 2).await?;
    let board = OrganisationalGroup {
        size: 1,
        ..group("board")?
    };
    assert_eq!(page, [group("all")?, board]);
    let page = store.groups(Some(&page[1].address), 2).await?;
    assert_eq!(page, [group("sales")?]);
    assert_eq!(store.groups(Some(&page[0].address), 2).await?, []);
    Ok(())
}

pub async fn a_deleted_group_leaves_only_contacts_of_its_address(
    store: &(impl GroupStore + PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    store.add_domain("example.test").await?;
    let sales = group("sales")?;
    store.create_group(&sales).await?;
    let alice = user(store, "alice").await?;
    store
        .change_group(&sales.address, &adding(&[&alice]), MAX)
        .await?;
    add_contact(store, &alice, &[&sales.address]).await?;

    assert!(store.delete_group(&sales.address).await?);
    assert_eq!(store.group(&sales.address).await?, None);
    assert_eq!(store.groups_of(&alice).await?, []);
    assert_eq!(store.groups_among_contacts(&alice).await?, []);
    assert_eq!(
        store.users_with_contact(&sales.address).await?,
        std::slice::from_ref(&alice)
    );
    store.create_group(&sales).await?;
    assert_eq!(store.group_members(&sales.address).await?, []);
    assert_eq!(store.groups_among_contacts(&alice).await?, [sales]);
    Ok(())
}

pub async fn whoever_has_no_account_any_more_is_a_member_of_nothing(
    store: &(impl GroupStore + AccountStore + PlaceStore),
) -> Outcome {
    store.add_domain("example.test").await?;
    let (sales, board) = (group("sales")?, group("board")?);
    store.create_group(&sales).await?;
    store.create_group(&board).await?;
    let alice = user(store, "alice").await?;
    let zoe = aor("zoe@partner.test")?;
    for address in [&sales.address, &board.address] {
        store.change_group(address, &adding(&[&alice, &zoe]), MAX).await?;
    }
    assert_eq!(
        store.groups_of(&alice).await?,
        [board.address.clone(), sales.address.clone()]
    );
    assert!(store.delete_account(&alice).await?);
    assert_eq!(store.groups_of(&alice).await?, []);
    assert_eq!(store.group_members(&sales.address).await?, [zoe]);
    assert_eq!(
        store.group(&board.address).await?.map(|group| group.size),
        Some(1)
    );
    Ok(())
}

pub async fn groups_are_found_by_who_has_them_as_contacts(
    store: &(impl GroupStore + PresenceStore + AccountStore + PlaceStore),
) -> Outcome {
    store.add_domain("example.test").await?;
    let (sales, board) = (group("sales")?, group("board")?);
    store.create_group(&sales).await?;
    store.create_group(&board).await?;
    let (alice, bob) = (user(store, "alice").await?, user(store, "bob").await?);
    add_contact(store, &bob, &[&sales.address]).await?;
    add_contact(store, &alice, &[&sales.address, &bob, &board.address]).await?;

    assert_eq!(
        store.groups_among_contacts(&alice).await?,
        [sales.clone(), board.clone()],
        "in the order of the contact list"
    );
    assert_eq!(
        store.users_with_contact(&sales.address).await?,
        [alice.clone(), bob.clone()]
    );
    assert_eq!(store.users_with_contact(&board.address).await?, [alice]);
    assert_eq!(store.groups_among_contacts(&bob).await?, [sales]);
    Ok(())
}
