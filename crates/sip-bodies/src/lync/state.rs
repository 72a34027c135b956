//! [`State`]: one `state` element, as published and as told to watchers.

use super::{boolean, boolean_text, number, some_text};
use crate::BodyError;
use crate::fragment::Fragment;
use crate::xml::{Element, NameKind, XmlReader, XmlWriter};

/// Most texts of an activity; one for each language. Answer: 400.
pub const CUSTOM_TEXTS: usize = 64;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/state";
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What a state is about: `xsi:type`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StateKind {
    /// Whether a machine is in use.
    MachineState,
    /// What the user said.
    UserState,
    /// Whether the user is on the phone.
    PhoneState,
    /// What the calendar says.
    CalendarState,
    /// Whether the user is in a conference.
    ConferenceState,
    /// The most active machine.
    AggregateMachineState,
    /// All together, as watchers see it.
    AggregateState,
    /// Something else.
    Other,
}

impl StateKind {
    const KNOWN: [Self; 7] = [
        Self::MachineState,
        Self::UserState,
        Self::PhoneState,
        Self::CalendarState,
        Self::ConferenceState,
        Self::AggregateMachineState,
        Self::AggregateState,
    ];

    const fn as_str(self) -> Option<&'static str> {
        match self {
            StateKind::MachineState => Some("machineState"),
            StateKind::UserState => Some("userState"),
            StateKind::PhoneState => Some("phoneState"),
            StateKind::CalendarState => Some("calendarState"),
            StateKind::ConferenceState => Some("conferenceState"),
            StateKind::AggregateMachineState => Some("aggregateMachineState"),
            StateKind::AggregateState => Some("aggregateState"),
            StateKind::Other => None,
        }
    }

    fn read(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let Some(name) = element.attribute_in(SCHEMA_INSTANCE, "type")? else {
            return Ok(StateKind::Other);
        };
        let local = match name.trim().split_once(':') {
            Some((_, local)) => match element.resolve(name.trim(), NameKind::Attribute) {
                Ok(Some(namespace)) if namespace == NAMESPACE => local,
                // An undeclared prefix says nothing.
                _ => return Ok(StateKind::Other),
            },
            // The schema would look it up in the default namespace; clients write it so whatever that is.
            None => name.trim(),
        };
        let known = Self::KNOWN.into_iter().find(|kind| kind.as_str() == Some(local));
        Ok(known.unwrap_or(StateKind::Other))
    }
}

/// A text of the user's or the administrator's own, in one language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomText {
    /// The language: a Windows locale number, such as 1033.
    pub lcid: Option<u32>,
    /// The text.
    pub text: String,
}

/// What exactly the user does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Activity {
    /// One of the known ones: `on-the-phone`, `in-a-meeting`, `away`, ...
    pub token: Option<String>,
    /// Or in words.
    pub custom: Vec<CustomText>,
    /// The smallest availability it fits.
    pub min_availability: Option<u16>,
    /// The largest one.
    pub max_availability: Option<u16>,
}

/// A state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// What it is about.
    pub kind: StateKind,
    /// Whether the user chose it by hand.
    pub manual: bool,
    /// 0 (undefined) over 3500 (available) to 18500 (offline). None if the state says nothing, as a `userState` that
    /// was reset.
    pub availability: Option<u16>,
    /// What exactly the user does.
    pub activity: Option<Activity>,
    /// Where the endpoint is, in the user's words.
    pub endpoint_location: Option<String>,
    /// What the meeting is about.
    pub meeting_subject: Option<String>,
    /// Where it is.
    pub meeting_location: Option<String>,
    /// What kind of device the user is at: `computer`, `phone`, ...
    pub device: Option<String>,
    /// Since when, an XML Schema `dateTime`.
    pub start_time: Option<String>,
    /// When the user was last active, an XML Schema `dateTime`.
    pub last_active: Option<String>,
}

impl State {
    /// A state that says nothing yet.
    pub const fn new(kind: StateKind) -> Self {
        Self {
            kind,
            manual: false,
            availability: None,
            activity: None,
            endpoint_location: None,
            meeting_subject: None,
            meeting_location: None,
            device: None,
            start_time: None,
            last_active: None,
        }
    }

