//! Keeps the fuzz targets compiling. They are workspaces of their own (the fuzzer needs nightly), so
//! nothing else would notice.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;

/// Checks every `crates/*/fuzz` with the stable compiler.
///
/// # Errors
/// One of them does not compile, or there is none.
pub(crate) fn run() -> Result<()> {
    let root = MetadataCommand::new().no_deps().exec()?.workspace_root;
    let mut checked = 0;
    for entry in root.join("crates").read_dir_utf8()? {
        let manifest = entry?.path().join("fuzz/Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        cargo.args(["check", "-q", "--manifest-path", manifest.as_str()]);
        cargo.args(["--target-dir", root.join("target/fuzz").as_str()]);
        if !cargo.status().context("running cargo")?.success() {
            bail!("{manifest} does not compile");
        }
        checked += 1;
    }
    ensure!(checked > 0, "no fuzz targets found");
    println!("the fuzz targets of {checked} crates compile");
    Ok(())
}
