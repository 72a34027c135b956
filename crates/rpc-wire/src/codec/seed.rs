//! Leases, owners of partitions, and the copies of bindings and presence.

use std::sync::Arc;

use rpc::{Error, ErrorCode};
use sip_types::AddressOfRecord;
use store::{
    Binding, CopiedPresence, Incarnation, Lease, Owner, OwnerTable, PoolView, PresenceState, Revision,
    StoreError, Timestamp, Tombstone, UserBindings,
};
use topology::{MemberId, PARTITIONS, Partition, Partitioned};

use super::endpoint::member;
use super::{Malformed, aor, named, required};
use crate::proto::pool::v1 as wire;

/// A partition with its epoch.
pub type Owned = (Partition, u64);

// === leases ===

/// One life of a member.
pub fn life_to_wire(life: (&MemberId, Incarnation)) -> wire::Life {
    wire::Life {
        member: life.0.as_str().to_owned(),
        incarnation: life.1.0,
    }
}

/// One life of a member, which must be there.
///
/// # Errors
/// It is missing, or has no name.
pub fn life(field: &'static str, life: Option<wire::Life>) -> Result<(MemberId, Incarnation), Malformed> {
    let life = required(field, life)?;
    Ok((member(field, &life.member)?, Incarnation(life.incarnation)))
}

impl From<&Lease> for wire::MemberLease {
    fn from(lease: &Lease) -> Self {
        wire::MemberLease {
            life: Some(life_to_wire((&lease.member, lease.incarnation))),
            roles: lease.roles.iter().map(ToString::to_string).collect(),
            address: lease.address.clone(),
            draining: lease.draining,
            version: lease.version.clone(),
        }
    }
}

/// Roles of a later version are left out: nothing is asked of them here.
impl TryFrom<wire::MemberLease> for Lease {
    type Error = Malformed;

    fn try_from(lease: wire::MemberLease) -> Result<Self, Malformed> {
        let (member, incarnation) = life("lease.life", lease.life)?;
        Ok(Lease {
            member,
            incarnation,
            roles: lease.roles.iter().filter_map(|name| name.parse().ok()).collect(),
            address: lease.address,
            draining: lease.draining,
            version: lease.version,
        })
    }
}

impl From<Partitioned> for wire::Keys {
    fn from(keys: Partitioned) -> Self {
        match keys {
            Partitioned::Users => wire::Keys::Users,
            Partitioned::Conversations => wire::Keys::Conversations,
            Partitioned::Presentities => wire::Keys::Presentities,
        }
    }
}

/// What is owned by partition.
///
/// # Errors
/// Not told, or not known to this version.
pub fn keys(value: i32) -> Result<Partitioned, Malformed> {
    match wire::Keys::try_from(value) {
        Ok(wire::Keys::Users) => Ok(Partitioned::Users),
        Ok(wire::Keys::Conversations) => Ok(Partitioned::Conversations),
        Ok(wire::Keys::Presentities) => Ok(Partitioned::Presentities),
        Ok(wire::Keys::Unspecified) | Err(_) => Err(Malformed::new("keys")),
    }
}

/// The partition of this number.
///
/// # Errors
/// There is none.
pub fn partition(number: u32) -> Result<Partition, Malformed> {
    let number = u16::try_from(number).ok();
    required("partition", number.and_then(Partition::new))
}

/// Numbers of partitions.
pub fn partitions_to_wire(partitions: &[Partition]) -> Vec<u32> {
    partitions.iter().map(|one| u32::from(one.number())).collect()
}

/// Partitions of these numbers, each of which stands there at most once.
///
/// # Errors
/// There is no such partition, or there are more than all.
pub fn partitions(numbers: Vec<u32>) -> Result<Vec<Partition>, Malformed> {
    no_more_than_all(numbers.len())?;
    numbers.into_iter().map(partition).collect()
}

/// Partitions with their epochs.
pub fn owned_to_wire(owned: &[Owned]) -> Vec<wire::OwnedPartition> {
    let one = |(partition, epoch): &Owned| wire::OwnedPartition {
        partition: u32::from(partition.number()),
        epoch: *epoch,
    };
    owned.iter().map(one).collect()
}

/// Partitions with their epochs.
///
/// # Errors
/// There is no such partition, or there are more than all.
pub fn owned(owned: Vec<wire::OwnedPartition>) -> Result<Vec<Owned>, Malformed> {
    no_more_than_all(owned.len())?;
    let one = |one: wire::OwnedPartition| Ok((partition(one.partition)?, one.epoch));
    owned.into_iter().map(one).collect()
}

fn no_more_than_all(count: usize) -> Result<(), Malformed> {
    match count <= usize::from(PARTITIONS) {
        true => Ok(()),
        false => Err(Malformed::new("partitions")),
    }
}

