//! Holds the dependency tree to `deny.toml`: banned crates, crates in two versions, licences, sources.
//!
//! A subset of what `cargo deny check` does, reading the same file, so that the rules hold on a machine
//! that has only cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

/// The parts of `deny.toml` that are checked here.
#[derive(Debug, Deserialize)]
struct Rules {
    graph: Graph,
    bans: Bans,
    licenses: Licenses,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Bans {
    multiple_versions: Level,
    deny: Vec<Ban>,
    /// Versions that do not count as the second one of their crate.
    skip: Vec<Skip>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Allow,
    Warn,
    Deny,
}

/// `NAME@VERSION`. Its reason is for whoever reads the file.
#[derive(Debug, Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    spec: String,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// Checks the tree of this workspace and prints every violation.
///
/// # Errors
/// There is at least one violation, or cargo can not be asked.
pub(crate) fn run() -> Result<()> {
    let metadata = MetadataCommand::new()
        .other_options(["--locked".to_owned()])
        .exec()?;
    let path = metadata.workspace_root.join("deny.toml");
    let rules: Rules = toml::from_str(&std::fs::read_to_string(&path).with_context(|| path.to_string())?)?;
    let active = active(&rules.graph)?;
    let findings = findings(&rules, &metadata, &active)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    ensure!(findings.is_empty(), "{} violations of deny.toml", findings.len());
    println!("deny.toml holds for {} crates", active.len());
    Ok(())
}

/// Name and version of every crate that is really built, tests and build scripts included.
///
/// `cargo metadata` also lists optional crates that no feature switches on (ring, through a weak
/// feature of rustls-webpki), so the resolved tree is asked for instead.
fn active(graph: &Graph) -> Result<BTreeSet<(String, String)>> {
    let mut active = BTreeSet::new();
    for target in &graph.targets {
        let mut tree = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        tree.args([
            "tree",
            "--workspace",
            "--locked",
            "--edges",
            "normal,build,dev",
            "--prefix",
            "none",
        ]);
        let output = tree.args(["--format", "{p}", "--target", target]).output()?;
        if !output.status.success() {
            bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        }
        active.extend(
            String::from_utf8(output.stdout)?
                .lines()
                .filter_map(name_and_version),
        );
    }
    Ok(active)
}

/// `bytes v1.12.0 (*)` names bytes 1.12.0.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some((name.to_owned(), version.to_owned()))
}

