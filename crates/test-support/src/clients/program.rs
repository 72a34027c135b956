//! A child process whose output lines are events to wait for.

use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;

use crate::patience::within;

/// A running program. All it prints is repeated on standard error, where the test runner shows it
/// when the test fails. Dropping kills the process.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
}

#[derive(Default)]
struct Output {
    /// Lines in order; `true` once [`Program::event`] has taken one.
    lines: Mutex<Vec<(String, bool)>>,
    /// How many of the two streams have ended.
    ended: Mutex<u8>,
    grown: Notify,
}

impl Program {
    /// Starts the command. Its standard input is a pipe unless the caller set it.
    ///
    /// # Errors
    /// The program can not be started: most likely it is not installed.
    pub fn spawn(name: &str, mut command: Command) -> Result<Program> {
        let program = format!("{:?}", command.as_std().get_program());
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {program} (see tests/interop/install.sh)"))?;
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read_lines(name.to_owned(), stdout, Arc::clone(&output)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(read_lines(name.to_owned(), stderr, Arc::clone(&output)));
        }
        let stdin = child.stdin.take();
        Ok(Program {
            name: name.to_owned(),
            child,
            stdin,
            output,
        })
    }

    /// Writes one line to the program's standard input, which must be a pipe.
    ///
    /// # Errors
    /// There is no pipe or nobody reads it any more.
    pub async fn command(&mut self, line: &str) -> Result<()> {
        eprintln!("[{}] <- {line}", self.name);
        let stdin = self.stdin.as_mut().context("no pipe to the program")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    /// Waits for the first line, printed before or still to come, for which `look` finds something, and
    /// takes it: the next call sees other lines only.
    ///
    /// # Errors
    /// Patience ran out, or the program ended without such a line.
    pub async fn event<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> Result<T> {
        let what = format!("{what} of {}", self.name);
        within(&what, async {
            loop {
                let grown = self.output.grown.notified();
                let ended = *self.output.ended.lock() == 2;
                if let Some(found) = self.take(&look) {
                    return Ok(found);
                }
                if ended {
                    bail!("{} has ended", self.name);
                }
                grown.await;
            }
        })
        .await
    }

    fn take<T>(&self, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut lines = self.output.lines.lock();
        let fresh = lines.iter_mut().filter(|(_, taken)| !taken);
        for (line, taken) in fresh {
            if let Some(found) = look(line) {
                *taken = true;
                return Some(found);
            }
        }
        None
    }

    /// Looks for a line among those printed so far, without taking it.
    pub fn seen<T>(&self, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.output.lines.lock().iter().find_map(|(line, _)| look(line))
    }

    /// All lines printed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.output
            .lines
            .lock()
            .iter()
            .map(|(line, _)| line.clone())
            .collect()
    }

    /// The process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether the process is still there.
    ///
    /// # Errors
    /// The system does not say.
    pub fn running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Asks the process to end (SIGTERM).
    ///
    /// # Errors
    /// It is gone already.
    pub fn terminate(&self) -> Result<()> {
        let pid = self
            .child
            .id()
            .with_context(|| format!("{} has exited", self.name))?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("process id 0")?;
        Ok(kill_process(pid, Signal::TERM)?)
    }

    /// Waits for the end and returns the exit code; -1 after a signal.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn exit(&mut self) -> Result<i32> {
        let what = format!("{} to exit", self.name);
        within(&what, async { Ok(self.child.wait().await?.code().unwrap_or(-1)) }).await
    }
}

async fn read_lines(name: String, stream: impl AsyncRead + Unpin, output: Arc<Output>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    // A read error ends the stream just as its end does.
    while reader
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|count| count > 0)
    {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        eprintln!("[{name}] {text}");
        output.lines.lock().push((text, false));
        output.grown.notify_waiters();
        line.clear();
    }
    *output.ended.lock() += 1;
    output.grown.notify_waiters();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        command
    }

    #[tokio::test]
    async fn lines_are_taken_once_and_others_are_kept() {
        let program = Program::spawn("sh", shell("echo one; echo two; echo one >&2")).unwrap();
        let is = |wanted: &'static str| move |line: &str| (line == wanted).then_some(());
        program.event("two", is("two")).await.unwrap();
        program.event("one", is("one")).await.unwrap();
        program.event("one again", is("one")).await.unwrap();
        let error = program.event("three", is("three")).await.unwrap_err();
        assert!(format!("{error:#}").contains("has ended"), "{error:#}");
    }

    #[tokio::test]
    async fn a_program_reads_commands_and_ends_on_request() {
        let mut program = Program::spawn("sh", shell("read line; echo got $line; exec sleep 100")).unwrap();
        program.command("this").await.unwrap();
        program
            .event("the echo", |line| (line == "got this").then_some(()))
            .await
            .unwrap();
        assert!(program.running().unwrap());
        program.terminate().unwrap();
        assert_eq!(program.exit().await.unwrap(), -1);
    }
}