impl From<&OwnerTable> for wire::Owners {
    fn from(table: &OwnerTable) -> Self {
        let mut lives: Vec<(&MemberId, Incarnation)> = Vec::new();
        let mut owners = Vec::with_capacity(usize::from(PARTITIONS));
        let mut epochs = Vec::with_capacity(usize::from(PARTITIONS));
        for (_, owner) in table.iter() {
            let Some(owner) = owner else {
                owners.push(0);
                epochs.push(0);
                continue;
            };
            let life = (&owner.member, owner.incarnation);
            let known = lives.iter().position(|one| *one == life);
            let place = known.unwrap_or_else(|| {
                lives.push(life);
                lives.len() - 1
            });
            // There are no more lives than partitions.
            owners.push(u32::try_from(place + 1).unwrap_or(0));
            epochs.push(owner.epoch);
        }
        wire::Owners {
            version: table.version,
            lives: lives.into_iter().map(life_to_wire).collect(),
            owners,
            epochs,
        }
    }
}

impl TryFrom<wire::Owners> for OwnerTable {
    type Error = Malformed;

    fn try_from(owners: wire::Owners) -> Result<Self, Malformed> {
        let all = usize::from(PARTITIONS);
        if owners.owners.len() != all || owners.epochs.len() != all {
            return Err(Malformed::new("owners.owners"));
        }
        let lives = owners.lives.into_iter();
        let lives: Vec<_> = lives
            .map(|one| life("owners.lives", Some(one)))
            .collect::<Result<_, _>>()?;
        let mut table = OwnerTable::empty();
        table.version = owners.version;
        let entries = owners.owners.into_iter().zip(owners.epochs);
        for (partition, (place, epoch)) in Partition::all().zip(entries) {
            let Some(place) = place.checked_sub(1) else {
                continue;
            };
            let life = usize::try_from(place).ok().and_then(|place| lives.get(place));
            let (member, incarnation) = required("owners.owners", life)?.clone();
            table.set(
                partition,
                Some(Owner {
                    member,
                    incarnation,
                    epoch,
                }),
            );
        }
        Ok(table)
    }
}

impl From<&PoolView> for wire::RenewResponse {
    fn from(view: &PoolView) -> Self {
        let table = |keys: Partitioned| view.owners[keys.index()].as_ref().map(Into::into);
        wire::RenewResponse {
            now_ms: view.now_ms,
            history: view.history,
            members: view.members.iter().map(Into::into).collect(),
            users: table(Partitioned::Users),
            conversations: table(Partitioned::Conversations),
            presentities: table(Partitioned::Presentities),
        }
    }
}

impl TryFrom<wire::RenewResponse> for PoolView {
    type Error = Malformed;

    fn try_from(view: wire::RenewResponse) -> Result<Self, Malformed> {
        let mut owners = Partitioned::ALL.map(|_| None);
        for (keys, table) in [
            (Partitioned::Users, view.users),
            (Partitioned::Conversations, view.conversations),
            (Partitioned::Presentities, view.presentities),
        ] {
            owners[keys.index()] = table.map(OwnerTable::try_from).transpose()?;
        }
        let members = view.members.into_iter().map(Lease::try_from);
        let mut members: Vec<Lease> = members.collect::<Result<_, _>>()?;
        // Whoever looks members up relies on it.
        members.sort_by(|one, other| one.member.cmp(&other.member));
        Ok(PoolView {
            now_ms: view.now_ms,
            history: view.history,
            members,
            owners,
        })
    }
}

// === copies ===

fn remaining(until: Timestamp, now: Timestamp) -> u64 {
    until.0.saturating_sub(now.0)
}

/// A user's bindings, with times as what remains at `now`.
pub fn user_to_wire(aor: &AddressOfRecord, state: &UserBindings, now: Timestamp) -> wire::CopiedUser {
    let binding = |binding: &Arc<Binding>| wire::CopiedBinding {
        endpoint: binding.endpoint.to_string(),
        epoch: binding.epoch,
        member: binding.member.as_str().to_owned(),
        connection: binding.connection,
        contact: binding.contact.clone(),
        instance: binding.instance.clone(),
        epid: binding.epid.clone(),
        reg_id: binding.reg_id,
        gruu: binding.gruu.clone(),
        lync: binding.lync,
        session: binding.session,
        user_agent: binding.user_agent.clone(),
        call_id: binding.call_id.clone(),
        cseq: binding.cseq,
        granted_s: binding.granted,
        was_new: binding.was_new,
        remaining_ms: remaining(binding.deadline, now),
    };
    let tombstone = |tombstone: &Arc<Tombstone>| wire::CopiedTombstone {
        endpoint: tombstone.endpoint.to_string(),
        epoch: tombstone.epoch,
        member: tombstone.member.as_str().to_owned(),
        connection: tombstone.connection,
        fenced: tombstone.fenced,
        call_id: tombstone.call_id.clone(),
        cseq: tombstone.cseq,
        remaining_ms: remaining(tombstone.until, now),
    };
    wire::CopiedUser {
        aor: aor.as_str().to_owned(),
        revision: state.revision.0,
        bindings: state.bindings.iter().map(binding).collect(),
        tombstones: state.tombstones.iter().map(tombstone).collect(),
    }
}

