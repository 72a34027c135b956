//! URLs of databases: read strictly, shown without their password.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use store::StoreError;

/// Who connects when the URL names nobody. Said here, because what the driver would take is not the same everywhere.
const USER: &str = "portico";

/// Parameters a URL may have. The driver would log an unknown one with its value, and a password may be in any.
const PARAMETERS: [&str; 9] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "dbname",
    "user",
    "application_name",
];

/// Reads a URL.
///
/// # Errors
/// [`StoreError::InvalidRequest`]: it is none, or has a parameter that is not known. The text shows no part of it.
pub(crate) fn parse(url: &str) -> Result<PgConnectOptions, StoreError> {
    let invalid = |problem: &str| StoreError::InvalidRequest(format!("the database URL {problem}"));
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| invalid("does not begin with postgres://"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut names = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split('=').next().unwrap_or_default());
    if names.clone().any(|name| !PARAMETERS.contains(&name)) {
        let known = PARAMETERS.join(", ");
        return Err(invalid(&format!("has a parameter that is not one of {known}")));
    }
    let user_in_query = names.any(|name| name == "user");
    let authority = rest.split('/').next().unwrap_or_default();
    let has_user = authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| !user.is_empty() && !user.starts_with(':'));
    // The driver's own text may quote the value.
    let options = PgConnectOptions::from_str(url).map_err(|_| invalid("can not be read"))?;
    Ok(if has_user || user_in_query {
        options
    } else {
        options.username(USER)
    })
}

/// Looks at the files a URL names: the driver would say that there is no such file, and not which.
///
/// # Errors
/// [`StoreError::InvalidRequest`]: one cannot be read, or that of authorities has no certificate, which to the driver is
/// one that adds nobody.
pub(crate) fn check_files(url: &str) -> Result<(), StoreError> {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    for (name, path) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        // What is escaped is left to the driver.
        if !["sslrootcert", "sslcert", "sslkey"].contains(&name) || path.contains(['%', '+']) {
            continue;
        }
        let invalid = |problem: String| {
            StoreError::InvalidRequest(format!("{name} of the database URL, {path}: {problem}"))
        };
        let text = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
        let has_certificate = String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----");
        if name != "sslkey" && !has_certificate {
            return Err(invalid("no certificate in PEM".to_owned()));
        }
    }
    Ok(())
}

/// Where it leads and as whom, for people.
pub(crate) fn shown(options: &PgConnectOptions) -> String {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("postgres://{}@{place}/{database}", options.get_username())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_of(url: &str) -> String {
        shown(&parse(url).unwrap())
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(
            shown_of("postgres://al:s3cret@db.example.test:6432/pool?sslmode=require"),
            "postgres://al@db.example.test:6432/pool"
        );
    }

    #[test]
    fn a_url_without_a_user_means_ours_and_not_whoever_runs_the_program() {
        for url in [
            "postgres://db.example.test/pool",
            "postgresql://:s3cret@db.example.test/pool",
            "postgres://@db.example.test/pool",
        ] {
            assert_eq!(
                shown_of(url),
                "postgres://portico@db.example.test:5432/pool",
                "{url}"
            );
        }
        assert_eq!(
            shown_of("postgres://db.example.test/pool?user=al"),
            "postgres://al@db.example.test:5432/pool"
        );
    }

    #[test]
    fn a_file_that_is_not_there_or_has_no_certificate_is_named() {
        let problem = |parameter: &str, path: &str| {
            let url = format!("postgres://al:s3cret@db/pool?sslmode=verify-full&{parameter}={path}");
            check_files(&url).unwrap_err().to_string()
        };
        let text = problem("sslrootcert", "/no/such/ca.pem");
        assert!(
            text.contains("sslrootcert of the database URL, /no/such/ca.pem"),
            "{text}"
        );
        assert!(!text.contains("s3cret"), "{text}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let text = problem("sslcert", &empty.path().to_string_lossy());
        assert!(text.contains("no certificate in PEM"), "{text}");
        check_files("postgres://db/pool?sslmode=require").unwrap();
        check_files(&format!("postgres://db/pool?sslkey={}", empty.path().display())).unwrap();
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "mysql://al:s3cret@db/pool",
            "postgres://al:s3cret@db/pool?passwort=s3cret",
            "postgres://al@db/pool?password=s3cret",
            "postgres://al:s3cret@db:port/pool",
            "postgres://al:s3cret@db/pool?sslmode=s3cret",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, StoreError::InvalidRequest(_)), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
