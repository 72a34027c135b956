//! Tables `organisational_groups` and `organisational_group_members`.

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};
use store::{GroupPatch, GroupStore, Groups, OrganisationalGroup, StoreError};

use crate::Database;
use crate::columns::{address, number};
use crate::error::{driver, insert};

const ONE: &str = "SELECT g.address, g.display_name, g.created_at, \
     (SELECT count(*) FROM organisational_group_members m WHERE m.address = g.address) AS size \
     FROM organisational_groups g WHERE g.address = ?";

const PAGE: &str = "SELECT g.address, g.display_name, g.created_at, \
     (SELECT count(*) FROM organisational_group_members m WHERE m.address = g.address) AS size \
     FROM organisational_groups g WHERE g.address > ? ORDER BY g.address LIMIT ?";

const AMONG_CONTACTS: &str = "SELECT g.address, g.display_name, g.created_at, \
     (SELECT count(*) FROM organisational_group_members m WHERE m.address = g.address) AS size \
     FROM contacts c JOIN organisational_groups g ON g.address = c.uri WHERE c.aor = ? ORDER BY c.added, c.uri";

fn group_of(row: &SqliteRow) -> Result<OrganisationalGroup, StoreError> {
    Ok(OrganisationalGroup {
        address: address(row, "address")?,
        display_name: row.try_get("display_name").map_err(driver)?,
        created_at: row.try_get("created_at").map_err(driver)?,
        size: number(row, "size")?,
    })
}

async fn read(
    executor: impl SqliteExecutor<'_>,
    address: &AddressOfRecord,
) -> Result<Option<OrganisationalGroup>, StoreError> {
    let row = sqlx::query(ONE)
        .bind(address.as_str())
        .fetch_optional(executor)
        .await
        .map_err(driver)?;
    row.as_ref().map(group_of).transpose()
}

/// The addresses in the only column of a statement with one parameter.
async fn addresses(
    executor: impl SqliteExecutor<'_>,
    statement: &'static str,
    of: &AddressOfRecord,
) -> Result<Vec<AddressOfRecord>, StoreError> {
    let rows = sqlx::query(statement)
        .bind(of.as_str())
        .fetch_all(executor)
        .await
        .map_err(driver)?;
    rows.iter().map(|row| address(row, "address")).collect()
}

/// Whether a group has this address, so that no account may.
pub(crate) async fn is_group(
    tx: &mut Transaction<'_, Sqlite>,
    address: &AddressOfRecord,
) -> Result<bool, StoreError> {
    Ok(read(&mut **tx, address).await?.is_some())
}

async fn change_members(
    tx: &mut Transaction<'_, Sqlite>,
    address: &AddressOfRecord,
    patch: &GroupPatch,
) -> Result<(), StoreError> {
    let add =
        "INSERT INTO organisational_group_members (address, member) VALUES (?, ?) ON CONFLICT DO NOTHING";
    let remove = "DELETE FROM organisational_group_members WHERE address = ? AND member = ?";
    for (statement, members) in [(add, &patch.add), (remove, &patch.remove)] {
        for member in members {
            sqlx::query(statement)
                .bind(address.as_str())
                .bind(member.as_str())
                .execute(&mut **tx)
                .await
                .map_err(driver)?;
        }
    }
    Ok(())
}

#[async_trait]
impl Groups for Database {
    async fn group(&self, address: &AddressOfRecord) -> Result<Option<OrganisationalGroup>, StoreError> {
        read(self.readers(), address).await
    }

    async fn group_members(&self, address: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        let statement =
            "SELECT member AS address FROM organisational_group_members WHERE address = ? ORDER BY member";
        addresses(self.readers(), statement, address).await
    }

    async fn groups(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        // Every address is greater than the empty text.
        let after = after.map_or("", AddressOfRecord::as_str);
        let rows = sqlx::query(PAGE)
            .bind(after)
            .bind(limit)
            .fetch_all(self.readers())
            .await;
        rows.map_err(driver)?.iter().map(group_of).collect()
    }

    async fn groups_of(&self, member: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        let statement = "SELECT address FROM organisational_group_members WHERE member = ? ORDER BY address";
        addresses(self.readers(), statement, member).await
    }

    async fn groups_among_contacts(
        &self,
        user: &AddressOfRecord,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        let rows = sqlx::query(AMONG_CONTACTS)
            .bind(user.as_str())
            .fetch_all(self.readers())
            .await;
        rows.map_err(driver)?.iter().map(group_of).collect()
    }

    async fn users_with_contact(
        &self,
        contact: &AddressOfRecord,
    ) -> Result<Vec<AddressOfRecord>, StoreError> {
        let statement = "SELECT aor AS address FROM contacts WHERE uri = ? ORDER BY aor";
        addresses(self.readers(), statement, contact).await
    }
}

#[async_trait]
impl GroupStore for Database {
    async fn create_group(&self, group: &OrganisationalGroup) -> Result<(), StoreError> {
        let address = &group.address;
        let mut tx = self.write().await?;
        let account = sqlx::query("SELECT 1 FROM accounts WHERE aor = ?")
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
            "INSERT INTO organisational_groups (address, domain, display_name, created_at) VALUES (?, ?, ?, ?)",
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
        tx.commit().await.map_err(driver)
    }

    async fn change_group(
        &self,
        address: &AddressOfRecord,
        patch: &GroupPatch,
        max_members: u32,
    ) -> Result<Option<OrganisationalGroup>, StoreError> {
        let mut tx = self.write().await?;
        let changed = sqlx::query(
            "UPDATE organisational_groups SET display_name = coalesce(?, display_name) WHERE address = ?",
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
        let group = read(&mut *tx, address).await?;
        if group.as_ref().is_some_and(|group| group.size > max_members) {
            return Err(StoreError::InvalidRequest(format!(
                "a group has at most {max_members} members"
            )));
        }
        tx.commit().await.map_err(driver)?;
        Ok(group)
    }

    async fn delete_group(&self, address: &AddressOfRecord) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM organisational_groups WHERE address = ?")
            .bind(address.as_str())
            .execute(self.writer())
            .await;
        Ok(gone.map_err(driver)?.rows_affected() > 0)
    }
}
