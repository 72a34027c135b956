//! What is wrong with a configuration, in words somebody can act on.

use std::fmt;

use crate::Origin;

/// One problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// The key it is about, `section.key`; `None` if it is about a whole file.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A variable or a flag names its key already; so does the key itself when nobody set it.
        match (&self.origin, &self.key) {
            (Origin::Default, Some(key)) => write!(f, "{key}: {}", self.message),
            (Origin::File(..) | Origin::Command(_), Some(key)) => {
                write!(f, "{}: {key}: {}", self.origin, self.message)
            }
            _ => write!(f, "{}: {}", self.origin, self.message),
        }
    }
}

/// All problems of a configuration, in the order of files, variables and flags. Never empty.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(pub Vec<Problem>);

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
