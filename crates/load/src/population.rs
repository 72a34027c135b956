//! What the users of a load of presence share: who watches whom, and what everybody published last.
//!
//! Each publication carries a mark: whose it is, which one, and when it was due. So whoever reads a notification
//! knows how old it is, and in the end everybody must know the last mark of each contact.

use crate::args::{Args, Contacts, Mode, Subscribe};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Everybody who publishes and watches.
#[derive(Debug)]
pub(crate) struct Population {
    /// How they subscribe.
    pub subscribe: Subscribe,
    /// What is counted.
    pub unit: Unit,
    /// What marks begin with: those of another run are no news.
    prefix: String,
    /// The serial number everybody published last, as the server accepted it; 0 for none.
    last: Vec<AtomicU32>,
    /// How far the contacts of a user are from it, ascending: all users have the same number, and as many watchers.
    distances: Vec<usize>,
    /// Contacts of which a watcher has not learned yet, of all watchers.
    unknown: AtomicUsize,
    begun: Instant,
    /// What happens while it is measured.
    pub counters: Counters,
}

/// What a unit of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A notification.
    Notification,
    /// A user who knows the state of all contacts.
    User,
}

/// What became of publications.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Publications the server accepted.
    pub published: AtomicU64,
    /// Those it did not.
    pub refused: AtomicU64,
    /// Publications that were due before the one before was answered.
    pub skipped: AtomicU64,
    /// NOTIFY requests.
    pub notifications: AtomicU64,
    /// States a watcher learned.
    pub learned: AtomicU64,
    /// States a watcher was never shown because a newer one came.
    pub conflated: AtomicU64,
    /// States that are older than what the watcher knew.
    pub older: AtomicU64,
}

/// What became of publications, as it is told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    /// Contacts of each user.
    pub contacts: usize,
    /// Seconds from the first publication until everybody had learned of all contacts.
    pub entered_seconds: f64,
    /// Publications accepted.
    pub published: u64,
    /// Publications refused.
    pub refused: u64,
    /// Publications not sent, because the one before was not answered.
    pub skipped: u64,
    /// NOTIFY requests; one about a list has the states of several contacts.
    pub notifications: u64,
    /// States that watchers learned.
    pub learned: u64,
    /// States that gave way to a newer one before a watcher was told.
    pub conflated: u64,
    /// States shown after newer ones of the same user.
    pub older: u64,
    /// Pairs of a watcher and a contact in which the watcher does not know the last publication.
    pub missing: usize,
    /// Seconds after the last publication until none was missing, or until nobody waited any longer.
    pub settled_seconds: f64,
}

/// Which publication it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Whose.
    pub user: usize,
    /// Counts that user's publications from 1.
    pub serial: u32,
    /// When it was due, microseconds since the run began.
    pub micros: u64,
}

impl Population {
    /// The population of a load of presence; none in other loads.
    ///
    /// # Errors
    /// There are fewer users than contacts.
    pub(crate) fn of(args: &Args, salt: u64) -> Result<Option<Self>> {
        match &args.mode {
            Mode::Presence(presence) => {
                Self::new(args.users, presence.contacts, Unit::Notification, salt).map(Some)
            }
            Mode::Storm(storm) => Self::new(args.users, storm.contacts, Unit::User, salt).map(Some),
            _ => Ok(None),
        }
    }

    fn new(users: usize, contacts: Contacts, unit: Unit, salt: u64) -> Result<Self> {
        let Contacts {
            contacts, subscribe, ..
        } = contacts;
        ensure!(contacts > 0, "a contact is needed");
        ensure!(
            contacts < users,
            "{contacts} contacts take more than {users} users"
        );
        Ok(Self {
            subscribe,
            unit,
            prefix: format!("mark-{salt:x}-"),
            last: (0..users).map(|_| AtomicU32::new(0)).collect(),
            // Spread over all, so that neighbours have few in common.
            distances: (0..contacts)
                .map(|place| 1 + place * (users - 1) / contacts)
                .collect(),
            unknown: AtomicUsize::new(users * contacts),
            begun: Instant::now(),
            counters: Counters::default(),
        })
    }

    /// How many contacts a user has.
    pub(crate) fn contacts(&self) -> usize {
        self.distances.len()
    }

