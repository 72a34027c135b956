//! [`Fragment`]: an element kept whole, to be put unchanged into another document.
//!
//! What a client publishes holds elements nobody here knows. They are kept as text that stands for itself: written
//! anew while it is read, so that it is well formed whatever the reader forgave, with the namespaces it uses declared
//! on its own root. Comments are left out, CDATA becomes text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::BodyError;
use crate::xml::{
    ATTRIBUTES, DOCUMENT_BYTES, Element, Mark, NameKind, XmlEvent, XmlReader, XmlWriter, is_name_character,
    is_ncname, is_qname, is_xml_character, push_attribute,
};

/// Longest element that is kept, as it is written here. Answer: 413.
pub const FRAGMENT_BYTES: usize = 32 * 1024;
/// Most bytes of namespace declarations that move from around an element into it, since each kept element may need a
/// copy, and of one namespace declared inside. Answer: 400.
pub const SCOPE_BYTES: usize = 4 * 1024;

/// The namespace of PIDF (RFC 3863).
pub(crate) const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
/// The namespace of persons and devices (RFC 4479).
pub(crate) const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
/// The namespace of `xsi:type`, whose value may follow the default namespace.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// One element of XML that needs nothing around it. Cheap to clone.
///
/// **Invariant:** the text is well formed, and every prefix in it is declared in it. A prefix counts as used in names
/// of elements and attributes, and where a name in the value of an attribute begins with it (`xsi:type="p:t"`); not in
/// text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fragment {
    text: Arc<str>,
    ids: Arc<[String]>,
    needs_id: bool,
}

impl Fragment {
    /// Reads a document and keeps its root: for text that came from [`Fragment::as_str`], or from outside.
    ///
    /// # Errors
    /// What [`XmlReader::next`] refuses, [`BodyError::Malformed`] for names and characters that XML does not allow,
    /// [`BodyError::TooLarge`] beyond [`FRAGMENT_BYTES`], [`BodyError::Limit`] beyond [`SCOPE_BYTES`] or if its start
    /// tag would get more than [`ATTRIBUTES`].
    pub fn parse(document: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(document)?;
        let keeper = Keeper::start(&reader.root()?)?;
        let fragment = keeper.read(&mut reader)?;
        reader.finish()?;
        Ok(fragment)
    }

    /// The element as text, without an XML declaration.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The values of attributes that a schema makes `xs:ID`: `id` of elements of PIDF and its extensions, and `xml:id`.
    /// They have to be unique in a document.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Whether this is a tuple, person or device without the id its schema requires.
    pub fn needs_id(&self) -> bool {
        self.needs_id
    }

    /// The same with each of [`Fragment::ids`] replaced. A root that lacks its id gets what `rename` makes of `None`.
    /// The result may be longer than [`FRAGMENT_BYTES`]: nobody can publish an element that others can not be put
    /// beside.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] if the result is longer than a document may be.
    pub fn rename_ids(&self, rename: &mut dyn FnMut(Option<&str>) -> String) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(self.text.as_bytes())?;
        let keeper = Keeper::renaming(&reader.root()?, rename)?;
        let fragment = keeper.read(&mut reader)?;
        reader.finish()?;
        Ok(fragment)
    }

    /// What a printer of ours wrote that has no ids of its own.
    pub(crate) fn printed(writer: XmlWriter) -> Self {
        Self {
            text: writer.finish().into(),
            ids: Arc::from([]),
            needs_id: false,
        }
    }

    /// A tuple, person or device a printer of ours wrote: in the form that [`Fragment::parse`] would give.
    pub(crate) fn printed_part(writer: XmlWriter, id: Option<&str>) -> Self {
        Self {
            ids: id.map(str::to_owned).into_iter().collect(),
            needs_id: id.is_none(),
            ..Self::printed(writer)
        }
    }
}

type Rename<'f> = &'f mut dyn FnMut(Option<&str>) -> String;

