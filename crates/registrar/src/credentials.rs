//! Verifiers: made from a password, sealed, opened for one comparison.
//!
//! A verifier is as good as the password to whoever has it. In the store and in the cache it is sealed under the pool's key
//! file, bound to its account and kind, so that a row copied to another account does not open. In clear it exists for
//! the microseconds of one check, in memory that is wiped.

use rpc::{Error, ErrorCode};
use sip_auth::digest::{Algorithm, Ha1};
use sip_auth::ntlm::NtHash;
use sip_auth::seal::{SealError, SealKey};
use sip_types::AddressOfRecord;
use store::{CredentialKind, SealedCredential, StoredAccount};
use zeroize::Zeroizing;

use crate::error::invalid;

/// Longest password, in characters.
const MAX_PASSWORD: usize = 256;

/// Bytes of a nonce of the seal.
const NONCE: usize = 12;

/// How a client writes its user name in Digest. The name is part of what is hashed, so there is a verifier for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NameForm {
    /// `alice`
    User,
    /// `alice@example.test`
    Address,
}

impl NameForm {
    /// The form in which `username` names `aor`, if it does. The name is compared as it is: it was hashed as it is.
    pub(crate) fn of(username: &str, aor: &AddressOfRecord) -> Option<Self> {
        if username == aor.user() {
            Some(NameForm::User)
        } else if username == aor.as_str() {
            Some(NameForm::Address)
        } else {
            None
        }
    }
}

/// Makes and opens verifiers of one pool.
pub(crate) struct Vault {
    key: SealKey,
    realm: String,
}

/// The name of a credential under the seal. It never changes: what was sealed under another one would not open.
fn row(aor: &AddressOfRecord, kind: CredentialKind) -> String {
    format!("{aor} {}", kind.as_str())
}

fn kind_of(algorithm: Algorithm) -> CredentialKind {
    match algorithm {
        Algorithm::Md5 => CredentialKind::DigestMd5,
        Algorithm::Sha256 => CredentialKind::DigestSha256,
    }
}

impl Vault {
    pub(crate) fn new(key: SealKey, realm: String) -> Self {
        Vault { key, realm }
    }

    /// The realm of every Digest verifier in here.
    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// All credentials that follow from a password.
    pub(crate) fn make(
        &self,
        aor: &AddressOfRecord,
        password: &Zeroizing<String>,
        ntlm: bool,
    ) -> Result<Vec<SealedCredential>, Error> {
        check_password(password)?;
        let mut sealed = Vec::with_capacity(CredentialKind::ALL.len());
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let ha1 = |name: &str| Ha1::compute(algorithm, name, &self.realm, password);
            let (user, address) = (ha1(aor.user()), ha1(aor.as_str()));
            let both = Zeroizing::new([user.as_bytes(), address.as_bytes()].concat());
            sealed.push(self.seal(aor, kind_of(algorithm), &both)?);
        }
        if ntlm {
            let hash = NtHash::from_password(password);
            sealed.push(self.seal(aor, CredentialKind::NtHash, hash.as_bytes())?);
        }
        Ok(sealed)
    }

    fn seal(
        &self,
        aor: &AddressOfRecord,
        kind: CredentialKind,
        verifier: &[u8],
    ) -> Result<SealedCredential, Error> {
        let failed = |what: &str| Error::new(ErrorCode::Internal, what);
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| failed("the system has no randomness"))?;
        let sealed = self.key.seal(verifier, &row(aor, kind), nonce);
        let sealed = sealed.map_err(|_| failed("a credential could not be sealed"))?;
        Ok(SealedCredential { kind, sealed })
    }

    fn open(
        &self,
        account: &StoredAccount,
        kind: CredentialKind,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SealError> {
        let Some(credential) = account.credential(kind) else {
            return Ok(None);
        };
        self.key
            .open(&credential.sealed, &row(&account.account.aor, kind))
            .map(Some)
    }

    /// The Digest verifier of an account; `None` if it has none.
    pub(crate) fn ha1(
        &self,
        account: &StoredAccount,
        algorithm: Algorithm,
        form: NameForm,
    ) -> Result<Option<Ha1>, SealError> {
        let Some(both) = self.open(account, kind_of(algorithm))? else {
            return Ok(None);
        };
        let half = match form {
            NameForm::User => both.get(..algorithm.hash_len()),
            NameForm::Address => both.get(algorithm.hash_len()..),
        };
        let ha1 = half.and_then(|bytes| Ha1::from_bytes(algorithm, bytes));
        ha1.map(Some).ok_or(SealError::Format)
    }

    /// The NT hash of an account; `None` if it may not use NTLM.
    pub(crate) fn nt_hash(&self, account: &StoredAccount) -> Result<Option<NtHash>, SealError> {
        let Some(bytes) = self.open(account, CredentialKind::NtHash)? else {
            return Ok(None);
        };
        let mut hash = Zeroizing::new([0; 16]);
        if bytes.len() != hash.len() {
            return Err(SealError::Format);
        }
        hash.copy_from_slice(&bytes);
        Ok(Some(NtHash::from_bytes(*hash)))
    }
}

