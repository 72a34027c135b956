//! The way to the Redis that the members of a pool share.

use std::path::Path;

use config::{StateTls, StateUrl};
use store_redis::{Certificates, OwnCertificate, Redis, RedisUrl};

use crate::error::StartError;

/// Reads the URL and the files of certificates, and asks once whether the server answers. One that does not is said and
/// waited for: it may start later than its members.
///
/// # Errors
/// [`StartError`]: the URL or a file cannot be used.
pub(crate) async fn reach(url: &StateUrl, tls: &StateTls) -> Result<Redis, StartError> {
    let place: RedisUrl = url
        .with_password()
        .parse()
        .map_err(|error| StartError::State(format!("{url}: {error}")))?;
    let redis = Redis::new(with_certificates(place, tls)?);
    if let Err(error) = redis.ping().await {
        tracing::warn!(%url, %error, "Redis does not answer");
    }
    Ok(redis)
}

fn with_certificates(url: RedisUrl, tls: &StateTls) -> Result<RedisUrl, StartError> {
    if *tls == StateTls::default() {
        return Ok(url);
    }
    let own = match (&tls.certificate, &tls.private_key) {
        (Some(chain), Some(key)) => Some(OwnCertificate {
            chain: read(chain)?,
            key: read(key)?,
        }),
        // Configuration does not let one through without the other.
        _ => None,
    };
    let certificates = Certificates {
        authorities: tls.ca.as_deref().map(read).transpose()?,
        own,
    };
    let shown = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    url.with_certificates(certificates).map_err(|error| {
        let files = [&tls.ca, &tls.certificate, &tls.private_key];
        let files: Vec<String> = files.into_iter().filter_map(shown).collect();
        StartError::State(format!("{}: {error}", files.join(", ")))
    })
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(StartError::file("read", path))
}