    /// The contacts of a user, in their order.
    pub(crate) fn contacts_of(&self, user: usize) -> impl Iterator<Item = usize> + '_ {
        let users = self.last.len();
        self.distances
            .iter()
            .map(move |distance| (user + distance) % users)
    }

    /// Which contact of the watcher this user is.
    fn place(&self, watcher: usize, user: usize) -> Option<usize> {
        let users = self.last.len();
        let distance = (user % users + users - watcher % users) % users;
        self.distances.binary_search(&distance).ok()
    }

    /// The mark of a publication that is due now.
    pub(crate) fn mark(&self, user: usize, serial: u32, due: Instant) -> String {
        let micros = due.saturating_duration_since(self.begun).as_micros();
        format!("{}{user}-{serial}-{micros}.", self.prefix)
    }

    /// When the publication with this mark was due.
    pub(crate) fn due(&self, mark: Mark) -> Instant {
        self.begun + Duration::from_micros(mark.micros)
    }

    /// The marks in a notification: those of one state may be there more than once.
    pub(crate) fn marks<'a>(&'a self, body: &'a [u8]) -> impl Iterator<Item = Mark> + 'a {
        let text = std::str::from_utf8(body).unwrap_or_default();
        text.split(self.prefix.as_str()).skip(1).filter_map(Mark::parse)
    }

    /// The server accepted a publication.
    pub(crate) fn accepted(&self, user: usize, serial: u32) {
        if let Some(last) = self.last.get(user) {
            last.store(serial, Ordering::Relaxed);
        }
    }

    /// A watcher, who knows these serial numbers of its contacts, was shown this.
    pub(crate) fn learn(&self, watcher: usize, known: &mut [u32], mark: Mark) -> Learned {
        let place = self.place(watcher, mark.user);
        let Some(known) = place.and_then(|place| known.get_mut(place)) else {
            return Learned::Nothing;
        };
        let before = *known;
        if mark.serial <= before {
            return match mark.serial == before {
                true => Learned::Nothing,
                false => Learned::Older,
            };
        }
        *known = mark.serial;
        if before == 0 {
            self.unknown.fetch_sub(1, Ordering::Relaxed);
            return Learned::First;
        }
        Learned::Newer {
            skipped: mark.serial - before - 1,
        }
    }

    /// Of how many contacts the watcher does not know the last publication.
    pub(crate) fn missing(&self, watcher: usize, known: &[u32]) -> usize {
        let contacts = self.contacts_of(watcher);
        let last = contacts.map(|user| self.last.get(user).map_or(0, |last| last.load(Ordering::Relaxed)));
        last.zip(known.iter().chain(std::iter::repeat(&0)))
            .filter(|(last, known)| *last > **known)
            .count()
    }

    /// Whether everybody has learned of all contacts.
    pub(crate) fn is_known(&self) -> bool {
        self.unknown.load(Ordering::Relaxed) == 0
    }

    /// Contacts of which a watcher has not learned, of all watchers.
    pub(crate) fn unknown(&self) -> usize {
        self.unknown.load(Ordering::Relaxed)
    }

    /// What is told of it.
    pub(crate) fn told(&self, entered: Duration, missing: usize, settled: Duration) -> Told {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Told {
            contacts: self.contacts(),
            entered_seconds: entered.as_secs_f64(),
            published: count(&counters.published),
            refused: count(&counters.refused),
            skipped: count(&counters.skipped),
            notifications: count(&counters.notifications),
            learned: count(&counters.learned),
            conflated: count(&counters.conflated),
            older: count(&counters.older),
            missing,
            settled_seconds: settled.as_secs_f64(),
        }
    }
}

/// What a watcher learned from a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// What it knew, or nothing about its contacts.
    Nothing,
    /// Less than it knew.
    Older,
    /// The first of this contact.
    First,
    /// A newer one.
    Newer {
        /// How many it was not shown between.
        skipped: u32,
    },
}

impl Mark {
    /// Reads what stands behind the prefix.
    fn parse(text: &str) -> Option<Self> {
        let (mark, _) = text.split_once('.')?;
        let mut numbers = mark.splitn(3, '-');
        Some(Self {
            user: numbers.next()?.parse().ok()?,
            serial: numbers.next()?.parse().ok()?,
            micros: numbers.next()?.parse().ok()?,
        })
    }
}

