//! [`XmlReader`]: the one door through which XML from peers comes in.
//!
//! A streaming reader over quick-xml that refuses at first sight what an instant message never needs (DTD, entity
//! declarations, processing instructions, XInclude) and that ends at the bounds below. Nothing is fetched and no
//! entity but the five predefined ones and character references is replaced, so that expansion can not be larger
//! than the input.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::BodyError;

/// Deepest nesting of elements. Answer: 400.
pub const DEPTH: usize = 32;
/// Most elements of one document. Answer: 400.
pub const ELEMENTS: usize = 10_000;
/// Most attributes of one element, namespace declarations included. Answer: 400.
pub const ATTRIBUTES: usize = 64;
/// Most bytes of one document; attributes and text together can not be more. Answer: 400.
pub const DOCUMENT_BYTES: usize = 128 * 1024;
/// Most namespace declarations in scope at one time: each look-up of a name walks them. Answer: 400.
pub const NAMESPACES: usize = 128;

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// One step through a document.
#[derive(Debug)]
pub enum XmlEvent<'r, 'a> {
    /// An element begins. An empty element gives `Start` and then `End`.
    Start(Element<'r, 'a>),
    /// The innermost open element ends.
    End,
    /// Text between tags, references replaced. One run of text may come in several pieces.
    Text(Cow<'a, str>),
    /// The document is complete and well formed.
    Eof,
}

/// The start tag of an element.
#[derive(Debug)]
pub struct Element<'r, 'a> {
    namespace: Option<&'r str>,
    start: BytesStart<'a>,
}

impl Element<'_, '_> {
    /// The name without its prefix.
    pub fn local_name(&self) -> &str {
        self.start.name().local_name().into_inner()
    }

    /// The namespace the element is in, if any.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace
    }

    /// Whether this is the element `local` of `namespace`.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == Some(namespace) && self.local_name() == local
    }

    /// The value of the attribute written `name` (prefix included), references replaced.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] if the value holds an unknown reference.
    pub fn attribute(&self, name: &str) -> Result<Option<String>, BodyError> {
        let Ok(found) = self.start.try_get_attribute(name) else {
            return Err(BodyError::Malformed("attribute"));
        };
        found
            .map(|attribute| {
                attribute
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map(Cow::into_owned)
            })
            .transpose()
            .map_err(|_| BodyError::Malformed("attribute value"))
    }
}

/// A bounded reader of one document.
///
/// Call [`XmlReader::next`] until it gives [`XmlEvent::Eof`]: only then the whole document was seen to be well formed.
#[derive(Debug)]
pub struct XmlReader<'a> {
    reader: NsReader<&'a [u8]>,
    depth: usize,
    elements: usize,
    seen_anything: bool,
}

impl<'a> XmlReader<'a> {
    /// Starts at the beginning of `body`.
    ///
    /// # Errors
    /// [`BodyError::Limit`] if the document is too long, [`BodyError::Unsupported`] if it is not UTF-8.
    pub fn new(body: &'a [u8]) -> Result<Self, BodyError> {
        if body.len() > DOCUMENT_BYTES {
            return Err(BodyError::Limit("XML document length"));
        }
        let text = std::str::from_utf8(body).map_err(|_| BodyError::Unsupported("XML that is not UTF-8"))?;
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        reader.config_mut().check_comments = true;
        reader.resolver_mut().set_max_namespace_bindings(NAMESPACES);
        Ok(Self {
            reader,
            depth: 0,
            elements: 0,
            seen_anything: false,
        })
    }

