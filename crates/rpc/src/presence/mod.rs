//! The presence role: a person's state, seen by the right people at the right detail.
//!
//! What clients publish are [`Publication`]s, each named by a [`PublicationKey`] and carrying a version. The owner of a
//! presentity merges them into one [`PresenceDocument`]: who may see how much ([`AccessRules`]) and what each level sees
//! ([`LevelView`]). A front end follows a presentity once, however many of its clients watch it, gets the newest document
//! after every change, resolves the level of each watcher itself and renders in the watcher's dialect.
//!
//! The words are those of the Lync family where SIMPLE has none (category, container, access level) and those of RFC 3856
//! otherwise (presentity, watcher).

mod access;
mod contacts;
mod document;
mod publication;
mod state;

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use tokio_stream::wrappers::ReceiverStream;
use topology::{MemberId, Partition};

use crate::Error;

pub use access::{AccessLevel, AccessRules, Container, ContainerMember, MemberChange, MemberChanges, Origin};
pub use contacts::{
    Contact, ContactChange, ContactChanged, ContactGroup, ContactList, ContactNews, ContactRefusal,
    ListedGroup, Shown,
};
pub use document::{
    LevelView, OwnData, PassedOn, PresenceDocument, PresenceVersion, SeenWatcher, WatcherStatus,
};
pub use publication::{
    Bound, Kept, KeptFormat, Lifetime, Publication, PublicationContent, PublicationKey, Publish, PublishOne,
    PublishRefusal, Published, StoredVersion, category,
};
pub use state::{
    Activity, Availability, Band, ContactCard, CustomText, Note, NoteKind, Phone, PhoneKind, Source,
    StateInput,
};

/// What the owner tells a front end.
#[derive(Clone, Debug)]
pub enum PresenceNews {
    /// The newest document of a presentity the front end follows. It replaces what the front end had, unless that is newer.
    Document(Arc<PresenceDocument>),
    /// Own data of a user whose endpoints are signed in at this front end and asked for it: the whole of what changed.
    Own(Arc<OwnData>),
    /// A user's contact list changed: for that user's endpoints at this front end.
    Contacts(Arc<ContactNews>),
    /// Organisational groups in the contact list of this user are not as they were, for that user's endpoints at this front
    /// end: whoever shows the list looks it up.
    GroupsChanged(AddressOfRecord),
    /// What was followed in this partition has to be followed again: its owner changed, or news were lost.
    Lost(Partition),
}

/// One front end follows one presentity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Follow {
    /// Whom.
    pub presentity: AddressOfRecord,
    /// True: endpoints of that very user are here and want its own data and contact list besides.
    pub own: bool,
}

/// Why there is nothing to follow, per presentity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FollowRefusal {
    /// No such user: 404.
    #[error("no such user")]
    NoSuchUser,
}

/// What a front end asks of the owner of a presentity.
///
/// An owner that does not own the presentity (any more) answers [`crate::ErrorCode::Unavailable`] and has done nothing: the request
/// is to be made again, to the new owner.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// Publishes, all or nothing. A publication whose version is not the current one is refused as a conflict that tells the
    /// current one. A repeated publish that was accepted before is such a conflict, and harmless.
    async fn publish(&self, publish: Publish) -> Result<Result<Published, PublishRefusal>, Error>;

    /// Everything a user has published, with versions, the access rules and the watchers. Read only.
    async fn own(&self, user: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error>;

    /// Begins to follow presentities; each answer is its present document, later ones come as [`PresenceNews`] on the
    /// stream of [`Presence::news`], which must be open. Following again is harmless and gives the present document.
    async fn follow(
        &self,
        member: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error>;

    /// Ends following. Harmless if there was none.
    async fn unfollow(&self, member: &MemberId, presentities: Vec<AddressOfRecord>) -> Result<(), Error>;

    /// News for a front end from now on. A front end has one stream; a new one replaces it. Whoever loses it follows again.
    async fn news(&self, member: &MemberId) -> Result<ReceiverStream<PresenceNews>, Error>;

    /// Tells who watches a presentity through this front end: deltas, the newest status of each watcher counts. For watcher
    /// information and "added you" prompts. Repeating it is harmless.
    async fn watched(
        &self,
        member: &MemberId,
        presentity: &AddressOfRecord,
        watchers: Vec<SeenWatcher>,
    ) -> Result<(), Error>;

    /// Changes who is at which access level. Refused as a conflict when a container's version is not the current one.
    async fn change_members(
        &self,
        user: &AddressOfRecord,
        changes: MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error>;

    /// The user has seen that these watch: they are not prompted for again. Repeating it is harmless.
    async fn acknowledge(&self, user: &AddressOfRecord, watchers: Vec<AddressOfRecord>) -> Result<(), Error>;

    /// A user's contact list; an empty one if nothing was stored. Read only.
    async fn contacts(&self, user: &AddressOfRecord) -> Result<Arc<ContactList>, Error>;

    /// Changes a contact list under the number the client knows; the answer tells the new one.
    async fn change_contacts(
        &self,
        user: &AddressOfRecord,
        known: Option<u64>,
        change: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error>;
}

/// Reaches the owner of a presentity wherever it is.
#[derive(Clone)]
pub struct PresenceClient(Arc<dyn Presence>);

impl PresenceClient {
    /// A presence role in this process.
    pub fn local(presence: Arc<dyn Presence>) -> Self {
        PresenceClient(presence)
    }
}

impl Deref for PresenceClient {
    type Target = dyn Presence;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
