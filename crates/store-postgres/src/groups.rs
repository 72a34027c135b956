//! Tables `organisational_groups` and `organisational_group_members`.

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};
use store::{GroupPatch, GroupStore, Groups, OrganisationalGroup, StoreChange, StoreError};

use crate::Database;
use crate::columns::{address, number};
use crate::connection::call;
use crate::error::{driver, insert};
use crate::feed::notify;

const ONE: &str = "SELECT g.address, g.display_name, g.created_at, \
     (SELECT count(*) FROM organisational_group_members m WHERE m.address = g.address) AS size \
     FROM organisational_groups g WHERE g.address = $1";

const PAGE: &str = "SELECT g.address, g.display_name, g.created_at, \
     (SELECT count(*) FROM organisational_group_members m WHERE m.address = g.address) AS size \
     FROM organisational_groups g WHERE g.address > $1 ORDER BY g.address LIMIT $2";

const AMONG_CONTACTS: &str = "SELECT g.address, g.display_name, g.created_at, \
     (SELECT count(*) FROM organisational_group_members m WHERE m.address = g.address) AS size \
     FROM contacts c JOIN organisational_groups g ON g.address = c.uri WHERE c.aor = $1 ORDER BY c.added, c.uri";

const MEMBERS: &str =
    "SELECT member AS address FROM organisational_group_members WHERE address = $1 ORDER BY member";

const GROUPS_OF: &str = "SELECT address FROM organisational_group_members WHERE member = $1 ORDER BY address";

const USERS_WITH_CONTACT: &str = "SELECT aor AS address FROM contacts WHERE uri = $1 ORDER BY aor";

fn group_of(row: &PgRow) -> Result<OrganisationalGroup, StoreError> {
    Ok(OrganisationalGroup {
        address: address(row, "address")?,
        display_name: row.try_get("display_name").map_err(driver)?,
        created_at: row.try_get("created_at").map_err(driver)?,
        size: number(row, "size")?,
    })
}

async fn read(
    connection: &mut PgConnection,
    address: &AddressOfRecord,
) -> Result<Option<OrganisationalGroup>, StoreError> {
    let row = sqlx::query(ONE)
        .bind(address.as_str())
        .fetch_optional(connection)
        .await
        .map_err(driver)?;
    row.as_ref().map(group_of).transpose()
}

async fn page(
    connection: &mut PgConnection,
    after: Option<&AddressOfRecord>,
    limit: u32,
) -> Result<Vec<OrganisationalGroup>, StoreError> {
    // Every address is greater than the empty text.
    let after = after.map_or("", AddressOfRecord::as_str);
    let rows = sqlx::query(PAGE)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await;
    rows.map_err(driver)?.iter().map(group_of).collect()
}

async fn among_contacts(
    connection: &mut PgConnection,
    user: &AddressOfRecord,
) -> Result<Vec<OrganisationalGroup>, StoreError> {
    let rows = sqlx::query(AMONG_CONTACTS)
        .bind(user.as_str())
        .fetch_all(connection)
        .await;
    rows.map_err(driver)?.iter().map(group_of).collect()
}

/// The addresses in the only column of a statement with one parameter.
async fn addresses(
    connection: &mut PgConnection,
    statement: &'static str,
    of: &AddressOfRecord,
) -> Result<Vec<AddressOfRecord>, StoreError> {
    let rows = sqlx::query(statement)
        .bind(of.as_str())
        .fetch_all(connection)
        .await
        .map_err(driver)?;
    rows.iter().map(|row| address(row, "address")).collect()
}

/// The groups somebody is a member of.
pub(crate) async fn groups_of(
    connection: &mut PgConnection,
    member: &AddressOfRecord,
) -> Result<Vec<AddressOfRecord>, StoreError> {
    addresses(connection, GROUPS_OF, member).await
}

/// Holds an address until the transaction ends, so that nobody makes an account of it while another makes a group.
async fn hold(tx: &mut PgConnection, address: &AddressOfRecord) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(address.as_str())
        .execute(tx)
        .await
        .map_err(driver)?;
    Ok(())
}

/// Whether a group has this address, so that no account may. Nobody makes one before the transaction ends.
pub(crate) async fn is_group(tx: &mut PgConnection, address: &AddressOfRecord) -> Result<bool, StoreError> {
    hold(tx, address).await?;
    Ok(read(tx, address).await?.is_some())
}

