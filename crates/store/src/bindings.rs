//! Bindings: the location service (RFC 3261 section 10), with tombstones and fencing.
//!
//! A user's bindings change as a whole: whoever decides reads a [`UserBindings`] with its [`Revision`], works out a
//! [`BindingUpdate`] and commits it against that revision. If anything changed in between, nothing happens and the caller
//! decides again. This includes compare-and-set on (endpoint, epoch): where the epoch of an endpoint is another than the
//! one the decision was made on, the revision is another too. So a memory backend needs a lock per user, a shared one a
//! script per user, and the rules need neither.

use std::sync::Arc;

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use topology::MemberId;

use crate::StoreError;

/// Milliseconds on the caller's monotone clock, whose zero is the caller's affair. A backend shared by processes keeps
/// the difference to `now` against a clock of its own, so that a step of the wall clock expires nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time later.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        Timestamp(self.0.saturating_add((seconds as u64).saturating_mul(1_000)))
    }

    /// Whole seconds from `now` until this, rounded up; 0 if it has passed.
    pub const fn seconds_from(self, now: Timestamp) -> u32 {
        let seconds = self.0.saturating_sub(now.0).div_ceil(1_000);
        if seconds > u32::MAX as u64 {
            u32::MAX
        } else {
            seconds as u32
        }
    }
}

/// How long a tombstone lives: longer than any request can be on its way so that a delayed refresh never brings an
/// endpoint back.
pub const TOMBSTONE_TTL_MS: u64 = 60_000;

/// Tombstones kept per user; beyond it the oldest go.
pub const MAX_TOMBSTONES: usize = 32;

/// Orders the states of one user's bindings. It only ever grows, also across a time without bindings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Revision(pub u64);

impl Revision {
    /// The state of a user nobody ever heard of.
    pub const NONE: Revision = Revision(0);
}

/// One live registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// Which of the user's endpoints; unique per user.
    pub endpoint: Arc<str>,
    /// Fences this registration against older ones of the endpoint.
    pub epoch: u64,
    /// The front end that holds the connection.
    pub member: MemberId,
    /// The connection there.
    pub connection: u64,
    /// The Contact URI as registered.
    pub contact: String,
    /// `+sip.instance`.
    pub instance: Option<String>,
    /// `epid`.
    pub epid: Option<String>,
    /// RFC 5626 `reg-id`.
    pub reg_id: Option<u32>,
    /// Globally routable user agent URI.
    pub gruu: Option<String>,
    /// True for a Lync-family client.
    pub lync: bool,
    /// True for an endpoint that takes sessions, false for page mode.
    pub session: bool,
    /// User-Agent.
    pub user_agent: Option<String>,
    /// Call-ID of the last accepted REGISTER.
    pub call_id: String,
    /// Its CSeq number.
    pub cseq: u32,
    /// Seconds it was granted.
    pub granted: u32,
    /// True if that REGISTER bound an endpoint that was not bound.
    pub was_new: bool,
    /// When it ends.
    pub deadline: Timestamp,
}

impl Binding {
    /// True once it has passed its deadline.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.deadline <= now
    }

    /// The tombstone of this registration, ending now.
    pub fn tombstone(&self, fenced: bool, now: Timestamp) -> Tombstone {
        Tombstone {
            endpoint: self.endpoint.clone(),
            epoch: self.epoch,
            member: self.member.clone(),
            connection: self.connection,
            fenced,
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            until: Timestamp(now.0.saturating_add(TOMBSTONE_TTL_MS)),
        }
    }
}

/// What is remembered of a registration that ended, so that a late request does not bring it back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// Epoch of the registration that ended.
    pub epoch: u64,
    /// The front end that held it.
    pub member: MemberId,
    /// Its connection.
    pub connection: u64,
    /// True: that connection may not register this endpoint again (it was replaced, displaced, rejected or is dead).
    pub fenced: bool,
    /// Call-ID of the last REGISTER that was obeyed.
    pub call_id: String,
    /// Its CSeq number.
    pub cseq: u32,
    /// When it may be forgotten.
    pub until: Timestamp,
}

