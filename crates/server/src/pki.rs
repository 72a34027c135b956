//! The development certificate authority: makes TLS work on a fresh machine, without anybody's certificate.
//!
//! `<data-dir>/pki/ca.pem` is what clients trust, `ca.key` signs, `server.pem` holds the server's key and chain in one
//! file, so that a renewal replaces both in one rename. It is used only while `tls.certificate` is not set.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::StartError;
use crate::files::{create_private_dir, write_private, write_public};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Clients have to be given the authority by hand: it lasts.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3650);
/// Life of the server's certificate.
const LEAF_LIFE: Duration = DAY.saturating_mul(90);
/// It is renewed when it has less than this left.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);
/// Clocks of clients may be behind ours.
const BACKDATE: Duration = Duration::from_secs(3600);

/// The development authority of one data directory.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: PathBuf,
    names: Names,
}

/// What the server's certificate is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Names {
    hosts: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// This machine by every name a client may have been given: loopback, host name, pool name, what is advertised and its
    /// aliases, the SIP domains and `sip.<domain>`, and the address of the listener unless it is all of them.
    pub(crate) fn of(config: &config::Config) -> Self {
        let mut hosts = BTreeSet::from(["localhost".to_owned()]);
        let mut addresses =
            BTreeSet::from([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        match config.pool.fqdn.parse() {
            Ok(address) => addresses.insert(address),
            Err(_) => hosts.insert(config.pool.fqdn.clone()),
        };
        hosts.extend(host_name());
        let advertised = config.sip.advertise.iter().map(|advertised| &advertised.host);
        for host in advertised.chain(&config.sip.aliases) {
            match host.ip() {
                Some(address) => addresses.insert(address),
                None => hosts.insert(host.to_string()),
            };
        }
        for domain in &config.pool.domains {
            hosts.insert(domain.clone());
            hosts.insert(format!("sip.{domain}"));
        }
        let listener = config.sip.tls_listen.map(|address| address.ip());
        addresses.extend(listener.filter(|ip| !ip.is_unspecified()));
        Names { hosts, addresses }
    }
}

/// What this machine calls itself, if that can stand in a certificate.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()?
        .trim()
        .to_ascii_lowercase();
    let usable = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    usable.then_some(name)
}

impl Authority {
    /// Opens the authority in `dir`, making it if it is not there, and sees to it that `server.pem` is good for a while.
    pub(crate) fn open(dir: &Path, names: Names, now: SystemTime) -> Result<Self, StartError> {
        create_private_dir(dir).map_err(StartError::file("create", dir))?;
        let authority = Authority {
            dir: dir.to_owned(),
            names,
        };
        if !authority.ca_path().exists() {
            authority.create(now)?;
        }
        authority.renew_if_due(now)?;
        Ok(authority)
    }

    /// What clients have to trust.
    pub(crate) fn ca_path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The server's certificate, chain and private key.
    pub(crate) fn server_path(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    /// Issues a new server certificate if the present one is missing, unreadable, for other names or near its end.
    /// True: there is a new one.
    pub(crate) fn renew_if_due(&self, now: SystemTime) -> Result<bool, StartError> {
        if self.is_good(now) {
            return Ok(false);
        }
        self.issue(now)?;
        Ok(true)
    }

    fn create(&self, now: SystemTime) -> Result<(), StartError> {
        let key = KeyPair::generate().map_err(|error| self.problem(error))?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "Portico development authority");
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + AUTHORITY_LIFE).into();
        let certificate = params.self_signed(&key).map_err(|error| self.problem(error))?;
        // The key first: a certificate without its key would look like a complete authority.
        self.write(&self.ca_key_path(), &key.serialize_pem(), write_private)?;
        self.write(&self.ca_path(), &certificate.pem(), write_public)
    }

    fn issue(&self, now: SystemTime) -> Result<(), StartError> {
        let ca_pem = self.read(&self.ca_path())?;
        let ca_key =
            KeyPair::from_pem(&self.read(&self.ca_key_path())?).map_err(|error| self.problem(error))?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, ca_key).map_err(|error| self.problem(error))?;
        let ends = now + LEAF_LIFE;
        if not_after(&ca_pem).is_none_or(|authority_ends| authority_ends < ends) {
            return Err(self.problem(
                "it ends too soon; delete the directory to make a new one and give clients its ca.pem",
            ));
        }

        let key = KeyPair::generate().map_err(|error| self.problem(error))?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "Portico");
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.subject_alt_names = self.subject_alt_names()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = (now - BACKDATE).into();
        params.not_after = ends.into();
        let leaf = params
            .signed_by(&key, &issuer)
            .map_err(|error| self.problem(error))?;
        let bundle = format!("{}{}{ca_pem}", key.serialize_pem(), leaf.pem());
        self.write(&self.server_path(), &bundle, write_private)
    }

    fn subject_alt_names(&self) -> Result<Vec<SanType>, StartError> {
        let mut names: Vec<SanType> = self
            .names
            .addresses
            .iter()
            .copied()
            .map(SanType::IpAddress)
            .collect();
        for host in &self.names.hosts {
            let host = host.as_str().try_into().map_err(|error| self.problem(error))?;
            names.push(SanType::DnsName(host));
        }
        Ok(names)
    }

    fn is_good(&self, now: SystemTime) -> bool {
        let Ok(pem) = fs::read(self.server_path()) else {
            return false;
        };
        let Some(Ok(der)) = CertificateDer::pem_slice_iter(&pem).next() else {
            return false;
        };
        let Ok((_, leaf)) = X509Certificate::from_der(&der) else {
            return false;
        };
        let ends = unix_time(leaf.validity().not_after.timestamp());
        ends >= now + RENEW_BEFORE && names_of(&leaf).as_ref() == Some(&self.names)
    }

    fn ca_key_path(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    fn read(&self, path: &Path) -> Result<String, StartError> {
        fs::read_to_string(path).map_err(StartError::file("read", path))
    }

    fn write(
        &self,
        path: &Path,
        text: &str,
        writer: fn(&Path, &[u8]) -> std::io::Result<()>,
    ) -> Result<(), StartError> {
        writer(path, text.as_bytes()).map_err(StartError::file("write", path))
    }

    fn problem(&self, problem: impl ToString) -> StartError {
        StartError::Authority {
            path: self.dir.clone(),
            problem: problem.to_string(),
        }
    }
}