/// Writes an element anew while it is read.
pub(crate) struct Keeper<'f> {
    writer: XmlWriter,
    /// Most bytes it may get.
    limit: usize,
    /// Where the name of the root ends in what is written, and how many attributes it has or needs.
    root: (usize, usize),
    /// Prefixes declared inside, with the depth of the element that does; the empty one is the default.
    declared: Vec<(usize, String)>,
    /// Prefixes used but not declared inside: what the root has to declare. No namespace for the default means that
    /// it has to be switched off.
    missing: BTreeMap<String, String>,
    /// Bytes of them.
    missing_bytes: usize,
    model: Option<Model>,
    /// Children of a root whose schema we know: their rank there and where they are.
    children: Vec<(u8, Range<usize>)>,
    /// The open one: its rank, and where the text and the ids were when it began.
    child: Option<(Option<u8>, Mark, usize)>,
    rename: Option<Rename<'f>>,
    ids: Vec<String>,
    needs_id: bool,
}

impl Keeper<'static> {
    /// Begins with the element whose start was the reader's last event.
    pub(crate) fn start(root: &Element<'_, '_>) -> Result<Self, BodyError> {
        Keeper::begin(root, FRAGMENT_BYTES, None)
    }
}

impl<'f> Keeper<'f> {
    /// As [`Keeper::start`], with other ids.
    fn renaming(root: &Element<'_, '_>, rename: Rename<'f>) -> Result<Self, BodyError> {
        Keeper::begin(root, DOCUMENT_BYTES, Some(rename))
    }

    fn begin(root: &Element<'_, '_>, limit: usize, rename: Option<Rename<'f>>) -> Result<Self, BodyError> {
        let mut keeper = Self {
            writer: XmlWriter::empty(),
            limit,
            root: (1 + root.name().len(), root.attributes()?.len()),
            declared: Vec::new(),
            missing: BTreeMap::new(),
            missing_bytes: 0,
            model: Model::of(root),
            children: Vec::new(),
            child: None,
            rename,
            ids: Vec::new(),
            needs_id: false,
        };
        keeper.open_element(root)?;
        Ok(keeper)
    }

    /// Reads on to the end of that element.
    pub(crate) fn read(mut self, reader: &mut XmlReader<'_>) -> Result<Fragment, BodyError> {
        while self.writer.depth() > 0 {
            match reader.next()? {
                XmlEvent::Start(element) => self.open_element(&element)?,
                XmlEvent::End => self.close_element(),
                // Between the children of a root we know there can only be blanks.
                XmlEvent::Text(_) if self.writer.depth() == 1 && self.model.is_some() => {}
                XmlEvent::Text(text) => {
                    check_characters(&text)?;
                    self.writer.text(&text);
                }
                XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
            }
            if self.writer.len() > self.limit {
                return Err(BodyError::TooLarge("kept element"));
            }
        }
        self.finish()
    }

    fn open_element(&mut self, element: &Element<'_, '_>) -> Result<(), BodyError> {
        let depth = self.writer.depth();
        if let (1, Some(model)) = (depth, self.model) {
            self.child = Some((model.rank(element), self.writer.mark(), self.ids.len()));
        }
        let (name, attributes) = (element.name(), element.attributes()?);
        for (attribute, value) in &attributes {
            if let Some(prefix) = declared_prefix(attribute) {
                let is_default = prefix.is_empty();
                if !is_default && (value.is_empty() || !is_ncname(prefix)) {
                    return Err(BodyError::Malformed("XML namespace"));
                }
                // Each look-up of the name costs its length.
                if value.len() > SCOPE_BYTES {
                    return Err(BodyError::Limit("length of an XML namespace"));
                }
                self.declared.push((depth, prefix.to_owned()));
            }
        }
        if !is_qname(name) || name.starts_with("xmlns:") {
            return Err(BodyError::Malformed("name of an element"));
        }
        self.use_prefix(element, name, NameKind::Element)?;
        self.writer.open(name);
        self.write_attributes(element, attributes)
    }

