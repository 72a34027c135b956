//! Tables `sip_domains` and `sites`.

use async_trait::async_trait;
use sqlx::PgConnection;
use store::{PlaceStore, StoreError};
use topology::SiteId;

use crate::Database;
use crate::connection::call;
use crate::error::driver;

/// Makes sure the site exists that an account or a policy is about to name.
pub(crate) async fn add_site(connection: &mut PgConnection, site: &SiteId) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO sites (name) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(site.as_str())
        .execute(connection)
        .await
        .map_err(driver)?;
    Ok(())
}

async fn add_domain(connection: &mut PgConnection, domain: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO sip_domains (name) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(domain)
        .execute(connection)
        .await
        .map_err(driver)?;
    Ok(())
}

async fn names(connection: &mut PgConnection, statement: &'static str) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(statement)
        .fetch_all(connection)
        .await
        .map_err(driver)
}

#[async_trait]
impl PlaceStore for Database {
    async fn add_domain(&self, domain: &str) -> Result<(), StoreError> {
        call!(self, connection => add_domain(connection, domain))
    }

    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        call!(self, connection => names(connection, "SELECT name FROM sip_domains ORDER BY name"))
    }

    async fn sites(&self) -> Result<Vec<SiteId>, StoreError> {
        let names = call!(self, connection => names(connection, "SELECT name FROM sites ORDER BY name"))?;
        Ok(names.iter().map(|name| SiteId::new(name)).collect())
    }
}
