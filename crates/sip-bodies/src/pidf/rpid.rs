//! What a person does and whether somebody sits at the device: activities and user input of RPID (RFC 4480).

use super::kept::{self, next_child};
use crate::BodyError;
use crate::lang_text::LangText;
use crate::xml::{Element, XmlReader, XmlWriter};

pub(super) const NAMESPACE: &str = "urn:ietf:params:xml:ns:pidf:rpid";

/// What somebody does (section 3.2).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the RFC's and say what they mean")]
pub enum Activity {
    Appointment,
    Away,
    Breakfast,
    Busy,
    Dinner,
    Holiday,
    InTransit,
    LookingForWork,
    Meal,
    Meeting,
    OnThePhone,
    Performance,
    PermanentAbsence,
    Playing,
    Presentation,
    Shopping,
    Sleeping,
    Spectator,
    Steering,
    Travel,
    Tv,
    Vacation,
    Working,
    Worship,
    /// None of them: a text that says what.
    Other(String),
    /// Somebody who does not want to say. It stands alone.
    Unknown,
}

const NAMES: [(Activity, &str); 25] = [
    (Activity::Appointment, "appointment"),
    (Activity::Away, "away"),
    (Activity::Breakfast, "breakfast"),
    (Activity::Busy, "busy"),
    (Activity::Dinner, "dinner"),
    (Activity::Holiday, "holiday"),
    (Activity::InTransit, "in-transit"),
    (Activity::LookingForWork, "looking-for-work"),
    (Activity::Meal, "meal"),
    (Activity::Meeting, "meeting"),
    (Activity::OnThePhone, "on-the-phone"),
    (Activity::Performance, "performance"),
    (Activity::PermanentAbsence, "permanent-absence"),
    (Activity::Playing, "playing"),
    (Activity::Presentation, "presentation"),
    (Activity::Shopping, "shopping"),
    (Activity::Sleeping, "sleeping"),
    (Activity::Spectator, "spectator"),
    (Activity::Steering, "steering"),
    (Activity::Travel, "travel"),
    (Activity::Tv, "tv"),
    (Activity::Vacation, "vacation"),
    (Activity::Working, "working"),
    (Activity::Worship, "worship"),
    (Activity::Unknown, "unknown"),
];

impl Activity {
    /// The name of its element.
    pub fn name(&self) -> &'static str {
        let known = NAMES.iter().find(|(activity, _)| activity == self);
        known.map_or("other", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        let known = NAMES.iter().find(|(_, known)| *known == name);
        known.map(|(activity, _)| activity.clone())
    }

    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(activity, _)| activity)
    }
}

enum Doing {
    Known(Activity),
    Other,
    Note(Option<String>),
    Foreign,
}

impl Doing {
    fn of(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        if element.namespace() != Some(NAMESPACE) {
            return Ok(Doing::Foreign);
        }
        Ok(match element.local_name() {
            "other" => Doing::Other,
            "note" => Doing::Note(LangText::lang_of(element)?),
            name => Activity::named(name).map_or(Doing::Foreign, Doing::Known),
        })
    }
}

/// Reads on to the end of `activities`. Activities of other namespaces are kept in the element and not understood.
pub(super) fn read_activities(
    reader: &mut XmlReader<'_>,
    activities: &mut Vec<Activity>,
    notes: &mut Vec<LangText>,
) -> Result<(), BodyError> {
    while let Some(doing) = next_child(reader, Doing::of)? {
        match doing {
            Doing::Known(activity) => {
                reader.skip_element()?;
                activities.push(activity);
            }
            Doing::Other => {
                let text = kept::text(reader)?.unwrap_or_default();
                activities.push(Activity::Other(text));
            }
            Doing::Note(lang) => notes.push(LangText::read(reader, lang)?),
            Doing::Foreign => reader.skip_element()?,
        }
    }
    Ok(())
}

/// Writes `rpid:activities`. [`Activity::Unknown`] beside others says nothing and has no place in the schema.
pub(super) fn write_activities(writer: &mut XmlWriter, activities: &[Activity]) {
    let unknown = [Activity::Unknown];
    let mut shown: Vec<&Activity> = activities.iter().filter(|a| **a != Activity::Unknown).collect();
    if shown.is_empty() {
        shown.extend(&unknown);
    }
    writer.open("rpid:activities");
    for activity in shown {
        let text = if let Activity::Other(text) = activity {
            text
        } else {
            ""
        };
        writer.leaf(&format!("rpid:{}", activity.name()), text);
    }
    writer.close();
}

/// Whether somebody uses the device (section 3.14).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserInput {
    /// Nobody did for a while.
    pub is_idle: bool,
    /// Seconds without input after which the client says so.
    pub idle_threshold: Option<u32>,
    /// When there was input last, an ISO 8601 time as written.
    pub last_input: Option<String>,
}

/// The attributes of `user-input`, whose text follows.
pub(super) struct InputAttributes {
    idle_threshold: Option<u32>,
    last_input: Option<String>,
}

impl InputAttributes {
    pub(super) fn of(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let threshold = element.attribute("idle-threshold")?;
        Ok(Self {
            idle_threshold: threshold
                .and_then(|text| text.trim().parse().ok())
                .filter(|n| *n > 0),
            last_input: element.attribute("last-input")?,
        })
    }

    /// Reads on to the end of the element. `None` if it says neither active nor idle.
    pub(super) fn read(self, reader: &mut XmlReader<'_>) -> Result<Option<UserInput>, BodyError> {
        let text = reader.text_of_element()?;
        let is_idle = match text.trim() {
            "idle" => true,
            "active" => false,
            _ => return Ok(None),
        };
        Ok(Some(UserInput {
            is_idle,
            idle_threshold: self.idle_threshold,
            last_input: self.last_input,
        }))
    }
}

impl UserInput {
    pub(super) fn write(&self, writer: &mut XmlWriter) {
        // The schema has no zero.
        let threshold = self.idle_threshold.filter(|n| *n > 0);
        writer
            .open("rpid:user-input")
            .number_if("idle-threshold", threshold)
            .attribute_if("last-input", self.last_input.as_deref())
            .text(if self.is_idle { "idle" } else { "active" })
            .close();
    }
}
