//! [`LangText`]: a text for people with the language it is in (`xml:lang`).

use crate::BodyError;
use crate::xml::{Element, XmlReader, XmlWriter};

/// A note or a name, in some language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LangText {
    /// `xml:lang`, a language tag such as `en` or `de-AT`. What is not of that form is neither read nor printed.
    pub lang: Option<String>,
    /// The text, blanks around it cut off when it was read.
    pub text: String,
}

impl LangText {
    /// A text that does not say its language.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            lang: None,
            text: text.into(),
        }
    }

    /// The language an element says its text is in.
    pub(crate) fn lang_of(element: &Element<'_, '_>) -> Result<Option<String>, BodyError> {
        Ok(element.attribute("xml:lang")?.filter(|lang| is_language(lang)))
    }

    /// Reads on to the end of the element that said `lang`.
    pub(crate) fn read(reader: &mut XmlReader<'_>, lang: Option<String>) -> Result<Self, BodyError> {
        let text = reader.text_of_element()?.trim().to_owned();
        Ok(Self { lang, text })
    }

    /// Writes it as the element `name`.
    pub(crate) fn write(&self, writer: &mut XmlWriter, name: &str) {
        let lang = self.lang.as_deref().filter(|lang| is_language(lang));
        writer.open(name).attribute_if("xml:lang", lang);
        writer.text(&self.text).close();
    }
}

/// The form of `xs:language`: letters, then groups of letters and digits, each of one to eight.
fn is_language(tag: &str) -> bool {
    tag.split('-').enumerate().all(|(position, group)| {
        (1..=8).contains(&group.len())
            && group
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || (position > 0 && byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_the_form_the_schema_wants() {
        for tag in ["en", "de-AT", "zh-Hant-TW", "x-klingon1"] {
            assert!(is_language(tag), "{tag}");
        }
        for tag in ["", "e n", "de_AT", "de-", "1a", "abcdefghi"] {
            assert!(!is_language(tag), "{tag}");
        }
    }
}