    fn write_attributes(
        &mut self,
        element: &Element<'_, '_>,
        attributes: Vec<(&str, Cow<'_, str>)>,
    ) -> Result<(), BodyError> {
        let of_schema = element.namespace().is_some_and(|n| n.starts_with(PIDF));
        let mut expanded: Vec<(Cow<'_, str>, &str)> = Vec::new();
        let mut has_id = false;
        for (name, mut value) in attributes {
            if declared_prefix(name).is_none() {
                if !is_qname(name) {
                    return Err(BodyError::Malformed("name of an attribute"));
                }
                if let Some((prefix, local)) = name.split_once(':') {
                    self.use_prefix(element, name, NameKind::Attribute)?;
                    let namespace = element.resolve(name, NameKind::Attribute)?;
                    let expanded_name = (namespace.unwrap_or(Cow::Borrowed(prefix)), local);
                    if expanded_name == (Cow::Borrowed(SCHEMA_INSTANCE), "type") && !value.contains(':') {
                        self.use_prefix(element, value.trim(), NameKind::Element)?;
                    }
                    if expanded.contains(&expanded_name) {
                        return Err(BodyError::Malformed("attribute"));
                    }
                    expanded.push(expanded_name);
                }
                self.use_prefixes_of_value(element, &value)?;
                if name == "xml:id" || (name == "id" && of_schema) {
                    has_id |= name == "id";
                    if let Some(rename) = self.rename.as_mut() {
                        value = Cow::Owned(rename(Some(&value)));
                    }
                    self.ids.push(value.clone().into_owned());
                }
            }
            self.writer.attribute(name, &value);
        }
        if self.writer.depth() == 1 && self.model.is_some() && !has_id {
            self.needs_id = self.rename.is_none();
            // Counted now, so that there is room for it later.
            self.root.1 += 1;
            if let Some(rename) = self.rename.as_mut() {
                let id = rename(None);
                self.writer.attribute("id", &id);
                self.ids.push(id);
            }
        }
        Ok(())
    }

    fn close_element(&mut self) {
        let depth = self.writer.depth().saturating_sub(1);
        while self.declared.pop_if(|(at, _)| *at >= depth).is_some() {}
        self.writer.close();
        if depth == 1
            && let Some((rank, mark, ids)) = self.child.take()
        {
            match rank {
                Some(rank) => self
                    .children
                    .push((rank, mark.start_of_child()..self.writer.len())),
                // No schema has a place for it.
                None => {
                    self.writer.take_back(mark);
                    self.ids.truncate(ids);
                }
            }
        }
    }

    /// Notes that the prefix this begins with is needed, unless an element inside declares it.
    fn use_prefix(&mut self, element: &Element<'_, '_>, name: &str, kind: NameKind) -> Result<(), BodyError> {
        let prefix = name.split_once(':').map_or("", |(prefix, _)| prefix);
        if self.is_known(prefix) {
            return Ok(());
        }
        let namespace = element.resolve(name, kind)?.unwrap_or_default();
        check_characters(&namespace)?;
        self.missing_bytes += prefix.len() + namespace.len();
        if self.missing_bytes > SCOPE_BYTES {
            return Err(BodyError::Limit("namespace declarations around a kept element"));
        }
        self.missing.insert(prefix.to_owned(), namespace.into_owned());
        Ok(())
    }

    fn is_known(&self, prefix: &str) -> bool {
        let is_declared = || self.declared.iter().any(|(_, declared)| declared == prefix);
        matches!(prefix, "xml" | "xmlns") || self.missing.contains_key(prefix) || is_declared()
    }

    /// The same for names in a value such as that of `xsi:type`; most values that look like it are URIs.
    fn use_prefixes_of_value(&mut self, element: &Element<'_, '_>, value: &str) -> Result<(), BodyError> {
        for name in names_with_colons(value) {
            let is_known = name
                .split_once(':')
                .is_some_and(|(prefix, _)| self.is_known(prefix));
            if !is_known && element.resolve(name, NameKind::Attribute).is_ok() {
                self.use_prefix(element, name, NameKind::Attribute)?;
            }
        }
        Ok(())
    }

    /// The element with what its root has to declare, and its children in the order of the schema.
    fn finish(self) -> Result<Fragment, BodyError> {
        let (name_end, attributes) = self.root;
        if attributes + self.missing.len() > ATTRIBUTES {
            return Err(BodyError::Limit("XML attributes"));
        }
        let text = self.writer.finish();
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        let mut whole = String::with_capacity(text.len() + self.missing_bytes + 16 * self.missing.len());
        whole.push_str(part(0..name_end));
        // A prefix that only a left out child used is declared all the same: it does no harm.
        for (prefix, namespace) in &self.missing {
            if prefix.is_empty() {
                push_attribute(&mut whole, "xmlns", namespace);
            } else {
                push_attribute(&mut whole, &format!("xmlns:{prefix}"), namespace);
            }
        }
        match (self.children.first(), self.children.last()) {
            (Some((_, first)), Some((_, last))) => {
                whole.push_str(part(name_end..first.start));
                let mut children: Vec<_> = self.children.iter().collect();
                children.sort_by_key(|(rank, _)| *rank);
                for (_, child) in children {
                    whole.push_str(part(child.clone()));
                }
                whole.push_str(part(last.end..text.len()));
            }
            _ => whole.push_str(part(name_end..text.len())),
        }
        if whole.len() > self.limit {
            return Err(BodyError::TooLarge("kept element"));
        }
        Ok(Fragment {
            text: whole.into(),
            ids: self.ids.into(),
            needs_id: self.needs_id,
        })
    }
}

/// A root whose children have an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Model {
    Tuple,
    Person,
    Device,
}

impl Model {
    fn of(root: &Element<'_, '_>) -> Option<Self> {
        match (root.namespace()?, root.local_name()) {
            (PIDF, "tuple") => Some(Model::Tuple),
            (DATA_MODEL, "person") => Some(Model::Person),
            (DATA_MODEL, "device") => Some(Model::Device),
            _ => None,
        }
    }

