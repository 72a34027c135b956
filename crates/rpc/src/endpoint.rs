//! Names of things that more than one role speaks about.

use std::fmt;
use std::sync::Arc;

use sip_types::AddressOfRecord;
use topology::{MemberId, Partition};

/// One signed-in client of a user, the same over reconnects and restarts of that client.
///
/// Made by the front end from the instance id (RFC 5626) and `reg-id`, the `epid` of a Lync-family client, or the
/// Contact URI of a client that gives neither.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EndpointId(Arc<str>);

impl EndpointId {
    /// Takes the name as it is.
    pub fn new(name: &str) -> Self {
        EndpointId(Arc::from(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Orders the registrations of one endpoint: a newer registration has a larger epoch, and whoever holds an older one
/// has been replaced. The upper bits are seconds, so that a restarted registrar goes on above what it gave before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Epoch(pub u64);

/// A client connection, unique within the life of one front end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which family of clients an endpoint belongs to. It decides the dialect its front end speaks to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClientFamily {
    /// SIP for instant messaging and presence as the IETF defines it.
    Simple,
    /// Clients of Office Communications Server, Lync and Skype for Business.
    Lync,
}

/// How an endpoint takes part in two-party conversations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ImMode {
    /// MESSAGE outside a dialog (RFC 3428): every such endpoint gets a copy.
    Page,
    /// An INVITE with `m=message` opens a session: endpoints ring and one of them takes it.
    Session,
}

/// Where an endpoint is to be reached, with the epoch that must still be the newest when something is sent to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EndpointAddress {
    /// Whose endpoint it is.
    pub aor: AddressOfRecord,
    /// Which of the user's endpoints.
    pub endpoint: EndpointId,
    /// The registration meant. A front end that holds another one answers [`crate::FailureReason::NotOwner`].
    pub epoch: Epoch,
    /// The front end that holds its connection.
    pub member: MemberId,
    /// The connection, at that front end.
    pub connection: ConnectionId,
}

/// One side of a session (an INVITE dialog) between an endpoint and the pool. Random, unique in the pool, made by
/// whoever starts the leg.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LegId(pub u128);

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Identity of a message, given once at the sender's front end and never changed on any hop.
///
/// A digest of the sender's own id bound to the sender when it gave one, else of (sender, endpoint, Call-ID, CSeq, From
/// tag, body, conversation), so that a repeated transmission has the same id. A number, because every message is looked
/// up by it several times and remembered for minutes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MessageId(pub u128);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A two-party conversation: the unordered pair of addresses of record. Dialogs and Call-IDs are only its legs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConversationKey {
    low: AddressOfRecord,
    high: AddressOfRecord,
}

impl ConversationKey {
    /// The conversation of these two, in either order.
    pub fn new(one: &AddressOfRecord, other: &AddressOfRecord) -> Self {
        if one <= other {
            ConversationKey {
                low: one.clone(),
                high: other.clone(),
            }
        } else {
            ConversationKey {
                low: other.clone(),
                high: one.clone(),
            }
        }
    }

    /// The partition of conversations it falls into.
    pub fn partition(&self) -> Partition {
        Partition::of_conversation(self.low.as_str(), self.high.as_str())
    }

    /// The two parties, in the key's own order.
    pub fn parties(&self) -> (&AddressOfRecord, &AddressOfRecord) {
        (&self.low, &self.high)
    }
}
