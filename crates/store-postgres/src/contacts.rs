//! Tables `contact_lists`, `contact_groups` and `contacts`.

use sip_types::AddressOfRecord;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use store::{ContactsWrite, StoreError, StoredContact, StoredContacts, StoredGroup};

use crate::columns::{address, json, number, to_json, to_number};
use crate::error::driver;
use crate::presence::conflict;

/// A list, its groups and its contacts in one statement, which sees one state of the tables. `part` says of which table a
/// row is.
const ALL: &str = "SELECT 0 AS part, last_group AS id, delta AS added, '' AS uri, '' AS name, '' AS group_ids, \
     false AS subscribed, '' AS external_uri FROM contact_lists WHERE aor = $1 \
     UNION ALL SELECT 1, id, 0, '', name, '', false, external_uri FROM contact_groups WHERE aor = $1 \
     UNION ALL SELECT 2, 0, added, uri, name, group_ids, subscribed, external_uri FROM contacts WHERE aor = $1 \
     ORDER BY part, id, added, uri";

fn group_of(row: &PgRow) -> Result<StoredGroup, StoreError> {
    Ok(StoredGroup {
        id: number(row, "id")?,
        name: row.try_get("name").map_err(driver)?,
        external_uri: row.try_get("external_uri").map_err(driver)?,
    })
}

fn contact_of(row: &PgRow) -> Result<StoredContact, StoreError> {
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
    connection: &mut PgConnection,
    user: &AddressOfRecord,
) -> Result<Option<StoredContacts>, StoreError> {
    let rows = sqlx::query(ALL)
        .bind(user.as_str())
        .fetch_all(connection)
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
        match row.try_get::<i32, _>("part").map_err(driver)? {
            1 => contacts.groups.push(group_of(row)?),
            _ => contacts.contacts.push(contact_of(row)?),
        }
    }
    Ok(Some(contacts))
}

/// Changes the contact list of a user whose account the transaction holds, in one statement for any number of rows.
pub(crate) async fn write(
    connection: &mut PgConnection,
    user: &AddressOfRecord,
    write: &ContactsWrite,
) -> Result<(), StoreError> {
    write_list(connection, user, write).await?;
    if !write.remove_groups.is_empty() {
        let ids: Vec<i64> = write.remove_groups.iter().copied().map(i64::from).collect();
        let gone = sqlx::query("DELETE FROM contact_groups WHERE aor = $1 AND id = ANY($2)")
            .bind(user.as_str())
            .bind(ids);
        gone.execute(&mut *connection).await.map_err(driver)?;
    }
    if !write.put_groups.is_empty() {
        put_groups(connection, user, &write.put_groups).await?;
    }
    if !write.remove_contacts.is_empty() {
        let uris: Vec<&str> = write
            .remove_contacts
            .iter()
            .map(AddressOfRecord::as_str)
            .collect();
        let gone = sqlx::query("DELETE FROM contacts WHERE aor = $1 AND uri = ANY($2)")
            .bind(user.as_str())
            .bind(uris);
        gone.execute(&mut *connection).await.map_err(driver)?;
    }
    if !write.put_contacts.is_empty() {
        put_contacts(connection, user, &write.put_contacts).await?;
    }
    Ok(())
}

async fn write_list(
    connection: &mut PgConnection,
    user: &AddressOfRecord,
    write: &ContactsWrite,
) -> Result<(), StoreError> {
    let statement = match write.expected {
        0 => "INSERT INTO contact_lists (delta, last_group, aor) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        _ => "UPDATE contact_lists SET delta = $1, last_group = $2 WHERE aor = $3 AND delta = $4",
    };
    let mut query = sqlx::query(statement)
        .bind(to_number(write.delta)?)
        .bind(i64::from(write.last_group))
        .bind(user.as_str());
    if write.expected > 0 {
        query = query.bind(to_number(write.expected)?);
    }
    let written = query.execute(connection).await.map_err(driver)?;
    match written.rows_affected() {
        0 => Err(conflict("the contact list", write.expected)),
        _ => Ok(()),
    }
}

async fn put_groups(
    connection: &mut PgConnection,
    user: &AddressOfRecord,
    groups: &[StoredGroup],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO contact_groups (aor, id, name, external_uri) \
         SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[]) \
         ON CONFLICT (aor, id) DO UPDATE SET name = excluded.name, external_uri = excluded.external_uri",
    )
    .bind(user.as_str())
    .bind(column(groups, |group| i64::from(group.id)))
    .bind(column(groups, |group| &group.name[..]))
    .bind(column(groups, |group| &group.external_uri[..]))
    .execute(connection)
    .await
    .map_err(driver)?;
    Ok(())
}

async fn put_contacts(
    connection: &mut PgConnection,
    user: &AddressOfRecord,
    contacts: &[StoredContact],
) -> Result<(), StoreError> {
    let added: Result<Vec<i64>, _> = contacts.iter().map(|contact| to_number(contact.added)).collect();
    let group_ids: Result<Vec<String>, _> = contacts.iter().map(|contact| to_json(&contact.groups)).collect();
    sqlx::query(
        "INSERT INTO contacts (aor, uri, added, name, group_ids, subscribed, external_uri) \
         SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::text[]) \
         ON CONFLICT (aor, uri) DO UPDATE SET added = excluded.added, name = excluded.name, \
         group_ids = excluded.group_ids, subscribed = excluded.subscribed, external_uri = excluded.external_uri",
    )
    .bind(user.as_str())
    .bind(column(contacts, |contact| contact.uri.as_str()))
    .bind(added?)
    .bind(column(contacts, |contact| &contact.name[..]))
    .bind(group_ids?)
    .bind(column(contacts, |contact| contact.subscribed))
    .bind(column(contacts, |contact| &contact.external_uri[..]))
    .execute(connection)
    .await
    .map_err(driver)?;
    Ok(())
}

/// One column of many rows.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
