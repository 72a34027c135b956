//! TLS with a server that speaks nothing else.

use test_support::stores::{Authority, OwnPostgres};

use super::*;
use crate::migrate;

fn file(path: &std::path::Path) -> std::borrow::Cow<'_, str> {
    path.to_string_lossy()
}

async fn problem(url: &str) -> String {
    let options = ConnectOptions {
        // What is refused is not waited for.
        wait: Duration::from_secs(3600),
        ..ConnectOptions::default()
    };
    let error = Database::connect(url, options).await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn a_server_is_known_by_its_authority_and_its_name_and_knows_a_member_by_its_certificate() {
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    // It is reached as 127.0.0.1 too, which its certificate does not say.
    let server = OwnPostgres::with_tls(&ours, &["localhost"]).await.unwrap();
    let (ours_ca, theirs_ca) = (ours.ca(), theirs.ca());
    let full = format!("sslmode=verify-full&sslrootcert={}", file(&ours_ca));
    let url = server.url("portico", "localhost", &full);
    migrate(&url, Duration::from_secs(10)).await.unwrap();
    let database = Database::connect(&url, ConnectOptions::default()).await.unwrap();
    database.ping().await.unwrap();
    let encrypted: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert!(encrypted);
    database.close().await;

    let other = format!("sslmode=verify-full&sslrootcert={}", file(&theirs_ca));
    let text = problem(&server.url("portico", "localhost", &other)).await;
    assert!(text.contains("UnknownIssuer"), "{text}");
    let text = problem(&server.url("portico", "localhost", "sslmode=verify-full")).await;
    assert!(text.contains("UnknownIssuer"), "{text}");
    let text = problem(&server.url("portico", "127.0.0.1", &full)).await;
    assert!(text.contains("not valid for name"), "{text}");
    let text = problem(&server.url("portico", "localhost", "sslmode=disable")).await;
    assert!(text.contains("pg_hba.conf"), "{text}");
    // verify-ca asks for no name.
    let ca = format!("sslmode=verify-ca&sslrootcert={}", file(&ours_ca));
    let url = server.url("portico", "127.0.0.1", &ca);
    Database::connect(&url, ConnectOptions::default()).await.unwrap();

    let member = ours.issue("certified", &["fe1.example.test"]).unwrap();
    let shows = format!(
        "{full}&sslcert={}&sslkey={}",
        file(&member.certificate),
        file(&member.key)
    );
    let url = server.url("certified", "localhost", &shows);
    Database::connect(&url, ConnectOptions::default()).await.unwrap();
    let text = problem(&server.url("certified", "localhost", &full)).await;
    assert!(text.contains("certificate"), "{text}");
}
