//! The pool's key file: read, or made when it is not there.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::hmac;
use sip_auth::key_file::KeyFile;
use zeroize::Zeroizing;

use crate::error::StartError;
use crate::files::{create_private_dir, write_private};

/// What is made from the key file.
pub(crate) struct Keys {
    /// Sealing of credentials, nonces.
    pub(crate) file: KeyFile,
    /// Key of the user tags in log lines: the same on every member of the pool.
    pub(crate) log_tags: [u8; 32],
}

/// A member of a pool is given the pool's key file: one of its own would make it a stranger to the others.
pub(crate) fn must_exist(path: &Path) -> Result<(), StartError> {
    if path.exists() {
        return Ok(());
    }
    Err(StartError::KeyFile {
        path: path.to_owned(),
        problem: "it is not there; every member of a pool needs the same file (docs/operations.md says how to make it, or copy it from a \
                  member that has it)"
            .to_owned(),
    })
}

/// Reads the key file; one that is not there is generated, for its owner only.
pub(crate) fn load_or_create(path: &Path) -> Result<Keys, StartError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(StartError::file("read", path)(error)),
    };
    warn_if_readable(path);
    let problem = |error: sip_auth::key_file::KeyFileError| StartError::KeyFile {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
    let mut log_tags = [0; 32];
    log_tags.copy_from_slice(hmac::sign(&key, b"portico log tags").as_ref());
    Ok(Keys {
        file: KeyFile::parse(&text).map_err(problem)?,
        log_tags,
    })
}

fn create(path: &Path) -> Result<Zeroizing<String>, StartError> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(|error| StartError::KeyFile {
        path: path.to_owned(),
        problem: format!("the system gave no random numbers: {error}"),
    })?;
    let text = KeyFile::generate(&random);
    if let Some(dir) = path.parent() {
        create_private_dir(dir).map_err(StartError::file("create", dir))?;
    }
    write_private(path, text.as_bytes()).map_err(StartError::file("write", path))?;
    tracing::info!(path = %path.display(), "key file generated; keep a copy of it");
    Ok(text)
}

/// A mounted secret may have to be readable by a group, but hardly by everybody.
fn warn_if_readable(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o007 != 0 {
        tracing::warn!(path = %path.display(), "key file is open to every user of this machine");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_file_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/pool.key");
        let first = load_or_create(&path).unwrap();
        let text = fs::read(&path).unwrap();
        let second = load_or_create(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), text);
        assert_eq!(first.log_tags, second.log_tags);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_member_of_a_pool_makes_no_key_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pool.key");
        let error = must_exist(&path).unwrap_err();
        assert!(error.to_string().contains("same file"), "{error}");
        load_or_create(&path).unwrap();
        assert!(must_exist(&path).is_ok());
    }

    #[test]
    fn a_damaged_key_file_stops_the_start_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pool.key");
        fs::write(&path, "rubbish").unwrap();
        let error = load_or_create(&path).err().unwrap();
        assert!(error.to_string().contains("pool.key"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"rubbish");
    }
}
