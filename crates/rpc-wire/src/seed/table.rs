//! What a seed keeps, and whose calls it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use rpc::{Error, ErrorCode};
use store::Incarnation;
use store::memory::{MemoryCopy, MemoryLeases, MemoryPresenceCopy};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use topology::MemberId;

use super::SeatWatch;
use crate::codec::required;
use crate::proto::pool::v1::Call;

/// Lives of members that are remembered before those are forgotten that did not call for [`REMEMBERED`].
const CALLERS: usize = 256;

/// Much longer than a call can be on its way: a connection that is silent for 10 s is broken.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Leases, owners and the copies of bindings and presence of a pool, for as long as this member is its seed.
pub struct SeedTable {
    seat: SeatWatch,
    pub(super) leases: MemoryLeases,
    pub(super) copy: MemoryCopy,
    pub(super) presence: MemoryPresenceCopy,
    calls: Mutex<Calls>,
}

/// What was called so far.
#[derive(Default)]
pub(super) struct Calls {
    /// The moves of the seat when this was last looked at.
    moves: Option<u64>,
    /// The newest ordered call of each life of a member, with its time.
    newest: BTreeMap<(MemberId, Incarnation), (u64, Instant)>,
}

impl SeedTable {
    /// Empty. It answers whoever means the seat that `seat` says. `clock` tells milliseconds since 1970 and does not go
    /// back.
    pub fn new(seat: SeatWatch, clock: impl Fn() -> u64 + Clone + Send + Sync + 'static) -> Self {
        SeedTable {
            seat,
            leases: MemoryLeases::new(clock.clone()),
            copy: MemoryCopy::new(clock.clone()),
            presence: MemoryPresenceCopy::new(clock),
            calls: Mutex::default(),
        }
    }

    /// Forgets everything, as a restart does.
    pub fn lose_everything(&self) {
        self.leases.lose_everything();
        self.copy.lose_history();
        self.presence.lose_history();
    }

    /// Lets a call in that means this seat. What it does is done before the guard goes.
    ///
    /// # Errors
    /// Unavailable: the seat is elsewhere. InvalidRequest: the call does not say whom it means.
    pub(super) async fn admit(&self, call: Option<Call>) -> Result<MutexGuard<'_, Calls>, Error> {
        let call = required("call", call)?;
        let mut calls = self.calls.lock().await;
        let Some(seat) = self.seat.borrow().clone() else {
            return Err(unavailable(
                "this member does not know yet where the seed is".to_owned(),
            ));
        };
        if calls
            .moves
            .replace(seat.moves)
            .is_some_and(|moves| moves != seat.moves)
        {
            calls.newest.clear();
            self.lose_everything();
        }
        if *call.seat != *seat.address {
            let text = format!(
                "the seed is at {}, and not at {} as the caller says",
                seat.address, call.seat
            );
            return Err(unavailable(text));
        }
        Ok(calls)
    }

    /// The same for a call that changes what this life of a member holds: one that is older than another of it was given up,
    /// and is refused.
    ///
    /// # Errors
    /// As [`SeedTable::admit`], and Unavailable: a later call was here before.
    pub(super) async fn admit_in_order(
        &self,
        call: Option<Call>,
        of: (&MemberId, Incarnation),
    ) -> Result<MutexGuard<'_, Calls>, Error> {
        let number = call.as_ref().map_or(0, |call| call.number);
        let mut calls = self.admit(call).await?;
        let now = Instant::now();
        if calls.newest.len() >= CALLERS {
            calls
                .newest
                .retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED);
        }
        let newest = calls.newest.entry((of.0.clone(), of.1)).or_insert((0, now));
        if newest.0 >= number {
            return Err(unavailable("the call was overtaken by a later one".to_owned()));
        }
        *newest = (number, now);
        Ok(calls)
    }
}

fn unavailable(text: String) -> Error {
    Error::new(ErrorCode::Unavailable, text)
}
