//! Searches for people.

use rpc::{PeopleFound, PeopleSearch, Person};

use super::{Malformed, aor};
use crate::proto::registrar::v1 as wire;

impl From<PeopleSearch> for wire::SearchRequest {
    fn from(search: PeopleSearch) -> Self {
        wire::SearchRequest {
            words: search.words,
            limit: search.limit,
        }
    }
}

impl From<wire::SearchRequest> for PeopleSearch {
    fn from(search: wire::SearchRequest) -> Self {
        PeopleSearch {
            words: search.words,
            limit: search.limit,
        }
    }
}

impl From<PeopleFound> for wire::SearchResponse {
    fn from(found: PeopleFound) -> Self {
        let people = found.people.into_iter().map(|person| wire::Person {
            aor: person.aor.as_str().to_owned(),
            display_name: person.display_name,
        });
        wire::SearchResponse {
            people: people.collect(),
            more: found.more,
        }
    }
}

impl TryFrom<wire::SearchResponse> for PeopleFound {
    type Error = Malformed;

    fn try_from(found: wire::SearchResponse) -> Result<Self, Malformed> {
        let people = found.people.into_iter().map(|person| {
            Ok(Person {
                aor: aor("search.people.aor", &person.aor)?,
                display_name: person.display_name,
            })
        });
        Ok(PeopleFound {
            people: people.collect::<Result<_, _>>()?,
            more: found.more,
        })
    }
}