/// A user's bindings, with times of a clock that shows `now`.
///
/// # Errors
/// The user, an endpoint or a member has no name.
pub fn user(user: wire::CopiedUser, now: Timestamp) -> Result<(AddressOfRecord, UserBindings), Malformed> {
    let time = |remaining: u64| Timestamp(now.0.saturating_add(remaining));
    let binding = |one: wire::CopiedBinding| -> Result<Arc<Binding>, Malformed> {
        named("user.binding.endpoint", &one.endpoint)?;
        Ok(Arc::new(Binding {
            endpoint: Arc::from(one.endpoint),
            epoch: one.epoch,
            member: member("user.binding.member", &one.member)?,
            connection: one.connection,
            contact: one.contact,
            instance: one.instance,
            epid: one.epid,
            reg_id: one.reg_id,
            gruu: one.gruu,
            lync: one.lync,
            session: one.session,
            user_agent: one.user_agent,
            call_id: one.call_id,
            cseq: one.cseq,
            granted: one.granted_s,
            was_new: one.was_new,
            deadline: time(one.remaining_ms),
        }))
    };
    let tombstone = |one: wire::CopiedTombstone| -> Result<Arc<Tombstone>, Malformed> {
        named("user.tombstone.endpoint", &one.endpoint)?;
        Ok(Arc::new(Tombstone {
            endpoint: Arc::from(one.endpoint),
            epoch: one.epoch,
            member: member("user.tombstone.member", &one.member)?,
            connection: one.connection,
            fenced: one.fenced,
            call_id: one.call_id,
            cseq: one.cseq,
            until: time(one.remaining_ms),
        }))
    };
    let state = UserBindings {
        revision: Revision(user.revision),
        bindings: user.bindings.into_iter().map(binding).collect::<Result<_, _>>()?,
        tombstones: user
            .tombstones
            .into_iter()
            .map(tombstone)
            .collect::<Result<_, _>>()?,
    };
    Ok((aor("user.aor", &user.aor)?, state))
}

// === errors ===

/// States of presence.
pub fn presence_to_wire(states: &[PresenceState]) -> Vec<wire::PresenceState> {
    let states = states.iter();
    states
        .map(|state| wire::PresenceState {
            user: state.user.as_str().to_owned(),
            revision: state.revision.0,
            text: state.text.clone(),
            lives_ms: state.lives_ms,
        })
        .collect()
}

/// States of presence.
///
/// # Errors
/// A user is malformed.
pub fn presence(states: Vec<wire::PresenceState>) -> Result<Vec<PresenceState>, Malformed> {
    let states = states.into_iter();
    states
        .map(|state| {
            Ok(PresenceState {
                user: aor("presence.user", &state.user)?,
                revision: Revision(state.revision),
                text: state.text,
                lives_ms: state.lives_ms,
            })
        })
        .collect()
}

/// What was copied of a user.
pub fn copied_presence_to_wire(copied: CopiedPresence) -> wire::CopiedPresence {
    wire::CopiedPresence {
        user: copied.user.as_str().to_owned(),
        text: copied.text,
        age_ms: copied.age_ms,
    }
}

/// What was copied of a user.
///
/// # Errors
/// The user is malformed.
pub fn copied_presence(copied: wire::CopiedPresence) -> Result<CopiedPresence, Malformed> {
    Ok(CopiedPresence {
        user: aor("copied.user", &copied.user)?,
        text: copied.text,
        age_ms: copied.age_ms,
    })
}

/// What a store failed with, for a caller in another process.
pub fn store_error_to_wire(error: StoreError) -> Error {
    let code = match error {
        StoreError::Conflict(_) => ErrorCode::Conflict,
        StoreError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        StoreError::Driver(_) | StoreError::NotOwner(_) => ErrorCode::Unavailable,
        StoreError::Inconsistent(_) => ErrorCode::Internal,
    };
    Error::new(code, error.to_string())
}

/// What a store in another process failed with. Whatever is no conflict may work later.
pub fn store_error(error: Error) -> StoreError {
    match error.code {
        ErrorCode::Conflict => StoreError::Conflict(error.message),
        _ => StoreError::driver(error),
    }
}
