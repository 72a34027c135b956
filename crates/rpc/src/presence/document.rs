//! What the owner of a presentity makes of its publications.

use std::sync::Arc;

use sip_types::AddressOfRecord;

use crate::presence::{
    AccessLevel, AccessRules, Activity, Availability, ContactCard, Kept, Note, Publication,
};

/// Orders the documents of one presentity: a later owner's before an earlier one's, then by count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct PresenceVersion {
    /// The epoch under which its owner owns the partition; 0 where there is no pool.
    pub epoch: u64,
    /// Counts the documents of that owner.
    pub count: u64,
}

/// A publication that is passed on as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PassedOn {
    /// Name of the category.
    pub category: Arc<str>,
    /// Instance number.
    pub instance: u32,
    /// When it was published, Unix milliseconds.
    pub published_at: u64,
    /// The element.
    pub kept: Kept,
}

/// What watchers of one level see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelView {
    /// How available.
    pub availability: Availability,
    /// Doing what.
    pub activity: Option<Activity>,
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// When somebody was last seen at a device, Unix seconds.
    pub last_active: Option<u64>,
    /// Place of the device, or of the meeting.
    pub location: Option<String>,
    /// Subject of the meeting.
    pub meeting_subject: Option<String>,
    /// Notes, newest first.
    pub notes: Arc<[Note]>,
    /// Who it is.
    pub card: Arc<ContactCard>,
    /// Categories passed on as they were published: calendar data, services, what later clients invent.
    pub passed_on: Arc<[PassedOn]>,
    /// Documents of SIMPLE clients (RFC 3863), whose tuples SIMPLE watchers of this level see.
    pub documents: Arc<[Kept]>,
}

/// The state of a presentity as front ends get it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresenceDocument {
    /// Whose.
    pub presentity: AddressOfRecord,
    /// Orders documents.
    pub version: PresenceVersion,
    /// Who sees how much.
    pub rules: Arc<AccessRules>,
    /// What each level sees: default, external, colleagues, workgroup, friends, blocked.
    pub views: [Arc<LevelView>; 6],
}

impl PresenceDocument {
    /// What watchers of a level see.
    pub fn view(&self, level: AccessLevel) -> &Arc<LevelView> {
        let [default, external, colleagues, workgroup, friends, blocked] = &self.views;
        match level {
            AccessLevel::Default => default,
            AccessLevel::External => external,
            AccessLevel::Colleagues => colleagues,
            AccessLevel::Workgroup => workgroup,
            AccessLevel::Friends => friends,
            AccessLevel::Blocked => blocked,
        }
    }
}

/// How a watcher stands to a presentity (RFC 3857 section 4.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatcherStatus {
    /// Its subscription stands.
    Active,
    /// Its subscription ended.
    Terminated,
}

/// A watcher as its front end saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenWatcher {
    /// Who.
    pub watcher: AddressOfRecord,
    /// The name to show; empty if none is known.
    pub display_name: String,
    /// How it stands.
    pub status: WatcherStatus,
}

/// What a user's own endpoints see of the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnData {
    /// Whose.
    pub user: AddressOfRecord,
    /// Orders own data of one user.
    pub version: PresenceVersion,
    /// The categories that are complete in `publications`; `None`: all there are.
    pub categories: Option<Vec<Arc<str>>>,
    /// Publications with their versions.
    pub publications: Vec<Arc<Publication>>,
    /// Who is at which level, where that changed or was asked for.
    pub rules: Option<Arc<AccessRules>>,
    /// Watchers the user has not acknowledged, where that changed or was asked for.
    pub prompts: Option<Vec<SeenWatcher>>,
    /// Everybody who watches, where that changed or was asked for.
    pub watchers: Option<Vec<SeenWatcher>>,
}