    /// The next step. After an error the reader is of no more use.
    ///
    /// # Errors
    /// [`BodyError::Forbidden`] for what is refused at first sight, [`BodyError::Limit`] beyond a bound,
    /// [`BodyError::Malformed`] if this is not well-formed XML.
    #[expect(
        clippy::should_implement_trait,
        reason = "a lending reader can not be an Iterator"
    )]
    pub fn next(&mut self) -> Result<XmlEvent<'_, 'a>, BodyError> {
        loop {
            let event = self.reader.read_event().map_err(|error| describe(&error))?;
            let first = !std::mem::replace(&mut self.seen_anything, true);
            match event {
                Event::Start(start) | Event::Empty(start) => return self.start(start),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(XmlEvent::End);
                }
                Event::Text(text) => {
                    let text = text.xml10_content();
                    if let Some(text) = self.text(text)? {
                        return Ok(XmlEvent::Text(text));
                    }
                }
                Event::CData(data) if self.depth > 0 => return Ok(XmlEvent::Text(data.xml10_content())),
                Event::GeneralRef(reference) if self.depth > 0 => {
                    return Ok(XmlEvent::Text(Cow::Owned(resolve(&reference)?.to_string())));
                }
                Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(BodyError::Malformed("text outside the root"));
                }
                Event::Comment(_) => {}
                Event::Decl(_) if first => {}
                Event::Decl(_) => return Err(BodyError::Malformed("XML declaration inside the document")),
                Event::PI(_) => return Err(BodyError::Forbidden("processing instruction")),
                Event::DocType(_) => return Err(BodyError::Forbidden("document type declaration")),
                Event::Eof if self.depth == 0 && self.elements > 0 => return Ok(XmlEvent::Eof),
                Event::Eof => return Err(BodyError::Malformed("the document ends early")),
            }
        }
    }

    /// Reads on to the end of the element whose start was the last event, and gives the text directly in it.
    ///
    /// # Errors
    /// As [`XmlReader::next`].
    pub fn text_of_element(&mut self) -> Result<String, BodyError> {
        let mut collected = String::new();
        let mut nested = 0_usize;
        loop {
            match self.next()? {
                XmlEvent::Start(_) => nested += 1,
                XmlEvent::End if nested == 0 => return Ok(collected),
                XmlEvent::End => nested -= 1,
                XmlEvent::Text(text) if nested == 0 => collected.push_str(&text),
                XmlEvent::Text(_) => {}
                XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
            }
        }
    }

    /// Reads on to the end of the element whose start was the last event, and forgets what is in it.
    ///
    /// # Errors
    /// As [`XmlReader::next`].
    pub fn skip_element(&mut self) -> Result<(), BodyError> {
        self.text_of_element().map(drop)
    }

    /// Reads the rest, so that a document that breaks after the interesting part is still refused.
    ///
    /// # Errors
    /// As [`XmlReader::next`].
    pub fn finish(mut self) -> Result<(), BodyError> {
        while !matches!(self.next()?, XmlEvent::Eof) {}
        Ok(())
    }

    fn start(&mut self, start: BytesStart<'a>) -> Result<XmlEvent<'_, 'a>, BodyError> {
        if self.depth == 0 && self.elements > 0 {
            return Err(BodyError::Malformed("more than one root"));
        }
        self.depth += 1;
        self.elements += 1;
        if self.depth > DEPTH {
            return Err(BodyError::Limit("XML depth"));
        }
        if self.elements > ELEMENTS {
            return Err(BodyError::Limit("XML elements"));
        }
        check_attributes(&start)?;
        let namespace = match self.reader.resolver().resolve_element(start.name()).0 {
            ResolveResult::Bound(namespace) => Some(namespace.into_inner()),
            ResolveResult::Unbound => None,
            ResolveResult::Unknown(_) => return Err(BodyError::Malformed("undeclared namespace prefix")),
        };
        Ok(XmlEvent::Start(Element { namespace, start }))
    }

    fn text(&self, text: Cow<'a, str>) -> Result<Option<Cow<'a, str>>, BodyError> {
        match (self.depth, text.trim().is_empty()) {
            (0, true) => Ok(None),
            (0, false) => Err(BodyError::Malformed("text outside the root")),
            _ => Ok(Some(text)),
        }
    }
}

fn check_attributes(start: &BytesStart<'_>) -> Result<(), BodyError> {
    let mut count = 0_usize;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| BodyError::Malformed("attribute"))?;
        count += 1;
        if count > ATTRIBUTES {
            return Err(BodyError::Limit("XML attributes"));
        }
        // Whoever declares this namespace wants to use it.
        if attribute.key.as_namespace_binding().is_some() && attribute.value.contains(XINCLUDE) {
            return Err(BodyError::Forbidden("XInclude"));
        }
    }
    Ok(())
}

/// The character of `&name;` or `&#number;`. Any other name would need a DTD.
fn resolve(reference: &BytesRef<'_>) -> Result<char, BodyError> {
    if reference.is_char_ref() {
        return match reference.resolve_char_ref() {
            Ok(Some(character)) if is_xml_character(character) => Ok(character),
            _ => Err(BodyError::Malformed("character reference")),
        };
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(BodyError::Forbidden("entity reference")),
    }
}

fn describe(error: &quick_xml::Error) -> BodyError {
    match error {
        quick_xml::Error::Namespace(quick_xml::name::NamespaceError::TooManyBindings(_)) => {
            BodyError::Limit("XML namespace declarations")
        }
        quick_xml::Error::Namespace(_) => BodyError::Malformed("XML namespace"),
        quick_xml::Error::InvalidAttr(_) => BodyError::Malformed("attribute"),
        _ => BodyError::Malformed("XML"),
    }
}

