//! A copy of states by partition, whatever they are: one hash and one fence per partition.

use std::borrow::Cow;

use redis::Value;
use sip_types::AddressOfRecord;
use store::{Revision, StoreError, Written};
use topology::Partition;

use crate::connection::{Gate, Redis};
use crate::script::{Call, Script};

/// Seconds a fence lives without being used. Much longer than any state behind it.
const FENCE_TTL: u64 = 48 * 3_600;

/// Milliseconds the states of a partition live longer than the longest-lived among them.
const GRACE_MS: u64 = 120_000;

/// What the keys of a copy are called.
#[derive(Clone, Copy)]
pub(crate) struct Kinds {
    pub(crate) states: &'static str,
    pub(crate) fence: &'static str,
    pub(crate) deleted: &'static str,
    /// Goes before the number of the partition, in what a cluster hashes.
    pub(crate) hashed: char,
}

/// One state to be written.
pub(crate) struct State<'a> {
    pub(crate) user: &'a AddressOfRecord,
    pub(crate) revision: Revision,
    /// Empty: the user is deleted.
    pub(crate) text: Cow<'a, [u8]>,
    /// Milliseconds after which it is of no use.
    pub(crate) lives_ms: u64,
}

/// One state as it is stored.
pub(crate) struct Stored {
    pub(crate) user: AddressOfRecord,
    pub(crate) revision: Revision,
    pub(crate) text: Vec<u8>,
    /// Milliseconds of the server's clock since it was written.
    pub(crate) age_ms: u64,
}

/// The copies of one kind of one pool.
pub(crate) struct Copies {
    redis: Redis,
    pool: String,
    kinds: Kinds,
    take: Script,
    write: Script,
    replace: Script,
}

enum Reply {
    Ok(Vec<Value>),
    Lost,
}

impl Copies {
    pub(crate) fn new(redis: Redis, pool: &str, kinds: Kinds) -> Self {
        let prelude = include_str!("scripts/copy_prelude.lua");
        Copies {
            redis,
            pool: pool.to_owned(),
            kinds,
            take: Script::new(prelude, include_str!("scripts/take.lua")),
            write: Script::new(prelude, include_str!("scripts/write.lua")),
            replace: Script::new(prelude, include_str!("scripts/replace.lua")),
        }
    }

    fn call<'a>(&self, script: &'a Script, partition: Partition, epoch: u64) -> Call<'a> {
        let Kinds {
            states,
            fence,
            deleted,
            hashed,
        } = self.kinds;
        let key = |kind: &str| format!("portico:{}:{kind}:{{{hashed}{partition}}}", self.pool);
        script
            .call(&[&key(states), &key(fence), &key(deleted)])
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
                "partition {partition} of the {} was taken by somebody else after epoch {epoch}",
                self.kinds.states
            ))),
            other => Err(unexpected(&other)),
        }
    }

    /// Fences the partition and returns what it holds. A state that nobody can read is left out and told of: its user is as if
    /// there were nothing, the others are not.
    pub(crate) async fn take<T>(
        &self,
        partition: Partition,
        epoch: u64,
        understand: impl Fn(Stored) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let call = self.call(&self.take, partition, epoch);
        let reply = match self.run(&call, partition, epoch).await? {
            Reply::Ok(reply) => reply,
            Reply::Lost => return Err(unexpected(&"lost")),
        };
        let (server_now, stored): (u64, Vec<(String, Vec<u8>)>) =
            redis::from_redis_value(Value::Array(reply)).map_err(StoreError::driver)?;
        let count = stored.len();
        let users: Vec<T> = stored
            .iter()
            .filter_map(|(aor, value)| understand(read(aor, value, server_now)?))
            .collect();
        let unreadable = count - users.len();
        if unreadable > 0 {
            let kind = self.kinds.states;
            tracing::error!(%partition, unreadable, kind, "states in Redis that cannot be read are left out");
        }
        Ok(users)
    }

    pub(crate) async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        states: Vec<State<'_>>,
    ) -> Result<Written, StoreError> {
        let call = with_states(self.call(&self.write, partition, epoch), states, None);
        Ok(match self.run(&call, partition, epoch).await? {
            Reply::Ok(_) => Written::Kept,
            Reply::Lost => Written::HistoryLost,
        })
    }

    pub(crate) async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        states: Vec<State<'_>>,
        as_of: Revision,
    ) -> Result<(), StoreError> {
        let call = with_states(self.call(&self.replace, partition, epoch), states, Some(as_of));
        match self.run(&call, partition, epoch).await? {
            Reply::Ok(_) => Ok(()),
            Reply::Lost => Err(unexpected(&"lost")),
        }
    }
}

fn unexpected(reply: &impl std::fmt::Debug) -> StoreError {
    StoreError::Inconsistent(format!("a script of ours returned {reply:?}"))
}

/// Twenty digits: texts compare as the numbers do, where the numbers of Lua end at 2^53.
fn digits(number: u64) -> String {
    format!("{number:020}")
}

/// Adds the states a script is to write, and before them how long the partition is to live.
fn with_states<'a>(call: Call<'a>, states: Vec<State<'_>>, as_of: Option<Revision>) -> Call<'a> {
    let longest = states.iter().map(|state| state.lives_ms).max();
    let mut call = call.arg(longest.unwrap_or(0).saturating_add(GRACE_MS));
    if let Some(as_of) = as_of {
        call = call.arg(digits(as_of.0));
    }
    for state in states {
        call = call
            .arg(state.user.as_str())
            .arg(digits(state.revision.0))
            .arg(&*state.text);
    }
    call
}

/// A stored state: revision, milliseconds of the server's clock when it was written, text.
fn read(aor: &str, value: &[u8], server_now: u64) -> Option<Stored> {
    let mut parts = value.splitn(3, |byte| *byte == b' ');
    let mut number = || -> Option<u64> { std::str::from_utf8(parts.next()?).ok()?.parse().ok() };
    let (revision, written) = (Revision(number()?), number()?);
    Some(Stored {
        user: AddressOfRecord::parse(aor).ok()?,
        revision,
        text: parts.next()?.to_vec(),
        age_ms: server_now.saturating_sub(written),
    })
}
