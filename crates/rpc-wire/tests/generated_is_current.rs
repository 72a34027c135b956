//! The code in `src/gen` is what `proto/` says. It is checked in, so that a build needs no generator and a review shows what a
//! change of the contract did. After a change of `proto/` run this test with `UPDATE_GENERATED=1` once.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use protox::file::{ChainFileResolver, GoogleFileResolver, IncludeFileResolver};

/// Every file of the contract, relative to its root.
const FILES: &[&str] = &[
    "portico/errors/v1/errors.proto",
    "portico/immcu/v1/immcu.proto",
    "portico/pool/v1/pool.proto",
    "portico/pool/v1/seed.proto",
    "portico/presence/v1/presence.proto",
    "portico/registrar/v1/directory.proto",
    "portico/registrar/v1/registrar.proto",
    "portico/trace/v1/trace.proto",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Writes the code into `dir` and returns the names of the files.
fn generate(dir: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(root().join("../../proto")));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;
    tonic_prost_build::configure()
        .out_dir(dir)
        .bytes(".")
        .compile_fds(compiler.file_descriptor_set())?;
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn the_checked_in_code_is_what_proto_says() {
    let dir = tempfile::tempdir().unwrap();
    let names = generate(dir.path()).unwrap();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in names {
        let made = fs::read_to_string(dir.path().join(&name)).unwrap();
        let kept = root().join("src/gen").join(&name);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&kept, &made).unwrap();
        }
        let kept = fs::read_to_string(&kept).unwrap_or_default();
        assert!(
            kept == made,
            "src/gen/{name} is old: run this test with UPDATE_GENERATED=1"
        );
    }
}
