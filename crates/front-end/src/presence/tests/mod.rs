//! Presence through connections in memory, over an owner that keeps what it is told, by a clock that moves when all wait.

mod lists;
mod lync;
mod owner;
mod publishing;
mod rig;
mod searching;
mod subscribing;
mod watchers;
