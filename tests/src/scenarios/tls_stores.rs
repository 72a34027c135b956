//! A pool whose Redis and Postgres speak TLS only, ask for certificates, and are known by an authority of their own.
//!
//! Only in a pool: these run with the profile `pool` of the test runner.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::stores::{Authority, OwnPostgres, RedisServer};
use test_support::{Dialect, Options, Sandbox};

use super::status;

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

#[tokio::test]
async fn a_pool_over_stores_that_speak_tls_only_serves_people() -> Result<()> {
    let authority = Authority::new()?;
    let here = ["127.0.0.1", "localhost"];
    let redis = RedisServer::own_with_tls(&authority, &here, &["--tls-auth-clients", "yes"]).await?;
    let postgres = OwnPostgres::with_tls(&authority, &here).await?;
    let ca = authority.ca();
    let member = authority.issue("certified", &["fe1.example.test"])?;
    let (ca, certificate, key) = (text(&ca)?, text(&member.certificate)?, text(&member.key)?);
    let files = format!("sslmode=verify-full&sslrootcert={ca}&sslcert={certificate}&sslkey={key}");
    let options = Options::default()
        .set("PORTICO_STORE__STATE", &redis.url())
        .set("PORTICO_STORE__STATE_CA", ca)
        .set("PORTICO_STORE__STATE_CERTIFICATE", certificate)
        .set("PORTICO_STORE__STATE_PRIVATE_KEY", key)
        .set(
            "PORTICO_STORE__DATABASE",
            &postgres.url("certified", "localhost", &files),
        );
    let pool = Sandbox::pool(options).await?;
    let (amy, lia) = (pool.create("amy").await?, pool.create("lia").await?);
    let mut amy = pool.endpoint_at("fe1", &amy, Dialect::Simple).await?;
    let mut lia = pool.endpoint_at("fe2", &lia, Dialect::Simple).await?;
    let message = amy.text(&lia.uri(), "who listens?");
    amy.send(&message).await?;
    lia.receive("who listens?").await?;
    status(&amy.answer_to(&message).await?, 200)?;
    let shown: Value = serde_json::from_str(&pool.ctl(&["-o", "json", "status"], "").await?)?;
    ensure!(
        shown["pool"]["validity"] == "confirmed" && shown["warnings"] == Value::Array(Vec::new()),
        "{shown}"
    );
    Ok(())
}