async fn create(connection: &mut PgConnection, group: &OrganisationalGroup) -> Result<(), StoreError> {
    let address = &group.address;
    let mut tx = connection.begin().await.map_err(driver)?;
    hold(&mut tx, address).await?;
    let account = sqlx::query("SELECT 1 FROM accounts WHERE aor = $1")
        .bind(address.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(driver)?;
    if account.is_some() {
        return Err(StoreError::Conflict(format!(
            "{address} is the address of an account"
        )));
    }
    sqlx::query(
        "INSERT INTO organisational_groups (address, domain, display_name, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(address.as_str())
    .bind(address.domain())
    .bind(&group.display_name)
    .bind(group.created_at)
    .execute(&mut *tx)
    .await
    .map_err(|error| {
        let exists = || format!("the group {address} exists already");
        insert(error, exists, || format!("{} is not a domain of this pool", address.domain()))
    })?;
    notify(&mut tx, &StoreChange::Group(address.clone())).await?;
    tx.commit().await.map_err(driver)
}

async fn change_members(
    tx: &mut PgConnection,
    address: &AddressOfRecord,
    patch: &GroupPatch,
) -> Result<(), StoreError> {
    let add = "INSERT INTO organisational_group_members (address, member) \
         SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING";
    let remove = "DELETE FROM organisational_group_members WHERE address = $1 AND member = ANY($2)";
    for (statement, members) in [(add, &patch.add), (remove, &patch.remove)] {
        if members.is_empty() {
            continue;
        }
        let members: Vec<&str> = members.iter().map(AddressOfRecord::as_str).collect();
        sqlx::query(statement)
            .bind(address.as_str())
            .bind(members)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
    }
    Ok(())
}

async fn change(
    connection: &mut PgConnection,
    address: &AddressOfRecord,
    patch: &GroupPatch,
    max_members: u32,
) -> Result<Option<OrganisationalGroup>, StoreError> {
    let mut tx = connection.begin().await.map_err(driver)?;
    // It also holds the row, so that two who change the members take turns.
    let changed = sqlx::query(
        "UPDATE organisational_groups SET display_name = coalesce($1, display_name) WHERE address = $2",
    )
    .bind(&patch.display_name)
    .bind(address.as_str())
    .execute(&mut *tx)
    .await
    .map_err(driver)?;
    if changed.rows_affected() == 0 {
        return Ok(None);
    }
    change_members(&mut tx, address, patch).await?;
    let group = read(&mut tx, address).await?;
    if group.as_ref().is_some_and(|group| group.size > max_members) {
        return Err(StoreError::InvalidRequest(format!(
            "a group has at most {max_members} members"
        )));
    }
    notify(&mut tx, &StoreChange::Group(address.clone())).await?;
    tx.commit().await.map_err(driver)?;
    Ok(group)
}

async fn delete(connection: &mut PgConnection, address: &AddressOfRecord) -> Result<bool, StoreError> {
    let mut tx = connection.begin().await.map_err(driver)?;
    let gone = sqlx::query("DELETE FROM organisational_groups WHERE address = $1")
        .bind(address.as_str())
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    if gone.rows_affected() == 0 {
        return Ok(false);
    }
    notify(&mut tx, &StoreChange::Group(address.clone())).await?;
    tx.commit().await.map_err(driver)?;
    Ok(true)
}

#[async_trait]
impl Groups for Database {
    async fn group(&self, address: &AddressOfRecord) -> Result<Option<OrganisationalGroup>, StoreError> {
        call!(self, connection => read(connection, address))
    }

    async fn group_members(&self, address: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        call!(self, connection => addresses(connection, MEMBERS, address))
    }

    async fn groups(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        call!(self, connection => page(connection, after, limit))
    }

    async fn groups_of(&self, member: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        call!(self, connection => groups_of(connection, member))
    }

    async fn groups_among_contacts(
        &self,
        user: &AddressOfRecord,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        call!(self, connection => among_contacts(connection, user))
    }

    async fn users_with_contact(
        &self,
        contact: &AddressOfRecord,
    ) -> Result<Vec<AddressOfRecord>, StoreError> {
        call!(self, connection => addresses(connection, USERS_WITH_CONTACT, contact))
    }
}

#[async_trait]
impl GroupStore for Database {
    async fn create_group(&self, group: &OrganisationalGroup) -> Result<(), StoreError> {
        call!(self, connection => create(connection, group))
    }

    async fn change_group(
        &self,
        address: &AddressOfRecord,
        patch: &GroupPatch,
        max_members: u32,
    ) -> Result<Option<OrganisationalGroup>, StoreError> {
        call!(self, connection => change(connection, address, patch, max_members))
    }

    async fn delete_group(&self, address: &AddressOfRecord) -> Result<bool, StoreError> {
        call!(self, connection => delete(connection, address))
    }
}
