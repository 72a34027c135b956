//! Hands the sections their keys and remembers who asked for what.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::effective::Setting;
use crate::problem::{Problem, Problems};
use crate::raw::{Entry, Origin};
use crate::suggest;
use crate::value::Value;

/// Sections that are planned and have no keys yet, so that a file for a later version is told apart from a slip.
const NOT_YET: [&str; 4] = ["admin.", "archiving.", "edge.", "sip.wss_listen"];

/// The merged layers on one side, the problems and the effective settings on the other.
pub(crate) struct Reader {
    entries: BTreeMap<String, Entry>,
    problems: Vec<Problem>,
    settings: Vec<Setting>,
}

impl Reader {
    pub(crate) fn new(entries: BTreeMap<String, Entry>, problems: Vec<Problem>) -> Self {
        Reader {
            entries,
            problems,
            settings: Vec::new(),
        }
    }

    /// The value of a key, else its default. A value of the wrong type is a problem and the default takes its place, so
    /// that the rest can still be checked.
    pub(crate) fn get<T: Value>(&mut self, key: &'static str, default: T) -> T {
        let (value, origin) = match self.entries.remove(key) {
            None => (default, Origin::Default),
            Some(entry) => match T::from_raw(&entry.value) {
                Ok(value) => (value, entry.origin),
                Err(wanted) => {
                    let message = format!("{} is not {wanted}", entry.value.describe());
                    self.problem_at(entry.origin, key, message);
                    (default, Origin::Default)
                }
            },
        };
        self.settings.push(Setting {
            key,
            value: value.show(),
            origin,
        });
        value
    }

    /// A number within bounds.
    pub(crate) fn number(&mut self, key: &'static str, default: u64, allowed: RangeInclusive<u64>) -> u64 {
        let value = self.get(key, default);
        if allowed.contains(&value) {
            return value;
        }
        let message = format!("{value} is not between {} and {}", allowed.start(), allowed.end());
        self.problem(key, message);
        default
    }

    /// A duration within bounds.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        let value = self.get(key, default);
        if allowed.contains(&value) {
            return value;
        }
        let (least, most) = (allowed.start().show(), allowed.end().show());
        self.problem(key, format!("{} is not between {least} and {most}", value.show()));
        default
    }

    /// A problem with a key that was read before; it is told where that key was set.
    pub(crate) fn problem(&mut self, key: &'static str, message: impl Into<String>) {
        let origin = self.settings.iter().rev().find(|setting| setting.key == key);
        let origin = origin.map_or(Origin::Default, |setting| setting.origin.clone());
        self.problem_at(origin, key, message.into());
    }

    /// Everything was asked for: what is left is unknown.
    pub(crate) fn finish(mut self) -> Result<Vec<Setting>, Problems> {
        for (key, entry) in std::mem::take(&mut self.entries) {
            let message = self.unknown(&key);
            self.problem_at(entry.origin, &key, message);
        }
        if self.problems.is_empty() {
            return Ok(self.settings);
        }
        self.problems.sort_by_key(|problem| order(&problem.origin));
        Err(Problems(self.problems))
    }

    /// The names of all keys that were asked for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.settings.iter().map(|setting| setting.key)
    }

    fn unknown(&self, key: &str) -> String {
        if NOT_YET.iter().any(|planned| key.starts_with(planned)) {
            return "this version does not have it yet".to_owned();
        }
        match suggest::nearest(key, self.keys()) {
            Some(near) => format!("no such key; did you mean {near}?"),
            None => "no such key".to_owned(),
        }
    }

    fn problem_at(&mut self, origin: Origin, key: &str, message: String) {
        self.problems.push(Problem {
            origin,
            key: Some(key.to_owned()),
            message,
        });
    }
}

/// Files by line first, then variables, flags, and what is wrong as a whole.
fn order(origin: &Origin) -> (u8, usize) {
    match origin {
        Origin::File(_, line) => (0, *line),
        Origin::Variable(_) => (1, 0),
        Origin::Flag(_) => (2, 0),
        Origin::Command(_) => (3, 0),
        Origin::Default => (4, 0),
    }
}
