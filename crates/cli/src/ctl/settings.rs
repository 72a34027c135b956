//! `--key value` pairs whose keys only the server knows.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::failure::Failure;

/// Options of the tool itself that may stand anywhere, with one value each.
const OPTIONS: [&str; 3] = ["-o", "--output", "--data-dir"];

/// Moves the tool's own options before the noun: after `policy set KIND NAME` everything else is a setting, whose names
/// this program does not know.
pub(super) fn options_first(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut first: Vec<OsString> = arguments.next().into_iter().collect();
    let mut rest = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if OPTIONS.contains(&text) {
            first.push(argument);
            first.extend(arguments.next());
        } else if OPTIONS
            .iter()
            .any(|option| text.starts_with(&format!("{option}=")))
        {
            first.push(argument);
        } else {
            rest.push(argument);
        }
    }
    first.append(&mut rest);
    first
}

/// Reads `--key value` and `--key=value`.
pub(super) fn pairs(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(key) = word.strip_prefix("--").filter(|key| !key.is_empty()) else {
            return Err(Failure::usage(format!(
                "`{word}` is not a setting: write --key value"
            )));
        };
        let (key, value) = match key.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => match words.next() {
                Some(value) => (key, value.clone()),
                None => return Err(Failure::usage(format!("--{key} has no value"))),
            },
        };
        // Settings are written with underscores by the server and with hyphens by people used to command lines.
        if values.insert(key.replace('-', "_"), value).is_some() {
            return Err(Failure::usage(format!("--{key} is there twice")));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn settings_are_read_in_both_forms() {
        let values = pairs(&words("--max-size 10 --mode=off")).unwrap();
        assert_eq!(values["max_size"], "10");
        assert_eq!(values["mode"], "off");
    }

    #[test]
    fn a_slip_is_a_usage_error() {
        for text in ["size 10", "--size", "--size 1 --size 2", "--"] {
            assert_eq!(pairs(&words(text)).unwrap_err().exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn the_tools_own_options_may_stand_at_the_end() {
        let given = words("porticoctl policy set im global --size 1 -o json --data-dir=/d");
        let sorted = options_first(given.into_iter().map(OsString::from));
        let sorted: Vec<_> = sorted.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            sorted.join(" "),
            "porticoctl -o json --data-dir=/d policy set im global --size 1"
        );
    }
}
