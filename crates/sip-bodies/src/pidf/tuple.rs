//! [`Tuple`]: a service somebody can be reached by (RFC 3863 section 4.1.2).

use super::kept::{self, Part, next_child, once};
use super::rpid::{self, UserInput};
use crate::BodyError;
use crate::fragment::{Fragment, PIDF};
use crate::lang_text::LangText;
use crate::xml::{Element, XmlReader, XmlWriter};

/// Whether a service takes communication (section 4.1.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Basic {
    /// It does.
    Open,
    /// It does not.
    Closed,
}

impl Basic {
    const fn as_str(self) -> &'static str {
        match self {
            Basic::Open => "open",
            Basic::Closed => "closed",
        }
    }
}

/// The priority of a contact, from 0 to 1 in thousandths (section 4.1.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(u16);

impl Priority {
    /// From thousandths; more than 1000 counts as 1000.
    pub fn from_thousandths(thousandths: u16) -> Self {
        Self(thousandths.min(1000))
    }

    /// In thousandths, 0 to 1000.
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// `0`, `1`, or up to three digits behind the point. `None` if it is something else.
    fn parse(text: &str) -> Option<Self> {
        let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
        let in_form = matches!(whole, "0" | "1") && digits.len() <= 3;
        if !in_form || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let thousandths = format!("{whole}{digits:0<3}").parse().ok()?;
        (thousandths <= 1000).then_some(Self(thousandths))
    }

    fn print(self) -> String {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// Where a service is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// A URI of any scheme.
    pub uri: String,
    /// How it compares to the contacts of other tuples; a value that is not of the form counts as none.
    pub priority: Option<Priority>,
}

/// A service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// Tells it from the others of its document; never empty.
    pub id: String,
    /// Open or closed. `None` if the status does not say, or says something else.
    pub basic: Option<Basic>,
    /// Where it is reached.
    pub contact: Option<Contact>,
    /// Whether the device is being used (RFC 4480 section 3.14).
    pub user_input: Option<UserInput>,
    /// Notes, for people.
    pub notes: Vec<LangText>,
    /// When it changed, an ISO 8601 time as written.
    pub timestamp: Option<String>,
}

impl Tuple {
    /// A service of which only this is known.
    pub fn new(id: impl Into<String>, basic: Basic) -> Self {
        Self {
            id: id.into(),
            basic: Some(basic),
            contact: None,
            user_input: None,
            notes: Vec::new(),
            timestamp: None,
        }
    }
}

impl Part for Tuple {
    fn read(element: &Fragment) -> Result<Self, BodyError> {
        let (mut reader, id) = kept::open(element, PIDF, "tuple")?;
        let mut status = None;
        let (mut contact, mut timestamp, mut user_input, mut notes) = (None, None, None, Vec::new());
        while let Some(field) = next_child(&mut reader, Field::of)? {
            match field {
                Field::Status => once(&mut status, read_status(&mut reader)?, "two statuses in a tuple")?,
                Field::Contact(priority) => {
                    let uri = reader.text_of_element()?.trim().to_owned();
                    once(&mut contact, Contact { uri, priority }, "two contacts in a tuple")?;
                }
                Field::Note(lang) => notes.push(LangText::read(&mut reader, lang)?),
                Field::Timestamp => {
                    let text = reader.text_of_element()?.trim().to_owned();
                    once(&mut timestamp, text, "two timestamps in a tuple")?;
                }
                Field::UserInput(attributes) => user_input = attributes.read(&mut reader)?.or(user_input),
                Field::Unknown => reader.skip_element()?,
            }
        }
        reader.finish()?;
        Ok(Self {
            id: id.ok_or(BodyError::Malformed("tuple without id"))?,
            basic: status.ok_or(BodyError::Malformed("tuple without status"))?,
            contact: contact.filter(|contact| !contact.uri.is_empty()),
            user_input,
            notes,
            timestamp: timestamp.filter(|text| !text.is_empty()),
        })
    }

    fn element(&self) -> Fragment {
        let mut writer = XmlWriter::new("tuple", PIDF);
        if self.user_input.is_some() {
            writer.attribute("xmlns:rpid", rpid::NAMESPACE);
        }
        writer.attribute("id", &self.id).open("status");
        writer.leaf_if("basic", self.basic.map(Basic::as_str)).close();
        if let Some(user_input) = &self.user_input {
            user_input.write(&mut writer);
        }
        if let Some(contact) = &self.contact {
            let priority = contact.priority.map(Priority::print);
            writer
                .open("contact")
                .attribute_if("priority", priority.as_deref());
            writer.text(&contact.uri).close();
        }
        for note in &self.notes {
            note.write(&mut writer, "note");
        }
        writer.leaf_if("timestamp", self.timestamp.as_deref());
        Fragment::printed_part(writer, Some(&self.id))
    }
}

fn read_status(reader: &mut XmlReader<'_>) -> Result<Option<Basic>, BodyError> {
    let mut found = None;
    while let Some(is_basic) = next_child(reader, |element| Ok(element.is(PIDF, "basic")))? {
        let text = reader.text_of_element()?;
        if is_basic {
            let value = [Basic::Open, Basic::Closed]
                .into_iter()
                .find(|value| text.trim().eq_ignore_ascii_case(value.as_str()));
            once(&mut found, value, "two basic statuses in a tuple")?;
        }
    }
    Ok(found.flatten())
}

enum Field {
    Status,
    Contact(Option<Priority>),
    Note(Option<String>),
    Timestamp,
    UserInput(rpid::InputAttributes),
    Unknown,
}

impl Field {
    fn of(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(match (element.namespace(), element.local_name()) {
            (Some(PIDF), "status") => Field::Status,
            (Some(PIDF), "contact") => {
                let priority = element.attribute("priority")?;
                Field::Contact(priority.and_then(|text| Priority::parse(text.trim())))
            }
            (Some(PIDF), "note") => Field::Note(LangText::lang_of(element)?),
            (Some(PIDF), "timestamp") => Field::Timestamp,
            (Some(rpid::NAMESPACE), "user-input") => Field::UserInput(rpid::InputAttributes::of(element)?),
            _ => Field::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_in_the_form_of_the_schema_only() {
        for (text, thousandths, printed) in [
            ("0", 0, "0"),
            ("0.", 0, "0"),
            ("0.5", 500, "0.5"),
            ("0.05", 50, "0.05"),
            ("0.999", 999, "0.999"),
            ("1.000", 1000, "1"),
        ] {
            let priority = Priority::parse(text).unwrap();
            assert_eq!(priority.thousandths(), thousandths, "{text}");
            assert_eq!(priority.print(), printed, "{text}");
        }
        for text in ["", "2", "-1", "1.001", "0.5000", "0,5", ".5", "0.+5", "00.5"] {
            assert_eq!(Priority::parse(text), None, "{text}");
        }
    }
}