fn findings(rules: &Rules, metadata: &Metadata, active: &BTreeSet<(String, String)>) -> Result<Vec<String>> {
    let allowed = rules
        .licenses
        .allow
        .iter()
        .map(|text| Licensee::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut findings = Vec::new();
    for package in &metadata.packages {
        if !active.contains(&(package.name.to_string(), package.version.to_string())) {
            continue;
        }
        if let Some(ban) = rules
            .bans
            .deny
            .iter()
            .find(|ban| ban.name == package.name.as_str())
        {
            findings.push(format!("{} is banned: {}", package.name, ban.reason));
        }
        findings.extend(license_problem(package, &allowed));
        findings.extend(source_problem(package, &rules.sources));
    }
    if rules.bans.multiple_versions == Level::Deny {
        findings.extend(duplicates(&rules.bans.skip, active));
    }
    Ok(findings)
}

/// Crates in more than one version that is not skipped, and skips that are of no use.
fn duplicates(skips: &[Skip], active: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in active {
        versions.entry(name).or_default().push(version);
    }
    let twice = |name: &str| versions.get(name).is_some_and(|versions| versions.len() > 1);
    let skipped = |name: &str, version: &str| {
        skips
            .iter()
            .any(|skip| skip.spec.split_once('@') == Some((name, version)))
    };
    let useless = skips.iter().filter(|skip| {
        let known = skip.spec.split_once('@').is_some_and(|(name, version)| {
            twice(name) && active.contains(&(name.to_owned(), version.to_owned()))
        });
        !known
    });
    let mut findings: Vec<String> = useless
        .map(|skip| format!("{} need not be skipped any more", skip.spec))
        .collect();
    for (name, versions) in &versions {
        let counted: Vec<&str> = versions
            .iter()
            .copied()
            .filter(|version| !skipped(name, version))
            .collect();
        if counted.len() > 1 {
            findings.push(format!("{name} is there as {}", counted.join(" and as ")));
        }
    }
    findings
}

fn license_problem(package: &Package, allowed: &[Licensee]) -> Option<String> {
    let name = &package.name;
    let Some(text) = &package.license else {
        return Some(format!("{name} names no licence"));
    };
    match Expression::parse_mode(text, ParseMode::LAX) {
        Ok(expression) if expression.evaluate(|wanted| allowed.iter().any(|have| have.satisfies(wanted))) => {
            None
        }
        Ok(_) => Some(format!("{name} has a licence that is not allowed: {text}")),
        Err(error) => Some(format!(
            "{name} has a licence that can not be read: {text}: {error}"
        )),
    }
}

fn source_problem(package: &Package, sources: &Sources) -> Option<String> {
    // No source: a member of this workspace.
    let source = &package.source.as_ref()?.repr;
    let registry = source.strip_prefix("registry+");
    let known =
        registry.is_some_and(|registry| sources.allow_registry.iter().any(|allowed| allowed == registry));
    (!known).then(|| format!("{} comes from {source}", package.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        toml::from_str(text).unwrap()
    }

    fn check(allow: &str, deny: &str, registry: &str) -> Vec<String> {
        let rules = rules(&format!(
            "[graph]\ntargets = []\n[bans]\nmultiple-versions = \"deny\"\nskip = []\ndeny = [{deny}]\n[licenses]\nallow = [{allow}]\n\
             [sources]\nallow-registry = [\"{registry}\"]\n"
        ));
        let metadata = MetadataCommand::new().exec().unwrap();
        let active = BTreeSet::from([version_of(&metadata, "anyhow")]);
        findings(&rules, &metadata, &active).unwrap()
    }

    fn version_of(metadata: &Metadata, name: &str) -> (String, String) {
        let package = metadata
            .packages
            .iter()
            .find(|package| package.name == name)
            .unwrap();
        (name.to_owned(), package.version.to_string())
    }

    const CRATES_IO: &str = "https://github.com/rust-lang/crates.io-index";

    #[test]
    fn a_clean_tree_has_no_findings() {
        assert_eq!(check("\"MIT\"", "", CRATES_IO), Vec::<String>::new());
    }

    #[test]
    fn a_banned_crate_is_named_with_its_reason() {
        let found = check(
            "\"MIT\"",
            "{ crate = \"anyhow\", reason = \"because\" }",
            CRATES_IO,
        );
        assert_eq!(found, ["anyhow is banned: because"]);
    }

    #[test]
    fn a_licence_outside_the_list_is_found() {
        let found = check("\"ISC\"", "", CRATES_IO);
        assert_eq!(
            found,
            ["anyhow has a licence that is not allowed: MIT OR Apache-2.0"]
        );
    }

    #[test]
    fn another_registry_is_found() {
        let found = check("\"MIT\"", "", "https://elsewhere.test/index");
        assert_eq!(found, [format!("anyhow comes from registry+{CRATES_IO}")]);
    }

    #[test]
    fn a_crate_in_two_versions_is_found_unless_one_is_skipped() {
        let tree = |all: &[(&str, &str)]| {
            all.iter()
                .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
                .collect::<BTreeSet<_>>()
        };
        let skip = |spec: &str| {
            [Skip {
                spec: spec.to_owned(),
            }]
        };
        let twice = tree(&[("a", "1.0.0"), ("a", "2.0.0"), ("b", "1.0.0")]);
        assert_eq!(duplicates(&[], &twice), ["a is there as 1.0.0 and as 2.0.0"]);
        assert_eq!(duplicates(&skip("a@1.0.0"), &twice), Vec::<String>::new());
        assert_eq!(
            duplicates(&skip("b@1.0.0"), &tree(&[("b", "1.0.0")])),
            ["b@1.0.0 need not be skipped any more"]
        );
    }

    #[test]
    fn lines_of_the_tree_are_read() {
        let name = |line| name_and_version(line).map(|(name, version)| format!("{name}@{version}"));
        assert_eq!(name("bytes v1.12.0 (*)").as_deref(), Some("bytes@1.12.0"));
        assert_eq!(
            name("xtask v0.1.0 (/somewhere/xtask)").as_deref(),
            Some("xtask@0.1.0")
        );
        assert_eq!(name(""), None);
    }
}
