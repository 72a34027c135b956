//! The floor plan of ARCHITECTURE.md, held against `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::sources::{files, root};

/// Every crate of ours and what of ours it may depend on. A change here is a change of the
/// architecture: it goes with ARCHITECTURE.md and an ADR.
const PLAN: &[(&str, &[&str])] = &[
    // Ground floor: words and shapes.
    ("sip-types", &[]),
    ("sip-bodies", &["sip-types"]),
    ("topology", &["sip-types"]),
    // First floor: engines and contracts.
    ("sip-core", &["sip-types"]),
    ("sip-auth", &["sip-types"]),
    ("rpc", &["sip-types", "topology"]),
    ("store", &["sip-types", "topology"]),
    ("portico-config", &["topology"]),
    ("telemetry", &[]),
    // Second floor: adapters.
    ("sip-transport", &["sip-types", "sip-core", "telemetry"]),
    ("store-embedded", &["sip-types", "topology", "store", "telemetry"]),
    ("store-redis", &["sip-types", "topology", "store", "telemetry"]),
    ("membership", &["topology", "store", "telemetry"]),
    ("store-postgres", &["sip-types", "topology", "store", "telemetry"]),
    // Third floor: roles, which never import each other.
    (
        "front-end",
        &[
            "sip-types",
            "sip-bodies",
            "topology",
            "sip-core",
            "sip-auth",
            "rpc",
            "telemetry",
            "sip-transport",
        ],
    ),
    (
        "registrar",
        &["sip-types", "topology", "rpc", "store", "sip-auth", "telemetry"],
    ),
    ("immcu", &["sip-types", "topology", "rpc", "telemetry"]),
    ("presence", &["sip-types", "topology", "rpc", "store"]),
    // An adapter like those of the second floor; it stands here so that its tests may put a real role behind it.
    (
        "rpc-wire",
        &["sip-types", "topology", "rpc", "store", "telemetry"],
    ),
    // Top floor: composition.
    (
        "server",
        &[
            "sip-types",
            "sip-bodies",
            "topology",
            "sip-auth",
            "rpc",
            "store",
            "portico-config",
            "telemetry",
            "sip-transport",
            "store-embedded",
            "store-postgres",
            "store-redis",
            "membership",
            "rpc-wire",
            "front-end",
            "registrar",
            "immcu",
            "presence",
        ],
    ),
    (
        "cli",
        &["server", "portico-config", "telemetry", "topology", "rpc"],
    ),
    // The garden: development only.
    ("test-support", &[]),
    ("tests", &["test-support"]),
    ("portico-load", &["sip-types", "sip-auth", "sip-transport"]),
    ("xtask", &[]),
];

/// Crates whose every input is an argument: no clock, no randomness, no tasks, no sockets.
const PURE: &[&str] = &[
    "sip-types",
    "sip-bodies",
    "topology",
    "sip-core",
    "sip-auth",
    "rpc",
    "store",
    "config",
    "telemetry",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap()
}

fn of_ours(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata
        .packages
        .iter()
        .map(|package| (package.name.to_string(), package))
        .collect()
}

#[test]
fn every_crate_has_its_place_in_the_plan() {
    let metadata = metadata();
    let crates: BTreeSet<String> = of_ours(&metadata).into_keys().collect();
    let planned: BTreeSet<String> = PLAN.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(crates, planned);
}

