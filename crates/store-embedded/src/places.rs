//! Tables `sip_domains` and `sites`.

use async_trait::async_trait;
use sqlx::{Row, Sqlite, Transaction};
use store::{PlaceStore, StoreError};
use topology::SiteId;

use crate::Database;
use crate::error::driver;

/// Makes sure the site exists that an account or a policy is about to name.
pub(crate) async fn add_site(tx: &mut Transaction<'_, Sqlite>, site: &SiteId) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO sites (name) VALUES (?) ON CONFLICT DO NOTHING")
        .bind(site.as_str())
        .execute(&mut **tx)
        .await
        .map_err(driver)?;
    Ok(())
}

#[async_trait]
impl PlaceStore for Database {
    async fn add_domain(&self, domain: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO sip_domains (name) VALUES (?) ON CONFLICT DO NOTHING")
            .bind(domain)
            .execute(self.writer())
            .await
            .map_err(driver)?;
        Ok(())
    }

    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT name FROM sip_domains ORDER BY name")
            .fetch_all(self.readers())
            .await;
        rows.map_err(driver)?
            .iter()
            .map(|row| row.try_get("name").map_err(driver))
            .collect()
    }

    async fn sites(&self) -> Result<Vec<SiteId>, StoreError> {
        let rows = sqlx::query("SELECT name FROM sites ORDER BY name")
            .fetch_all(self.readers())
            .await;
        let name = |row| {
            Row::try_get::<&str, _>(row, "name")
                .map(SiteId::new)
                .map_err(driver)
        };
        rows.map_err(driver)?.iter().map(name).collect()
    }
}
