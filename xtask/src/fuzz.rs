//! The fuzz targets of `crates/*/fuzz`. They are workspaces of their own (the fuzzer wants its own flags), so
//! nothing else would notice when one stops compiling.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// What to do where cargo-fuzz is missing.
const INSTALL: &str = "cargo-fuzz is not installed: cargo install --locked cargo-fuzz";

/// Checks every `crates/*/fuzz` with the stable compiler.
///
/// # Errors
/// One of them does not compile, or there is none.
pub(crate) fn check() -> Result<()> {
    let root = root()?;
    let manifests = manifests(&root)?;
    for manifest in &manifests {
        let mut check = cargo();
        check.args(["check", "-q", "--manifest-path"]).arg(manifest);
        check.arg("--target-dir").arg(root.join("target/fuzz"));
        if !check.status().context("running cargo")?.success() {
            bail!("{} does not compile", manifest.display());
        }
    }
    println!("the fuzz targets of {} crates compile", manifests.len());
    Ok(())
}

/// Runs every target for so many seconds. What is found to be interesting on the way is kept below `target/`
/// and begins the next run; an input that breaks a target is left in `artifacts/` of its fuzz folder.
///
/// # Errors
/// cargo-fuzz is missing, or a target broke: the rest is not run then.
pub(crate) fn run(seconds: u32) -> Result<()> {
    let installed = cargo().args(["fuzz", "--version"]).output();
    ensure!(installed.is_ok_and(|output| output.status.success()), INSTALL);
    let root = root()?;
    let mut ran = 0;
    for manifest in manifests(&root)? {
        let metadata = MetadataCommand::new().manifest_path(&manifest).no_deps().exec()?;
        let package = metadata.packages.first().context("a fuzz package")?;
        for target in targets(package) {
            println!("== {} {target}, {seconds} s", package.name);
            let status = fuzzer(&root, &metadata, package, target, seconds)?
                .status()
                .context("running cargo fuzz")?;
            ensure!(status.success(), "{} {target}: {status}", package.name);
            ran += 1;
        }
    }
    println!("{ran} fuzz targets survived {seconds} s each");
    Ok(())
}

fn fuzzer(
    root: &Path,
    metadata: &Metadata,
    package: &Package,
    target: &str,
    seconds: u32,
) -> Result<Command> {
    let folder = metadata.workspace_root.as_std_path();
    let found = root
        .join("target/fuzz/corpus")
        .join(package.name.as_str())
        .join(target);
    std::fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
    let mut fuzz = cargo();
    // Without a sanitizer the stable compiler will do: all that is fuzzed here is safe Rust.
    fuzz.args(["fuzz", "run", "-s", "none", "--fuzz-dir"]).arg(folder);
    fuzz.arg("--target-dir").arg(root.join("target/fuzz"));
    // The fuzzer writes to the first folder and only reads the others.
    fuzz.arg(target).arg(found).args(seeds(folder, package, target)?);
    fuzz.args(["--", &format!("-max_total_time={seconds}")]);
    Ok(fuzz)
}

/// `corpus/TARGET`, and what the manifest names under `package.metadata.seeds`.
fn seeds(folder: &Path, package: &Package, target: &str) -> Result<Vec<PathBuf>> {
    let further = package.metadata["seeds"][target].as_array();
    let further = further.into_iter().flatten().filter_map(|path| path.as_str());
    let seeds: Vec<PathBuf> = std::iter::once(format!("corpus/{target}"))
        .chain(further.map(str::to_owned))
        .map(|path| folder.join(path))
        .collect();
    match seeds.iter().find(|path| !path.is_dir()) {
        Some(missing) => bail!("no seeds in {}", missing.display()),
        None => Ok(seeds),
    }
}

fn targets(package: &Package) -> impl Iterator<Item = &str> {
    let programs = package.targets.iter().filter(|target| target.is_bin());
    programs.map(|target| target.name.as_str())
}

fn root() -> Result<PathBuf> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    Ok(metadata.workspace_root.into_std_path_buf())
}

/// The manifests of all fuzz folders, in a stable order.
fn manifests(root: &Path) -> Result<Vec<PathBuf>> {
    let mut manifests = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let manifest = entry?.path().join("fuzz/Cargo.toml");
        if manifest.is_file() {
            manifests.push(manifest);
        }
    }
    ensure!(!manifests.is_empty(), "no fuzz targets found");
    manifests.sort();
    Ok(manifests)
}

fn cargo() -> Command {
    Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds() {
        for manifest in manifests(&root().unwrap()).unwrap() {
            let metadata = MetadataCommand::new()
                .manifest_path(&manifest)
                .no_deps()
                .exec()
                .unwrap();
            let package = &metadata.packages[0];
            assert!(targets(package).count() > 0, "{}", package.name);
            for target in targets(package) {
                for folder in seeds(metadata.workspace_root.as_std_path(), package, target).unwrap() {
                    assert!(folder.read_dir().unwrap().count() > 0, "{}", folder.display());
                }
            }
        }
    }
}
