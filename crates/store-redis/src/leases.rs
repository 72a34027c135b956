//! Leases and tables of owners: all keys of a pool in one slot, every decision one script.

use async_trait::async_trait;
use redis::Value;
use serde::{Deserialize, Serialize};
use store::{
    Incarnation, LEASE_TTL_MS, Lease, LeaseStore, Owner, OwnerTable, PoolView, StoreError, TableVersions,
};
use topology::{MemberId, Partition, Partitioned, Role};

use crate::connection::{Gate, Redis};
use crate::script::{Call, Script};
use crate::signal::Signal;

/// Seconds all of it lives after the last member renewed its lease.
const KEYS_TTL: u64 = 24 * 3_600;

/// The leases of one pool. Many pools may share the servers.
pub struct RedisLeases {
    redis: Redis,
    ttl_ms: u64,
    /// Part of the canary, if there is none yet.
    canary: u64,
    signal: Signal,
    keys: Keys,
    scripts: Scripts,
}

struct Keys {
    members: String,
    owners: [String; Partitioned::COUNT],
    facts: String,
    channel: String,
}

struct Scripts {
    renew: Script,
    claim: Script,
    transfer: Script,
    reassert: Script,
    leave: Script,
}

/// What a member says of itself, as it is stored.
#[derive(Serialize, Deserialize)]
struct Said {
    roles: Vec<String>,
    address: Option<String>,
    draining: bool,
    version: String,
}

/// Partitions with numbers.
type Owned = Vec<(Partition, u64)>;

impl RedisLeases {
    /// The leases of the pool of this name. `random` is any number that others hardly use: it tells one history of the
    /// store from another.
    pub fn new(redis: Redis, pool: &str, random: u64) -> Self {
        RedisLeases::with_ttl(redis, pool, random, LEASE_TTL_MS)
    }

    /// The same with leases that last `ttl_ms` milliseconds; every member of a pool must use the same.
    pub fn with_ttl(redis: Redis, pool: &str, random: u64, ttl_ms: u64) -> Self {
        let key = |name: &str| format!("{{portico:{pool}}}:{name}");
        let keys = Keys {
            members: key("members"),
            owners: Partitioned::ALL.map(|keys| key(&format!("owners:{keys}"))),
            facts: key("facts"),
            channel: key("changed"),
        };
        let script = |text| Script::new(include_str!("scripts/lease_prelude.lua"), text);
        RedisLeases {
            signal: Signal::new(redis.clone(), keys.channel.clone()),
            redis,
            ttl_ms,
            canary: random,
            keys,
            scripts: Scripts {
                renew: script(include_str!("scripts/renew.lua")),
                claim: script(include_str!("scripts/claim.lua")),
                transfer: script(include_str!("scripts/transfer.lua")),
                reassert: script(include_str!("scripts/reassert.lua")),
                leave: script(include_str!("scripts/leave.lua")),
            },
        }
    }

    /// A call that changes a table.
    fn change<'a>(
        &self,
        script: &'a Script,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
    ) -> Call<'a> {
        let table = &self.keys.owners[keys.index()];
        script
            .call(&[&self.keys.members, table, &self.keys.facts])
            .arg(holder.0.as_str())
            .arg(digits(holder.1))
            .arg(keys.as_str())
            .arg(KEYS_TTL)
            .arg(&self.keys.channel)
    }

    async fn run(&self, call: &Call<'_>, member: &MemberId) -> Result<Value, StoreError> {
        let mut reply: Vec<Value> = self.redis.run(Gate::None, call).await?;
        let status = (!reply.is_empty()).then(|| reply.remove(0));
        match status.map(redis::from_redis_value::<String>) {
            Some(Ok(status)) if status == "ok" => Ok(Value::Array(reply)),
            Some(Ok(status)) if status == "superseded" => Err(StoreError::Conflict(format!(
                "a later life of {member} holds the lease"
            ))),
            other => Err(inconsistent(format!("a script of ours returned {other:?}"))),
        }
    }

    /// Runs a call that returns partitions with their epochs.
    async fn run_owned(&self, call: &Call<'_>, member: &MemberId) -> Result<Owned, StoreError> {
        let (owned,): (Vec<(u16, u64)>,) = from_value(self.run(call, member).await?)?;
        owned
            .into_iter()
            .map(|(number, epoch)| Ok((partition(number)?, epoch)))
            .collect()
    }
}

fn inconsistent(text: String) -> StoreError {
    StoreError::Inconsistent(text)
}

fn from_value<T: redis::FromRedisValue>(value: Value) -> Result<T, StoreError> {
    redis::from_redis_value(value)
        .map_err(|error| inconsistent(format!("an answer of Redis cannot be read: {error}")))
}

/// Twenty digits: texts compare as the numbers do.
fn digits(incarnation: Incarnation) -> String {
    format!("{:020}", incarnation.0)
}

fn partition(number: u16) -> Result<Partition, StoreError> {
    Partition::new(number).ok_or_else(|| inconsistent(format!("there is no partition {number}")))
}

fn said(lease: &Lease) -> Result<String, StoreError> {
    serde_json::to_string(&Said {
        roles: lease.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        address: lease.address.clone(),
        draining: lease.draining,
        version: lease.version.clone(),
    })
    .map_err(|error| StoreError::InvalidRequest(error.to_string()))
}

