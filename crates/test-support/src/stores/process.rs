//! Finding and running the programs of a database server.

use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// Finds a program on the path or in one of `folders`; `package` is what to install where there is none.
pub(super) fn find(name: &str, folders: &[PathBuf], package: &str) -> Result<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = on_path
        .chain(folders.iter().map(|folder| folder.join(name)))
        .find(|program| program.is_file());
    let found = found.with_context(|| {
        format!("{name} is not installed, and tests need it: `make test` or `apt-get install {package}`")
    })?;
    Ok(found.to_string_lossy().into_owned())
}

/// Runs a program to its end and returns what it printed.
pub(super) async fn run(command: &[String], input: &str) -> Result<String> {
    use tokio::io::AsyncWriteExt;
    let (program, arguments) = command.split_first().context("no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    checked(program, child.wait_with_output().await?)
}

/// The output of a program that did what it was asked.
pub(super) fn checked(program: &str, output: Output) -> Result<String> {
    ensure!(
        output.status.success(),
        "{program} failed, {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Texts of a command line.
pub(super) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
