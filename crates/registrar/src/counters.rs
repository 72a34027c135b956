//! What this role counts. Plain atomics, read by a scrape.

use std::sync::atomic::{AtomicU64, Ordering};

use telemetry::Page;
use telemetry::names::{self, label};

/// How a proof was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scheme {
    /// Digest with MD5.
    DigestMd5,
    /// Digest with SHA-256.
    DigestSha256,
    /// NTLM.
    Ntlm,
    /// It could not be read.
    Unknown,
}

/// How a proof ended: the reasons of [`rpc::Refusal`], or well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AuthResult {
    /// Accepted.
    Ok,
    /// No such account.
    UnknownUser,
    /// The proof is wrong.
    WrongPassword,
    /// The account is switched off.
    Disabled,
    /// The account or its policy does not admit this scheme or any sign-in.
    NotAllowed,
    /// Too many failures for this user, from elsewhere.
    Throttled,
    /// The proof can not be read.
    Malformed,
}

impl AuthResult {
    /// The reason as [`rpc::Refusal`] spells it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            AuthResult::Ok => "ok",
            AuthResult::UnknownUser => "unknown_user",
            AuthResult::WrongPassword => "wrong_password",
            AuthResult::Disabled => "disabled",
            AuthResult::NotAllowed => "not_allowed",
            AuthResult::Throttled => "throttled",
            AuthResult::Malformed => "malformed",
        }
    }
}

/// What happened to a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// An endpoint signed in.
    Added,
    /// The same one again on the same connection.
    Refreshed,
    /// The same one again on another connection.
    Replaced,
    /// A REGISTER repeated; nothing changed.
    Repeated,
    /// Signed out, or its connection died.
    Unregistered,
    /// Not refreshed in time.
    Expired,
    /// One endpoint too many; it was the oldest.
    Displaced,
    /// An administrator ended it.
    Rejected,
    /// A REGISTER was refused: interval too brief, out of order, not allowed, unknown.
    Refused,
    /// A REGISTER failed for a reason of ours.
    Failed,
}

/// The outcome of a lookup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LookupResult {
    /// Signed in somewhere.
    Online,
    /// Known, signed in nowhere.
    Offline,
    /// No such user.
    Unknown,
}

/// The outcome of a search for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SearchResult {
    /// All who match were told.
    All,
    /// There are more than were told.
    More,
    /// Nobody matches.
    Nobody,
    /// Too many words.
    Invalid,
    /// Too many searched at once.
    Busy,
    /// It failed for a reason of ours.
    Failed,
}

const SCHEMES: [(Scheme, &str); 4] = [
    (Scheme::DigestMd5, "digest-md5"),
    (Scheme::DigestSha256, "digest-sha-256"),
    (Scheme::Ntlm, "ntlm"),
    (Scheme::Unknown, "unknown"),
];

const AUTH_RESULTS: [AuthResult; 7] = [
    AuthResult::Ok,
    AuthResult::UnknownUser,
    AuthResult::WrongPassword,
    AuthResult::Disabled,
    AuthResult::NotAllowed,
    AuthResult::Throttled,
    AuthResult::Malformed,
];

const OPERATIONS: [(Operation, &str); 10] = [
    (Operation::Added, "added"),
    (Operation::Refreshed, "refreshed"),
    (Operation::Replaced, "replaced"),
    (Operation::Repeated, "repeated"),
    (Operation::Unregistered, "unregistered"),
    (Operation::Expired, "expired"),
    (Operation::Displaced, "displaced"),
    (Operation::Rejected, "rejected"),
    (Operation::Refused, "refused"),
    (Operation::Failed, "failed"),
];

const LOOKUPS: [(LookupResult, &str); 3] = [
    (LookupResult::Online, "online"),
    (LookupResult::Offline, "offline"),
    (LookupResult::Unknown, "unknown"),
];

const SEARCHES: [(SearchResult, &str); 6] = [
    (SearchResult::All, "all"),
    (SearchResult::More, "more"),
    (SearchResult::Nobody, "nobody"),
    (SearchResult::Invalid, "invalid"),
    (SearchResult::Busy, "busy"),
    (SearchResult::Failed, "failed"),
];

/// The counters of one registrar. Only ever grow.
#[derive(Default, Debug)]
pub(crate) struct Counters {
    auth: [[AtomicU64; AUTH_RESULTS.len()]; SCHEMES.len()],
    operations: [AtomicU64; OPERATIONS.len()],
    lookups: [AtomicU64; LOOKUPS.len()],
    searches: [AtomicU64; SEARCHES.len()],
    /// Entries over the budget of refusals, and entries a full queue or a failing store lost.
    audit_suppressed: AtomicU64,
    audit_lost: AtomicU64,
}

