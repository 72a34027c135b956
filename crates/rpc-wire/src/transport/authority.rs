//! The pool's own certificate authority. It is not stored anywhere: every member makes the same one from the key file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use topology::MemberId;

use super::name;

/// How long a member's certificate is valid. Whoever loses a key file changes it; this bounds what a stolen leaf is good for.
pub(super) const VALIDITY: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Clocks of members may differ by this much.
const SKEW: Duration = Duration::from_secs(3_600);
/// The common name of the authority. It is part of the contract between members.
const SUBJECT: &str = "Portico pool authority 1";

/// The authority, or a certificate of it, could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The key file has no key.
    #[error("the key file of the pool has no key to make the internal authority from")]
    NoSeed,
    /// The member's name does not fit into a certificate.
    #[error("the member name `{0}` is too long or empty: it must be from 1 to about 100 bytes")]
    Name(String),
    /// A library refused; a defect of ours.
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A library refused; a defect of ours.
    #[error("the internal TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A library refused; a defect of ours.
    #[error("the internal TLS could not be set up: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The authority of a pool: signs its member's certificates and knows what to trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("generations", &self.roots.len())
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// From the seeds of the key file, the newest generation first. All are trusted; the *oldest* one signs, because a member
    /// that has not read the new file yet trusts nothing else, and every member that has the new file trusts both.
    ///
    /// # Errors
    /// There is no seed, or a library refuses.
    pub fn new<'a>(seeds: impl IntoIterator<Item = &'a [u8; 32]>) -> Result<Self, AuthorityError> {
        let mut roots = Vec::new();
        let mut oldest = None;
        for seed in seeds {
            let (root, issuer) = generation(seed)?;
            roots.push(root);
            oldest = Some(issuer);
        }
        let issuer = oldest.ok_or(AuthorityError::NoSeed)?;
        Ok(Authority { issuer, roots })
    }

    /// The authorities to trust.
    pub(super) fn roots(&self) -> Result<RootCertStore, AuthorityError> {
        let mut store = RootCertStore::empty();
        for root in &self.roots {
            store.add(root.clone())?;
        }
        Ok(store)
    }

    /// A new key for this member, and a certificate from now on.
    pub(super) fn leaf(&self, member: &MemberId, now: SystemTime) -> Result<CertifiedKey, AuthorityError> {
        let too_long = || AuthorityError::Name(member.to_string());
        self.sign(name::to_dns(member).ok_or_else(too_long)?, now)
    }

    /// A new key, and a certificate for this name.
    pub(super) fn sign(&self, dns: String, now: SystemTime) -> Result<CertifiedKey, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::DnsName(dns.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let epoch = date_time_ymd(1970, 1, 1);
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        params.not_before = epoch + since.saturating_sub(SKEW);
        params.not_after = epoch + since + VALIDITY;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = any_supported_type(&key)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

/// The authority of one generation: its certificate to trust, and what signs.
fn generation(
    seed: &[u8; 32],
) -> Result<(CertificateDer<'static>, Issuer<'static, KeyPair>), AuthorityError> {
    let key = key_from(seed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, SUBJECT);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(4000, 1, 1);
    let certificate = params.self_signed(&key)?.der().clone();
    Ok((certificate, Issuer::new(params, key)))
}

/// The Ed25519 key with this seed, by way of its PKCS #8 form (RFC 8410 section 7).
fn key_from(seed: &[u8; 32]) -> Result<KeyPair, rcgen::Error> {
    const PREFIX: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ];
    let pkcs8 = [PREFIX.as_slice(), seed].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_makes_the_same_authority_from_the_same_seed() {
        let root = |seed| generation(&seed).unwrap().0;
        assert_eq!(root([7; 32]), root([7; 32]));
        assert_ne!(root([7; 32]), root([8; 32]));
    }

    #[test]
    fn the_key_is_the_one_of_the_seed() {
        // RFC 8032 section 7.1, test 1.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
            0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let public = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ];
        assert_eq!(key_from(&seed).unwrap().public_key_raw(), public);
    }

    #[test]
    fn an_authority_needs_a_seed_and_a_member_a_name() {
        assert!(matches!(Authority::new([]), Err(AuthorityError::NoSeed)));
        let authority = Authority::new([&[1; 32]]).unwrap();
        let leaf = authority.leaf(&MemberId::new(""), SystemTime::now());
        assert!(matches!(leaf, Err(AuthorityError::Name(_))));
    }
}
