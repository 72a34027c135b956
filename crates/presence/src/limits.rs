//! The numbers of this role: bounds, rates and waiting times, each with its default.

use std::time::Duration;

use crate::time::Rate;

/// Largest number of a container.
pub(crate) const MAX_CONTAINER: u16 = 32_767;

/// Longest name of a category, bytes.
pub(crate) const MAX_CATEGORY_BYTES: usize = 64;

/// Changes of one publish.
pub(crate) const MAX_CHANGES: usize = 128;

/// Longest name of a group or a contact, bytes.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// Longest external address of a group or a contact, bytes.
pub(crate) const MAX_EXTERNAL_URI_BYTES: usize = 1_024;

/// Members of all organisational groups of a contact list that are shown in their place; a group for which there is no room
/// is shown itself.
pub(crate) const MAX_SHOWN_MEMBERS: u32 = 1_000;

/// Bounds, rates and waiting times. All can be set, none can be switched off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Publications of one user; more are refused.
    pub publications: usize,
    /// Bytes of one publication; a larger one is refused.
    pub publication_bytes: usize,
    /// Bytes of all publications of one user; more are refused.
    pub user_bytes: usize,
    /// Publishes of one endpoint; faster ones are refused with a hint when to come again.
    pub publishes: Rate,
    /// Conflicts of one user; more are refused with a hint when to come again.
    pub conflicts: Rate,
    /// Members of all containers of one user; more are refused.
    pub members: usize,
    /// Groups of one contact list; more are refused.
    pub groups: usize,
    /// Watchers remembered of one user; more watch, but are not listed.
    pub watchers: usize,
    /// Acknowledged watchers kept of one user; more are refused.
    pub acknowledged: usize,
    /// News under way to one front end. More of them wait: of documents the newest of each presentity, and as many others; one more
    /// of those ends its stream, and it follows again.
    pub news: usize,
    /// Least distance of two documents of a presentity to a front end, after the first; the newest waits.
    pub pace: Duration,
    /// How long publications of the endpoints of a front end that died stay, so that nobody flickers who signs in again.
    pub grace: Duration,
    /// How long the end of an endpoint waits in a pool for the news that its whole front end died.
    pub notice: Duration,
    /// How long changes are collected in a pool before they are copied for the next owner.
    pub copy_after: Duration,
    /// Users copied in that time at most.
    pub copies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            publications: 512,
            publication_bytes: 25 * 1_024,
            user_bytes: 512 * 1_024,
            publishes: Rate {
                burst: 10,
                every: Duration::from_secs(2),
            },
            conflicts: Rate {
                burst: 5,
                every: Duration::from_secs(1),
            },
            members: 2_000,
            groups: 64,
            watchers: 10_000,
            acknowledged: 10_000,
            news: 1_024,
            pace: Duration::from_secs(1),
            grace: Duration::from_secs(20),
            notice: Duration::from_millis(500),
            copy_after: Duration::from_millis(100),
            copies: 200,
        }
    }
}
