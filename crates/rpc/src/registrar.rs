//! The registrar role: who somebody is and where they can be reached.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sip_types::{AddressOfRecord, Method, SipStr};
use tokio_stream::wrappers::ReceiverStream;
use topology::MemberId;

use crate::{
    ClientFamily, ConnectionId, EndpointAddress, EndpointId, Epoch, Error, ImMode, PeopleFound, PeopleSearch,
};

/// A proof of identity to be verified. Verifiers and hashes never leave the registrar; proofs come to it.
#[derive(Clone, Debug)]
pub enum Proof {
    /// `Authorization: Digest` (RFC 7616). The front end has checked nonce, replay window and digest URI.
    Digest {
        /// The value of the header, scheme included.
        credentials: SipStr,
        /// Method of the request that carries it.
        method: Method,
        /// The realm that was offered; another one never counts.
        realm: SipStr,
    },
    /// The AUTHENTICATE message of NTLM (MS-SIPAE, MS-NLMP 2.2.1.3).
    Ntlm {
        /// The challenge this server gave, to be used once.
        server_challenge: [u8; 8],
        /// The message, decoded from base64.
        authenticate: Vec<u8>,
    },
}

/// Asks whether a proof is right.
#[derive(Clone, Debug)]
pub struct Authenticate {
    /// Who the request says it is (To of a REGISTER, From of anything else).
    pub claimed: AddressOfRecord,
    /// What it brings.
    pub proof: Proof,
    /// The client's address, for throttling per user and address.
    pub peer: IpAddr,
}

/// 16 bytes both sides derive signing keys from. Not printed, wiped when dropped by those who store it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey(pub [u8; 16]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(***)")
    }
}

/// A verified identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who it is.
    pub aor: AddressOfRecord,
    /// The name people see.
    pub display_name: String,
    /// Present for schemes that sign every message.
    pub session_key: Option<SessionKey>,
}

/// A proof that was not accepted. Unknown user, wrong password and disabled account look alike from outside; the reason
/// is for counters and the audit log only.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// For the operator: `unknown_user`, `wrong_password`, `disabled`, `not_allowed`, `throttled`, `malformed`.
    pub reason: &'static str,
    /// How long to hold back the answer.
    pub delay: Duration,
}

/// A REGISTER that adds or refreshes one endpoint.
#[derive(Clone, Debug)]
pub struct Register {
    /// Whose endpoint.
    pub aor: AddressOfRecord,
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// The Contact URI as the client wrote it.
    pub contact: String,
    /// `+sip.instance` without quotes and brackets, as `urn:uuid:...`.
    pub instance: Option<String>,
    /// `epid` of a Lync-family client.
    pub epid: Option<String>,
    /// RFC 5626 `reg-id`.
    pub reg_id: Option<u32>,
    /// Call-ID of the REGISTER; with `cseq` it orders updates of one binding (RFC 3261 section 10.3 item 7).
    pub call_id: String,
    /// CSeq number of the REGISTER.
    pub cseq: u32,
    /// Seconds asked for; `None` lets the registrar choose.
    pub expires: Option<u32>,
    /// The front end that holds the connection.
    pub member: MemberId,
    /// The connection there.
    pub connection: ConnectionId,
    /// Dialect.
    pub family: ClientFamily,
    /// Whether it rings or gets copies.
    pub mode: ImMode,
    /// User-Agent, for the operator.
    pub user_agent: Option<String>,
}

/// One live registration.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Where the endpoint is.
    pub address: EndpointAddress,
    /// The Contact URI as registered.
    pub contact: String,
    /// `+sip.instance`.
    pub instance: Option<String>,
    /// `epid`.
    pub epid: Option<String>,
    /// RFC 5626 `reg-id`.
    pub reg_id: Option<u32>,
    /// Globally routable user agent URI (RFC 5627), if the endpoint has an instance.
    pub gruu: Option<String>,
    /// Seconds left at the time of the answer.
    pub expires_in: u32,
    /// Dialect.
    pub family: ClientFamily,
    /// Whether it rings or gets copies.
    pub mode: ImMode,
    /// User-Agent.
    pub user_agent: Option<String>,
}

/// The answer to an accepted [`Register`].
#[derive(Clone, Debug)]
pub struct Registered {
    /// Epoch of this registration; the connection carries it from now on.
    pub epoch: Epoch,
    /// Seconds granted.
    pub expires: u32,
    /// All live bindings of the user, this one included.
    pub bindings: Vec<Binding>,
    /// True when the endpoint was not bound before.
    pub is_new: bool,
}

