//! Who watches a presentity, and whom of them the user has not seen yet.

use std::collections::{BTreeMap, BTreeSet};

use rpc::presence::{SeenWatcher, WatcherStatus};
use sip_types::AddressOfRecord;
use topology::MemberId;

use crate::limits::Limits;

/// One life of the stream of a front end. What it told in an earlier life counts for nothing: it tells it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Teller {
    pub(crate) member: MemberId,
    /// Grows with each stream.
    pub(crate) generation: u64,
}

#[derive(Debug)]
struct Watcher {
    display_name: String,
    /// The front ends through which it watches.
    through: Vec<Teller>,
}

/// The watchers of one presentity.
#[derive(Default, Debug)]
pub(crate) struct Watchers {
    active: BTreeMap<AddressOfRecord, Watcher>,
    /// Those the user has seen.
    acknowledged: BTreeSet<AddressOfRecord>,
    /// Those the user is to be told of.
    prompts: BTreeMap<AddressOfRecord, SeenWatcher>,
}

/// What came of something that was told.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Told {
    /// Somebody watches who did not, or the other way round.
    pub(crate) is_news: bool,
    /// The user is to be told of somebody new.
    pub(crate) is_prompt: bool,
    /// Watchers that are not listed, because too many are.
    pub(crate) unlisted: usize,
}

impl Watchers {
    /// Nobody watches yet; the user has seen these before.
    pub(crate) fn new(acknowledged: Vec<AddressOfRecord>) -> Self {
        Watchers {
            acknowledged: acknowledged.into_iter().collect(),
            ..Watchers::default()
        }
    }

    /// Replaces those the user has seen.
    pub(crate) fn set_acknowledged(&mut self, acknowledged: Vec<AddressOfRecord>) {
        self.acknowledged = acknowledged.into_iter().collect();
    }

    /// A front end tells how a watcher stands. `may_prompt`: the user would want to know.
    pub(crate) fn tell(
        &mut self,
        teller: &Teller,
        seen: SeenWatcher,
        may_prompt: bool,
        max_prompted: usize,
        limits: &Limits,
    ) -> Told {
        let mut told = Told::default();
        if seen.status == WatcherStatus::Terminated {
            if let Some(watcher) = self.active.get_mut(&seen.watcher) {
                watcher.through.retain(|one| one.member != teller.member);
                if watcher.through.is_empty() {
                    self.active.remove(&seen.watcher);
                    told.is_news = true;
                }
            }
            return told;
        }
        let has_room = self.active.len() < limits.watchers;
        match self.active.get_mut(&seen.watcher) {
            Some(watcher) => {
                watcher.through.retain(|one| one.member != teller.member);
                watcher.through.push(teller.clone());
                if watcher.display_name != seen.display_name {
                    watcher.display_name.clone_from(&seen.display_name);
                    told.is_news = true;
                }
            }
            None if !has_room => told.unlisted = 1,
            None => {
                let watcher = Watcher {
                    display_name: seen.display_name.clone(),
                    through: vec![teller.clone()],
                };
                self.active.insert(seen.watcher.clone(), watcher);
                told.is_news = true;
            }
        }
        let is_new = !self.acknowledged.contains(&seen.watcher) && !self.prompts.contains_key(&seen.watcher);
        if may_prompt && is_new && self.prompts.len() < max_prompted {
            self.prompts.insert(seen.watcher.clone(), seen);
            told.is_prompt = true;
        }
        told
    }

    /// Those of `watchers` the user had not seen before.
    pub(crate) fn unseen(&self, watchers: Vec<AddressOfRecord>) -> Vec<AddressOfRecord> {
        let unseen: BTreeSet<_> = watchers
            .into_iter()
            .filter(|watcher| !self.acknowledged.contains(watcher))
            .collect();
        unseen.into_iter().collect()
    }

    /// How many the user has seen.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// The user has seen these.
    pub(crate) fn acknowledge(&mut self, watchers: &[AddressOfRecord]) {
        for watcher in watchers {
            self.prompts.remove(watcher);
            self.acknowledged.insert(watcher.clone());
        }
    }

    /// Those the user has to be told of, by address.
    pub(crate) fn prompts(&self) -> Vec<SeenWatcher> {
        self.prompts.values().cloned().collect()
    }