    /// Reads the element as a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if it is not `state`, [`BodyError::Malformed`] if an availability is not a number up
    /// to 65535, [`BodyError::Limit`] beyond [`CUSTOM_TEXTS`], else what [`XmlReader::next`] refuses.
    pub fn parse(document: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(document)?;
        let root = reader.root()?;
        if !root.is(NAMESPACE, "state") {
            return Err(BodyError::Unsupported("not a state"));
        }
        let mut state = Self::new(StateKind::read(&root)?);
        state.manual = root.attribute("manual")?.is_some_and(|text| boolean(&text));
        state.start_time = root.attribute("startTime")?;
        state.last_active = root.attribute("lastActive")?;
        while let Some(element) = reader.child()? {
            let field = Field::of(&element);
            if matches!(field, Field::Activity) {
                let activity = Activity::read_start(&element)?;
                state.activity = Some(activity.read_texts(&mut reader)?);
            } else {
                state.set(&field, some_text(&reader.text_of_element()?))?;
            }
        }
        reader.finish()?;
        Ok(state)
    }

    /// Writes the element, children in the order of the schema.
    pub fn print(&self) -> Fragment {
        let mut writer = XmlWriter::new("state", NAMESPACE);
        if let Some(kind) = self.kind.as_str() {
            writer
                .attribute("xmlns:xsi", SCHEMA_INSTANCE)
                .attribute("xsi:type", kind);
        }
        if self.manual || matches!(self.kind, StateKind::UserState) {
            writer.attribute("manual", boolean_text(self.manual));
        }
        writer
            .attribute_if("startTime", self.start_time.as_deref())
            .attribute_if("lastActive", self.last_active.as_deref());
        if let Some(availability) = self.availability {
            writer.leaf("availability", &availability.to_string());
        }
        if let Some(activity) = &self.activity {
            activity.write(&mut writer);
        }
        writer
            .leaf_if("endpointLocation", self.endpoint_location.as_deref())
            .leaf_if("meetingSubject", self.meeting_subject.as_deref())
            .leaf_if("meetingLocation", self.meeting_location.as_deref())
            .leaf_if("device", self.device.as_deref());
        Fragment::printed(writer)
    }

    fn set(&mut self, field: &Field, text: Option<String>) -> Result<(), BodyError> {
        let slot = match field {
            Field::Availability => {
                self.availability = number(text, "availability")?;
                return Ok(());
            }
            Field::EndpointLocation => &mut self.endpoint_location,
            Field::MeetingSubject => &mut self.meeting_subject,
            Field::MeetingLocation => &mut self.meeting_location,
            Field::Device => &mut self.device,
            Field::Activity | Field::Unknown => return Ok(()),
        };
        *slot = text;
        Ok(())
    }
}

enum Field {
    Availability,
    Activity,
    EndpointLocation,
    MeetingSubject,
    MeetingLocation,
    Device,
    Unknown,
}

impl Field {
    fn of(element: &Element<'_, '_>) -> Self {
        if element.namespace() != Some(NAMESPACE) {
            return Field::Unknown;
        }
        match element.local_name() {
            "availability" => Field::Availability,
            "activity" => Field::Activity,
            "endpointLocation" => Field::EndpointLocation,
            "meetingSubject" => Field::MeetingSubject,
            "meetingLocation" => Field::MeetingLocation,
            "device" => Field::Device,
            _ => Field::Unknown,
        }
    }
}

impl Activity {
    fn read_start(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(Self {
            token: element.attribute("token")?,
            custom: Vec::new(),
            min_availability: number(element.attribute("minAvailability")?, "minAvailability")?,
            max_availability: number(element.attribute("maxAvailability")?, "maxAvailability")?,
        })
    }

    fn read_texts(mut self, reader: &mut XmlReader<'_>) -> Result<Self, BodyError> {
        while let Some(element) = reader.child()? {
            if !element.is(NAMESPACE, "custom") {
                reader.skip_element()?;
                continue;
            }
            if self.custom.len() >= CUSTOM_TEXTS {
                return Err(BodyError::Limit("texts of an activity"));
            }
            let lcid = number(element.attribute("LCID")?, "LCID")?;
            let text = reader.text_of_element()?;
            self.custom.push(CustomText { lcid, text });
        }
        Ok(self)
    }

