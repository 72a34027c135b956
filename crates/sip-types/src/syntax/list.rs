//! Comma separated lists.

use super::{SyntaxError, trim};

/// Splits `text` at its commas, except those in quoted strings and between angle brackets.
///
/// The items come trimmed. An empty item (`a,,b`, `a,`) is an error, as RFC 3261 section 7.3.1 has no empty
/// values; a wholly empty `text` gives no items at all.
pub fn split_list(text: &str) -> ListItems<'_> {
    let rest = trim(text);
    ListItems {
        rest: (!rest.is_empty()).then_some(rest),
    }
}

/// The iterator of [`split_list`]; it ends after the first error.
#[derive(Clone, Debug)]
pub struct ListItems<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for ListItems<'a> {
    type Item = Result<&'a str, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let item = match next_comma(rest.as_bytes()) {
            Some(comma) => {
                let (item, tail) = super::split_at(rest, comma);
                self.rest = tail.get(1..);
                item
            }
            None => rest,
        };
        let item = trim(item);
        if item.is_empty() {
            self.rest = None;
            return Some(Err(SyntaxError("empty value in a list")));
        }
        Some(Ok(item))
    }
}

/// The position of the first comma that separates values.
fn next_comma(text: &[u8]) -> Option<usize> {
    // Most values have no comma at all, or nothing before it that could hide it.
    let first = memchr::memchr(b',', text)?;
    if memchr::memchr2(b'"', b'<', text.get(..first)?).is_none() {
        return Some(first);
    }
    let mut bytes = text.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b',' => return Some(at),
            b'"' => skip_quoted(&mut bytes)?,
            b'<' => {
                bytes.by_ref().find(|(_, byte)| **byte == b'>')?;
            }
            _ => {}
        }
    }
    None
}

fn skip_quoted<'a>(bytes: &mut impl Iterator<Item = (usize, &'a u8)>) -> Option<()> {
    while let Some((_, &byte)) = bytes.next() {
        match byte {
            b'"' => return Some(()),
            b'\\' => {
                bytes.next()?;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Result<Vec<&str>, SyntaxError> {
        split_list(text).collect()
    }

    #[test]
    fn commas_separate_values() {
        assert_eq!(items("a, b\t,c"), Ok(vec!["a", "b", "c"]));
        assert_eq!(items(" one "), Ok(vec!["one"]));
    }

    #[test]
    fn commas_in_quotes_and_brackets_do_not() {
        assert_eq!(
            items(r#""a, \", b" <sip:x,y@h>;m="I, J", <sip:z>"#),
            Ok(vec![r#""a, \", b" <sip:x,y@h>;m="I, J""#, "<sip:z>"])
        );
    }

    #[test]
    fn an_empty_list_has_no_values_but_an_empty_value_is_an_error() {
        assert_eq!(items(""), Ok(vec![]));
        assert_eq!(items("  "), Ok(vec![]));
        for bad in [",", "a,", ",a", "a,,b", "a, ,b"] {
            assert!(items(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_open_quote_or_bracket_hides_the_rest() {
        assert_eq!(items("\"a, b"), Ok(vec!["\"a, b"]));
        assert_eq!(items("<a, b"), Ok(vec!["<a, b"]));
        assert_eq!(items("a, \"b\\"), Ok(vec!["a", "\"b\\"]));
    }
}
