//! One server for all tests of a run, though each test is a process of its own.
//!
//! In `target/test-services/<name>/` are three files. Locks on them (`flock`) go with the process that holds them,
//! however it ends, so nothing here can be left behind by a killed test.
//!
//! | File | Locked | Meaning |
//! |---|---|---|
//! | `start` | exclusively, for moments | somebody starts, joins or stops the server |
//! | `users` | shared, as long as a test process lives | the server is in use |
//! | `state` | never | the address of the server; there is one while it runs |
//!
//! The first test takes `start`, finds no server, starts one under a **supervisor** and writes `state`; later ones find it.
//! All lock `users` before they let go of `start`. The supervisor is a few lines of shell in a session of its own: once a
//! second it takes `start` and tries `users` exclusively; when nobody has used the server for a few looks it removes `state`,
//! stops the server and removes its files, still holding `start`, so that a test that comes now starts another one.
//! The server dies with its supervisor (`setpriv --pdeathsig`).

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use crate::sandbox::target_dir;

/// What a supervisor does. `$1`: the folder of the locks, `$2`: the folder of the server, `$3`: its address; the rest:
/// the server.
const SUPERVISOR: &str = r#"
locks=$1 data=$2 address=$3
shift 3
"$@" &
server=$!
trap 'kill -INT "$server"' TERM INT HUP
idle=0
while kill -0 "$server" 2>/dev/null && [ "$idle" -lt 5 ]; do
    exec 8>&-
    sleep 1
    exec 8>>"$locks/start"
    flock 8
    if flock -n -x "$locks/users" true; then idle=$((idle + 1)); else idle=0; fi
done
if [ "$(cat "$locks/state" 2>/dev/null)" = "$address" ]; then rm -f "$locks/state"; fi
kill -INT "$server" 2>/dev/null
wait "$server"
rm -rf "$data"
"#;

/// A place in a shared server: while this lives the server does.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) address: SocketAddr,
    /// Locked shared.
    _user: File,
}

/// A server as it is to be started: its folder, its address, and the command, which stays in the foreground.
pub(super) struct Server {
    pub(super) data: PathBuf,
    pub(super) address: SocketAddr,
    pub(super) command: Vec<String>,
}

/// Joins the server of this name. If there is none, `prepare` says how to start it and `ready` waits until it answers.
pub(super) async fn join<P, R>(
    name: &str,
    prepare: impl FnOnce() -> P,
    ready: impl FnOnce(SocketAddr) -> R,
) -> Result<Joined>
where
    P: Future<Output = Result<Server>>,
    R: Future<Output = Result<()>>,
{
    // Beside the profiles, so that a debug and a release run may share it.
    let folder = target_dir()?
        .parent()
        .context("no target directory")?
        .join("test-services")
        .join(name);
    fs::create_dir_all(&folder)?;
    let start = open(&folder.join("start"))?;
    let start = tokio::task::spawn_blocking(move || start.lock().map(|()| start)).await??;
    let address = match running(&folder).await {
        Some(address) => address,
        None => {
            let server = prepare().await?;
            supervise(&folder, &server)?;
            ready(server.address)
                .await
                .with_context(|| format!("its output is in {}", folder.join("log").display()))?;
            fs::write(folder.join("state"), server.address.to_string())?;
            server.address
        }
    };
    let user = open(&folder.join("users"))?;
    // The supervisor asks for it in moments when it has `start`, which is ours.
    user.lock_shared()?;
    start.unlock()?;
    Ok(Joined { address, _user: user })
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).read(true).open(path);
    file.with_context(|| format!("opening {}", path.display()))
}

/// The address of the server if there is one and it listens.
async fn running(folder: &Path) -> Option<SocketAddr> {
    let address = fs::read_to_string(folder.join("state")).ok()?.parse().ok()?;
    TcpStream::connect(address).await.ok().map(|_| address)
}

fn supervise(folder: &Path, server: &Server) -> Result<()> {
    let log = File::create(folder.join("log"))?;
    let mut command = Command::new("setsid");
    command
        .args(["sh", "-c", SUPERVISOR, "supervisor"])
        .arg(folder)
        .arg(&server.data)
        .arg(server.address.to_string())
        .args(["setpriv", "--pdeathsig", "INT", "--"])
        .args(&server.command)
        .current_dir("/")
        .stdin(Stdio::null())
        // Nothing of the test's: the runner waits until its pipes are closed.
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    // It outlives this process, and is its own master.
    let _supervisor = command.spawn().context("starting a supervisor")?;
    Ok(())
}
