//! What is copied of a user for the next owner: the publications that end with endpoints, and so are in no database.
//!
//! Ends are what remains of them, so that members never compare their clocks. A field that is added gets a default, so that the next
//! owner may be of another release.

use std::sync::Arc;

use bytes::Bytes;
use rpc::presence::{Bound, Publication, PublicationKey};
use serde::{Deserialize, Serialize};
use store::StoreError;

use crate::stored::{Data, inconsistent};
use crate::time::Now;

/// What this release writes. A reader takes everything up to it.
const VERSION: u32 = 1;

/// Milliseconds a copy is of use of what has no end of its own. Whoever publishes nothing for longer is told of by his front end.
const LIVES_MS: u64 = 24 * 3_600 * 1_000;

#[derive(Serialize, Deserialize)]
struct Copied {
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "p")]
    publications: Vec<One>,
}

#[derive(Serialize, Deserialize)]
struct One {
    category: String,
    instance: u32,
    container: u16,
    version: u32,
    /// Ends with the user's last endpoint, and not with one endpoint.
    of_user: bool,
    published_at: u64,
    remaining_ms: Option<u64>,
    data: Data,
}

/// A publication that a former owner left, and when it ends by itself, monotone milliseconds.
pub(crate) type Left = (Arc<Publication>, Option<u64>);

/// Writes publications down, with the milliseconds they are of use. Nothing for none.
///
/// # Errors
/// Inconsistent: one cannot be written, which is a defect.
pub(crate) fn write(publications: &[Left], now: Now) -> Result<(Bytes, u64), StoreError> {
    let mut lives_ms = 0;
    let mut written = Vec::with_capacity(publications.len());
    for (publication, ends_at) in publications {
        let remaining_ms = ends_at.map(|at| at.saturating_sub(now.ms));
        lives_ms = lives_ms.max(remaining_ms.unwrap_or(LIVES_MS));
        written.push(One {
            category: publication.key.category.to_string(),
            instance: publication.key.instance,
            container: publication.key.container,
            version: publication.version,
            of_user: publication.lifetime.bound == Bound::User,
            published_at: publication.published_at,
            remaining_ms,
            data: Data::of(publication)?,
        });
    }
    if written.is_empty() {
        return Ok((Bytes::new(), 0));
    }
    let copied = Copied {
        version: VERSION,
        publications: written,
    };
    let text = serde_json::to_vec(&copied).map_err(inconsistent)?;
    Ok((text.into(), lives_ms))
}

/// Reads what was written so many milliseconds ago. What ended meanwhile is left out.
///
/// # Errors
/// Inconsistent: it cannot be read, or a later release wrote it.
pub(crate) fn read(text: &[u8], age_ms: u64, now: Now) -> Result<Vec<Left>, StoreError> {
    let unreadable =
        |why: String| StoreError::Inconsistent(format!("a copy of presence cannot be read: {why}"));
    let copied: Copied = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
    if copied.version > VERSION {
        return Err(unreadable(format!("it has the form {}", copied.version)));
    }
    let mut left = Vec::new();
    for one in copied.publications {
        let remaining = one.remaining_ms.map(|remaining| remaining.saturating_sub(age_ms));
        if remaining == Some(0) {
            continue;
        }
        let key = PublicationKey {
            category: one.category.into(),
            instance: one.instance,
            container: one.container,
        };
        let bound = match one.of_user {
            true => Bound::User,
            false => Bound::Endpoint,
        };
        let publication = one
            .data
            .into_publication(key, one.version, bound, one.published_at);
        let ends_at = remaining.map(|remaining| now.ms.saturating_add(remaining));
        left.push((Arc::new(publication), ends_at));
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rpc::EndpointId;
    use rpc::presence::{
        Availability, Kept, KeptFormat, Lifetime, PublicationContent, Source, StateInput, category,
    };

    use super::*;

    fn now(ms: u64) -> Now {
        Now { unix_ms: 7_000, ms }
    }

    fn publication(instance: u32, bound: Bound, expires: Option<u64>) -> Arc<Publication> {
        let states = [StateInput::new(Source::Machine, Availability::IDLE)];
        Arc::new(Publication {
            key: PublicationKey {
                category: category::STATE.into(),
                instance,
                container: 2,
            },
            version: 4,
            endpoint: Some(EndpointId::new("e1")),
            lifetime: Lifetime {
                bound,
                expires: expires.map(Duration::from_millis),
            },
            published_at: 1_800_000_000_123,
            content: PublicationContent::States(states.into()),
            kept: Some(Kept {
                format: KeptFormat::Category,
                xml: Bytes::from_static("<état/>".as_bytes()),
            }),
        })
    }

    #[test]
    fn what_is_copied_is_read_as_it_was_with_what_remains_of_its_time() {
        let (endless, timed, brief) = (
            publication(1, Bound::Endpoint, None),
            publication(2, Bound::User, Some(600_000)),
            publication(3, Bound::Endpoint, Some(50_000)),
        );
        let all = [
            (endless.clone(), None),
            (timed.clone(), Some(601_000)),
            (brief, Some(51_000)),
        ];
        let (text, lives_ms) = write(&all, now(1_000)).unwrap();
        assert_eq!(lives_ms, LIVES_MS);
        let left = read(&text, 50_000, now(30)).unwrap();
        assert_eq!(left, [(endless, None), (timed, Some(550_030))]);
        let (_, lives_ms) = write(&all[1..2], now(1_000)).unwrap();
        assert_eq!(lives_ms, 600_000);
    }

    #[test]
    fn nothing_is_no_text() {
        assert_eq!(write(&[], now(0)).unwrap(), (Bytes::new(), 0));
    }

    #[test]
    fn a_later_form_and_rubbish_are_not_guessed_at_and_unknown_fields_are_passed_over() {
        for text in [r#"{"v":2,"p":[]}"#, "{", "", r#"{"v":1,"p":[{}]}"#] {
            let read = read(text.as_bytes(), 0, now(0));
            assert!(matches!(read, Err(StoreError::Inconsistent(_))), "{text}");
        }
        assert_eq!(read(br#"{"v":1,"p":[],"new":1}"#, 0, now(0)).unwrap(), []);
    }
}