fn unix_time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn not_after(pem: &str) -> Option<SystemTime> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(unix_time(certificate.validity().not_after.timestamp()))
}

/// The subject alternative names of a certificate; `None` if there is one of a kind we never issue.
fn names_of(certificate: &X509Certificate<'_>) -> Option<Names> {
    let mut names = Names {
        hosts: BTreeSet::new(),
        addresses: BTreeSet::new(),
    };
    for name in &certificate.subject_alternative_name().ok()??.value.general_names {
        match name {
            GeneralName::DNSName(host) => {
                names.hosts.insert((*host).to_owned());
            }
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                names.addresses.insert(
                    address
                        .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
                        .ok()?,
                );
            }
            _ => return None,
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustls::client::danger::ServerCertVerifier;

    use super::*;

    fn names(domain: &str) -> Names {
        let layers = config::Layers::new("data").flag("--domains", "pool.domains", domain);
        let mut config = layers
            .flag("--fqdn", "pool.fqdn", "pool.example.test")
            .flag("--advertise", "sip.advertise", "chat.example.test:443")
            .flag("--aliases", "sip.aliases", "lb.example.test,192.0.2.8")
            .load()
            .unwrap();
        config.sip.tls_listen = Some("192.0.2.7:5061".parse().unwrap());
        Names::of(&config)
    }

    fn leaf(authority: &Authority) -> Vec<u8> {
        let pem = fs::read(authority.server_path()).unwrap();
        CertificateDer::pem_slice_iter(&pem)
            .next()
            .unwrap()
            .unwrap()
            .to_vec()
    }

    #[test]
    fn the_certificate_is_for_every_name_a_client_may_have_been_given() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), names("example.test"), SystemTime::now()).unwrap();
        let der = leaf(&authority);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let found = names_of(&certificate).unwrap();
        for host in [
            "localhost",
            "pool.example.test",
            "example.test",
            "sip.example.test",
            "chat.example.test",
            "lb.example.test",
        ] {
            assert!(found.hosts.contains(host), "{host} is missing in {found:?}");
        }
        for address in ["127.0.0.1", "::1", "192.0.2.7", "192.0.2.8"] {
            assert!(
                found.addresses.contains(&address.parse().unwrap()),
                "{address} is missing in {found:?}"
            );
        }
    }

    #[test]
    fn a_client_that_trusts_the_authority_trusts_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), names("example.test"), SystemTime::now()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(authority.ca_path()).unwrap())
            .unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let pem = fs::read(authority.server_path()).unwrap();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .unwrap();
        let verdict = verifier.build().unwrap().verify_server_cert(
            &chain[0],
            &chain[1..],
            &"sip.example.test".try_into().unwrap(),
            &[],
            rustls_pki_types::UnixTime::now(),
        );
        assert!(verdict.is_ok(), "{verdict:?}");
    }

    #[test]
    fn a_certificate_is_kept_until_thirty_days_before_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let start = SystemTime::now();
        let authority = Authority::open(dir.path(), names("example.test"), start).unwrap();
        let first = leaf(&authority);
        assert!(!authority.renew_if_due(start + DAY * 59).unwrap());
        assert_eq!(leaf(&authority), first);
        assert!(authority.renew_if_due(start + DAY * 61).unwrap());
        assert_ne!(leaf(&authority), first);
    }

    #[test]
    fn a_restart_keeps_the_authority_and_another_domain_gets_another_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let first = Authority::open(dir.path(), names("example.test"), now).unwrap();
        let (ca, server) = (fs::read(first.ca_path()).unwrap(), leaf(&first));
        let same = Authority::open(dir.path(), names("example.test"), now).unwrap();
        assert_eq!(leaf(&same), server);
        let other = Authority::open(dir.path(), names("example.com"), now).unwrap();
        assert_eq!(fs::read(other.ca_path()).unwrap(), ca);
        assert_ne!(leaf(&other), server);
    }

    #[test]
    fn keys_are_readable_by_their_owner_only_and_the_authority_by_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let authority =
            Authority::open(&dir.path().join("pki"), names("example.test"), SystemTime::now()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&authority.ca_key_path()), 0o600);
        assert_eq!(mode(&authority.server_path()), 0o600);
        assert_eq!(mode(&authority.ca_path()), 0o644);
        assert_eq!(mode(&dir.path().join("pki")), 0o700);
    }

    #[test]
    fn a_damaged_server_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), names("example.test"), SystemTime::now()).unwrap();
        fs::write(authority.server_path(), b"-----BEGIN CERTIFICATE-----\nAA").unwrap();
        assert!(authority.renew_if_due(SystemTime::now()).unwrap());
    }
}
