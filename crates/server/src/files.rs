//! Files that hold secrets: written whole or not at all, readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Creates a directory and its parents for the owner only. One that exists is left as it is.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file for the owner only, whole: whoever reads it meanwhile sees the old one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, 0o600)
}

/// Writes a file everybody may read, whole.
pub(crate) fn write_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    // A crash may have left one behind, with any mode.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temporary)?;
    // The mode given at creation is cut by the process's umask.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = dir.path().join("a/b");
        create_private_dir(&secrets).unwrap();
        let file = secrets.join("key");
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(&secrets), 0o700);
        assert_eq!(
            fs::read_dir(&secrets).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn what_a_crash_left_behind_does_not_stop_the_next_write() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        fs::write(dir.path().join("key.new"), b"half").unwrap();
        write_private(&file, b"whole").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"whole");
    }
}
