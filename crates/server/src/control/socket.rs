//! The socket itself: one per data directory, for this user and root only.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use axum::serve::Listener;
use tokio::net::{UnixListener, UnixStream};

use crate::error::StartError;

/// A bound control socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The user this server runs as.
    owner: u32,
}

/// Binds the control socket. It doubles as the lock of the data directory: two servers on one database would each think
/// they own all state.
pub(crate) fn bind(path: &Path) -> Result<ControlSocket, StartError> {
    match BlockingStream::connect(path) {
        Ok(_) => {
            let dir = path.parent().unwrap_or(path);
            return Err(StartError::DataDirInUse(dir.to_owned()));
        }
        // Left behind by a crash.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(StartError::file("remove", path))?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(StartError::file("create the socket", path))?;
    let private = fs::set_permissions(path, Permissions::from_mode(0o600));
    private.map_err(StartError::file("protect", path))?;
    let owner = fs::metadata(path).map_err(StartError::file("read", path))?.uid();
    Ok(ControlSocket {
        listener,
        path: path.to_owned(),
        owner,
    })
}

impl Listener for ControlSocket {
    type Io = UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (UnixStream, ()) {
        loop {
            let (stream, ()) = {
                let (stream, _) = Listener::accept(&mut self.listener).await;
                (stream, ())
            };
            // The mode of the file is set after it is bound: whoever was quicker is turned away here.
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.owner || peer.uid() == 0 => return (stream, ()),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "control connection of another user refused"),
                Err(error) => tracing::debug!(%error, "control connection without credentials refused"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Somebody may have removed it by hand; that is as good.
        let _removed = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_goes_with_its_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let socket = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_second_server_in_the_same_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let _first = bind(&path).unwrap();
        let second = bind(&path).unwrap_err();
        assert!(matches!(second, StartError::DataDirInUse(_)), "{second}");
    }

    #[tokio::test]
    async fn a_socket_left_behind_by_a_crash_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert!(bind(&path).is_ok());
    }
}