impl Told {
    /// Whether every watcher knows what was published, in the order in which it was.
    ///
    /// # Errors
    /// Somebody was left with, or was shown again, what is out of date.
    pub(crate) fn check(&self) -> Result<()> {
        let Self {
            missing,
            older,
            settled_seconds,
            ..
        } = self;
        ensure!(
            *missing == 0,
            "{missing} last publications are not known to their watchers after {settled_seconds:.1} s"
        );
        ensure!(*older == 0, "{older} states were shown after newer ones");
        Ok(())
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            contacts,
            entered_seconds,
            published,
            refused,
            skipped,
            notifications,
            learned,
            conflated,
            older,
            missing,
            settled_seconds,
        } = self;
        write!(
            f,
            "  {contacts} contacts each, all known {entered_seconds:.1} s after the first publication\n  \
             {published} publications ({refused} refused, {skipped} skipped), {notifications} notifications, \
             {learned} states learned, {conflated} conflated, {older} out of order\n  \
             {missing} missing in the end, {settled_seconds:.2} s after the last publication"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(users: usize, contacts: usize) -> Population {
        let contacts = Contacts {
            contacts,
            subscribe: Subscribe::List,
            patience: Duration::ZERO,
            settle: Duration::ZERO,
        };
        Population::new(users, contacts, Unit::Notification, 7).unwrap()
    }

    #[test]
    fn everybody_has_as_many_watchers_as_contacts() {
        for (users, contacts) in [(2, 1), (5, 4), (10, 3), (200, 80), (2000, 10)] {
            let population = population(users, contacts);
            let mut watchers = vec![0; users];
            for user in 0..users {
                let all: Vec<usize> = population.contacts_of(user).collect();
                for (place, contact) in all.iter().enumerate() {
                    assert_ne!(*contact, user);
                    assert_eq!(population.place(user, *contact), Some(place));
                    watchers[*contact] += 1;
                }
                assert_eq!(population.place(user, user), None);
            }
            assert!(watchers.iter().all(|count| *count == contacts), "{watchers:?}");
        }
    }

    #[test]
    fn marks_are_found_wherever_they_stand() {
        let population = population(10, 3);
        let due = population.begun + Duration::from_micros(1_234);
        let (one, other) = (population.mark(3, 2, due), population.mark(4, 1, due));
        let body = format!("<note>{one}</note> mark-8-5-1-1. {other}{one} mark-7-x-1-1. mark-7-5");
        let marks: Vec<Mark> = population.marks(body.as_bytes()).collect();
        let mark = |user, serial| Mark {
            user,
            serial,
            micros: 1_234,
        };
        assert_eq!(marks, [mark(3, 2), mark(4, 1), mark(3, 2)]);
        assert_eq!(population.due(marks[0]), due);
        assert_eq!(population.marks(b"\xff").count(), 0);
    }

    #[test]
    fn what_a_watcher_does_not_know_in_the_end_is_missing() {
        let population = population(4, 2);
        let contacts: Vec<usize> = population.contacts_of(0).collect();
        let mut known = vec![0; 2];
        let mut shown = |user, serial| {
            population.learn(
                0,
                &mut known,
                Mark {
                    user,
                    serial,
                    micros: 0,
                },
            )
        };
        assert_eq!(shown(contacts[0], 1), Learned::First);
        assert_eq!(shown(contacts[0], 1), Learned::Nothing);
        assert_eq!(shown(contacts[0], 4), Learned::Newer { skipped: 2 });
        assert_eq!(shown(contacts[0], 3), Learned::Older);
        assert_eq!(shown(0, 9), Learned::Nothing, "nobody is its own contact");
        assert_eq!(population.unknown(), 7);

        assert_eq!(population.missing(0, &known), 0, "nothing was accepted");
        population.accepted(contacts[0], 4);
        assert_eq!(population.missing(0, &known), 0);
        population.accepted(contacts[0], 5);
        population.accepted(contacts[1], 1);
        assert_eq!(population.missing(0, &known), 2);
        assert_eq!(
            population.missing(0, &[]),
            2,
            "who knows nothing misses everything"
        );
    }

    #[test]
    fn who_is_left_behind_is_an_error() {
        let told = population(4, 2).told(Duration::ZERO, 0, Duration::ZERO);
        assert!(told.check().is_ok(), "{told}");
        let left = Told {
            missing: 2,
            ..told.clone()
        };
        let error = left.check().unwrap_err().to_string();
        assert!(error.starts_with("2 last publications are not known"), "{error}");
        let error = Told { older: 1, ..told }.check().unwrap_err().to_string();
        assert_eq!(error, "1 states were shown after newer ones");
    }
}
