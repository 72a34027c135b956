//! A TOML file as flat `section.key` entries, each with its line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use toml_edit::{Document, Item, Key, Table, Value};

use crate::problem::Problem;
use crate::raw::{Entry, Origin, Raw};

/// Reads the text of a file. Syntax errors and values no key can have become problems.
pub(crate) fn read(
    path: PathBuf,
    text: &str,
    entries: &mut BTreeMap<String, Entry>,
    problems: &mut Vec<Problem>,
) {
    let mut file = File {
        path: Arc::new(path),
        text,
        entries,
        problems,
    };
    match Document::parse(text) {
        Ok(document) => file.table("", document.as_table()),
        Err(error) => {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            // The parser's message may have several lines; the first says it.
            let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
            file.problem(line, None, message);
        }
    }
}

struct File<'a> {
    path: Arc<PathBuf>,
    text: &'a str,
    entries: &'a mut BTreeMap<String, Entry>,
    problems: &'a mut Vec<Problem>,
}

impl File<'_> {
    fn table(&mut self, prefix: &str, table: &Table) {
        for (name, item) in table.iter() {
            let line = self.line(table.key(name), item);
            self.item(&join(prefix, name), line, item);
        }
    }

    fn item(&mut self, key: &str, line: usize, item: &Item) {
        match item {
            Item::None => {}
            Item::Table(table) => self.table(key, table),
            Item::ArrayOfTables(_) => {
                self.problem(
                    line,
                    Some(key.to_owned()),
                    "no key takes an array of tables".to_owned(),
                );
            }
            Item::Value(Value::InlineTable(table)) => {
                for (name, value) in table.iter() {
                    self.value(&join(key, name), line, value);
                }
            }
            Item::Value(value) => self.value(key, line, value),
        }
    }

    fn value(&mut self, key: &str, line: usize, value: &Value) {
        match raw(value) {
            Some(value) => {
                let origin = Origin::File(Arc::clone(&self.path), line);
                self.entries.insert(key.to_owned(), Entry { value, origin });
            }
            None => {
                let message = format!("no key takes {}", article(value.type_name()));
                self.problem(line, Some(key.to_owned()), message);
            }
        }
    }

    fn problem(&mut self, line: usize, key: Option<String>, message: String) {
        self.problems.push(Problem {
            origin: Origin::File(Arc::clone(&self.path), line),
            key,
            message,
        });
    }

    fn line(&self, key: Option<&Key>, item: &Item) -> usize {
        let span = key.and_then(Key::span).or_else(|| item.span());
        line_at(self.text, span.map_or(0, |span| span.start))
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

fn article(type_name: &str) -> String {
    let vowel = type_name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {type_name}", if vowel { "an" } else { "a" })
}

fn raw(value: &Value) -> Option<Raw> {
    Some(match value {
        Value::Boolean(value) => Raw::Bool(*value.value()),
        Value::Integer(value) => Raw::Integer(*value.value()),
        Value::String(value) => Raw::Text(value.value().clone()),
        Value::Array(array) => {
            let words: Option<Vec<String>> = array.iter().map(|v| v.as_str().map(str::to_owned)).collect();
            Raw::List(words?)
        }
        Value::Float(value) => Raw::Decimal(*value.value()),
        Value::Datetime(_) | Value::InlineTable(_) => return None,
    })
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}
