//! [`Presence`]: presence of standard clients, `application/pidf+xml` (RFC 3863) with the data model (RFC 4479).
//!
//! A document has tuples (services), persons and devices. Each is a [`Kept`] part: what we understand of it, typed,
//! and the element itself as the client wrote it, so that extensions nobody here knows reach the watchers.
//! Understood are, beside PIDF, activities and idle times of RPID (RFC 4480) and the contact data of CIPID (RFC 4482).

mod cipid;
mod device;
mod ids;
mod kept;
mod person;
mod rpid;
mod tuple;

use std::collections::HashSet;

use bytes::Bytes;

pub use cipid::Cipid;
pub use device::Device;
pub use kept::{Kept, Part};
pub use person::Person;
pub use rpid::{Activity, UserInput};
pub use tuple::{Basic, Contact, Priority, Tuple};

use crate::BodyError;
use crate::fragment::{DATA_MODEL, Fragment, Keeper, PIDF};
use crate::lang_text::LangText;
use crate::xml::{DOCUMENT_BYTES, Element, XmlEvent, XmlReader, XmlWriter};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/pidf+xml";

/// Most bytes of the kept elements of one document together: declaring the namespaces on each makes them longer than
/// they were. One alone has at most [`FRAGMENT_BYTES`](crate::fragment::FRAGMENT_BYTES). Answer: 400.
pub const KEPT_BYTES: usize = DOCUMENT_BYTES;

/// A presence document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presence {
    /// Whose presence this is, a URI with the scheme `pres`, `sip` or another; never empty.
    pub entity: String,
    /// Services, in the order they were published. No two have the same id.
    pub tuples: Vec<Kept<Tuple>>,
    /// Notes about the whole document.
    pub notes: Vec<LangText>,
    /// Persons. RFC 4479 section 3.1 wants one; publications of several clients put together may have more.
    pub persons: Vec<Kept<Person>>,
    /// Devices.
    pub devices: Vec<Kept<Device>>,
    /// Elements of other namespaces.
    pub others: Vec<Fragment>,
}

impl Presence {
    /// A document that says nothing yet.
    pub fn new(entity: impl Into<String>) -> Self {
        Self {
            entity: entity.into(),
            tuples: Vec::new(),
            notes: Vec::new(),
            persons: Vec::new(),
            devices: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Reads a document.
    ///
    /// Forgiven: any order of elements (baresip 1.0 writes the person first), a person or device without id, values
    /// that no schema has, which are kept and not understood. Elements for which the schema has no place (without a
    /// namespace, or unknown ones of PIDF's own) are left out.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `presence`, [`BodyError::Malformed`] if there is no entity, two
    /// tuples have the same id or none, a tuple has not exactly one status, or what may be there once is there twice;
    /// [`BodyError::Limit`] beyond [`KEPT_BYTES`]; else what [`XmlReader::next`] and [`Fragment::parse`] refuse.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let entity = match reader.next()? {
            XmlEvent::Start(root) if root.is(PIDF, "presence") => {
                root.required("entity", "presence without entity")?
            }
            _ => return Err(BodyError::Unsupported("not a presence document")),
        };
        let mut presence = Self::new(entity);
        let mut kept_bytes = 0_usize;
        loop {
            let child = match reader.next()? {
                XmlEvent::Start(element) => Child::of(&element)?,
                XmlEvent::Text(_) => continue,
                XmlEvent::End => break,
                XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
            };
            let (kind, keeper) = match child {
                Child::Note(lang) => {
                    presence.notes.push(LangText::read(&mut reader, lang)?);
                    continue;
                }
                Child::Misplaced => {
                    reader.skip_element()?;
                    continue;
                }
                Child::Kept(kind, keeper) => (kind, keeper),
            };
            let element = keeper.read(&mut reader)?;
            kept_bytes = kept_bytes.saturating_add(element.as_str().len());
            if kept_bytes > KEPT_BYTES {
                return Err(BodyError::Limit("kept elements"));
            }
            match kind {
                Kind::Tuple => presence.tuples.push(Kept::parse(element)?),
                Kind::Person => presence.persons.push(Kept::parse(element)?),
                Kind::Device => presence.devices.push(Kept::parse(element)?),
                Kind::Other => presence.others.push(element),
            }
        }
        reader.finish()?;
        let mut ids = HashSet::new();
        if !presence
            .tuples
            .iter()
            .all(|tuple| ids.insert(tuple.value().id.as_str()))
        {
            return Err(BodyError::Malformed("two tuples with one id"));
        }
        Ok(presence)
    }

    /// Writes the document, elements in the order of the schema. Call [`Presence::unify_ids`] before if there are
    /// parts that others wrote.
    ///
    /// What was kept stands in it unchanged; values inside that no schema has are its author's.
    pub fn print(&self) -> Bytes {
        let kept = self
            .elements()
            .map(|element| element.as_str().len())
            .sum::<usize>();
        let length = kept + self.entity.len() + 64 * self.notes.len() + 120;
        let mut writer = XmlWriter::declared("presence", PIDF, length);
        writer.attribute("entity", &self.entity);
        for tuple in &self.tuples {
            writer.fragment(tuple.element());
        }
        for note in &self.notes {
            note.write(&mut writer, "note");
        }
        for element in self.elements().skip(self.tuples.len()) {
            writer.fragment(element);
        }
        writer.finish_line()
    }

    /// All kept elements, in the order in which they are printed.
    fn elements(&self) -> impl Iterator<Item = &Fragment> {
        let tuples = self.tuples.iter().map(Kept::element);
        let persons = self.persons.iter().map(Kept::element);
        let devices = self.devices.iter().map(Kept::element);
        tuples.chain(persons).chain(devices).chain(&self.others)
    }
}

enum Kind {
    Tuple,
    Person,
    Device,
    Other,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack, until its element is read"
)]
enum Child {
    Note(Option<String>),
    Kept(Kind, Keeper<'static>),
    Misplaced,
}

impl Child {
    fn of(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let kind = match (element.namespace(), element.local_name()) {
            (Some(PIDF), "note") => return Ok(Child::Note(LangText::lang_of(element)?)),
            (Some(PIDF), "tuple") => Kind::Tuple,
            (Some(DATA_MODEL), "person") => Kind::Person,
            (Some(DATA_MODEL), "device") => Kind::Device,
            (Some(PIDF) | None, _) => return Ok(Child::Misplaced),
            (Some(_), _) => Kind::Other,
        };
        Ok(Child::Kept(kind, Keeper::start(element)?))
    }
}

#[cfg(test)]
mod tests;
