//! Values as they were written, and where.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The command that was started sets it (`portico demo`).
    Command(&'static str),
    /// A line of a file, counted from 1.
    File(Arc<PathBuf>, usize),
    /// An environment variable.
    Variable(String),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Command(name) => f.write_str(name),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// A value without a type yet.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Raw {
    /// From a file: the type is the writer's intention and is held to.
    Bool(bool),
    /// See [`Raw::Bool`].
    Integer(i64),
    /// See [`Raw::Bool`].
    Decimal(f64),
    /// See [`Raw::Bool`].
    Text(String),
    /// See [`Raw::Bool`].
    List(Vec<String>),
    /// From the environment or a flag: text that stands for any type. Lists are written `a,b`.
    Untyped(String),
}

impl Raw {
    /// What it is, for an error message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Raw::Bool(value) => format!("{value}"),
            Raw::Integer(value) => format!("{value}"),
            Raw::Decimal(value) => format!("{value}"),
            Raw::Text(value) | Raw::Untyped(value) => format!("\"{}\"", without_password(value)),
            Raw::List(words) => {
                let words: Vec<String> = words
                    .iter()
                    .map(|word| format!("\"{}\"", without_password(word)))
                    .collect();
                format!("[{}]", words.join(", "))
            }
        }
    }
}

/// A URL with its user part and its parameters masked: error messages end in logs and tickets.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    // Anything before the last @ may be a part of a password.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, host)) => ("***@", host),
        None => ("", rest),
    };
    let (place, parameters) = match rest.split_once('?') {
        Some((place, _)) => (place, "?***"),
        None => (rest, ""),
    };
    format!("{scheme}://{user}{place}{parameters}")
}

/// A value and where it comes from.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Raw,
    pub(crate) origin: Origin,
}