    /// The place of a child. `None` for what can not stand there: the schemas allow elements of other namespaces.
    fn rank(self, child: &Element<'_, '_>) -> Option<u8> {
        let own = if self == Model::Tuple { PIDF } else { DATA_MODEL };
        match (self, child.local_name()) {
            _ if child.namespace()? != own => Some(1),
            (Model::Tuple, "status") => Some(0),
            (Model::Tuple, "contact") | (Model::Device, "deviceID") => Some(2),
            (_, "note") => Some(3),
            (_, "timestamp") => Some(4),
            _ => None,
        }
    }
}

/// The prefix that an attribute of this name declares; empty for the default.
fn declared_prefix(attribute: &str) -> Option<&str> {
    match attribute.strip_prefix("xmlns")? {
        "" => Some(""),
        rest => rest.strip_prefix(':'),
    }
}

fn check_characters(text: &str) -> Result<(), BodyError> {
    if text.chars().all(is_xml_character) {
        Ok(())
    } else {
        Err(BodyError::Malformed("character that XML does not allow"))
    }
}

/// What begins with a name and a colon, to the end of the value. One pass: a name ends at the colon before it.
fn names_with_colons(value: &str) -> impl Iterator<Item = &str> {
    value.match_indices(':').filter_map(|(at, _)| {
        let before = value.get(..at)?;
        let rest = before.trim_end_matches(is_name_character).len();
        value.get(rest..).filter(|_| rest < at)
    })
}

#[cfg(test)]
mod tests;
