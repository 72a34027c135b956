//! [`XmlReader`]: the one door through which XML from peers comes in.
//!
//! A streaming reader over quick-xml that refuses at first sight what an instant message never needs (DTD, entity
//! declarations, processing instructions, XInclude) and that ends at the bounds below. Nothing is fetched and no
//! entity but the five predefined ones and character references is replaced, so that expansion can not be larger
//! than the input.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, QName, ResolveResult};
use quick_xml::reader::NsReader;

use crate::BodyError;

mod names;
mod writer;

pub(crate) use names::{is_name_character, is_name_start, is_ncname, is_qname, is_xml_character};
pub use writer::escaped;
pub(crate) use writer::{Mark, XmlWriter, push_attribute};

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
    resolver: &'r NamespaceResolver,
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
    /// [`BodyError::Malformed`] if the value holds an unknown reference or a character that XML does not allow.
    pub fn attribute(&self, name: &str) -> Result<Option<String>, BodyError> {
        let Ok(found) = self.start.try_get_attribute(name) else {
            return Err(BodyError::Malformed("attribute"));
        };
        found
            .map(|attribute| value_of(&attribute).map(Cow::into_owned))
            .transpose()
    }

    /// The value of the attribute `local` of `namespace`, whatever its prefix.
    ///
    /// # Errors
    /// As [`Element::attribute`].
    pub fn attribute_in(&self, namespace: &str, local: &str) -> Result<Option<String>, BodyError> {
        for attribute in self.start.attributes() {
            let attribute = attribute.map_err(|_| BodyError::Malformed("attribute"))?;
            let (resolved, name) = self.resolver.resolve_attribute(attribute.key);
            if name.into_inner() == local
                && matches!(resolved, ResolveResult::Bound(bound) if bound.into_inner() == namespace)
            {
                return value_of(&attribute).map(|value| Some(value.into_owned()));
            }
        }
        Ok(None)
    }

    /// The value of an attribute the schema requires, blanks around it cut off.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] with `rule` if it is missing or blank.
    pub(crate) fn required(&self, name: &str, rule: &'static str) -> Result<String, BodyError> {
        let value = self.attribute(name)?.unwrap_or_default();
        match value.trim() {
            "" => Err(BodyError::Malformed(rule)),
            trimmed => Ok(trimmed.to_owned()),
        }
    }

    /// The name with its prefix.
    pub(crate) fn name(&self) -> &str {
        self.start.name().into_inner()
    }

    /// Names as written and values of all attributes, namespace declarations included, references replaced.
    pub(crate) fn attributes(&self) -> Result<Vec<(&str, Cow<'_, str>)>, BodyError> {
        let attributes = self.start.attributes().map(|attribute| {
            let attribute = attribute.map_err(|_| BodyError::Malformed("attribute"))?;
            let value = value_of(&attribute)?;
            Ok((attribute.key.into_inner(), value))
        });
        attributes.collect()
    }

    /// The namespace that a name of this kind would be in at this element. An attribute without a prefix is in none.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] if the prefix is not declared.
    pub(crate) fn resolve(&self, name: &str, kind: NameKind) -> Result<Option<Cow<'_, str>>, BodyError> {
        match self.resolver.resolve(QName(name), kind == NameKind::Element).0 {
            ResolveResult::Bound(namespace) => namespace_name(namespace.into_inner()).map(Some),
            ResolveResult::Unbound => Ok(None),
            ResolveResult::Unknown(_) => Err(BodyError::Malformed("undeclared namespace prefix")),
        }
    }
}

/// The value of an attribute, references replaced. Unlike in text, the library lets them stand for anything.
fn value_of<'v>(attribute: &Attribute<'v>) -> Result<Cow<'v, str>, BodyError> {
    match attribute.normalized_value(XmlVersion::Implicit1_0) {
        Ok(value) if value.chars().all(is_xml_character) => Ok(value),
        _ => Err(BodyError::Malformed("attribute value")),
    }
}

/// What a name names: only elements follow the default namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NameKind {
    Element,
    Attribute,
}