#[test]
fn crates_depend_only_on_what_the_plan_allows() {
    let metadata = metadata();
    let ours = of_ours(&metadata);
    let mut breaches = Vec::new();
    for (at, (name, allowed)) in PLAN.iter().enumerate() {
        for dependency in ours[*name]
            .dependencies
            .iter()
            .filter(|d| ours.contains_key(&d.name))
        {
            let target = dependency.name.as_str();
            // Tests may use whatever stands below, and the tools of the garden.
            let below = PLAN[..at].iter().any(|(lower, _)| *lower == target);
            let for_tests =
                dependency.kind == DependencyKind::Development && (below || target == "test-support");
            if !for_tests && !allowed.contains(&target) {
                breaches.push(format!("{name} -> {target}"));
            }
        }
    }
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn the_plan_has_no_upward_arrow() {
    let height: BTreeMap<&str, usize> = PLAN
        .iter()
        .enumerate()
        .map(|(at, (name, _))| (*name, at))
        .collect();
    for (name, allowed) in PLAN {
        for below in *allowed {
            assert!(
                height[below] < height[name],
                "{name} may depend on {below}, which stands above it"
            );
        }
    }
}

/// Who may depend on crates that do I/O or know SQL.
#[test]
fn outside_crates_stay_where_they_belong() {
    let rules: &[(&str, &[&str])] = &[
        ("redis", &["store-redis"]),
        ("sqlx", &["store-embedded", "store-postgres"]),
        ("axum", &["server"]),
        (
            "rustls",
            &[
                "sip-transport",
                "rpc-wire",
                "server",
                "test-support",
                "portico-load",
            ],
        ),
        (
            "tokio-rustls",
            &["sip-transport", "rpc-wire", "test-support", "portico-load"],
        ),
        ("tonic", &["rpc-wire", "telemetry"]),
        ("prost", &["rpc-wire"]),
        ("clap", &["cli", "portico-load"]),
        (
            "anyhow",
            &["cli", "xtask", "tests", "test-support", "portico-load"],
        ),
    ];
    let metadata = metadata();
    let mut breaches = Vec::new();
    for (name, package) in of_ours(&metadata) {
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal)
        {
            let rule = rules.iter().find(|(outside, _)| *outside == dependency.name);
            if rule.is_some_and(|(_, holders)| !holders.contains(&name.as_str())) {
                breaches.push(format!("{name} -> {}", dependency.name));
            }
        }
    }
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn no_crate_is_called_common_or_utils() {
    for (name, _) in PLAN {
        for vague in ["common", "util", "utils", "core", "misc", "helpers"] {
            assert_ne!(*name, vague);
        }
    }
}

#[test]
fn ground_and_first_floor_read_no_clock_and_open_nothing() {
    let forbidden = [
        "Instant::now(",
        "SystemTime::now(",
        "getrandom::",
        "tokio::spawn(",
        "tokio::net",
        "std::net::Tcp",
        "std::env::",
    ];
    let mut breaches = Vec::new();
    for name in PURE {
        for source in files(&format!("crates/{name}/src"), "rs")
            .iter()
            // What sends to a collector connects and knows the time; nothing else of that crate does.
            .filter(|source| !source.is_test() && !source.path.starts_with("crates/telemetry/src/otlp/"))
        {
            for (number, line) in code(source.product()) {
                breaches.extend(
                    forbidden
                        .iter()
                        .filter(|word| line.contains(**word))
                        .map(|w| format!("{}:{number}: {w}", source.path)),
                );
            }
        }
    }
    assert_eq!(breaches, Vec::<String>::new());
}

/// A task that nobody owns is not waited for at the stop, and its panic is not seen: `TaskTracker` and `JoinSet` own
/// theirs. (No lint of clippy's: tests may spawn as they like.)
#[test]
fn every_task_of_the_product_has_an_owner() {
    let mut breaches = Vec::new();
    for (name, _) in PLAN {
        if ["test-support", "tests", "portico-load", "xtask"].contains(name) {
            continue;
        }
        for source in files(&format!("crates/{}/src", folder_of(name)), "rs")
            .iter()
            .filter(|source| !source.is_test())
        {
            let bare = |line: &str| line.contains("tokio::spawn(") || line.contains("task::spawn(");
            breaches.extend(
                code(source.product())
                    .filter(|(_, line)| bare(line))
                    .map(|(number, _)| format!("{}:{number}", source.path)),
            );
        }
    }
    assert_eq!(breaches, Vec::<String>::new());
}

/// The folder of a crate below `crates/`.
fn folder_of(name: &str) -> &str {
    name.trim_start_matches("portico-")
}

#[test]
fn only_sip_transport_opens_sip_sockets() {
    // The server has the ops listener and the control socket, the control tool its client's end; members speak gRPC.
    let allowed = [
        "crates/rpc-wire/",
        "crates/sip-transport/",
        "crates/server/",
        "crates/cli/",
        "crates/test-support/",
        "crates/load/",
    ];
    let mut breaches = Vec::new();
    for source in files("crates", "rs").iter().filter(|source| !source.is_test()) {
        if allowed.iter().any(|prefix| source.path.starts_with(prefix)) {
            continue;
        }
        for (number, line) in code(source.product()) {
            if ["TcpListener", "TcpStream", "UdpSocket", "UnixStream"]
                .iter()
                .any(|socket| line.contains(socket))
            {
                breaches.push(format!("{}:{number}", source.path));
            }
        }
    }
    assert_eq!(breaches, Vec::<String>::new());
}

/// Lines of code with their numbers: comments are left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}