/// Roles that this version does not know are passed over: a member of a later one may have them.
fn lease((name, life, text): (String, u64, String)) -> Result<Lease, StoreError> {
    let said: Said = serde_json::from_str(&text)
        .map_err(|error| inconsistent(format!("the lease of {name} cannot be read: {error}")))?;
    Ok(Lease {
        member: MemberId::new(&name),
        incarnation: Incarnation(life),
        roles: said
            .roles
            .iter()
            .filter_map(|role| role.parse::<Role>().ok())
            .collect(),
        address: said.address,
        draining: said.draining,
        version: said.version,
    })
}

/// A table from its version and its entries; nothing if the server sent none.
fn table(value: Value) -> Result<Option<OwnerTable>, StoreError> {
    let parts: Vec<Value> = from_value(value)?;
    let Ok([version, entries]) = <[Value; 2]>::try_from(parts) else {
        return Ok(None);
    };
    let mut table = OwnerTable::empty();
    table.version = from_value(version)?;
    for (number, entry) in from_value::<Vec<(u16, String)>>(entries)? {
        table.set(partition(number)?, Some(owner(&entry)?));
    }
    Ok(Some(table))
}

/// An owner: epoch, life, name.
fn owner(entry: &str) -> Result<Owner, StoreError> {
    let mut parts = entry.splitn(3, ' ');
    let mut number = || parts.next().and_then(|text| text.parse().ok());
    match (number(), number(), parts.next()) {
        (Some(epoch), Some(life), Some(name)) => Ok(Owner {
            member: MemberId::new(name),
            incarnation: Incarnation(life),
            epoch,
        }),
        _ => Err(inconsistent(format!("`{entry}` is no owner of a partition"))),
    }
}

/// One number for a life of the server and what it remembers (FNV-1a).
fn history(run_id: &str, canary: &str) -> u64 {
    let bytes = run_id.bytes().chain([b' ']).chain(canary.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[async_trait]
impl LeaseStore for RedisLeases {
    async fn renew(&self, lease: &Lease, known: TableVersions) -> Result<PoolView, StoreError> {
        let mut keys = vec![self.keys.members.as_str(), &self.keys.facts];
        keys.extend(self.keys.owners.iter().map(String::as_str));
        let mut call = self
            .scripts
            .renew
            .call(&keys)
            .arg(lease.member.as_str())
            .arg(digits(lease.incarnation))
            .arg(said(lease)?)
            .arg(self.ttl_ms)
            .arg(KEYS_TTL)
            .arg(&self.keys.channel)
            .arg(self.canary);
        for (keys, known) in Partitioned::ALL.into_iter().zip(known) {
            call = call.arg(keys.as_str()).arg(known);
        }
        type Reply = (u64, String, String, Vec<(String, u64, String)>, Vec<Value>);
        let (now_ms, run_id, canary, members, tables): Reply =
            from_value(self.run(&call, &lease.member).await?)?;
        let mut members = members
            .into_iter()
            .map(self::lease)
            .collect::<Result<Vec<_>, _>>()?;
        members.sort_by(|one, other| one.member.cmp(&other.member));
        Ok(PoolView {
            now_ms,
            history: history(&run_id, &canary),
            members,
            owners: tables
                .into_iter()
                .map(table)
                .collect::<Result<Vec<_>, _>>()?
                .try_into()
                .map_err(|_| inconsistent("a table of owners is missing".to_owned()))?,
        })
    }

    async fn claim(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Owned, StoreError> {
        let mut call = self.change(&self.scripts.claim, keys, holder);
        for partition in partitions {
            call = call.arg(partition.number());
        }
        self.run_owned(&call, holder.0).await
    }

    async fn transfer(
        &self,
        keys: Partitioned,
        giver: (&MemberId, Incarnation),
        receiver: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Owned, StoreError> {
        let mut call = self
            .change(&self.scripts.transfer, keys, giver)
            .arg(receiver.0.as_str())
            .arg(digits(receiver.1));
        for partition in partitions {
            call = call.arg(partition.number());
        }
        self.run_owned(&call, giver.0).await
    }

    async fn reassert(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        owned: &[(Partition, u64)],
    ) -> Result<Owned, StoreError> {
        let mut call = self.change(&self.scripts.reassert, keys, holder);
        for (partition, epoch) in owned {
            call = call.arg(partition.number()).arg(*epoch);
        }
        self.run_owned(&call, holder.0).await
    }

    async fn leave(&self, holder: (&MemberId, Incarnation)) -> Result<(), StoreError> {
        let call = self.scripts.leave.call(&[&self.keys.members]);
        let call = call
            .arg(holder.0.as_str())
            .arg(digits(holder.1))
            .arg(&self.keys.channel)
            .arg("leave");
        self.run(&call, holder.0).await?;
        Ok(())
    }

    async fn evict(&self, member: &MemberId, incarnation: Incarnation) -> Result<(), StoreError> {
        let call = self.scripts.leave.call(&[&self.keys.members]);
        let call = call
            .arg(member.as_str())
            .arg(digits(incarnation))
            .arg(&self.keys.channel)
            .arg("evict");
        self.run(&call, member).await?;
        Ok(())
    }

    /// Resolves at once after a change while the connection of the channel stands, and every second in any case.
    async fn changed(&self) {
        self.signal.wait().await;
    }
}