/// What the library gave and the bounds let through.
enum Step<'a> {
    Start(BytesStart<'a>),
    End,
    Text(Cow<'a, str>),
    Eof,
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

/// XML 1.0 section 2.2: no control characters but tabulator and line breaks, and not the two that are no characters.
fn has_only_allowed(text: &str) -> bool {
    let is_control = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    !text.bytes().any(is_control) && !text.contains(['\u{fffe}', '\u{ffff}'])
}

impl<'a> XmlReader<'a> {
    /// Starts at the beginning of `body`.
    ///
    /// # Errors
    /// [`BodyError::Limit`] if the document is too long, [`BodyError::Unsupported`] if it is not UTF-8,
    /// [`BodyError::Malformed`] if it has characters XML does not allow, wherever they stand.
    pub fn new(body: &'a [u8]) -> Result<Self, BodyError> {
        if body.len() > DOCUMENT_BYTES {
            return Err(BodyError::Limit("XML document length"));
        }
        let text = std::str::from_utf8(body).map_err(|_| BodyError::Unsupported("XML that is not UTF-8"))?;
        if !has_only_allowed(text) {
            return Err(BodyError::Malformed("XML with a character it may not have"));
        }
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
        Ok(match self.step()? {
            Step::Start(start) => XmlEvent::Start(self.element(start)?),
            Step::End => XmlEvent::End,
            Step::Text(text) => XmlEvent::Text(text),
            Step::Eof => XmlEvent::Eof,
        })
    }

    /// The root, if the reader is still at its beginning.
    ///
    /// # Errors
    /// As [`XmlReader::next`].
    pub fn root(&mut self) -> Result<Element<'_, 'a>, BodyError> {
        match self.next()? {
            XmlEvent::Start(root) => Ok(root),
            _ => Err(BodyError::Malformed("XML")),
        }
    }

    /// The next child of the innermost open element; `None` at its end. Text between children is passed over.
    ///
    /// The caller then reads the child to its end: with this function, [`XmlReader::text_of_element`]
    /// or [`XmlReader::skip_element`].
    ///
    /// # Errors
    /// As [`XmlReader::next`].
    pub fn child(&mut self) -> Result<Option<Element<'_, 'a>>, BodyError> {
        loop {
            match self.step()? {
                Step::Start(start) => return self.element(start).map(Some),
                Step::End => return Ok(None),
                Step::Text(_) => {}
                Step::Eof => return Err(BodyError::Malformed("the document ends early")),
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

    fn step(&mut self) -> Result<Step<'a>, BodyError> {
        loop {
            let event = self.reader.read_event().map_err(|error| describe(&error))?;
            let first = !std::mem::replace(&mut self.seen_anything, true);
            match event {
                Event::Start(start) | Event::Empty(start) => return self.start(start),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Step::End);
                }
                Event::Text(text) => {
                    let text = text.xml10_content();
                    if let Some(text) = self.text(text)? {
                        return Ok(Step::Text(text));
                    }
                }
                Event::CData(data) if self.depth > 0 => return Ok(Step::Text(data.xml10_content())),
                Event::GeneralRef(reference) if self.depth > 0 => {
                    return Ok(Step::Text(Cow::Owned(resolve(&reference)?.to_string())));
                }
                Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(BodyError::Malformed("text outside the root"));
                }
                Event::Comment(_) => {}
                Event::Decl(_) if first => {}
                Event::Decl(_) => return Err(BodyError::Malformed("XML declaration inside the document")),
                Event::PI(_) => return Err(BodyError::Forbidden("processing instruction")),
                Event::DocType(_) => return Err(BodyError::Forbidden("document type declaration")),
                Event::Eof if self.depth == 0 && self.elements > 0 => return Ok(Step::Eof),
                Event::Eof => return Err(BodyError::Malformed("the document ends early")),
            }
        }
    }

    fn start(&mut self, start: BytesStart<'a>) -> Result<Step<'a>, BodyError> {
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
        Ok(Step::Start(start))
    }

    fn element(&self, start: BytesStart<'a>) -> Result<Element<'_, 'a>, BodyError> {
        let resolver = self.reader.resolver();
        let namespace = match resolver.resolve_element(start.name()).0 {
            ResolveResult::Bound(namespace) => Some(namespace.into_inner()),
            ResolveResult::Unbound => None,
            ResolveResult::Unknown(_) => return Err(BodyError::Malformed("undeclared namespace prefix")),
        };
        Ok(Element {
            namespace,
            start,
            resolver,
        })
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
        // Whoever declares this namespace wants to use it, however it is spelled.
        if attribute.key.as_namespace_binding().is_some()
            && namespace_name(&attribute.value)?.contains(XINCLUDE)
        {
            return Err(BodyError::Forbidden("XInclude"));
        }
    }
    Ok(())
}

/// The name of a namespace, written as it stands in a declaration.
fn namespace_name(written: &str) -> Result<Cow<'_, str>, BodyError> {
    unescape(written).map_err(|_| BodyError::Malformed("XML namespace"))
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

#[cfg(test)]
mod tests;
