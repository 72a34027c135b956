//! The copy of bindings: one hash and one fence per partition.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Value;
use sip_types::AddressOfRecord;
use store::{BindingCopy, Revision, StoreError, Timestamp, UserBindings, Written};
use topology::Partition;

use crate::connection::{Gate, Redis};
use crate::script::{Call, Script};
use crate::states;

/// Seconds a fence lives without being used. Much longer than any state behind it.
const FENCE_TTL: u64 = 24 * 3_600;

/// Milliseconds the states of a partition live longer than the longest binding among them.
const GRACE_MS: u64 = 120_000;

/// The bindings of one pool. Many pools may share the servers.
pub struct RedisBindings {
    redis: Redis,
    pool: String,
    take: Script,
    write: Script,
    replace: Script,
}

impl RedisBindings {
    /// The bindings of the pool of this name.
    pub fn new(redis: Redis, pool: &str) -> Self {
        let prelude = include_str!("scripts/copy_prelude.lua");
        RedisBindings {
            redis,
            pool: pool.to_owned(),
            take: Script::new(prelude, include_str!("scripts/take.lua")),
            write: Script::new(prelude, include_str!("scripts/write.lua")),
            replace: Script::new(prelude, include_str!("scripts/replace.lua")),
        }
    }

    fn call<'a>(&self, script: &'a Script, partition: Partition, epoch: u64) -> Call<'a> {
        let key = |kind: &str| format!("portico:{}:{kind}:{{u{partition}}}", self.pool);
        script
            .call(&[&key("bindings"), &key("fence"), &key("deleted")])
            .arg(digits(epoch))
            .arg(FENCE_TTL)
    }

    async fn run(&self, call: &Call<'_>, partition: Partition, epoch: u64) -> Result<Reply, StoreError> {
        let mut reply: Vec<Value> = self.redis.run(Gate::Breaker, call).await?;
        let status = (!reply.is_empty()).then(|| reply.remove(0));
        match status.map(redis::from_redis_value::<String>) {
            Some(Ok(status)) if status == "ok" => Ok(Reply::Ok(reply)),
            Some(Ok(status)) if status == "lost" => Ok(Reply::Lost),
            Some(Ok(status)) if status == "fenced" => Err(StoreError::Conflict(format!(
                "partition {partition} of the users was taken by somebody else after epoch {epoch}"
            ))),
            other => Err(unexpected(&other)),
        }
    }
}

enum Reply {
    Ok(Vec<Value>),
    Lost,
}

fn unexpected(reply: &impl std::fmt::Debug) -> StoreError {
    StoreError::Inconsistent(format!("a script of ours returned {reply:?}"))
}

/// Twenty digits: texts compare as the numbers do, where the numbers of Lua end at 2^53.
fn digits(number: u64) -> String {
    format!("{number:020}")
}

/// Adds the users a script is to write, and before them how long the partition is to live.
fn with_users<'a>(
    call: Call<'a>,
    users: &[(AddressOfRecord, Arc<UserBindings>)],
    as_of: Option<Revision>,
    now: Timestamp,
) -> Result<Call<'a>, StoreError> {
    let longest = users.iter().map(|(_, state)| states::longest(state, now)).max();
    let mut call = call.arg(longest.unwrap_or(0).saturating_add(GRACE_MS));
    if let Some(as_of) = as_of {
        call = call.arg(digits(as_of.0));
    }
    for (aor, state) in users {
        let text =
            states::write(state, now).map_err(|error| StoreError::InvalidRequest(error.to_string()))?;
        call = call.arg(aor.as_str()).arg(digits(state.revision.0)).arg(text);
    }
    Ok(call)
}

/// A stored state: revision, milliseconds of the server's clock when it was written, text.
fn read(aor: &str, value: &[u8], server_now: u64, now: Timestamp) -> Option<(AddressOfRecord, UserBindings)> {
    let mut parts = value.splitn(3, |byte| *byte == b' ');
    let mut number = || -> Option<u64> { std::str::from_utf8(parts.next()?).ok()?.parse().ok() };
    let (revision, written) = (Revision(number()?), number()?);
    let elapsed = server_now.saturating_sub(written);
    let state = states::read(parts.next()?, revision, elapsed, now)
        .inspect_err(|error| tracing::debug!(%error, "a stored state of bindings"))
        .ok()?;
    Some((AddressOfRecord::parse(aor).ok()?, state))
}

#[async_trait]
impl BindingCopy for RedisBindings {
    /// A state that cannot be read is left out and told of: its user is as if signed out, the others are not.
    async fn take(
        &self,
        partition: Partition,
        epoch: u64,
        now: Timestamp,
    ) -> Result<Vec<(AddressOfRecord, UserBindings)>, StoreError> {
        let call = self.call(&self.take, partition, epoch);
        let reply = match self.run(&call, partition, epoch).await? {
            Reply::Ok(reply) => reply,
            Reply::Lost => return Err(unexpected(&"lost")),
        };
        let (server_now, stored): (u64, Vec<(String, Vec<u8>)>) =
            redis::from_redis_value(Value::Array(reply)).map_err(StoreError::driver)?;
        let count = stored.len();
        let users: Vec<_> = stored
            .iter()
            .filter_map(|(aor, value)| read(aor, value, server_now, now))
            .collect();
        let unreadable = count - users.len();
        if unreadable > 0 {
            tracing::error!(%partition, unreadable, "states of bindings in Redis that cannot be read are left out");
        }
        Ok(users)
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let call = with_users(self.call(&self.write, partition, epoch), users, None, now)?;
        Ok(match self.run(&call, partition, epoch).await? {
            Reply::Ok(_) => Written::Kept,
            Reply::Lost => Written::HistoryLost,
        })
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        as_of: Revision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let call = self.call(&self.replace, partition, epoch);
        let call = with_users(call, users, Some(as_of), now)?;
        match self.run(&call, partition, epoch).await? {
            Reply::Ok(_) => Ok(()),
            Reply::Lost => Err(unexpected(&"lost")),
        }
    }
}
