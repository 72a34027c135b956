//! A search for people in the directory: the accounts of this pool, for whoever is signed in.

use rpc::{MAX_FOUND, PeopleSearch, Person};
use sip_bodies::lync::soap::{DirectoryEntry, SearchTerm, SoapAnswer};
use sip_types::StatusCode;

use super::{Answer, Failed};
use crate::counters::Refused;
use crate::method::Incoming;
use crate::method::event::Refusal;

/// What was asked for.
pub(super) struct Search {
    pub(super) max_results: Option<u32>,
    pub(super) terms: Vec<SearchTerm>,
}

/// Attributes of people that are kept: those of the name, and the address, which is the mail address too.
const KEPT: [&str; 4] = ["givenName", "sn", "displayName", "mail"];

/// The SIP address, which clients write with its scheme.
const ADDRESS: &str = "msRTCSIP-PrimaryUserAddress";

/// The words of all terms. Which of the words of a name is the given one is not known: each of them may be.
/// `None`: a term asks for what is kept of nobody, so nobody has it.
fn words(terms: &[SearchTerm]) -> Option<String> {
    let mut words = Vec::new();
    for term in terms {
        let value = term.value.trim();
        if value.is_empty() {
            continue;
        }
        if term.attribute.eq_ignore_ascii_case(ADDRESS) {
            words.push(without_scheme(value));
        } else if KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(&term.attribute)) {
            words.push(value);
        } else {
            return None;
        }
    }
    Some(words.join(" "))
}

fn without_scheme(uri: &str) -> &str {
    match uri.split_at_checked("sip:".len()) {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("sip:") => address,
        _ => uri,
    }
}

fn entry(person: Person) -> DirectoryEntry {
    DirectoryEntry {
        uri: person.aor.to_uri_string(),
        email: person.aor.as_str().to_owned(),
        display_name: person.display_name,
        ..DirectoryEntry::default()
    }
}

pub(super) async fn answer(incoming: &Incoming, search: Search) -> Result<Answer, Failed> {
    let service = &incoming.service;
    if !incoming.flow.admit_search() {
        service.counters.refused(Refused::SearchRate);
        let reason = "Too many searches in a short time";
        return Err(Failed::Refused(
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE).saying(reason),
        ));
    }
    let found = match words(&search.terms) {
        Some(words) => {
            // None at all means that the client does not care, as in a directory.
            let limit = search.max_results.filter(|most| *most > 0);
            let limit = limit.unwrap_or(MAX_FOUND).min(MAX_FOUND);
            service.registrar.search(PeopleSearch { words, limit }).await?
        }
        None => rpc::PeopleFound::default(),
    };
    let answer = SoapAnswer::Found {
        more_available: found.more,
        entries: found.people.into_iter().map(entry).collect(),
    };
    Ok(Answer::soap(StatusCode::OK, &answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(terms: &[(&str, &str)]) -> Option<String> {
        let terms = terms.iter().map(|(attribute, value)| SearchTerm {
            attribute: (*attribute).to_owned(),
            value: (*value).to_owned(),
        });
        words(&terms.collect::<Vec<_>>())
    }

    #[test]
    fn all_terms_are_words_of_one_search() {
        let terms = [("givenName", "Anna Maria"), ("SN", " Schmidt "), ("mail", "anna")];
        assert_eq!(asked(&terms).as_deref(), Some("Anna Maria Schmidt anna"));
        assert_eq!(asked(&[]).as_deref(), Some(""));
    }

    #[test]
    fn an_address_comes_with_or_without_its_scheme() {
        for value in ["sip:bob@example.test", "SIP:bob@example.test", "bob@example.test"] {
            let asked = asked(&[(ADDRESS, value)]);
            assert_eq!(asked.as_deref(), Some("bob@example.test"), "{value}");
        }
        assert_eq!(asked(&[(ADDRESS, "sip:")]).as_deref(), Some(""));
        assert_eq!(asked(&[(ADDRESS, "bob")]).as_deref(), Some("bob"));
    }

    #[test]
    fn nobody_has_what_is_not_kept_and_an_empty_term_asks_for_nothing() {
        assert_eq!(asked(&[("givenName", "Anna"), ("company", "Example")]), None);
        let terms = [("givenName", "Anna"), ("company", ""), ("c", "  ")];
        assert_eq!(asked(&terms).as_deref(), Some("Anna"));
    }
}
