//! The documents of Lync-family presence, contacts, search and settings.
//!
//! | Document | Content type | Module | Server |
//! |---|---|---|---|
//! | `categories`, to watchers | `application/msrtc-event-categories+xml` | [`categories`] | prints |
//! | `publish` | `application/msrtc-category-publish+xml` | [`publish`] | reads |
//! | `roamingList`, `roamingData` | `application/vnd-microsoft-roaming-self+xml` | [`roaming_self`] | reads, prints |
//! | `setContainerMembers` | `application/msrtc-setcontainermembers+xml` | [`containers`] | reads |
//! | `setSubscribers` | `application/msrtc-presence-setsubscriber+xml` | [`set_subscribers`] | reads |
//! | `Fault` | `application/msrtc-fault+xml` | [`fault`] | prints |
//! | `contactList`, `contactDelta` | `application/vnd-microsoft-roaming-contacts+xml` | [`contacts`] | prints |
//! | SOAP: contact list, directory search | `application/SOAP+xml` | [`soap`] | reads, prints |
//! | `provisioningGroupList`, `provisionGroupList` | `application/vnd-microsoft-roaming-provisioning-v2+xml` | [`provisioning`] | reads, prints |
//! | `batchSub` | `application/msrtc-adrl-categorylist+xml` | [`batch_subscribe`] | reads |
//! | parts of one answer | `multipart/related` | [`Related`](crate::multipart::Related) | prints |
//!
//! What a category holds is kept whole, as a [`Fragment`](crate::fragment::Fragment): a server stores and forwards what it
//! does not know. Where it has to look inside: [`state`], [`note`], [`contact_card`], [`device`]. `calendarData` is
//! never looked into.
//!
//! Elements are known by namespace and name, never by prefix. Elements and attributes that are not known are passed
//! over; a value that is needed and can not be understood is [`BodyError::Malformed`]. Times are kept as they were
//! written. MS-PRES, MS-SIP and the Lync 2013 presence schema; the trials were made with the libpurple client SIPE.

use crate::BodyError;

pub mod batch_subscribe;
pub mod categories;
pub mod contact_card;
pub mod contacts;
pub mod containers;
pub mod device;
pub mod fault;
pub mod note;
pub mod provisioning;
pub mod publish;
pub mod roaming_self;
pub mod set_subscribers;
pub mod soap;
pub mod state;

#[cfg(test)]
mod tests;

/// How long a publication lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExpireType {
    /// Until it is replaced or removed.
    Static,
    /// Until the user's last endpoint signs out.
    User,
    /// Until the endpoint that published it signs out.
    Endpoint,
    /// For a number of seconds.
    Time,
}

impl ExpireType {
    const ALL: [Self; 4] = [Self::Static, Self::User, Self::Endpoint, Self::Time];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            ExpireType::Static => "static",
            ExpireType::User => "user",
            ExpireType::Endpoint => "endpoint",
            ExpireType::Time => "time",
        }
    }

    fn parse(text: &str) -> Result<Self, BodyError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text.trim());
        known.ok_or(BodyError::Malformed("unknown expireType"))
    }
}

/// The number of a container: who sees what is published in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContainerId(u16);

impl ContainerId {
    /// The largest number there is.
    pub const MAX: Self = Self(32_767);

    /// A container by its number; `None` beyond [`ContainerId::MAX`].
    pub const fn new(number: u16) -> Option<Self> {
        if number <= Self::MAX.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }

    fn parse(text: &str) -> Result<Self, BodyError> {
        let number = text.trim().parse().ok().and_then(Self::new);
        number.ok_or(BodyError::Malformed("container number"))
    }
}

/// A number that may be missing but not wrong.
fn number<T: std::str::FromStr>(text: Option<String>, what: &'static str) -> Result<Option<T>, BodyError> {
    text.map(|text| text.trim().parse().map_err(|_| BodyError::Malformed(what)))
        .transpose()
}

/// A number that has to be there.
fn required_number<T: std::str::FromStr>(text: Option<String>, what: &'static str) -> Result<T, BodyError> {
    number(text, what)?.ok_or(BodyError::Malformed(what))
}

/// XML Schema `boolean`. What is neither counts as false.
fn boolean(text: &str) -> bool {
    matches!(text.trim(), "true" | "1")
}

const fn boolean_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The text of an element, `None` if it is blank.
fn some_text(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