fn check_password(password: &str) -> Result<(), Error> {
    if password.is_empty() || password.chars().count() > MAX_PASSWORD {
        return Err(invalid(format!("a password has 1 to {MAX_PASSWORD} characters")));
    }
    if password.chars().any(char::is_control) {
        return Err(invalid("a password has no control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sip_auth::key_file::{KeyFile, Purpose};
    use store::Account;
    use topology::SiteId;

    use super::*;

    fn vault() -> Vault {
        let file = KeyFile::parse(&KeyFile::generate(&[7; 32])).unwrap();
        Vault::new(
            file.seal_key(Purpose::Credentials).unwrap(),
            "example.test".into(),
        )
    }

    fn account(user: &str, ntlm: bool) -> StoredAccount {
        let aor = AddressOfRecord::parse(&format!("{user}@example.test")).unwrap();
        StoredAccount {
            credentials: vault()
                .make(&aor, &Zeroizing::new("secret".into()), ntlm)
                .unwrap(),
            account: Account {
                aor,
                display_name: String::new(),
                site: SiteId::new("main"),
                enabled: true,
                created_at: 0,
            },
        }
    }

    #[test]
    fn a_verifier_is_made_for_either_form_of_the_name() {
        let alice = account("alice", false);
        for (form, name) in [
            (NameForm::User, "alice"),
            (NameForm::Address, "alice@example.test"),
        ] {
            for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
                let opened = vault().ha1(&alice, algorithm, form).unwrap().unwrap();
                let expected = Ha1::compute(algorithm, name, "example.test", "secret");
                assert_eq!(opened.as_bytes(), expected.as_bytes(), "{name} {algorithm:?}");
            }
        }
    }

    #[test]
    fn an_nt_hash_is_kept_only_for_accounts_that_may_use_it() {
        assert!(vault().nt_hash(&account("alice", false)).unwrap().is_none());
        let hash = vault().nt_hash(&account("alice", true)).unwrap().unwrap();
        assert_eq!(hash.as_bytes(), NtHash::from_password("secret").as_bytes());
    }

    #[test]
    fn a_credential_copied_to_another_row_does_not_open() {
        let (alice, mut mallory) = (account("alice", true), account("mallory", true));
        mallory.credentials = alice.credentials.clone();
        assert_eq!(
            vault().ha1(&mallory, Algorithm::Md5, NameForm::User).unwrap_err(),
            SealError::Refused
        );
        assert_eq!(vault().nt_hash(&mallory).unwrap_err(), SealError::Refused);

        let mut crossed = alice.clone();
        crossed.credentials[0].sealed = alice.credentials[1].sealed.clone();
        assert_eq!(
            vault().ha1(&crossed, Algorithm::Md5, NameForm::User).unwrap_err(),
            SealError::Refused
        );
    }

    #[test]
    fn no_stored_credential_shows_a_verifier_and_none_is_sealed_alike_twice() {
        let (one, other) = (account("alice", true), account("alice", true));
        let ha1 = Ha1::compute(Algorithm::Md5, "alice", "example.test", "secret");
        for (one, other) in one.credentials.iter().zip(&other.credentials) {
            assert_ne!(one.sealed, other.sealed);
            assert!(!one.sealed.windows(16).any(|window| window == ha1.as_bytes()));
        }
    }

    #[test]
    fn passwords_that_no_client_can_send_are_refused() {
        let aor = AddressOfRecord::parse("alice@example.test").unwrap();
        for bad in ["", "two\nlines", "nul\0", &"x".repeat(257)] {
            let error = vault()
                .make(&aor, &Zeroizing::new(bad.to_owned()), false)
                .unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRequest, "{bad:?}");
        }
        vault()
            .make(&aor, &Zeroizing::new("pass wörd:\"".into()), false)
            .unwrap();
    }
}
