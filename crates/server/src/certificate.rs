//! The certificate clients see: the operator's, or one of the development authority.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use config::Config;
use sip_transport::tls::{CertificateFiles, CertificateStore, ClientCertificates};

use crate::error::StartError;
use crate::pki::{Authority, Names};

/// The serving certificate and whoever renews it.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    store: Arc<CertificateStore>,
    /// `None`: the operator renews the files.
    authority: Option<Arc<Authority>>,
}

impl Certificate {
    /// Loads the configured certificate, else one of the development authority, which is made if need be.
    pub(crate) fn open(config: &Config, now: SystemTime) -> Result<Self, StartError> {
        let client_certificates = match &config.tls.client_ca {
            Some(path) => ClientCertificates::Optional(path.clone()),
            None => ClientCertificates::Off,
        };
        let (files, authority) = match (&config.tls.certificate, &config.tls.private_key) {
            (Some(certificate), Some(private_key)) => (
                CertificateFiles {
                    certificate: certificate.clone(),
                    private_key: private_key.clone(),
                    client_certificates,
                },
                None,
            ),
            _ => {
                let authority = Authority::open(&config.pki_dir(), Names::of(config), now)?;
                let files = CertificateFiles {
                    certificate: authority.server_path(),
                    private_key: authority.server_path(),
                    client_certificates,
                };
                (files, Some(Arc::new(authority)))
            }
        };
        let store = Arc::new(CertificateStore::load(files)?);
        Ok(Certificate { store, authority })
    }

    /// What listeners serve with.
    pub(crate) fn store(&self) -> Arc<CertificateStore> {
        Arc::clone(&self.store)
    }

    /// What clients have to trust, if it is the development authority.
    pub(crate) fn ca_path(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(|authority| authority.ca_path())
    }

    /// Seconds until the certificate in use ends, negative afterwards.
    pub(crate) fn remaining_seconds(&self, now: SystemTime) -> i64 {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.store
            .remaining_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    /// Renews what is due and loads what has changed. Blocks for as long as the file system takes.
    pub(crate) fn maintain(&self, now: SystemTime) {
        self.renew(now);
        match self.store.reload_if_changed() {
            Ok(false) => {}
            Ok(true) => tracing::info!(remaining = self.remaining_seconds(now), "certificate loaded"),
            Err(error) => tracing::error!(%error, "the changed certificate is not usable; the old one stays"),
        }
    }

    /// Loads the files whatever their times say. Blocks for as long as the file system takes.
    pub(crate) fn reload(&self, now: SystemTime) {
        self.renew(now);
        match self.store.reload() {
            Ok(()) => tracing::info!(remaining = self.remaining_seconds(now), "certificate loaded"),
            Err(error) => tracing::error!(%error, "the certificate is not usable; the old one stays"),
        }
    }

    fn renew(&self, now: SystemTime) {
        if let Some(authority) = &self.authority
            && let Err(error) = authority.renew_if_due(now)
        {
            tracing::error!(%error, "the certificate cannot be renewed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_certificate_of_its_own_a_server_has_one_of_the_development_authority() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::for_test(dir.path());
        let certificate = Certificate::open(&config, SystemTime::now()).unwrap();
        assert_eq!(certificate.ca_path(), Some(dir.path().join("pki/ca.pem")));
        let days = certificate.remaining_seconds(SystemTime::now()) / 86_400;
        assert!((89..=90).contains(&days), "{days}");
    }

    #[test]
    fn a_configured_certificate_is_used_and_its_renewal_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_test(dir.path());
        let issued = |name: &str, age: u32| {
            let now = SystemTime::now() - std::time::Duration::from_secs(86_400) * age;
            Authority::open(&dir.path().join(name), Names::of(&config), now)
                .unwrap()
                .server_path()
        };
        let (old, new) = (issued("old", 20), issued("new", 0));
        let used = dir.path().join("used.pem");
        std::fs::copy(&old, &used).unwrap();
        config.tls.certificate = Some(used.clone());
        config.tls.private_key = Some(used.clone());
        let certificate = Certificate::open(&config, SystemTime::now()).unwrap();
        assert_eq!(certificate.ca_path(), None);
        let before = certificate.remaining_seconds(SystemTime::now());
        std::fs::copy(&new, &used).unwrap();
        // The clock of a file system may be coarser than this test is quick.
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options()
            .write(true)
            .open(&used)
            .unwrap()
            .set_modified(later)
            .unwrap();
        certificate.maintain(SystemTime::now());
        assert!(certificate.remaining_seconds(SystemTime::now()) > before + 19 * 86_400);
    }

    #[test]
    fn a_certificate_that_was_damaged_leaves_the_old_one_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_test(dir.path());
        let issued = Authority::open(&dir.path().join("pki"), Names::of(&config), SystemTime::now()).unwrap();
        let used = dir.path().join("used.pem");
        std::fs::copy(issued.server_path(), &used).unwrap();
        config.tls.certificate = Some(used.clone());
        config.tls.private_key = Some(used.clone());
        let certificate = Certificate::open(&config, SystemTime::now()).unwrap();
        std::fs::write(&used, "rubbish").unwrap();
        certificate.reload(SystemTime::now());
        assert!(certificate.remaining_seconds(SystemTime::now()) > 80 * 86_400);
    }

    #[test]
    fn a_certificate_that_cannot_be_read_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_test(dir.path());
        config.tls.certificate = Some(dir.path().join("missing.pem"));
        config.tls.private_key = Some(dir.path().join("missing.key"));
        let error = Certificate::open(&config, SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("missing.pem"), "{error}");
    }
}
