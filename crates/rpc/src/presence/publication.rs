//! What clients publish, and how it is named, versioned and ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_types::AddressOfRecord;

use crate::EndpointId;
use crate::presence::{ContactCard, Note, OwnData, StateInput};

/// Names of categories. Others are kept and passed on as they are.
pub mod category {
    /// States of devices, of the user, of calendar and phone.
    pub const STATE: &str = "state";
    /// Personal and out-of-office notes.
    pub const NOTE: &str = "note";
    /// Names, numbers, addresses.
    pub const CONTACT_CARD: &str = "contactCard";
    /// Working hours, free and busy times.
    pub const CALENDAR_DATA: &str = "calendarData";
    /// What an endpoint can do.
    pub const DEVICE: &str = "device";
    /// What all endpoints together can do.
    pub const SERVICES: &str = "services";
    /// The presence document of a SIMPLE client (RFC 3863), one per endpoint.
    pub const PIDF: &str = "pidf";
}

/// Name of a publication of one user: (category, instance, container).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PublicationKey {
    /// Name of the category; [`category`] has those the pool knows.
    pub category: Arc<str>,
    /// Instance number, chosen by the client so that endpoints do not collide.
    pub instance: u32,
    /// Container it is published to: 0 to 32767; a publication of a SIMPLE client is in container 2.
    pub container: u16,
}

/// What a publication ends with, besides its own end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bound {
    /// Nothing: it stays until it is deleted, also while the user is signed in nowhere.
    Static,
    /// The user's last endpoint.
    User,
    /// The endpoint that published it.
    Endpoint,
}

/// How long a publication lives: to the end of what it is bound to, and no longer than `expires`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lifetime {
    /// What it ends with.
    pub bound: Bound,
    /// At most this long from when it was accepted.
    pub expires: Option<Duration>,
}

/// A publication as its client wrote it, to be passed on unchanged to clients of the same dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Whose words these are.
    pub format: KeptFormat,
    /// A self-contained XML element (a whole document for [`KeptFormat::Pidf`]); empty if there is none.
    pub xml: Bytes,
}

/// The dialect of a [`Kept`] element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeptFormat {
    /// The child element of a `publication` of the Lync family (MS-PRES).
    Category,
    /// `application/pidf+xml` (RFC 3863).
    Pidf,
}

/// What the pool itself understands of a publication.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublicationContent {
    /// States: one, or what a SIMPLE document says by several of its elements.
    States(Arc<[StateInput]>),
    /// Notes; empty: the note was taken back.
    Notes(Arc<[Note]>),
    /// States and notes of one SIMPLE document.
    Document {
        /// Its states.
        states: Arc<[StateInput]>,
        /// Its notes.
        notes: Arc<[Note]>,
    },
    /// A contact card.
    Card(Arc<ContactCard>),
    /// Nothing: it is passed on as it is.
    Opaque,
}

/// A publication as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// Its name.
    pub key: PublicationKey,
    /// Counts its changes, from 1.
    pub version: u32,
    /// The endpoint that published it last; `None`: the pool, an administrator or another source.
    pub endpoint: Option<EndpointId>,
    /// What it ends with.
    pub lifetime: Lifetime,
    /// When it was accepted, Unix milliseconds by the server's clock.
    pub published_at: u64,
    /// What is understood of it.
    pub content: PublicationContent,
    /// What is passed on of it.
    pub kept: Option<Kept>,
}

/// One change in a [`Publish`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishOne {
    /// Sets a publication.
    Set {
        /// Its name.
        key: PublicationKey,
        /// The version the client knows; 0: none. `None`: whatever it is, this replaces it.
        known: Option<u32>,
        /// What it ends with.
        lifetime: Lifetime,
        /// What is understood of it.
        content: PublicationContent,
        /// What is passed on of it.
        kept: Option<Kept>,
    },
    /// Prolongs a publication without changing it (RFC 3903 section 4.3). Its version grows all the same: it is the entity tag.
    Refresh {
        /// Its name.
        key: PublicationKey,
        /// The version the client knows.
        known: u32,
        /// How long it lives from now on.
        lifetime: Lifetime,
    },
    /// Deletes a publication.
    Remove {
        /// Its name.
        key: PublicationKey,
        /// The version the client knows; `None`: whatever it is.
        known: Option<u32>,
    },
}

impl PublishOne {
    /// The publication it is about.
    pub fn key(&self) -> &PublicationKey {
        match self {
            PublishOne::Set { key, .. }
            | PublishOne::Refresh { key, .. }
            | PublishOne::Remove { key, .. } => key,
        }
    }

    /// The version the client knows.
    pub fn known(&self) -> Option<u32> {
        match self {
            PublishOne::Set { known, .. } | PublishOne::Remove { known, .. } => *known,
            PublishOne::Refresh { known, .. } => Some(*known),
        }
    }
}

/// Changes of one user's publications, all or none of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// Whose.
    pub user: AddressOfRecord,
    /// The endpoint that publishes; `None`: an administrator or another source.
    pub endpoint: Option<EndpointId>,
    /// In order.
    pub changes: Vec<PublishOne>,
}

/// A publication and its version after a [`Publish`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredVersion {
    /// Its name.
    pub key: PublicationKey,
    /// Its version now; 0: it is gone.
    pub version: u32,
}

/// What an accepted [`Publish`] left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// The versions, in the order of the changes.
    pub versions: Vec<StoredVersion>,
    /// All publications of the categories that were touched: what the user's endpoints have to know.
    pub own: Arc<OwnData>,
}

/// Why a [`Publish`] changed nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublishRefusal {
    /// 404: no such user.
    #[error("no such user")]
    NoSuchUser,
    /// 409 (412 for a SIMPLE client): these are at another version. Each is (place in the request from 0, version known to the
    /// client, current version).
    #[error("another version is current")]
    Conflict(Vec<(usize, u32, u32)>),
    /// 403: a limit of the user's policy or of the pool, in words.
    #[error("{0}")]
    Limit(String),
    /// 400: what cannot be, in words.
    #[error("{0}")]
    Invalid(String),
}
