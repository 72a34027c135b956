//! Presence, access levels, and contact lists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What somebody sees of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Presence {
    /// `user@domain`.
    pub presentity: String,
    /// Who sees it; absent: the user.
    pub watcher: Option<String>,
    /// The watcher's access level: `default`, `external`, `colleagues`, `workgroup`, `friends` or `blocked`.
    pub level: String,
    /// `available`, `idle`, `busy`, `busy-idle`, `do-not-disturb`, `be-right-back`, `away` or `offline`.
    pub state: String,
    /// The number of the Lync family behind it.
    pub availability: u16,
    /// In words, or as a token such as `in-a-meeting`.
    pub activity: Option<String>,
    /// Since when, Unix seconds; 0: this level is not told.
    pub since: u64,
    /// When the user was last seen at a device, Unix seconds.
    pub last_active: Option<u64>,
    /// Place of the device, or of the meeting.
    pub location: Option<String>,
    /// Subject of the meeting.
    pub meeting_subject: Option<String>,
    /// Notes, newest first.
    pub notes: Vec<PresenceNote>,
    /// The name people see.
    pub display_name: String,
}

/// A text the user shows to others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PresenceNote {
    /// `personal` or `out-of-office`.
    pub kind: String,
    /// The text.
    pub text: String,
}

/// Who is to be at which access level.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Watcher and level. A watcher is `user@domain`, `domain:<domain>`, `same-enterprise`, `federated`, `public-cloud` or
    /// `everyone`; the level `default` takes back what was said of it.
    pub levels: BTreeMap<String, String>,
}

/// The members of one access level.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LevelMembers {
    /// The level.
    pub level: String,
    /// Its members, in the words of [`Levels`].
    pub members: Vec<String>,
}

/// What another source says of a user. What is absent stays.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarReport>,
    /// Whether the user is out of office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_office: Option<OutOfOfficeReport>,
    /// The note an administrator shows with the user; empty: none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Times are RFC 3339 (`2026-11-21T10:00:00Z`) or Unix seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarReport {
    /// `true`: a meeting. `false`: meetings that overlap this time are taken back.
    pub busy: bool,
    /// When it begins; absent: now, or for what is taken back the beginning of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When it ends; a meeting needs it; absent: the end of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Times as in [`CalendarReport`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutOfOfficeReport {
    /// `false`: the user is back, and the text is gone.
    pub away: bool,
    /// From when; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Until when; absent: until this is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The text of the reply, for those who may see it; not with a time to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Why a watcher sees what it sees of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PresenceExplanation {
    /// What it sees.
    pub seen: Presence,
    /// The membership that gave the level, in the words of [`Levels`]; absent: nothing names the watcher, or it is the user.
    pub by: Option<String>,
    /// Privacy mode: classes of watchers count only for blocking.
    pub contacts_only: bool,
    /// The row of the table in `docs/presence.md` that gave the state; absent where the level sees none.
    pub row: Option<u8>,
    /// Every state that is reported of the user, newest first.
    pub sources: Vec<PresenceSource>,
}

/// One state that is reported of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PresenceSource {
    /// `machine`, `user`, `calendar`, `out-of-office`, `phone` or `conference`.
    pub source: String,
    /// As in [`Presence`].
    pub state: String,
    /// As in [`Presence`].
    pub availability: u16,
    /// As in [`Presence`].
    pub activity: Option<String>,
    /// The endpoint that published it; absent: an administrator or another source.
    pub endpoint: Option<String>,
    /// Category, instance and container name the publication.
    pub category: String,
    /// See `category`.
    pub instance: u32,
    /// See `category`.
    pub container: u16,
    /// Counts the changes of the publication.
    pub version: u32,
    /// What it ends with: `nothing`, `user` (the last endpoint) or `endpoint`.
    pub ends_with: String,
    /// When it was published, Unix seconds.
    pub published_at: u64,
    /// Seconds since then.
    pub age: u64,
    /// From when it counts, Unix seconds; absent: since it was published.
    pub starts_at: Option<u64>,
    /// When it ends by itself, Unix seconds.
    pub ends_at: Option<u64>,
}

/// A contact list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contacts {
    /// Counts its changes.
    pub delta: u64,
    /// The contacts, in the order in which they were added.
    pub contacts: Vec<Contact>,
}

/// A contact in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// `user@domain`.
    pub address: String,
    /// The name the user gave; empty: the contact's own.
    pub name: String,
    /// Names of the groups it is in; `~` is that of contacts in no other.
    pub groups: Vec<String>,
    /// Whether the user wants to see its presence.
    pub subscribed: bool,
}

/// One contact more, or another name for it.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetContact {
    /// The name the user sees; absent: as it is, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
