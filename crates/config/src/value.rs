//! Types a key can have, how they are read and how they are shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::net::{Host, HostPort, IpNet};
use crate::raw::Raw;

/// A type of value. The error of [`Value::from_raw`] completes the sentence "... is not".
pub(crate) trait Value: Sized {
    fn from_raw(raw: &Raw) -> Result<Self, String>;
    /// As it would be written in a file.
    fn show(&self) -> String;
}

impl Value for bool {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Bool(value) => Ok(*value),
            Raw::Untyped(text) => text.parse().map_err(|_| "true or false".to_owned()),
            _ => Err("true or false".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let wanted = || "a whole number that is not negative".to_owned();
        match raw {
            Raw::Integer(value) => u64::try_from(*value).map_err(|_| wanted()),
            Raw::Untyped(text) => text.parse().map_err(|_| wanted()),
            _ => Err(wanted()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        text_of(raw)
            .map(str::to_owned)
            .ok_or_else(|| "a text in quotes".to_owned())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Value for PathBuf {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match text_of(raw) {
            Some(text) if !text.is_empty() => Ok(PathBuf::from(text)),
            _ => Err("a path in quotes".to_owned()),
        }
    }

    fn show(&self) -> String {
        quoted(&self.display().to_string())
    }
}

/// A path that may be absent: the empty text means absent.
impl Value for Option<PathBuf> {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match text_of(raw) {
            Some("") => Ok(None),
            Some(text) => Ok(Some(PathBuf::from(text))),
            None => Err("a path in quotes".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), PathBuf::show)
    }
}

/// A listener: `off`, or an address with a port; port 0 takes a free one.
impl Value for Option<SocketAddr> {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match text_of(raw) {
            Some("off") => Ok(None),
            Some(text) => {
                let address = text.parse().map_err(|_| listener_wanted())?;
                Ok(Some(address))
            }
            None => Err(listener_wanted()),
        }
    }

    fn show(&self) -> String {
        quoted(&self.map_or_else(|| "off".to_owned(), |address| address.to_string()))
    }
}

fn listener_wanted() -> String {
    "an address with a port such as \"0.0.0.0:5061\" or \"[::]:5061\", or \"off\"".to_owned()
}

/// A host that may be absent: the empty text means absent.
impl Value for Option<HostPort> {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let wanted =
            || "a host such as \"sip.example.com\" or \"sip.example.com:5061\", IPv6 in brackets".to_owned();
        match text_of(raw) {
            Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| wanted()),
            None => Err(wanted()),
        }
    }

    fn show(&self) -> String {
        quoted(&self.as_ref().map_or_else(String::new, ToString::to_string))
    }
}

impl Value for Vec<Host> {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let words = Vec::<String>::from_raw(raw)?;
        let hosts: Result<Vec<Host>, _> = words.iter().map(|word| word.parse()).collect();
        hosts.map_err(|_| {
            "a list of hosts without ports such as [\"sip.example.com\", \"192.0.2.1\"], IPv6 in brackets"
                .to_owned()
        })
    }

    fn show(&self) -> String {
        let words: Vec<String> = self.iter().map(ToString::to_string).collect();
        words.show()
    }
}

impl Value for Vec<String> {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::List(words) => Ok(words.clone()),
            Raw::Untyped(text) => Ok(split(text)),
            _ => Err("a list such as [\"one\", \"two\"]".to_owned()),
        }
    }

    fn show(&self) -> String {
        let words: Vec<String> = self.iter().map(|word| quoted(word)).collect();
        format!("[{}]", words.join(", "))
    }
}

impl Value for Vec<IpNet> {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let words = Vec::<String>::from_raw(raw)?;
        let nets: Result<Vec<IpNet>, _> = words.iter().map(|word| word.parse()).collect();
        nets.map_err(|_| {
            "a list of addresses or ranges such as [\"10.0.0.0/8\"], with no bits set behind the prefix"
                .to_owned()
        })
    }

    fn show(&self) -> String {
        let words: Vec<String> = self.iter().map(ToString::to_string).collect();
        words.show()
    }
}

fn duration_wanted() -> String {
    "a duration such as \"30s\", with ms, s, m or h".to_owned()
}

/// Reads `500ms`, `30s`, `5m` or `1h`, as keys and flags write it.
///
/// # Errors
/// What it should look like, to complete the sentence "... is not".
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(duration_wanted)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| duration_wanted())?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    }
    .ok_or_else(duration_wanted)
}

impl Value for Duration {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = text_of(raw).ok_or_else(duration_wanted)?;
        parse_duration(text)
    }

    fn show(&self) -> String {
        let millis = self.as_millis();
        quoted(&if millis.is_multiple_of(1000) {
            format!("{}s", millis / 1000)
        } else {
            format!("{millis}ms")
        })
    }
}

pub(crate) fn text_of(raw: &Raw) -> Option<&str> {
    match raw {
        Raw::Text(text) | Raw::Untyped(text) => Some(text),
        _ => None,
    }
}

/// A TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn split(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
