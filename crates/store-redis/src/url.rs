//! Addresses of the shared store, in the forms an operator writes.

use std::fmt;
use std::str::FromStr;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use crate::certificates::{CertificateError, Certificates};

/// How the servers stand together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    Standalone,
    /// The hosts are sentinels; they know where the master of this name is.
    Sentinel {
        master: String,
    },
    /// The hosts are some of the nodes.
    Cluster,
}

/// Where the shared store is. Neither `Debug` nor `Display` shows a password.
///
/// ```text
/// redis://[[user]:password@]host[:port][/db]
/// redis+sentinel://[[user]:password@]host[:port],host[:port].../master[/db][?sentinel_password=...]
/// redis+cluster://[[user]:password@]host[:port],host[:port]...
/// ```
///
/// With `rediss` instead of `redis` over TLS: the certificate of each server must name it as it is reached (in a cluster or
/// with sentinels as they name it) and is verified against the roots of the system, or those of
/// [`RedisUrl::with_certificates`]. User and password are those of the
/// data servers; what is special in them is written as `%XX`. Ports default to 6379, of sentinels to 26379.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(crate) layout: Layout,
    pub(crate) hosts: Vec<(String, u16)>,
    pub(crate) tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) sentinel_password: Option<String>,
    pub(crate) db: i64,
    pub(crate) certificates: Option<Certificates>,
}

/// Why an address cannot be used. It does not repeat the address: there may be a password in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("it begins with none of redis://, rediss://, redis+sentinel://, redis+cluster://")]
    Scheme,
    /// A host that cannot be one, or none at all; more than one of a single server.
    #[error("it names no host, or not as host or host:port")]
    Host,
    /// Sentinels without a master.
    #[error("it does not name the master to ask the sentinels for, as in redis+sentinel://host/master")]
    Master,
    /// A path that is no number of a database.
    #[error("what follows the hosts is not the number of a database")]
    Database,
    /// `%` without two hexadecimal digits.
    #[error("a % in it is not followed by two hexadecimal digits")]
    Escape,
    /// Something after `?` that means nothing here.
    #[error("only sentinel_password may follow a ?")]
    Option,
}

impl FromStr for RedisUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let (tls, layout) = match scheme {
            "redis" => (false, "single"),
            "rediss" => (true, "single"),
            "redis+sentinel" => (false, "sentinel"),
            "rediss+sentinel" => (true, "sentinel"),
            "redis+cluster" => (false, "cluster"),
            "rediss+cluster" => (true, "cluster"),
            _ => return Err(UrlError::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (layout, port, db) = match layout {
            "sentinel" => {
                let (master, db) = path.split_once('/').unwrap_or((path, ""));
                let master = given(master)?.ok_or(UrlError::Master)?;
                (Layout::Sentinel { master }, 26_379, database(db)?)
            }
            "cluster" if path.is_empty() => (Layout::Cluster, 6_379, 0),
            "cluster" => return Err(UrlError::Database),
            _ => (Layout::Standalone, 6_379, database(path)?),
        };
        let hosts = hosts
            .split(',')
            .map(|one| host(one, port))
            .collect::<Result<Vec<_>, _>>()?;
        if layout == Layout::Standalone && hosts.len() != 1 {
            return Err(UrlError::Host);
        }
        let sentinel_password = match (query.split_once('='), &layout) {
            (Some(("sentinel_password", value)), Layout::Sentinel { .. }) => given(value)?,
            (None, _) if query.is_empty() => None,
            _ => return Err(UrlError::Option),
        };
        Ok(RedisUrl {
            layout,
            hosts,
            tls,
            user: given(user)?,
            password: given(password)?,
            sentinel_password,
            db,
            certificates: None,
        })
    }
}

fn database(text: &str) -> Result<i64, UrlError> {
    if text.is_empty() {
        return Ok(0);
    }
    let number: u16 = text.parse().map_err(|_| UrlError::Database)?;
    Ok(i64::from(number))
}

/// A host with or without a port; an IPv6 address stands in brackets.
fn host(text: &str, default_port: u16) -> Result<(String, u16), UrlError> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = match bracketed {
        Some((name, "")) => (name, None),
        Some((name, port)) => (name, Some(port.strip_prefix(':').ok_or(UrlError::Host)?)),
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| UrlError::Host)?,
        None => default_port,
    };
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '@') {
        return Err(UrlError::Host);
    }
    Ok((name.to_owned(), port))
}

/// Undoes `%XX`; `None` if there is nothing.
fn given(text: &str) -> Result<Option<String>, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2).ok_or(UrlError::Escape)?;
        let digits = std::str::from_utf8(digits).map_err(|_| UrlError::Escape)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(UrlError::Escape);
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| UrlError::Escape)?);
        rest = tail;
    }
    let text = String::from_utf8(bytes).map_err(|_| UrlError::Escape)?;
    Ok((!text.is_empty()).then_some(text))
}

