//! Who is in the pool and who owns which partition, with fencing.
//!
//! Members meet in a [`LeaseStore`](store::LeaseStore): each renews one lease, and a table for each
//! [`Partitioned`](topology::Partitioned) set of keys names the owner of each partition. This crate decides what a member
//! claims, hands over, gives up and when it must stop. It is **not** the store, and not what is owned: roles keep that, and
//! are told by [`PartitionedRole`].
//!
//! [`Membership`] is the entry. Roles read [`Ownership`] before they accept work, callers of roles read [`Routes`]; both are
//! a few atomic loads. The rules are in [`machine`], which has no clock and no I/O; `driver.rs` carries them out. A process
//! that is the whole pool uses [`Ownership::sole`] and [`Routes::sole`], and needs none of this.
//!
//! # Whether what a member owns counts
//!
//! ```text
//!                              renewed, within 10 s again and again
//!                                        .-----.
//!                                        v     |
//!   starting ---- first renewal ----> Confirmed ------ 10 s since the start of the last renewal ------.
//!                                      ^     |                                                        |
//!                             renewed  |     | before that: an attempt failed, and all others          |
//!                                      |     v answered that they did not renew for 5 s either         v
//!                                      '-- Frozen ---- not heard so again within 8 s ----------> Fenced
//!                                      ^                                                          |
//!                                      '---------------------- renewed ---------------------------'
//! ```
//!
//! Validity is computed from instants at each question ([`Ownership::epoch`]). No task has to run for a member to be fenced.
//! From *Fenced* only a renewal leads back, and what it then learns to be another's is gone before anything counts. A member
//! that knows of nobody else needs only the failed attempts to be *Frozen*.
//!
//! # What is promised
//!
//! The numbers are those of [`Timing`]; all members have the same.
//!
//! 1. **At no instant do two members validly own one partition**: there are no two for which [`Ownership::epoch`] is `Some`.
//!    Who cannot renew stops 10 s after the start of its last renewal; the store lets nobody else claim before 15 s after it.
//!    Who is frozen heard from everybody that they did not renew for 5 s; who did not renew for 5 s claims nothing of others
//!    until it has renewed for 15 s, and by then the frozen one has asked again or stopped (8 s).
//! 2. **Epochs only grow**, with each change of owner, also when the store lost everything.
//! 3. **Each partition has one valid owner within 20 s** after faults stop, and soon is where rendezvous hashing places it.
//! 4. **An outage of the store changes no owner**, however long, whether it comes back with its contents or empty, as long as
//!    the members that lived when it began reach each other.
//! 5. **A planned hand-over** leaves a partition without owner for as long as the roles take to finish and to load it, and the
//!    store to be told and to tell (up to a second if it does not announce changes).
//! 6. **A store that lost its contents** is told what is owned before anything is claimed. What it forgot counts no longer
//!    than it would have without that store, until it is asserted; a member that was fenced meanwhile gives it up instead.
//!
//! They hold under these conditions:
//!
//! * The store executes calls one after the other. A call that was given up takes effect before later calls of the same member,
//!   or never. Its clock runs, over 15 s, less than 5 s faster than those of the members.
//! * The members' clocks are monotone and go on while a process is stopped (they do not while a *machine* sleeps: suspend no
//!   machine that runs a member).
//! * Two lives of one name do not run at the same time; if they do, the later wins at once, and the earlier may count up to
//!   10 s more.
//! * [`PeerAnswer::Refused`] is given only where no process listens.
//!
//! Two things are *not* promised. Members that are frozen can not know of one that comes while none of them reaches the store, or
//! that had been away from it for more than a minute: if that one reaches the store, it takes over after 15 s what they still
//! serve. And a member that comes to a store that has just lost everything waits only [`Timing::settle`] (3 s) before it claims
//! what has no owner there; an owner that does not reach the store in that time may count for up to 10 s more. With `settle`
//! longer than `stop_after`, that is excluded too, at the price of a pool that takes as long to start
//! ([`Timing::for_a_store_that_forgets`]). In both cases epochs tell the
//! newer owner, and whoever writes by compare-and-set on the epoch is safe.
//!
//! An unreachable member counts as one that may renew: when a machine dies together with the store, the others stop after 10 s
//! until the store is back. Serving on would let a part of the pool that is cut off serve beside the part that has the store.
//!
//! # How a partition moves
//!
//! ```text
//!   death:   lease runs out (15 s), or is ended (its port is closed)  -> claimed by whom it is placed at -> take -> active
//!   join:    owner: give -> transfer                                  -> receiver: take -> active
//!   leave:   lease says draining -> the same, 64 at a time            -> lease given back
//! ```
//!
//! **To add a role that owns by partition**: implement [`PartitionedRole`], pass it to [`Membership::start`], ask
//! [`Ownership::epoch`] right before each piece of work is accepted, and send the epoch along with every write.

mod config;
mod counters;
mod driver;
pub mod machine;
mod membership;
mod ownership;
mod role;
mod routes;

pub use config::{Config, Timing};
pub use counters::Counters;
pub use machine::Stage;
pub use membership::{Drained, MemberStatus, Membership, PoolStatus};
pub use ownership::{Ownership, PartitionState, Validity};
pub use role::{PartitionedRole, PeerAnswer, Peers, TakeError};
pub use routes::{Route, Routes};
