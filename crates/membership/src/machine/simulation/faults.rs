//! What goes wrong, drawn from the seed.
//!
//! Two things are left out, because the promise is not made for them (see the crate root): a member that comes while others
//! cannot reach the store and so cannot know of it, and a member that comes without waiting a whole lease to a store that
//! has just lost everything.

use super::{Link, World};
use crate::machine::Machine;

/// What is wrong now, and until when.
#[derive(Default)]
pub(super) struct Faults {
    /// Undone at a time.
    undo: Vec<(u64, Undo)>,
    /// The last time a member came.
    came_ms: u64,
}

enum Undo {
    Resume(usize),
    Store(usize),
    Network(usize),
    /// An operator's drain is taken back.
    Drain(usize),
    /// The store is back, empty or as it was.
    Outage {
        empty: bool,
    },
    Lossy,
}

impl Faults {
    /// Something goes wrong, or somebody comes or leaves.
    pub(super) fn next(&mut self, world: &mut World) {
        let names = world.members.len().max(1) as u64;
        let index = world.random.between(0, names) as usize;
        let until_ms = world.now_ms + world.random.between(500, 30_000);
        let alive = world.is_alive(index);
        let link = if world.random.once_in(2) {
            Link::Silent
        } else {
            Link::Refusing
        };
        let kind = world.random.between(0, 13);
        if kind <= 2 {
            return self.come(world);
        }
        // Those who were there must have had the time to hear of who came.
        if world.now_ms < self.came_ms + 3_000 {
            return;
        }
        match kind {
            3 if alive => self.crash(world, index),
            4 | 5 if alive => {
                world.pause(index);
                self.undo.push((until_ms, Undo::Resume(index)));
            }
            6 if alive => {
                world.members[index].store = link;
                self.undo.push((until_ms, Undo::Store(index)));
            }
            7 if alive => {
                world.members[index].network = Link::Silent;
                self.undo.push((until_ms, Undo::Network(index)));
            }
            8 => {
                world.store = link;
                let empty = world.random.once_in(3);
                self.undo.push((until_ms, Undo::Outage { empty }));
            }
            9 => world.leases.lose_everything(),
            10 if alive && !world.members[index].paused => {
                let patience = std::time::Duration::from_millis(world.random.between(0, 8_000));
                world.with(index, |machine, now| machine.drain(now + patience, now));
            }
            11 => {
                world.lossy = Some(world.random.between(3, 20));
                self.undo.push((until_ms, Undo::Lossy));
            }
            12 if alive && !world.members[index].paused => {
                world.with(index, Machine::hand_over);
                self.undo.push((until_ms, Undo::Drain(index)));
            }
            _ => {}
        }
    }

    fn come(&mut self, world: &mut World) {
        let up = |member: &super::world::Member| member.over || (!member.paused && member.store == Link::Up);
        if world.store != Link::Up || world.lossy.is_some() || !world.members.iter().all(up) {
            return;
        }
        let new = world.members.len();
        let free = (0..new).find(|index| !world.is_alive(*index));
        let index = free.unwrap_or(new);
        if index < 5 {
            world.start(index);
            self.came_ms = world.now_ms;
        }
    }

    fn crash(&mut self, world: &mut World, index: usize) {
        world.crash(index);
        world.members[index].store = Link::Up;
        world.members[index].network = Link::Up;
        if world.random.once_in(2) {
            return;
        }
        // Somebody who can tell finds its port closed.
        let name = topology::MemberId::new(&format!("fe{index}"));
        let life = store::Incarnation(world.members[index].life);
        let witness = (0..world.members.len()).find(|other| {
            let member = &world.members[*other];
            !member.over && !member.paused && member.network == Link::Up
        });
        if let Some(witness) = witness {
            world.with(witness, |machine, now| machine.refused(name, life, now));
        }
    }

    /// The time at which the next thing is undone.
    pub(super) fn next_undo(&self) -> Option<u64> {
        self.undo.iter().map(|(at, _)| *at).min()
    }

    /// Undoes what is due, or everything.
    pub(super) fn undo(&mut self, world: &mut World, everything: bool) {
        let mut index = 0;
        while index < self.undo.len() {
            if !everything && self.undo[index].0 > world.now_ms {
                index += 1;
                continue;
            }
            match self.undo.swap_remove(index).1 {
                Undo::Resume(index) => world.resume(index),
                Undo::Store(index) => world.members[index].store = Link::Up,
                Undo::Network(index) => world.members[index].network = Link::Up,
                // If it is another life by now, that has nothing to take back.
                Undo::Drain(index) if world.is_alive(index) => {
                    world.resume(index);
                    if world.is_alive(index) {
                        world.with(index, Machine::take_back);
                    }
                }
                Undo::Drain(_) => {}
                Undo::Outage { empty } => {
                    if empty && world.store != Link::Up {
                        world.leases.lose_everything();
                    }
                    world.store = Link::Up;
                }
                Undo::Lossy => world.lossy = None,
            }
        }
    }
}
