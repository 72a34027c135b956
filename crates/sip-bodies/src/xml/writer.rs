//! [`XmlWriter`]: documents of our own, well formed by construction.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::is_xml_character;
use crate::fragment::Fragment;

/// The first line of the documents that have one.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n";

/// Writes one document from the root to the leaves. What is open at the end is closed.
///
/// Names are the caller's and have to be XML names; values and texts may be anything.
#[derive(Debug)]
pub(crate) struct XmlWriter {
    document: String,
    /// Where the names of the open elements stand in the document.
    open: Vec<Range<usize>>,
    /// Whether the last start tag still lacks its `>`.
    in_tag: bool,
}

impl XmlWriter {
    /// A document whose root is `name`, with `namespace` as the default for all that has no prefix.
    pub(crate) fn new(name: &str, namespace: &str) -> Self {
        let mut writer = Self::without_namespace(name);
        writer.attribute("xmlns", namespace);
        writer
    }

    /// A document whose root is `name`, with no default namespace.
    pub(crate) fn without_namespace(name: &str) -> Self {
        let mut writer = Self::empty();
        writer.open(name);
        writer
    }

    /// Nothing yet: the root comes next.
    pub(crate) fn empty() -> Self {
        Self {
            document: String::with_capacity(512),
            open: Vec::new(),
            in_tag: false,
        }
    }

    /// As [`XmlWriter::new`], with an XML declaration before it and room for about `length` bytes.
    pub(crate) fn declared(name: &str, namespace: &str, length: usize) -> Self {
        let mut writer = Self {
            document: String::with_capacity(DECLARATION.len() + length),
            open: Vec::new(),
            in_tag: false,
        };
        writer.document.push_str(DECLARATION);
        writer.open(name).attribute("xmlns", namespace);
        writer
    }

    /// Begins a child of the innermost open element.
    pub(crate) fn open(&mut self, name: &str) -> &mut Self {
        self.end_tag();
        self.document.push('<');
        let start = self.document.len();
        self.document.push_str(name);
        self.open.push(start..self.document.len());
        self.in_tag = true;
        self
    }

    /// Adds an attribute to the element just begun.
    pub(crate) fn attribute(&mut self, name: &str, value: &str) -> &mut Self {
        debug_assert!(self.in_tag, "attributes come before content");
        push_attribute(&mut self.document, name, value);
        self
    }

    /// As [`XmlWriter::attribute`], if there is a value.
    pub(crate) fn attribute_if(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.attribute(name, value);
        }
        self
    }

    /// As [`XmlWriter::attribute`], with a number.
    pub(crate) fn number(&mut self, name: &str, value: impl Into<u64>) -> &mut Self {
        self.attribute(name, &value.into().to_string())
    }

    /// As [`XmlWriter::number`], if there is a value.
    pub(crate) fn number_if(&mut self, name: &str, value: Option<impl Into<u64>>) -> &mut Self {
        if let Some(value) = value {
            self.number(name, value);
        }
        self
    }

    /// Adds text to the innermost open element.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.end_tag();
            push_text(&mut self.document, text);
        }
        self
    }

    /// Adds a child that holds nothing but text.
    pub(crate) fn leaf(&mut self, name: &str, text: &str) -> &mut Self {
        self.open(name).text(text).close()
    }

    /// As [`XmlWriter::leaf`], if there is a text.
    pub(crate) fn leaf_if(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.leaf(name, text);
        }
        self
    }

    /// Adds a child that was kept whole.
    pub(crate) fn fragment(&mut self, fragment: &Fragment) -> &mut Self {
        self.end_tag();
        self.document.push_str(fragment.as_str());
        self
    }

    /// Ends the innermost open element.
    pub(crate) fn close(&mut self) -> &mut Self {
        let Some(name) = self.open.pop() else {
            return self;
        };
        if std::mem::take(&mut self.in_tag) {
            self.document.push_str("/>");
        } else {
            self.document.push_str("</");
            self.document.extend_from_within(name);
            self.document.push('>');
        }
        self
    }

    /// The document, with all elements closed.
    pub(crate) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.document
    }

    /// As [`XmlWriter::finish`], with a line break at the end.
    pub(crate) fn finish_line(self) -> Bytes {
        let mut document = self.finish();
        document.push_str("\r\n");
        Bytes::from(document)
    }

    /// Bytes written so far.
    pub(crate) const fn len(&self) -> usize {
        self.document.len()
    }

    /// How many elements are open.
    pub(crate) const fn depth(&self) -> usize {
        self.open.len()
    }

    /// Where a child begun now would be.
    pub(crate) const fn mark(&self) -> Mark {
        Mark {
            length: self.document.len(),
            in_tag: self.in_tag,
        }
    }

    /// Takes back what was written since `mark`, whose parent has to be the innermost open element again.
    pub(crate) fn take_back(&mut self, mark: Mark) {
        self.document.truncate(mark.length);
        self.in_tag = mark.in_tag;
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.document.push('>');
        }
    }
}

/// A place between the children of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    length: usize,
    in_tag: bool,
}

impl Mark {
    /// Where the child written there begins.
    pub(crate) fn start_of_child(self) -> usize {
        // The start tag of the parent gets its `>` first.
        self.length + usize::from(self.in_tag)
    }
}

/// Adds ` name="value"`.
pub(crate) fn push_attribute(document: &mut String, name: &str, value: &str) {
    document.push(' ');
    document.push_str(name);
    document.push_str("=\"");
    document.push_str(&escaped(value));
    document.push('"');
}

/// Adds `text` to character data: only what can not stand there is replaced, so that it stays short. What XML can not
/// express becomes U+FFFD.
fn push_text(document: &mut String, text: &str) {
    let plain = |c: char| is_xml_character(c) && !matches!(c, '<' | '>' | '&' | '\r');
    if text.chars().all(plain) {
        document.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '<' => document.push_str("&lt;"),
            '>' => document.push_str("&gt;"),
            '&' => document.push_str("&amp;"),
            // As it is it would be read as a line feed.
            '\r' => document.push_str("&#13;"),
            _ if is_xml_character(character) => document.push(character),
            _ => document.push('\u{fffd}'),
        }
    }
}

/// `text` as it may stand in character data and in attribute values of either quote.
///
/// A character that XML can not express becomes U+FFFD.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text
        .chars()
        .all(|c| is_xml_character(c) && !matches!(c, '<' | '>' | '&' | '"' | '\'' | '\t' | '\n' | '\r'))
    {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            // As references they survive the normalisation of line ends and attribute values.
            '\t' => safe.push_str("&#9;"),
            '\n' => safe.push_str("&#10;"),
            '\r' => safe.push_str("&#13;"),
            _ if is_xml_character(character) => safe.push(character),
            _ => safe.push('\u{fffd}'),
        }
    }
    Cow::Owned(safe)
}
