//! [`Person`]: what is known of the user behind all services (RFC 4479 section 3.1).

use super::cipid::{self, Cipid};
use super::kept::{self, Part, next_child, once};
use super::rpid::{self, Activity, UserInput};
use crate::BodyError;
use crate::fragment::{DATA_MODEL, Fragment, PIDF};
use crate::lang_text::LangText;
use crate::xml::{Element, XmlWriter};

/// A person.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Person {
    /// Tells the element from others of its document. Required by the schema; clients that leave it out are forgiven.
    pub id: Option<String>,
    /// What they do, all at the same time, in the order they were published.
    pub activities: Vec<Activity>,
    /// Whether they are at a device.
    pub user_input: Option<UserInput>,
    /// Notes, those about the activities after those about the person. Clients are not agreed on the namespace of
    /// the element; that of the data model, of PIDF and of RPID are taken.
    pub notes: Vec<LangText>,
    /// Contact data.
    pub cipid: Cipid,
    /// When it changed, an ISO 8601 time as written.
    pub timestamp: Option<String>,
}

impl Part for Person {
    fn read(element: &Fragment) -> Result<Self, BodyError> {
        let (mut reader, id) = kept::open(element, DATA_MODEL, "person")?;
        let mut person = Person {
            id,
            ..Self::default()
        };
        let mut activity_notes = Vec::new();
        let mut timestamp = None;
        while let Some(field) = next_child(&mut reader, Field::of)? {
            match field {
                Field::Activities => {
                    rpid::read_activities(&mut reader, &mut person.activities, &mut activity_notes)?;
                }
                Field::UserInput(attributes) => {
                    person.user_input = attributes.read(&mut reader)?.or(person.user_input);
                }
                Field::Note(lang) => person.notes.push(LangText::read(&mut reader, lang)?),
                Field::Cipid(name) => person.cipid.read(&name, &mut reader)?,
                Field::Timestamp => {
                    let text = reader.text_of_element()?.trim().to_owned();
                    once(&mut timestamp, text, "two timestamps in a person")?;
                }
                Field::Unknown => reader.skip_element()?,
            }
        }
        reader.finish()?;
        person.notes.append(&mut activity_notes);
        person.timestamp = timestamp.filter(|text| !text.is_empty());
        Ok(person)
    }

    fn element(&self) -> Fragment {
        let mut writer = XmlWriter::without_namespace("dm:person");
        writer.attribute("xmlns:dm", DATA_MODEL);
        if !self.activities.is_empty() || self.user_input.is_some() {
            writer.attribute("xmlns:rpid", rpid::NAMESPACE);
        }
        if !self.cipid.is_empty() {
            writer.attribute("xmlns:cipid", cipid::NAMESPACE);
        }
        writer.attribute_if("id", self.id.as_deref());
        if !self.activities.is_empty() {
            rpid::write_activities(&mut writer, &self.activities);
        }
        if let Some(user_input) = &self.user_input {
            user_input.write(&mut writer);
        }
        self.cipid.write(&mut writer);
        for note in &self.notes {
            note.write(&mut writer, "dm:note");
        }
        writer.leaf_if("dm:timestamp", self.timestamp.as_deref());
        Fragment::printed_part(writer, self.id.as_deref())
    }
}

enum Field {
    Activities,
    UserInput(rpid::InputAttributes),
    Note(Option<String>),
    Cipid(String),
    Timestamp,
    Unknown,
}

impl Field {
    fn of(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(match (element.namespace(), element.local_name()) {
            (Some(DATA_MODEL | PIDF | rpid::NAMESPACE), "note") => Field::Note(LangText::lang_of(element)?),
            (Some(DATA_MODEL), "timestamp") => Field::Timestamp,
            (Some(rpid::NAMESPACE), "activities") => Field::Activities,
            (Some(rpid::NAMESPACE), "user-input") => Field::UserInput(rpid::InputAttributes::of(element)?),
            (Some(cipid::NAMESPACE), name) => Field::Cipid(name.to_owned()),
            _ => Field::Unknown,
        })
    }
}
