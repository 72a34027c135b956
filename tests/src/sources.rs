//! The files of this checkout, for tests that read them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the checkout.
pub(crate) struct Source {
    /// Its path below the root.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Whether its parent includes it for tests only.
    only_for_tests: bool,
}

impl Source {
    /// The text up to its tests: product code as a rule of this house stands above them.
    pub(crate) fn product(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let path = format!("/{}", self.path);
        self.only_for_tests
            || ["/tests/", "/benches/", "/fuzz/", "/tests.rs", "/testing.rs"]
                .iter()
                .any(|part| path.contains(part))
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files below `folder` with this extension, in a stable order.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let only_for_tests: Vec<String> = found.iter().flat_map(test_modules).collect();
    for source in &mut found {
        source.only_for_tests = only_for_tests
            .iter()
            .any(|stem| source.path == format!("{stem}.{extension}"));
    }
    found
}

/// The paths, without extension, of the modules a file includes for tests only.
fn test_modules(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    // Children of `a.rs` lie in `a/`, those of a root beside it.
    let folder = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    let after = source
        .text
        .split("#[cfg(test)]\n")
        .skip(1)
        .filter_map(|rest| rest.lines().next());
    let names = after.filter_map(|line| {
        line.trim_start_matches("pub(crate) ")
            .strip_prefix("mod ")?
            .strip_suffix(';')
    });
    names.map(|name| format!("{folder}/{name}")).collect()
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            // `gen` is what a generator wrote; a test of its crate keeps it as it was written.
            if name != "target" && name != "gen" && !name.starts_with('.') {
                collect(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push(Source {
                path,
                text,
                only_for_tests: false,
            });
        }
    }
}

/// Every file under version control that is text, whatever its extension. Fails without `git`.
pub(crate) fn tracked() -> Vec<Source> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files of this checkout");
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let paths = String::from_utf8(listed.stdout).unwrap();
    paths
        .split_terminator('\0')
        .filter_map(|path| {
            // A file that was just removed is still listed; one that is not text has nothing to say.
            let text = std::fs::read_to_string(root().join(path)).ok()?;
            Some(Source {
                path: path.to_owned(),
                text,
                only_for_tests: false,
            })
        })
        .collect()
}