/// Why a [`Register`] or [`Unregister`] changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegisterError {
    /// 423: the expiry asked for is below the minimum, in seconds.
    #[error("the expiry asked for is below the minimum of {0} s")]
    IntervalTooBrief(u32),
    /// 400: an older request of the same Call-ID arrived late (RFC 3261 section 10.3).
    #[error("a newer REGISTER of this Call-ID has been processed")]
    OutOfOrder,
    /// 404: no such account.
    #[error("no such user")]
    NoSuchUser,
    /// 403: the account or its policy does not allow it.
    #[error("registration is not allowed for this user")]
    Forbidden,
    /// The registrar failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What an [`Unregister`] removes.
#[derive(Clone, Debug)]
pub enum Which {
    /// One endpoint.
    Endpoint(EndpointId),
    /// `Contact: *`.
    All,
    /// One endpoint if it still has this epoch: its connection died.
    Connection(EndpointId, Epoch),
}

/// Removes bindings. Repeating it is harmless.
#[derive(Clone, Debug)]
pub struct Unregister {
    /// Whose.
    pub aor: AddressOfRecord,
    /// Which.
    pub which: Which,
    /// Call-ID and CSeq of the REGISTER; `None` when a connection died.
    pub order: Option<(String, u32)>,
}

/// Where a user is.
#[derive(Clone, Debug)]
pub struct Location {
    /// The name people see.
    pub display_name: String,
    /// Live bindings, oldest first. Empty: known, but signed in nowhere.
    pub bindings: Arc<[Binding]>,
}

/// Why a binding ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BindingEnd {
    /// The client signed out or its connection died: nobody needs to be told.
    Unregistered,
    /// It was not refreshed in time.
    Expired,
    /// The same endpoint signed in on a newer connection.
    Replaced,
    /// A ninth endpoint signed in; this was the oldest.
    Displaced,
    /// An administrator ended it, or the account was disabled or deleted.
    Rejected,
}

/// Something about a user's bindings changed. Caches drop what they hold for `aor`.
#[derive(Clone, Debug)]
pub struct BindingChange {
    /// Whose bindings.
    pub aor: AddressOfRecord,
    /// The bindings that ended and why. The front end that holds the connection tells the client and closes.
    pub ended: Vec<(EndpointAddress, BindingEnd)>,
    /// The account may not be used any more: whatever is signed in as this user ends, bound or not.
    pub account_ended: bool,
}

/// A change others cache things about.
#[derive(Clone, Debug)]
pub enum RegistrarChange {
    /// Bindings of a user.
    Bindings(BindingChange),
    /// What is known of a user besides bindings: the name, the policies that apply.
    Account(AddressOfRecord),
    /// Policies: whatever is cached of them, of whomever.
    Policies,
    /// The organisational group of this address: made, changed or removed. `None`: any, for changes may have been missed.
    Group(Option<AddressOfRecord>),
}

/// How old an answer may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// As old as the last change that was announced: answers may come from a cache.
    Cached,
    /// As the registrar knows it now: the caller has seen that what it was told before no longer holds.
    Newest,
}

/// Rules of REGISTER, the location service, and verification of identity.
#[async_trait]
pub trait Registrar: Send + Sync + 'static {
    /// Verifies a proof. Same work and same answer for a user that does not exist. No effect but counters: may be retried.
    async fn authenticate(&self, request: Authenticate) -> Result<Result<Identity, Refusal>, Error>;

    /// Adds or refreshes an endpoint. A repeated request with equal Call-ID and CSeq is [`RegisterError::OutOfOrder`]
    /// unless it comes from the same connection, which gets the same answer again.
    async fn register(&self, request: Register) -> Result<Registered, RegisterError>;

    /// Removes bindings and returns those that are left.
    async fn unregister(&self, request: Unregister) -> Result<Vec<Binding>, RegisterError>;

    /// Where a user is; `None` if there is no such user. Read only.
    async fn lookup(&self, aor: &AddressOfRecord, freshness: Freshness) -> Result<Option<Location>, Error>;

    /// All changes from now on. A receiver that lags loses its stream and must ask again, dropping its caches.
    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error>;

    /// The values of the nearest policy of `kind` for this user. Read only; answers come from a cache that a change
    /// invalidates.
    async fn policy(&self, kind: &str, aor: &AddressOfRecord) -> Result<Arc<crate::EffectivePolicy>, Error>;

    /// People whose accounts are enabled and match every word. InvalidRequest for too many words, TooMany while others search
    /// as many as may. Read only.
    async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error>;
}

/// Reaches the registrar wherever it runs.
#[derive(Clone)]
pub struct RegistrarClient(Arc<dyn Registrar>);

impl RegistrarClient {
    /// A registrar in this process.
    pub fn local(registrar: Arc<dyn Registrar>) -> Self {
        RegistrarClient(registrar)
    }
}

impl Deref for RegistrarClient {
    type Target = dyn Registrar;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
