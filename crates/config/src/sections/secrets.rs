//! `[secrets]`: the pool's keys.

use std::path::{Path, PathBuf};

use crate::reader::Reader;

/// The pool's keys.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// `secrets.key_file` (`<data-dir>/pool.key`): credentials are encrypted under it and nonces are made with it. The
    /// same file on every member of a pool. Generated when absent, readable by its owner only. Losing it means that
    /// every password must be set again.
    pub key_file: PathBuf,
}

impl Secrets {
    pub(crate) fn read(reader: &mut Reader, data_dir: &Path) -> Self {
        Secrets {
            key_file: reader.get("secrets.key_file", data_dir.join("pool.key")),
        }
    }
}