impl RedisUrl {
    /// The same with these certificates.
    ///
    /// # Errors
    /// The URL is one without TLS, or there is nothing to be read where a certificate should be.
    pub fn with_certificates(mut self, certificates: Certificates) -> Result<Self, CertificateError> {
        if !self.tls {
            return Err(CertificateError::NoTls);
        }
        let any = self.address("localhost", 0).into_connection_info();
        certificates.check(any.map_err(CertificateError::Unreadable)?)?;
        self.certificates = Some(certificates);
        Ok(self)
    }

    /// What connects to a server that [`RedisUrl::server`] or [`RedisUrl::sentinel`] describes.
    pub(crate) fn client(&self, server: ConnectionInfo) -> Result<Client, RedisError> {
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(server, certificates.for_driver()),
            None => Client::open(server),
        }
    }

    /// How to reach one data server.
    pub(crate) fn server(&self, host: &str, port: u16) -> Result<ConnectionInfo, RedisError> {
        let mut settings = RedisConnectionInfo::default().set_db(self.db);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        Ok(self
            .address(host, port)
            .into_connection_info()?
            .set_redis_settings(settings))
    }

    /// How to reach one sentinel.
    pub(crate) fn sentinel(&self, host: &str, port: u16) -> Result<ConnectionInfo, RedisError> {
        let mut settings = RedisConnectionInfo::default();
        if let Some(password) = &self.sentinel_password {
            settings = settings.set_password(password);
        }
        Ok(self
            .address(host, port)
            .into_connection_info()?
            .set_redis_settings(settings))
    }

    fn address(&self, host: &str, port: u16) -> ConnectionAddr {
        let host = host.to_owned();
        if self.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        f.write_str(match self.layout {
            Layout::Standalone => "://",
            Layout::Sentinel { .. } => "+sentinel://",
            Layout::Cluster => "+cluster://",
        })?;
        for (index, (host, port)) in self.hosts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{separator}[{host}]:{port}")?;
            } else {
                write!(f, "{separator}{host}:{port}")?;
            }
        }
        if let Layout::Sentinel { master } = &self.layout {
            write!(f, "/{master}")?;
        }
        if self.db != 0 {
            write!(f, "/{}", self.db)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::OwnCertificate;

    fn read(text: &str) -> RedisUrl {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_is_read_and_shown_without_its_password() {
        for (text, shown) in [
            ("redis://cache", "redis://cache:6379"),
            ("rediss://:se%63ret@cache:7000/3", "rediss://cache:7000/3"),
            ("redis://[::1]:7000", "redis://[::1]:7000"),
            (
                "redis+sentinel://me:secret@one,two:7001/pool/2?sentinel_password=secret",
                "redis+sentinel://one:26379,two:7001/pool/2",
            ),
            (
                "redis+cluster://:secret@one:1,two:2,three",
                "redis+cluster://one:1,two:2,three:6379",
            ),
        ] {
            let url = read(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("RedisUrl({shown})"));
        }
    }

    #[test]
    fn user_and_password_are_unescaped() {
        let url = read("redis://me:a%40b%3Ac%2Fd@cache");
        assert_eq!(url.user.as_deref(), Some("me"));
        assert_eq!(url.password.as_deref(), Some("a@b:c/d"));
        let url = read("redis+sentinel://:one@host/pool?sentinel_password=two");
        assert_eq!((url.user, url.password), (None, Some("one".into())));
        assert_eq!(url.sentinel_password.as_deref(), Some("two"));
    }

    #[test]
    fn certificates_that_cannot_be_used_are_told_before_anybody_connects() {
        let with = |url: &str, authorities: &str| {
            let certificates = Certificates {
                authorities: Some(authorities.as_bytes().to_vec()),
                own: None,
            };
            let error = read(url).with_certificates(certificates).unwrap_err();
            error.to_string()
        };
        assert!(with("redis://cache", "").contains("must begin with rediss"));
        assert!(with("rediss://cache", "no PEM").contains("no certificate in PEM"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(with("rediss+cluster://cache", broken).contains("trust anchors"));
        let own = OwnCertificate {
            chain: b"secret".to_vec(),
            key: b"secret".to_vec(),
        };
        let certificates = Certificates {
            authorities: None,
            own: Some(own),
        };
        assert!(!format!("{certificates:?}").contains("secret"));
        let error = read("rediss://cache")
            .with_certificates(certificates)
            .unwrap_err();
        assert!(matches!(error, CertificateError::NoCertificate), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_said_without_repeating_it() {
        for (text, error) in [
            ("cache:6379", UrlError::Scheme),
            ("http://cache", UrlError::Scheme),
            ("redis://", UrlError::Host),
            ("redis://one,two", UrlError::Host),
            ("redis://cache:secret", UrlError::Host),
            ("redis://cache/users", UrlError::Database),
            ("redis+cluster://one/1", UrlError::Database),
            ("redis+sentinel://one,two", UrlError::Master),
            ("redis://:%zz@cache", UrlError::Escape),
            ("redis://cache?secret=1", UrlError::Option),
        ] {
            let result = text.parse::<RedisUrl>();
            assert_eq!(result, Err(error), "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
