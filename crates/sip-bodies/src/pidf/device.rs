//! [`Device`]: a piece of equipment that services run on (RFC 4479 section 3.3).

use super::kept::{self, Part, next_child, once};
use super::rpid::{self, UserInput};
use crate::BodyError;
use crate::fragment::{DATA_MODEL, Fragment};
use crate::lang_text::LangText;
use crate::xml::{Element, XmlWriter};

/// A device.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Device {
    /// Tells the element from others of its document. Required by the schema; clients that leave it out are forgiven.
    pub id: Option<String>,
    /// The URN of the device, by which a tuple may refer to it. Required by the schema, forgiven as well.
    pub device_id: Option<String>,
    /// Whether somebody uses it.
    pub user_input: Option<UserInput>,
    /// Notes, for people.
    pub notes: Vec<LangText>,
    /// When it changed, an ISO 8601 time as written.
    pub timestamp: Option<String>,
}

impl Part for Device {
    fn read(element: &Fragment) -> Result<Self, BodyError> {
        let (mut reader, id) = kept::open(element, DATA_MODEL, "device")?;
        let (mut device_id, mut timestamp, mut user_input, mut notes) = (None, None, None, Vec::new());
        while let Some(field) = next_child(&mut reader, Field::of)? {
            match field {
                Field::DeviceId => {
                    let text = kept::text(&mut reader)?;
                    once(&mut device_id, text, "two deviceIDs in a device")?;
                }
                Field::UserInput(attributes) => user_input = attributes.read(&mut reader)?.or(user_input),
                Field::Note(lang) => notes.push(LangText::read(&mut reader, lang)?),
                Field::Timestamp => {
                    let text = kept::text(&mut reader)?;
                    once(&mut timestamp, text, "two timestamps in a device")?;
                }
                Field::Unknown => reader.skip_element()?,
            }
        }
        reader.finish()?;
        Ok(Self {
            id,
            device_id: device_id.flatten(),
            user_input,
            notes,
            timestamp: timestamp.flatten(),
        })
    }

    fn element(&self) -> Fragment {
        let mut writer = XmlWriter::without_namespace("dm:device");
        writer.attribute("xmlns:dm", DATA_MODEL);
        if self.user_input.is_some() {
            writer.attribute("xmlns:rpid", rpid::NAMESPACE);
        }
        writer.attribute_if("id", self.id.as_deref());
        if let Some(user_input) = &self.user_input {
            user_input.write(&mut writer);
        }
        writer.leaf("dm:deviceID", self.device_id.as_deref().unwrap_or_default());
        for note in &self.notes {
            note.write(&mut writer, "dm:note");
        }
        writer.leaf_if("dm:timestamp", self.timestamp.as_deref());
        Fragment::printed_part(writer, self.id.as_deref())
    }
}

enum Field {
    DeviceId,
    UserInput(rpid::InputAttributes),
    Note(Option<String>),
    Timestamp,
    Unknown,
}

impl Field {
    fn of(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(match (element.namespace(), element.local_name()) {
            (Some(DATA_MODEL), "deviceID") => Field::DeviceId,
            (Some(DATA_MODEL), "note") => Field::Note(LangText::lang_of(element)?),
            (Some(DATA_MODEL), "timestamp") => Field::Timestamp,
            (Some(rpid::NAMESPACE), "user-input") => Field::UserInput(rpid::InputAttributes::of(element)?),
            _ => Field::Unknown,
        })
    }
}