/// The counters at one time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CountersSnapshot {
    /// Attempts to sign in: scheme, result, how many. Only those that occurred.
    pub auth: Vec<(&'static str, &'static str, u64)>,
    /// Changes of bindings: operation, how many.
    pub operations: Vec<(&'static str, u64)>,
    /// Lookups: result, how many.
    pub lookups: Vec<(&'static str, u64)>,
    /// Searches for people: result, how many.
    pub searches: Vec<(&'static str, u64)>,
    /// Refused sign-ins over the budget of the audit log.
    pub audit_suppressed: u64,
    /// Audit entries that a full queue or a failing store lost.
    pub audit_lost: u64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(crate) fn auth(&self, scheme: Scheme, result: AuthResult) {
        add(&self.auth[scheme as usize][result as usize], 1);
    }

    pub(crate) fn operation(&self, operation: Operation) {
        add(&self.operations[operation as usize], 1);
    }

    pub(crate) fn operations(&self, operation: Operation, count: usize) {
        add(&self.operations[operation as usize], count as u64);
    }

    pub(crate) fn lookup(&self, result: LookupResult) {
        add(&self.lookups[result as usize], 1);
    }

    pub(crate) fn search(&self, result: SearchResult) {
        add(&self.searches[result as usize], 1);
    }

    pub(crate) fn audit_suppressed(&self) {
        add(&self.audit_suppressed, 1);
    }

    pub(crate) fn audit_lost(&self, entries: usize) {
        add(&self.audit_lost, entries as u64);
    }

    /// Reads all of them.
    pub(crate) fn snapshot(&self) -> CountersSnapshot {
        let mut auth = Vec::new();
        for ((_, scheme), results) in SCHEMES.iter().zip(&self.auth) {
            let pairs = AUTH_RESULTS
                .iter()
                .zip(results)
                .map(|(result, count)| (*scheme, result.as_str(), read(count)));
            auth.extend(pairs.filter(|(.., count)| *count > 0));
        }
        CountersSnapshot {
            auth,
            operations: OPERATIONS
                .iter()
                .zip(&self.operations)
                .map(|((_, name), n)| (*name, read(n)))
                .collect(),
            lookups: LOOKUPS
                .iter()
                .zip(&self.lookups)
                .map(|((_, name), n)| (*name, read(n)))
                .collect(),
            searches: SEARCHES
                .iter()
                .zip(&self.searches)
                .map(|((_, name), n)| (*name, read(n)))
                .collect(),
            audit_suppressed: read(&self.audit_suppressed),
            audit_lost: read(&self.audit_lost),
        }
    }

    pub(crate) fn collect(&self, page: &mut Page) {
        let now = self.snapshot();
        for (scheme, result, count) in now.auth {
            page.counter(
                &names::AUTH_ATTEMPTS,
                &[(label::SCHEME, scheme), (label::RESULT, result)],
                count,
            );
        }
        for (operation, count) in now.operations {
            page.counter(
                &names::REGISTRATION_OPERATIONS,
                &[(label::OPERATION, operation)],
                count,
            );
        }
        for (result, count) in now.lookups {
            page.counter(&names::LOOKUPS, &[(label::RESULT, result)], count);
        }
        for (result, count) in now.searches {
            page.counter(&names::SEARCHES, &[(label::RESULT, result)], count);
        }
        page.counter(
            &names::AUDIT_SUPPRESSED,
            &[(label::REASON, "budget")],
            now.audit_suppressed,
        );
        page.counter(
            &names::AUDIT_SUPPRESSED,
            &[(label::REASON, "lost")],
            now.audit_lost,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_the_place_of_their_variant() {
        // The arrays are indexed by the variants' numbers.
        assert!(
            SCHEMES
                .iter()
                .enumerate()
                .all(|(index, (scheme, _))| *scheme as usize == index)
        );
        assert!(
            AUTH_RESULTS
                .iter()
                .enumerate()
                .all(|(index, result)| *result as usize == index)
        );
        assert!(
            OPERATIONS
                .iter()
                .enumerate()
                .all(|(index, (operation, _))| *operation as usize == index)
        );
        assert!(
            LOOKUPS
                .iter()
                .enumerate()
                .all(|(index, (result, _))| *result as usize == index)
        );
        assert!(
            SEARCHES
                .iter()
                .enumerate()
                .all(|(index, (result, _))| *result as usize == index)
        );
    }

    #[test]
    fn what_is_counted_is_on_the_page() {
        let counters = Counters::default();
        counters.auth(Scheme::Ntlm, AuthResult::WrongPassword);
        counters.operations(Operation::Expired, 3);
        counters.lookup(LookupResult::Offline);
        counters.search(SearchResult::More);
        let mut page = Page::new();
        counters.collect(&mut page);
        let text = page.render();
        for line in [
            "portico_auth_attempts_total{scheme=\"ntlm\",result=\"wrong_password\"} 1",
            "portico_registration_operations_total{operation=\"expired\"} 3",
            "portico_registrar_lookups_total{result=\"offline\"} 1",
            "portico_registrar_searches_total{result=\"more\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
