//! Drivers for real client programs. Each starts the program with a throw-away home directory, waits
//! for what it reports, and ends it by its process id when dropped.
//!
//! `tests/interop/install.sh` installs the programs.

mod baresip;
mod linphone;
mod linphone_list;
mod lyncdrive;
mod program;
mod sipp;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpListener;

pub use baresip::Baresip;
pub use linphone::Linphone;
pub use linphone_list::LinphoneList;
pub use lyncdrive::Lyncdrive;
pub use program::Program;
pub use sipp::{Sipp, SippRun};

use crate::sandbox::target_dir;

/// A program that `make interop` builds.
fn built(name: &str) -> Result<PathBuf> {
    let target = target_dir()?;
    let path = target
        .parent()
        .context("no target directory")?
        .join("interop")
        .join(name);
    ensure!(
        path.is_file(),
        "{} is not built: run `make interop`",
        path.display()
    );
    Ok(path)
}

/// A loopback port for a program that can not take port 0. It lies below the range from which the
/// kernel draws ports for connections, so that no client of another test takes it meanwhile.
pub(crate) async fn free_port() -> Result<SocketAddr> {
    for _ in 0..100 {
        let mut random = [0; 2];
        getrandom::fill(&mut random)?;
        let port = 10_000 + u16::from_le_bytes(random) % 20_000;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no free port in a hundred tries")
}
