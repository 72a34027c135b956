//! The layers of a configuration, from weakest to strongest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::effective::Setting;
use crate::file;
use crate::problem::{Problem, Problems};
use crate::raw::{Entry, Origin, Raw};
use crate::reader::Reader;
use crate::secret_file;
use crate::sections::Config;

/// Where data goes unless `--data-dir` says otherwise.
pub const DATA_DIR: &str = "portico-data";

/// What our environment variables begin with.
const PREFIX: &str = "PORTICO_";

/// Everything a configuration is made from. Add layers in any order; their strength does not depend on it.
#[derive(Debug)]
pub struct Layers {
    data_dir: PathBuf,
    command: BTreeMap<String, Entry>,
    file: BTreeMap<String, Entry>,
    variables: BTreeMap<String, Entry>,
    flags: BTreeMap<String, Entry>,
    problems: Vec<Problem>,
}

impl Layers {
    /// Defaults alone. `data_dir` is where the database, the key file and the development authority live unless keys
    /// say otherwise.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Layers {
            data_dir: data_dir.into(),
            command: BTreeMap::new(),
            file: BTreeMap::new(),
            variables: BTreeMap::new(),
            flags: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// A default of the command that was started; files, variables and flags override it.
    #[must_use]
    pub fn command(mut self, command: &'static str, key: &str, value: &str) -> Self {
        let entry = Entry {
            value: Raw::Untyped(value.to_owned()),
            origin: Origin::Command(command),
        };
        self.command.insert(key.to_owned(), entry);
        self
    }

    /// The configuration file. A file that cannot be read is a problem, told by [`Layers::load`].
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => file::read(path.to_owned(), &text, &mut self.file, &mut self.problems),
            Err(error) => self.problems.push(Problem {
                origin: Origin::Flag("--config"),
                key: None,
                message: format!("cannot read {}: {error}", path.display()),
            }),
        }
        self
    }

    /// Environment variables, usually `std::env::vars_os()`. Only `PORTICO_<SECTION>__<KEY>` is ours: orchestrators put
    /// variables such as `PORTICO_SERVICE_HOST` there by themselves.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            self.variable(name, value);
        }
        self
    }

    /// A command-line flag that sets a key.
    #[must_use]
    pub fn flag(mut self, flag: &'static str, key: &str, value: &str) -> Self {
        let entry = Entry {
            value: Raw::Untyped(value.to_owned()),
            origin: Origin::Flag(flag),
        };
        self.flags.insert(key.to_owned(), entry);
        self
    }

    /// Merges and validates.
    ///
    /// # Errors
    /// Every problem found, in one value.
    pub fn load(self) -> Result<Config, Problems> {
        self.load_with_origins().map(|(config, _)| config)
    }

    /// Like [`Layers::load`], with the list of all keys, their values and where they come from.
    ///
    /// # Errors
    /// Every problem found, in one value.
    pub fn load_with_origins(mut self) -> Result<(Config, Vec<Setting>), Problems> {
        let known = Config::keys();
        let mut merged = BTreeMap::new();
        for mut layer in [self.command, self.file, self.variables, self.flags] {
            // Within a layer: a variable overrides what the file has, in either form.
            secret_file::resolve(&mut layer, &known, &mut self.problems);
            merged.extend(layer);
        }
        let mut reader = Reader::new(merged, self.problems);
        let config = Config::read(&mut reader, self.data_dir);
        let settings = reader.finish()?;
        Ok((config, settings))
    }

    fn variable(&mut self, name: &str, value: OsString) {
        let rest = name.strip_prefix(PREFIX).unwrap_or(name);
        let origin = Origin::Variable(name.to_owned());
        let Some((section, key)) = rest.split_once("__") else {
            // One underscore where two are needed would be a setting silently not obeyed.
            if let Some(right) = Config::keys()
                .into_iter()
                .find(|key| rest == variable_part(key, "_"))
            {
                self.problems.push(Problem {
                    origin,
                    key: None,
                    message: format!(
                        "no such variable; did you mean {PREFIX}{}?",
                        variable_part(&right, "__")
                    ),
                });
            }
            return;
        };
        let key = format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase());
        match value.into_string() {
            Ok(text) => {
                let value = Raw::Untyped(text);
                self.variables.insert(key, Entry { value, origin });
            }
            Err(_) => self.problems.push(Problem {
                origin,
                key: Some(key),
                message: "the value is not UTF-8".to_owned(),
            }),
        }
    }
}

/// `sip.tls_listen` as `SIP__TLS_LISTEN`.
fn variable_part(key: &str, separator: &str) -> String {
    key.to_ascii_uppercase().replacen('.', separator, 1)
}