/// XML 1.0 section 2.2, `Char`.
fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the whole document: its text, or what is wrong with it.
    fn read(document: &str) -> Result<String, BodyError> {
        let mut reader = XmlReader::new(document.as_bytes())?;
        let mut text = String::new();
        loop {
            match reader.next()? {
                XmlEvent::Text(piece) => text.push_str(&piece),
                XmlEvent::Eof => return Ok(text),
                XmlEvent::Start(_) | XmlEvent::End => {}
            }
        }
    }

    #[test]
    fn text_references_and_cdata_are_read() {
        let document = "<?xml version=\"1.0\"?>\r\n<a> x &lt;&#x41;&#66; <![CDATA[<b>]]></a>\r\n<!-- end -->";
        assert_eq!(read(document), Ok(" x <AB <b>".to_owned()));
    }

    #[test]
    fn names_are_resolved_to_their_namespaces() {
        let mut reader =
            XmlReader::new(b"<p:a xmlns:p='urn:one' xmlns='urn:two'><b c=\"&quot;1&quot;\"/></p:a>").unwrap();
        let XmlEvent::Start(a) = reader.next().unwrap() else {
            panic!("no start")
        };
        assert!(a.is("urn:one", "a"));
        let XmlEvent::Start(b) = reader.next().unwrap() else {
            panic!("no start")
        };
        assert!(b.is("urn:two", "b"));
        assert_eq!(b.attribute("c"), Ok(Some("\"1\"".to_owned())));
        assert_eq!(b.attribute("d"), Ok(None));
        reader.finish().unwrap();
    }

    #[test]
    fn what_could_reach_out_or_expand_is_refused() {
        let forbidden = [
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<!DOCTYPE a SYSTEM \"http://example.test/a.dtd\"><a/>",
            "<a>&x;</a>",
            "<?xml-stylesheet href='x'?><a/>",
            "<a><?php ?></a>",
            "<a xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='file:///etc/passwd'/></a>",
        ];
        for document in forbidden {
            assert!(
                matches!(read(document), Err(BodyError::Forbidden(_))),
                "{document}: {:?}",
                read(document)
            );
        }
    }

    #[test]
    fn broken_documents_are_malformed() {
        let broken = [
            "",
            "   ",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "x<a/>",
            "<a/>x",
            "<a b='1' b='2'/>",
            "<a b=1/>",
            "<a>&#0;</a>",
            "<a>&#1;</a>",
            "<a>&#xd800;</a>",
            "<a>&amp</a>",
            "<p:a/>",
            "<a/><?xml version='1.0'?>",
            "</a>",
            "<a>]]>",
        ];
        for document in broken {
            assert!(
                matches!(read(document), Err(BodyError::Malformed(_))),
                "{document}: {:?}",
                read(document)
            );
        }
        assert!(matches!(
            XmlReader::new(b"<a>\xff</a>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn every_limit_holds_at_its_value_and_one_above() {
        let deep = |levels: usize| "<a>".repeat(levels) + &"</a>".repeat(levels);
        assert!(read(&deep(DEPTH)).is_ok());
        assert!(matches!(read(&deep(DEPTH + 1)), Err(BodyError::Limit(_))));

        let wide = |elements: usize| format!("<a>{}</a>", "<b/>".repeat(elements - 1));
        assert!(read(&wide(ELEMENTS)).is_ok());
        assert!(matches!(read(&wide(ELEMENTS + 1)), Err(BodyError::Limit(_))));

        let attributes = |count: usize| {
            let list: String = (0..count).map(|n| format!(" b{n}='1'")).collect();
            format!("<a{list}/>")
        };
        assert!(read(&attributes(ATTRIBUTES)).is_ok());
        assert!(matches!(
            read(&attributes(ATTRIBUTES + 1)),
            Err(BodyError::Limit(_))
        ));

        let long = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
        assert!(read(&long(DOCUMENT_BYTES)).is_ok());
        assert!(matches!(
            read(&long(DOCUMENT_BYTES + 1)),
            Err(BodyError::Limit(_))
        ));

        let declarations = |count: usize| {
            let half =
                |from: usize, to: usize| (from..to).map(|n| format!(" xmlns:n{n}='u'")).collect::<String>();
            format!(
                "<a{}><b{}><c{}/></b></a>",
                half(0, 60),
                half(60, 120),
                half(120, count)
            )
        };
        assert!(read(&declarations(NAMESPACES)).is_ok());
        assert!(matches!(
            read(&declarations(NAMESPACES + 1)),
            Err(BodyError::Limit(_))
        ));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(reader) = XmlReader::new(&bytes) {
                let _ = reader.finish();
            }
        }

        #[test]
        fn random_markup_never_panics(document in "[<>/a-c=\"'&;! ?\\-\\[\\]#x0-9:]{0,80}") {
            let _ = read(&document);
        }

        #[test]
        fn escaped_text_is_read_back(text in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\u{fffe}\u{ffff}]{0,60}") {
            let document = format!("<a b=\"{0}\">{0}</a>", escaped(&text));
            let mut reader = XmlReader::new(document.as_bytes()).unwrap();
            let XmlEvent::Start(element) = reader.next().unwrap() else { panic!("no start") };
            prop_assert_eq!(element.attribute("b").unwrap().unwrap(), text.clone());
            prop_assert_eq!(reader.text_of_element().unwrap(), text);
        }
    }
}