    fn write(&self, writer: &mut XmlWriter) {
        writer
            .open("activity")
            .attribute_if("token", self.token.as_deref())
            .number_if("minAvailability", self.min_availability)
            .number_if("maxAvailability", self.max_availability);
        for custom in &self.custom {
            writer
                .open("custom")
                .number_if("LCID", custom.lcid)
                .text(&custom.text)
                .close();
        }
        writer.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_state_is_printed_as_watchers_know_it() {
        let mut state = State::new(StateKind::AggregateState);
        state.last_active = Some("2026-11-21T08:00:00Z".to_owned());
        state.availability = Some(15500);
        state.activity = Some(Activity {
            token: Some("away".to_owned()),
            ..Activity::default()
        });
        state.endpoint_location = Some("Room <1>".to_owned());
        state.device = Some("computer".to_owned());
        assert_eq!(
            state.print().as_str(),
            "<state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"aggregateState\" \
             lastActive=\"2026-11-21T08:00:00Z\"><availability>15500</availability><activity token=\"away\"/>\
             <endpointLocation>Room &lt;1&gt;</endpointLocation><device>computer</device></state>"
        );
    }

    #[test]
    fn a_calendar_state_of_a_client_is_read() {
        let state = State::parse(
            b"<s:state xmlns:s='http://schemas.microsoft.com/2006/09/sip/state' manual='false' \
              xmlns:x='http://www.w3.org/2001/XMLSchema-instance' x:type='s:calendarState' startTime='2026-11-21T08:00:00Z'>\
              <s:availability> 6500 </s:availability><s:activity token='in-a-meeting' minAvailability='6500' \
              maxAvailability='8999'><s:custom LCID='1033'>Busy &amp; gone</s:custom></s:activity><s:endpointLocation/>\
              <s:meetingSubject>Plans</s:meetingSubject><s:meetingLocation>Here</s:meetingLocation><device>x</device>\
              <s:new><s:availability>1</s:availability></s:new></s:state>",
        )
        .unwrap();
        let mut expected = State::new(StateKind::CalendarState);
        expected.availability = Some(6500);
        expected.start_time = Some("2026-11-21T08:00:00Z".to_owned());
        expected.activity = Some(Activity {
            token: Some("in-a-meeting".to_owned()),
            custom: vec![CustomText {
                lcid: Some(1033),
                text: "Busy & gone".to_owned(),
            }],
            min_availability: Some(6500),
            max_availability: Some(8999),
        });
        expected.meeting_subject = Some("Plans".to_owned());
        expected.meeting_location = Some("Here".to_owned());
        assert_eq!(state, expected);
    }

    #[test]
    fn a_type_of_another_namespace_is_another_type() {
        let kind = |attributes: &str| {
            let document = format!("<state xmlns='{NAMESPACE}' xmlns:x='{SCHEMA_INSTANCE}' {attributes}/>");
            State::parse(document.as_bytes()).unwrap().kind
        };
        assert_eq!(kind("x:type='userState'"), StateKind::UserState);
        assert_eq!(kind("type='userState'"), StateKind::Other);
        assert_eq!(kind("x:type='moodState'"), StateKind::Other);
        assert_eq!(kind("x:type='y:userState' xmlns:y='urn:y'"), StateKind::Other);
        assert_eq!(kind("x:type='y:userState'"), StateKind::Other);
    }

    #[test]
    fn numbers_out_of_range_are_malformed() {
        for inner in [
            "<availability>65536</availability>",
            "<availability>busy</availability>",
            "<availability>-1</availability>",
            "<activity minAvailability='x'/>",
            "<activity><custom LCID='x'/></activity>",
        ] {
            let document = format!("<state xmlns='{NAMESPACE}'>{inner}</state>");
            let outcome = State::parse(document.as_bytes());
            assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{inner}");
        }
        assert!(matches!(
            State::parse(b"<state/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn the_limit_holds_at_its_value_and_one_above() {
        let texts = |count: usize| {
            let list = "<custom>x</custom>".repeat(count);
            State::parse(format!("<state xmlns='{NAMESPACE}'><activity>{list}</activity></state>").as_bytes())
        };
        assert!(texts(CUSTOM_TEXTS).is_ok());
        assert!(matches!(texts(CUSTOM_TEXTS + 1), Err(BodyError::Limit(_))));
    }
}
