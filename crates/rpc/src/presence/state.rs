//! What somebody is doing: availability, activity, notes, the contact card.

use std::sync::Arc;

/// The availability number of the Lync family: larger is less available. See [`Band`] for what ranges mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Availability(pub u16);

impl Availability {
    /// Available.
    pub const AVAILABLE: Availability = Availability(3_500);
    /// Available, but at no keyboard for a while.
    pub const IDLE: Availability = Availability(5_000);
    /// Busy.
    pub const BUSY: Availability = Availability(6_500);
    /// Busy, urgent interruptions only: what the workgroup sees of somebody who does not want to be disturbed.
    pub const URGENT_ONLY: Availability = Availability(6_900);
    /// Busy, but at no keyboard for a while.
    pub const BUSY_IDLE: Availability = Availability(7_500);
    /// Do not disturb.
    pub const DO_NOT_DISTURB: Availability = Availability(9_500);
    /// Be right back.
    pub const BE_RIGHT_BACK: Availability = Availability(12_500);
    /// Away.
    pub const AWAY: Availability = Availability(15_500);
    /// Offline, or not to be seen.
    pub const OFFLINE: Availability = Availability(18_500);

    /// What the number means.
    pub const fn band(self) -> Band {
        match self.0 {
            ..3_000 => Band::Undefined,
            3_000..4_500 => Band::Available,
            4_500..6_000 => Band::Idle,
            6_000..7_500 => Band::Busy,
            7_500..9_000 => Band::BusyIdle,
            9_000..12_000 => Band::DoNotDisturb,
            12_000..15_000 => Band::BeRightBack,
            15_000..18_000 => Band::Away,
            18_000.. => Band::Offline,
        }
    }
}

/// What a range of availability numbers means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Band {
    /// 0 to 2999: nothing is known; shown as offline.
    Undefined,
    /// 3000 to 4499.
    Available,
    /// 4500 to 5999: available, idle.
    Idle,
    /// 6000 to 7499.
    Busy,
    /// 7500 to 8999: busy, idle.
    BusyIdle,
    /// 9000 to 11999.
    DoNotDisturb,
    /// 12000 to 14999.
    BeRightBack,
    /// 15000 to 17999.
    Away,
    /// 18000 and more.
    Offline,
}

impl Band {
    /// The name on command lines and in documents for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Band::Undefined => "undefined",
            Band::Available => "available",
            Band::Idle => "idle",
            Band::Busy => "busy",
            Band::BusyIdle => "busy-idle",
            Band::DoNotDisturb => "do-not-disturb",
            Band::BeRightBack => "be-right-back",
            Band::Away => "away",
            Band::Offline => "offline",
        }
    }
}

/// What somebody is doing, in words.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Activity {
    /// A token of the Lync family: `on-the-phone`, `in-a-conference`, `in-a-meeting`, `out-of-office`, `in-presentation`,
    /// `urgent-interruptions-only`, `off-work`, `be-right-back`, `away`, or one of a later client.
    Token(Arc<str>),
    /// Words of the user's own, one per language.
    Custom(Arc<[CustomText]>),
}

/// A custom state in one language.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CustomText {
    /// Windows language id (`1033` is US English).
    pub lcid: u32,
    /// At most 64 characters.
    pub text: String,
}

/// Where a state comes from. The order says nothing: `docs/presence.md` has the table of who wins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Source {
    /// A device: somebody is, or is not, at it. One per endpoint.
    Machine,
    /// The user's own choice.
    User,
    /// A meeting in the calendar.
    Calendar,
    /// Out of office, by the calendar.
    OutOfOffice,
    /// A phone call.
    Phone,
    /// A conference.
    Conference,
}

impl Source {
    /// The name on command lines and in documents for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Machine => "machine",
            Source::User => "user",
            Source::Calendar => "calendar",
            Source::OutOfOffice => "out-of-office",
            Source::Phone => "phone",
            Source::Conference => "conference",
        }
    }
}

/// One state one source reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateInput {
    /// Where it comes from.
    pub source: Source,
    /// How available that makes the user.
    pub availability: Availability,
    /// In words.
    pub activity: Option<Activity>,
    /// Place the user gave to the endpoint ("Office"), and what a meeting is about and where it is.
    pub location: Option<String>,
    /// Subject of a meeting.
    pub meeting_subject: Option<String>,
    /// Place of a meeting.
    pub meeting_location: Option<String>,
    /// From when it counts, Unix seconds; `None`: at once.
    pub starts_at: Option<u64>,
    /// When somebody was last seen at the device, Unix seconds, by the server's clock.
    pub last_active: Option<u64>,
}

impl StateInput {
    /// A state with nothing but its number.
    pub const fn new(source: Source, availability: Availability) -> Self {
        StateInput {
            source,
            availability,
            activity: None,
            location: None,
            meeting_subject: None,
            meeting_location: None,
            starts_at: None,
            last_active: None,
        }
    }
}

/// What kind of note.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoteKind {
    /// What the user wrote.
    Personal,
    /// The text of an out-of-office reply.
    OutOfOffice,
}

/// A text the user shows to others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Note {
    /// What kind.
    pub kind: NoteKind,
    /// The text.
    pub text: String,
    /// Language (`xml:lang`), if it was told.
    pub language: Option<String>,
}

/// What kind of phone number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PhoneKind {
    /// Work.
    Work,
    /// Mobile.
    Mobile,
    /// Home.
    Home,
    /// Anything else.
    Other,
}

/// A phone number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Phone {
    /// What kind.
    pub kind: PhoneKind,
    /// As a URI, `tel:+4930123456`.
    pub uri: String,
    /// As people read it.
    pub display: String,
}

/// Who somebody is, for others.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ContactCard {
    /// The name people see.
    pub display_name: String,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// Phone numbers.
    pub phones: Vec<Phone>,
    /// Title.
    pub title: Option<String>,
    /// Office.
    pub office: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Department.
    pub department: Option<String>,
    /// A page about the person.
    pub url: Option<String>,
}
