//! Searching for people, for those who are signed in.
//!
//! It reads the store and nothing is cached: sign-ins share the connections of the store, so few searches run at a time.

use std::time::Duration;

use rpc::{Error, ErrorCode, MAX_FOUND, PeopleFound, PeopleSearch, Person};
use store::AccountSearch;

use crate::counters::SearchResult;
use crate::error::{invalid, store_failed};
use crate::service::Inner;

/// Searches that read the store at the same time; others wait. Fewer than a store has connections.
pub(crate) const SEARCHES_AT_ONCE: usize = 3;

/// How long a search waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// Words of a search.
const MAX_WORDS: usize = 8;

/// Bytes of all words of a search: an address has at most 255.
const MAX_BYTES: usize = 512;

impl Inner {
    pub(crate) async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error> {
        let found = self.found(&search).await;
        self.counters.search(match &found {
            Ok(found) if found.people.is_empty() => SearchResult::Nobody,
            Ok(found) if found.more => SearchResult::More,
            Ok(_) => SearchResult::All,
            Err(error) => match error.code {
                ErrorCode::InvalidRequest => SearchResult::Invalid,
                ErrorCode::TooMany => SearchResult::Busy,
                _ => SearchResult::Failed,
            },
        });
        found
    }

    async fn found(&self, search: &PeopleSearch) -> Result<PeopleFound, Error> {
        let words = &search.words;
        if words.len() > MAX_BYTES || words.split_whitespace().nth(MAX_WORDS).is_some() {
            return Err(invalid(format!(
                "a search has at most {MAX_WORDS} words and {MAX_BYTES} bytes"
            )));
        }
        // Accounts of a domain that was the pool's once are kept, but nobody reaches them.
        let domains = self.config.domains.iter().map(ToString::to_string).collect();
        let wanted = AccountSearch::new([words.as_str()]).within(domains);
        if wanted.is_vain() {
            return Ok(PeopleFound::default());
        }
        let busy = || Error::new(ErrorCode::TooMany, "too many people search at once").retry_after(PATIENCE);
        let Ok(Ok(_place)) = tokio::time::timeout(PATIENCE, self.searches.acquire()).await else {
            return Err(busy());
        };
        let limit = search.limit.min(MAX_FOUND);
        let accounts = &self.stores.accounts;
        let found = accounts
            .search_accounts(&wanted, limit)
            .await
            .map_err(store_failed)?;
        let people = found.accounts.into_iter().map(|account| Person {
            aor: account.aor,
            display_name: account.display_name,
        });
        Ok(PeopleFound {
            people: people.collect(),
            more: found.more,
        })
    }
}

#[cfg(test)]
mod tests;
