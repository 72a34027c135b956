//! Rules for sources and documents that no compiler checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::sources::{Source, files, root, tracked};

/// Longest file without its tests. Most are far below; a file that comes near has a seam somewhere.
const LONGEST: usize = 900;

fn all_sources() -> Vec<Source> {
    let mut all = files("crates", "rs");
    all.extend(files("tests", "rs"));
    all.extend(files("xtask", "rs"));
    all
}

fn none(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn every_crate_root_says_what_it_is() {
    let mut breaches = Vec::new();
    for source in all_sources().iter().filter(|source| !source.is_test()) {
        // A binary beside a library leaves the story to the library.
        let least = match source.path.as_str() {
            path if path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") => 15,
            path if path.contains("/src/bin/") => 3,
            _ => continue,
        };
        let story = source.text.lines().take_while(|line| line.starts_with("//!"));
        if story.map(|line| line.split_whitespace().count()).sum::<usize>() < least {
            breaches.push(format!("{} has no crate documentation", source.path));
        }
    }
    none(breaches);
}

#[test]
fn no_test_is_switched_off() {
    // Written in two parts, so that this line is not found.
    let word = concat!("#[ign", "ore");
    none(
        all_sources()
            .into_iter()
            .filter(|s| s.text.contains(word))
            .map(|s| s.path)
            .collect(),
    );
}

#[test]
fn files_stay_readable() {
    let long = |source: &Source| !source.is_test() && source.product().lines().count() > LONGEST;
    none(
        all_sources()
            .into_iter()
            .filter(long)
            .map(|source| source.path)
            .collect(),
    );
}

#[test]
fn open_ends_name_an_issue() {
    let word = concat!("TO", "DO");
    let mut breaches = Vec::new();
    for source in all_sources() {
        for (at, line) in source.text.lines().enumerate() {
            if line.contains(word) && !line.contains(concat!("TO", "DO(#")) {
                breaches.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
            }
        }
    }
    none(breaches);
}

/// docs/coverage.md has rows `| feature | status | test |`. What stands in backticks in the last
/// cell is a test function or a file, and has to exist.
#[test]
fn coverage_names_tests_that_exist() {
    let path = root().join("docs/coverage.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let functions = test_functions();
    let mut breaches = Vec::new();
    let mut named = 0;
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [.., tests] = cells.as_slice() else { continue };
        for name in backticks(tests) {
            named += 1;
            let function = name.rsplit("::").next().unwrap_or_default();
            let file = name.split('#').next().unwrap_or_default();
            if !functions.contains(function) && !root().join(file).exists() {
                breaches.push(format!("no test or file {name}"));
            }
        }
    }
    assert!(named > 0, "no row of docs/coverage.md names a test");
    none(breaches);
}

fn test_functions() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for source in all_sources() {
        for line in source.text.lines() {
            let Some(rest) = line
                .trim_start()
                .trim_start_matches("pub ")
                .trim_start_matches("async ")
                .strip_prefix("fn ")
            else {
                continue;
            };
            functions.extend(rest.split(['(', '<']).next().map(str::to_owned));
        }
    }
    functions
}

fn backticks(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn backticks_are_found_in_a_cell() {
    assert_eq!(
        backticks("see `a::b` and `c.rs`").collect::<Vec<_>>(),
        ["a::b", "c.rs"]
    );
}

/// Paths and places of one machine have no meaning on another.
#[test]
fn nothing_refers_to_a_place_outside_the_checkout() {
    let places = [
        concat!("../sha", "red"),
        concat!("/wo", "rk/"),
        concat!("/tmp/bri", "ef"),
    ];
    let mut breaches = Vec::new();
    for source in tracked() {
        breaches.extend(
            places
                .iter()
                .filter(|p| source.text.contains(**p))
                .map(|p| format!("{}: {p}", source.path)),
        );
    }
    none(breaches);
}

/// All pages of the checkout.
fn pages() -> Vec<Source> {
    let mut pages = tracked();
    pages.retain(|file| {
        Path::new(&file.path)
            .extension()
            .is_some_and(|extension| extension == "md")
    });
    assert!(pages.len() > 5, "only {} pages", pages.len());
    pages
}

/// The folder a page lies in.
fn folder_of(page: &Source) -> PathBuf {
    root()
        .join(&page.path)
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

#[test]
fn links_of_pages_lead_somewhere() {
    let mut breaches = Vec::new();
    for page in pages() {
        for target in links(&page.text) {
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            let path = target.split('#').next().unwrap_or_default();
            if !elsewhere && !path.is_empty() && !folder_of(&page).join(path).exists() {
                breaches.push(format!("{}: no {target}", page.path));
            }
        }
    }
    none(breaches);
}

/// The targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Paths in backticks: from the root, from `crates/` (as ARCHITECTURE.md writes them) or from the page's own folder.
#[test]
fn paths_that_pages_name_exist() {
    let crates: BTreeSet<String> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let mut breaches = Vec::new();
    for page in pages() {
        for name in page.text.lines().flat_map(backticks) {
            if !is_path(name, &crates) {
                continue;
            }
            let places = [root(), root().join("crates"), folder_of(&page)];
            if !places.iter().any(|place| place.join(name).exists()) {
                breaches.push(format!("{}: no {name}", page.path));
            }
        }
    }
    none(breaches);
}

/// Whether this is the path of a file or folder of ours: not a pattern, and it begins with one of our folders.
fn is_path(name: &str, crates: &BTreeSet<String>) -> bool {
    const FOLDERS: [&str; 8] = [
        "crates", "docs", "tests", "deploy", "proto", "xtask", ".ci", ".config",
    ];
    let Some((first, _)) = name.split_once('/') else {
        return false;
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    name.chars().all(plain) && (FOLDERS.contains(&first) || crates.contains(first))
}

#[test]
fn links_and_paths_are_found_in_a_page() {
    let text = "see [here](docs/a.md#part) and [there](https://example.test)";
    assert_eq!(
        links(text).collect::<Vec<_>>(),
        ["docs/a.md#part", "https://example.test"]
    );
    let crates = BTreeSet::from(["front-end".to_owned()]);
    assert!(is_path("front-end/src/leg.rs", &crates) && is_path("docs/adr/", &crates));
    assert!(!is_path("sip-types/src/<name>.rs", &crates) && !is_path("text/plain", &crates));
}

/// docs/limits.md claims to have every limit: it has each that connections count, and each key of the configuration.
#[test]
fn the_limits_page_has_every_counted_limit_and_every_key() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let page = read("docs/limits.md");
    let counters = read("crates/sip-transport/src/counters.rs");
    let counted = counters.split("pub enum Limit {").nth(1).unwrap();
    let counted = counted.split('}').next().unwrap();
    let labels = counted
        .split('"')
        .skip(1)
        .step_by(2)
        .map(|label| format!("`limit={label}`"));
    let configuration = read("docs/configuration.md");
    let keys = configuration.lines().filter_map(|line| {
        let key = line.strip_prefix("| `limits.")?.split('`').next()?;
        Some(format!("`limits.{key}`"))
    });
    let wanted: Vec<String> = labels.chain(keys).collect();
    assert!(wanted.len() > 20, "only {wanted:?}");
    none(
        wanted
            .into_iter()
            .filter(|name| !page.contains(name.as_str()))
            .collect(),
    );
}
