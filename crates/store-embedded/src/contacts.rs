//! Tables `contact_lists`, `contact_groups` and `contacts`.

use sip_types::AddressOfRecord;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};
use store::{ContactsWrite, StoreError, StoredContact, StoredContacts, StoredGroup};

use crate::columns::{address, json, number, to_json, to_number};
use crate::error::driver;
use crate::presence::conflict;

/// A list, its groups and its contacts in one statement, which sees one state of the tables. `part` says of which table a
/// row is.
const ALL: &str = "SELECT 0 AS part, last_group AS id, delta AS added, '' AS uri, '' AS name, '' AS group_ids, \
     0 AS subscribed, '' AS external_uri FROM contact_lists WHERE aor = ?1 \
     UNION ALL SELECT 1, id, 0, '', name, '', 0, external_uri FROM contact_groups WHERE aor = ?1 \
     UNION ALL SELECT 2, 0, added, uri, name, group_ids, subscribed, external_uri FROM contacts WHERE aor = ?1 \
     ORDER BY part, id, added, uri";

fn group_of(row: &SqliteRow) -> Result<StoredGroup, StoreError> {
    Ok(StoredGroup {
        id: number(row, "id")?,
        name: row.try_get("name").map_err(driver)?,
        external_uri: row.try_get("external_uri").map_err(driver)?,
    })
}

fn contact_of(row: &SqliteRow) -> Result<StoredContact, StoreError> {
    Ok(StoredContact {
        uri: address(row, "uri")?,
        added: number(row, "added")?,
        name: row.try_get("name").map_err(driver)?,
        groups: json(row, "group_ids")?,
        subscribed: row.try_get("subscribed").map_err(driver)?,
        external_uri: row.try_get("external_uri").map_err(driver)?,
    })
}

/// The contact list of a user.
pub(crate) async fn read(
    executor: impl SqliteExecutor<'_>,
    user: &AddressOfRecord,
) -> Result<Option<StoredContacts>, StoreError> {
    let rows = sqlx::query(ALL)
        .bind(user.as_str())
        .fetch_all(executor)
        .await
        .map_err(driver)?;
    // The row of the list is the first; without it there are no others.
    let Some((list, rows)) = rows.split_first() else {
        return Ok(None);
    };
    let mut contacts = StoredContacts {
        delta: number(list, "added")?,
        last_group: number(list, "id")?,
        groups: Vec::new(),
        contacts: Vec::new(),
    };
    for row in rows {
        match row.try_get::<i64, _>("part").map_err(driver)? {
            1 => contacts.groups.push(group_of(row)?),
            _ => contacts.contacts.push(contact_of(row)?),
        }
    }
    Ok(Some(contacts))
}

/// Changes the contact list of a user who has an account.
pub(crate) async fn write(
    tx: &mut Transaction<'_, Sqlite>,
    user: &AddressOfRecord,
    write: &ContactsWrite,
) -> Result<(), StoreError> {
    write_list(tx, user, write).await?;
    for id in &write.remove_groups {
        let gone = sqlx::query("DELETE FROM contact_groups WHERE aor = ? AND id = ?")
            .bind(user.as_str())
            .bind(id);
        gone.execute(&mut **tx).await.map_err(driver)?;
    }
    for group in &write.put_groups {
        put_group(tx, user, group).await?;
    }
    for uri in &write.remove_contacts {
        let gone = sqlx::query("DELETE FROM contacts WHERE aor = ? AND uri = ?")
            .bind(user.as_str())
            .bind(uri.as_str());
        gone.execute(&mut **tx).await.map_err(driver)?;
    }
    for contact in &write.put_contacts {
        put_contact(tx, user, contact).await?;
    }
    Ok(())
}

async fn write_list(
    tx: &mut Transaction<'_, Sqlite>,
    user: &AddressOfRecord,
    write: &ContactsWrite,
) -> Result<(), StoreError> {
    let statement = match write.expected {
        0 => "INSERT INTO contact_lists (delta, last_group, aor) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        _ => "UPDATE contact_lists SET delta = ?, last_group = ? WHERE aor = ? AND delta = ?",
    };
    let mut query = sqlx::query(statement)
        .bind(to_number(write.delta)?)
        .bind(write.last_group)
        .bind(user.as_str());
    if write.expected > 0 {
        query = query.bind(to_number(write.expected)?);
    }
    let written = query.execute(&mut **tx).await.map_err(driver)?;
    match written.rows_affected() {
        0 => Err(conflict("the contact list", write.expected)),
        _ => Ok(()),
    }
}

async fn put_group(
    tx: &mut Transaction<'_, Sqlite>,
    user: &AddressOfRecord,
    group: &StoredGroup,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO contact_groups (aor, id, name, external_uri) VALUES (?, ?, ?, ?) \
         ON CONFLICT (aor, id) DO UPDATE SET name = excluded.name, external_uri = excluded.external_uri",
    )
    .bind(user.as_str())
    .bind(group.id)
    .bind(&group.name)
    .bind(&group.external_uri)
    .execute(&mut **tx)
    .await
    .map_err(driver)?;
    Ok(())
}

async fn put_contact(
    tx: &mut Transaction<'_, Sqlite>,
    user: &AddressOfRecord,
    contact: &StoredContact,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO contacts (aor, uri, added, name, group_ids, subscribed, external_uri) \
         VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (aor, uri) DO UPDATE SET added = excluded.added, name = excluded.name, \
         group_ids = excluded.group_ids, subscribed = excluded.subscribed, external_uri = excluded.external_uri",
    )
    .bind(user.as_str())
    .bind(contact.uri.as_str())
    .bind(to_number(contact.added)?)
    .bind(&contact.name)
    .bind(to_json(&contact.groups)?)
    .bind(contact.subscribed)
    .bind(&contact.external_uri)
    .execute(&mut **tx)
    .await
    .map_err(driver)?;
    Ok(())
}
