//! `<key>_file` beside every key: the value is what a file holds. For secrets, which orchestrators mount as files and which
//! have no place in an environment others can read.

use std::collections::BTreeMap;
use std::path::Path;

use crate::problem::Problem;
use crate::raw::{Entry, Raw};

/// What the name of a key ends in whose value is in a file.
const SUFFIX: &str = "_file";
/// The longest file read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Puts what the files hold in place of their names, within one layer. `known` are the names of all keys; one that ends in
/// the suffix by itself, such as `secrets.key_file`, is left alone.
pub(crate) fn resolve(layer: &mut BTreeMap<String, Entry>, known: &[String], problems: &mut Vec<Problem>) {
    let is_known = |name: &str| known.iter().any(|key| key == name);
    let named: Vec<(String, String)> = layer
        .keys()
        .filter(|name| !is_known(name))
        .filter_map(|name| Some((name.clone(), name.strip_suffix(SUFFIX)?.to_owned())))
        .filter(|(_, key)| is_known(key))
        .collect();
    for (name, key) in named {
        let Some(Entry { value, origin }) = layer.remove(&name) else {
            continue;
        };
        let read = match value {
            Raw::Text(path) | Raw::Untyped(path) => read(path.as_ref()),
            other => Err(format!("{} is not a path in quotes", other.describe())),
        };
        let read = read.and_then(|text| match layer.contains_key(&key) {
            true => Err(format!("{key} is set as well; one of the two")),
            false => Ok(text),
        });
        match read {
            Ok(text) => {
                let value = Raw::Untyped(text);
                layer.insert(key, Entry { value, origin });
            }
            Err(message) => problems.push(Problem {
                origin,
                key: Some(name),
                message,
            }),
        }
    }
}

/// The text without the line end that editors and `echo` put there.
fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if std::fs::metadata(path).map_err(failed)?.len() > LONGEST {
        return Err(format!("{} is longer than {LONGEST} bytes", path.display()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