    /// Everybody who watches, by address, after dropping what front ends told in an earlier life.
    pub(crate) fn active(&mut self, is_current: impl Fn(&Teller) -> bool) -> Vec<SeenWatcher> {
        self.active.retain(|_, watcher| {
            watcher.through.retain(&is_current);
            !watcher.through.is_empty()
        });
        self.active
            .iter()
            .map(|(user, watcher)| SeenWatcher {
                watcher: user.clone(),
                display_name: watcher.display_name.clone(),
                status: WatcherStatus::Active,
            })
            .collect()
    }

    /// Whether nothing would be lost by forgetting this while no front end follows: then nobody watches, whatever a front
    /// end that is gone told.
    pub(crate) fn is_idle(&self) -> bool {
        self.prompts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(text: &str) -> AddressOfRecord {
        AddressOfRecord::parse(text).unwrap()
    }

    fn teller(member: &str, generation: u64) -> Teller {
        Teller {
            member: MemberId::new(member),
            generation,
        }
    }

    fn seen(user: &str, status: WatcherStatus) -> SeenWatcher {
        SeenWatcher {
            watcher: aor(user),
            display_name: String::new(),
            status,
        }
    }

    fn tell(watchers: &mut Watchers, member: &str, user: &str, status: WatcherStatus) -> Told {
        watchers.tell(
            &teller(member, 1),
            seen(user, status),
            true,
            2,
            &Limits::default(),
        )
    }

    #[test]
    fn a_watcher_watches_until_no_front_end_has_it() {
        let mut watchers = Watchers::default();
        assert!(tell(&mut watchers, "fe1", "bob@example.test", WatcherStatus::Active).is_news);
        assert!(!tell(&mut watchers, "fe2", "bob@example.test", WatcherStatus::Active).is_news);
        assert!(
            !tell(
                &mut watchers,
                "fe1",
                "bob@example.test",
                WatcherStatus::Terminated
            )
            .is_news
        );
        assert!(
            !tell(
                &mut watchers,
                "fe1",
                "bob@example.test",
                WatcherStatus::Terminated
            )
            .is_news
        );
        assert_eq!(watchers.active(|_| true).len(), 1);
        assert!(
            tell(
                &mut watchers,
                "fe2",
                "bob@example.test",
                WatcherStatus::Terminated
            )
            .is_news
        );
        assert_eq!(watchers.active(|_| true), []);
    }

    #[test]
    fn what_an_earlier_life_of_a_front_end_told_is_forgotten() {
        let mut watchers = Watchers::default();
        tell(&mut watchers, "fe1", "bob@example.test", WatcherStatus::Active);
        assert_eq!(watchers.active(|one| one.generation == 2), []);
    }

    #[test]
    fn a_new_watcher_is_prompted_for_once_and_never_after_it_was_seen() {
        let mut watchers = Watchers::new(vec![aor("carol@example.test")]);
        assert!(tell(&mut watchers, "fe1", "bob@example.test", WatcherStatus::Active).is_prompt);
        assert!(!tell(&mut watchers, "fe1", "bob@example.test", WatcherStatus::Active).is_prompt);
        assert!(!tell(&mut watchers, "fe1", "carol@example.test", WatcherStatus::Active).is_prompt);
        watchers.acknowledge(&[aor("bob@example.test")]);
        assert_eq!(watchers.prompts(), []);
        assert!(!tell(&mut watchers, "fe1", "bob@example.test", WatcherStatus::Active).is_prompt);
    }

    #[test]
    fn prompts_and_listed_watchers_are_bounded() {
        let mut watchers = Watchers::default();
        let limits = Limits {
            watchers: 3,
            ..Limits::default()
        };
        let told: Vec<Told> = (0..4)
            .map(|n| {
                let watcher = seen(&format!("u{n}@example.test"), WatcherStatus::Active);
                watchers.tell(&teller("fe1", 1), watcher, true, 2, &limits)
            })
            .collect();
        assert_eq!(told.iter().filter(|told| told.is_prompt).count(), 2);
        assert_eq!(told[3].unlisted, 1);
        assert_eq!(watchers.active(|_| true).len(), 3);
    }
}