/// All that is known of one user's bindings at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserBindings {
    /// Names this state.
    pub revision: Revision,
    /// Live bindings, oldest first.
    pub bindings: Vec<Arc<Binding>>,
    /// Tombstones, oldest first.
    pub tombstones: Vec<Arc<Tombstone>>,
}

impl UserBindings {
    /// Nothing known.
    pub const fn none() -> Self {
        UserBindings {
            revision: Revision::NONE,
            bindings: Vec::new(),
            tombstones: Vec::new(),
        }
    }

    /// The live binding of an endpoint.
    pub fn binding(&self, endpoint: &str) -> Option<&Arc<Binding>> {
        self.bindings
            .iter()
            .find(|binding| &*binding.endpoint == endpoint)
    }

    /// The largest epoch in here; a new one must be larger.
    pub fn newest_epoch(&self) -> u64 {
        let bound = self.bindings.iter().map(|binding| binding.epoch).max();
        let ended = self.tombstones.iter().map(|tombstone| tombstone.epoch).max();
        bound.max(ended).unwrap_or(0)
    }

    /// The earliest time at which something in here ends.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let bound = self.bindings.iter().map(|binding| binding.deadline);
        let ended = self.tombstones.iter().map(|tombstone| tombstone.until);
        bound.chain(ended).min()
    }

    /// True when nothing is left to remember.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.tombstones.is_empty()
    }
}

/// A change of one user's bindings, applied as a whole: first removals, then the binding, then the tombstones.
#[derive(Clone, Default, Debug)]
pub struct BindingUpdate {
    /// Endpoints whose bindings end.
    pub remove: Vec<Arc<str>>,
    /// A binding to add, or to put in the place of the same endpoint's. With an equal epoch (a refresh) it keeps its
    /// place in the order, with another it becomes the youngest.
    pub put: Option<Binding>,
    /// Tombstones to add. An earlier one of the same endpoint, connection and Call-ID gives way.
    pub tombstones: Vec<Tombstone>,
}

/// What the sweep found for one user.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Whose.
    pub aor: AddressOfRecord,
    /// Bindings that expired; empty if only tombstones did.
    pub expired: Vec<Arc<Binding>>,
    /// What is left.
    pub left: Arc<UserBindings>,
}

/// What [`BindingStore::sweep`] did.
#[derive(Clone, Debug)]
pub struct SweepResult {
    /// Users whose state changed.
    pub ended: Vec<Ended>,
    /// When to sweep again; `None`: when something is committed. At or before `now` if there was more than `limit`.
    pub next: Option<Timestamp>,
}

/// How much there is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BindingTotals {
    /// Users with at least one live binding.
    pub users: u64,
    /// Live bindings.
    pub endpoints: u64,
}

/// Keeps bindings: soft state that clients rebuild by their refreshes.
#[async_trait]
pub trait BindingStore: Send + Sync + 'static {
    /// What is known of a user. A binding that has passed its deadline is shown until it is swept or removed by a commit:
    /// whoever decides compares deadlines, and says so in the update.
    async fn load(&self, aor: &AddressOfRecord) -> Result<Arc<UserBindings>, StoreError>;

    /// Applies `update` if the user's state still is `expected` and returns the new state. Tombstones past their time go
    /// on the way; bindings end only where `update` says so.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the state is another; nothing happened. Load and decide again.
    /// [`StoreError::NotOwner`]: another member decides about this user. Where a store is shared out, so for
    /// [`Self::load`].
    async fn commit(
        &self,
        aor: &AddressOfRecord,
        expected: Revision,
        update: BindingUpdate,
        now: Timestamp,
    ) -> Result<Arc<UserBindings>, StoreError>;

    /// Ends what has passed its deadline, of at most `limit` users, and tells when the next is due. Each expired binding
    /// is reported once and leaves a tombstone that fences nobody: its own connection may register again. Costs as much as
    /// there is to end, not as there is to keep.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<SweepResult, StoreError>;

    /// How many users and bindings are live, expired ones not yet swept included.
    async fn binding_totals(&self) -> Result<BindingTotals, StoreError>;

    /// The users with a binding that this member holds, in no order: what ends when the member is dead. Walks over
    /// everybody.
    async fn held_by(
        &self,
        member: &MemberId,
    ) -> Result<Vec<(AddressOfRecord, Arc<UserBindings>)>, StoreError>;
}
