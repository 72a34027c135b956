//! The files in `proto/` are valid, say what they mean, and are in step with the tables of this crate.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use protox::file::{ChainFileResolver, GoogleFileResolver, IncludeFileResolver};
use protox::prost_reflect::prost_types::source_code_info::Location;
use protox::prost_reflect::{DescriptorPool, EnumDescriptor};
use rpc::{ErrorCode, FailureReason};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")
}

/// Every `.proto` below a folder, relative to the root of the contract.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
}

fn contract() -> (Vec<PathBuf>, DescriptorPool) {
    let mut files = Vec::new();
    files_below(&root(), &mut files);
    files.sort();
    assert!(!files.is_empty());
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(root()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_source_info(true).include_imports(true);
    for file in &files {
        compiler
            .open_file(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    (files, compiler.descriptor_pool())
}

#[test]
fn the_package_of_a_file_is_its_folder() {
    let (files, pool) = contract();
    for file in files {
        let name = file.to_str().unwrap();
        let package = pool.get_file_by_name(name).unwrap().package_name().to_owned();
        let folder = file.parent().unwrap().to_str().unwrap().replace('/', ".");
        assert_eq!(package, folder, "{name}");
    }
}

/// Everything a reader meets in a file has a comment; that of a call says what a retry does.
#[test]
fn everything_says_what_it_means() {
    let (files, pool) = contract();
    let mut silent = Vec::new();
    for file in files {
        let name = file.to_str().unwrap();
        let described = pool.get_file_by_name(name).unwrap();
        let proto = described.file_descriptor_proto();
        let locations = &proto.source_code_info.as_ref().unwrap().location;
        for location in locations.iter().filter(|location| is_declaration(&location.path)) {
            let comment = location.leading_comments();
            let is_call = matches!(location.path[..], [6, _, 2, _]);
            if comment.trim().is_empty() || (is_call && !comment.contains("Retry:")) {
                silent.push(format!("{name}:{}", line(location)));
            }
        }
    }
    assert!(
        silent.is_empty(),
        "no comment, or no word about retries: {silent:#?}"
    );
}

/// Paths of the descriptor of a file (`descriptor.proto`): messages, their fields and oneofs, enums, their values,
/// services, their calls.
fn is_declaration(path: &[i32]) -> bool {
    matches!(
        path,
        [4, _] | [4, _, 2 | 8, _] | [5, _] | [5, _, 2, _] | [6, _] | [6, _, 2, _]
    )
}

fn line(location: &Location) -> i32 {
    location.span.first().map_or(0, |line| line + 1)
}

/// The values of an enum, without its prefix and in the case of the tables.
fn values(named: &EnumDescriptor, prefix: &str) -> BTreeSet<String> {
    let values = named.values().filter(|value| value.number() != 0);
    values
        .map(|value| value.name().strip_prefix(prefix).unwrap().to_ascii_lowercase())
        .collect()
}

#[test]
fn the_wire_knows_every_reason_a_delivery_can_fail_for_and_no_other() {
    let (_, pool) = contract();
    let named = pool.get_enum_by_name("portico.immcu.v1.FailureReason").unwrap();
    let known = FailureReason::ALL
        .iter()
        .map(|reason| reason.as_str().to_owned())
        .collect();
    assert_eq!(values(&named, "FAILURE_REASON_"), known);
}

#[test]
fn the_wire_knows_every_error_code_and_no_other() {
    let (_, pool) = contract();
    let named = pool.get_enum_by_name("portico.errors.v1.ErrorCode").unwrap();
    let known = [
        ErrorCode::InvalidRequest,
        ErrorCode::Unauthenticated,
        ErrorCode::Forbidden,
        ErrorCode::NotFound,
        ErrorCode::Conflict,
        ErrorCode::TooMany,
        ErrorCode::Timeout,
        ErrorCode::Unavailable,
        ErrorCode::Internal,
    ];
    let known = known.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(values(&named, "ERROR_CODE_"), known);
}

/// So that a receiver of an older version can take a value it does not know for it.
#[test]
fn the_first_value_of_every_enum_means_not_told() {
    let (_, pool) = contract();
    for named in pool
        .all_enums()
        .filter(|named| named.package_name().starts_with("portico."))
    {
        let zero = named.get_value(0).unwrap();
        assert!(zero.name().ends_with("_UNSPECIFIED"), "{}", zero.full_name());
    }
}
