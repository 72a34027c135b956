//! Publications and changes of them.

use rpc::presence::{
    Bound, Kept, KeptFormat, Lifetime, Publication, PublicationContent, PublicationKey, Publish, PublishOne,
    PublishRefusal, Published, StoredVersion,
};

use super::super::endpoint::optional_endpoint;
use super::super::{Malformed, aor, duration, milliseconds, named, required};
use super::document::{own, own_to_wire};
use super::state::{card, card_to_wire, note_to_wire, notes, state_to_wire, states};
use super::{refused, refused_to_wire, small};
use crate::proto::presence::v1 as wire;

fn key_to_wire(key: &PublicationKey) -> wire::PublicationKey {
    wire::PublicationKey {
        category: key.category.to_string(),
        instance: key.instance,
        container: key.container.into(),
    }
}

fn key(key: Option<wire::PublicationKey>) -> Result<PublicationKey, Malformed> {
    let key = required("publication.key", key)?;
    named("publication.key.category", &key.category)?;
    Ok(PublicationKey {
        category: key.category.into(),
        instance: key.instance,
        container: small("publication.key.container", key.container)?,
    })
}

fn lifetime_to_wire(lifetime: Lifetime) -> wire::Lifetime {
    let bound = match lifetime.bound {
        Bound::Static => wire::Bound::Static,
        Bound::User => wire::Bound::User,
        Bound::Endpoint => wire::Bound::Endpoint,
    };
    wire::Lifetime {
        bound: bound.into(),
        expires_ms: lifetime.expires.map(milliseconds),
    }
}

fn lifetime(lifetime: Option<wire::Lifetime>) -> Result<Lifetime, Malformed> {
    let lifetime = required("publication.lifetime", lifetime)?;
    Ok(Lifetime {
        bound: match lifetime.bound() {
            wire::Bound::Static => Bound::Static,
            wire::Bound::User => Bound::User,
            wire::Bound::Endpoint | wire::Bound::Unspecified => Bound::Endpoint,
        },
        expires: lifetime.expires_ms.map(duration),
    })
}

pub(super) fn kept_to_wire(kept: &Kept) -> wire::Kept {
    let format = match kept.format {
        KeptFormat::Category => wire::KeptFormat::Category,
        KeptFormat::Pidf => wire::KeptFormat::Pidf,
    };
    wire::Kept {
        format: format.into(),
        xml: kept.xml.clone(),
    }
}

pub(super) fn kept(kept: wire::Kept) -> Result<Kept, Malformed> {
    let format = match kept.format() {
        wire::KeptFormat::Category => KeptFormat::Category,
        wire::KeptFormat::Pidf => KeptFormat::Pidf,
        wire::KeptFormat::Unspecified => return Err(Malformed::new("kept.format")),
    };
    Ok(Kept {
        format,
        xml: kept.xml,
    })
}

fn content_to_wire(content: &PublicationContent) -> wire::Content {
    use wire::content::Kind;
    let empty = wire::Content::default();
    match content {
        PublicationContent::States(states) => wire::Content {
            kind: Kind::States.into(),
            states: states.iter().map(state_to_wire).collect(),
            ..empty
        },
        PublicationContent::Notes(notes) => wire::Content {
            kind: Kind::Notes.into(),
            notes: notes.iter().map(note_to_wire).collect(),
            ..empty
        },
        PublicationContent::Document { states, notes } => wire::Content {
            kind: Kind::Document.into(),
            states: states.iter().map(state_to_wire).collect(),
            notes: notes.iter().map(note_to_wire).collect(),
            ..empty
        },
        PublicationContent::Card(card) => wire::Content {
            kind: Kind::Card.into(),
            card: Some(card_to_wire(card)),
            ..empty
        },
        PublicationContent::Opaque => wire::Content {
            kind: Kind::Opaque.into(),
            ..empty
        },
    }
}

fn content(content: Option<wire::Content>) -> Result<PublicationContent, Malformed> {
    use wire::content::Kind;
    let content = required("publication.content", content)?;
    Ok(match content.kind() {
        Kind::States => PublicationContent::States(states(content.states)?),
        Kind::Notes => PublicationContent::Notes(notes(content.notes)),
        Kind::Document => PublicationContent::Document {
            states: states(content.states)?,
            notes: notes(content.notes),
        },
        Kind::Card => PublicationContent::Card(card(required("content.card", content.card)?).into()),
        Kind::Opaque | Kind::Unspecified => PublicationContent::Opaque,
    })
}

pub(super) fn publication_to_wire(publication: &Publication) -> wire::Publication {
    wire::Publication {
        key: Some(key_to_wire(&publication.key)),
        version: publication.version,
        endpoint: publication
            .endpoint
            .as_ref()
            .map(|endpoint| endpoint.as_str().to_owned()),
        lifetime: Some(lifetime_to_wire(publication.lifetime)),
        published_at_ms: publication.published_at,
        content: Some(content_to_wire(&publication.content)),
        kept: publication.kept.as_ref().map(kept_to_wire),
    }
}

pub(super) fn publication(publication: wire::Publication) -> Result<Publication, Malformed> {
    Ok(Publication {
        key: key(publication.key)?,
        version: publication.version,
        endpoint: optional_endpoint("publication.endpoint", publication.endpoint.as_deref())?,
        lifetime: lifetime(publication.lifetime)?,
        published_at: publication.published_at_ms,
        content: content(publication.content)?,
        kept: publication.kept.map(kept).transpose()?,
    })
}

fn change_to_wire(change: &PublishOne) -> wire::PublishOne {
    use wire::publish_one::Change;
    let change = match change {
        PublishOne::Set {
            key,
            known,
            lifetime,
            content,
            kept,
        } => Change::Set(wire::SetPublication {
            key: Some(key_to_wire(key)),
            known: *known,
            lifetime: Some(lifetime_to_wire(*lifetime)),
            content: Some(content_to_wire(content)),
            kept: kept.as_ref().map(kept_to_wire),
        }),
        PublishOne::Refresh { key, known, lifetime } => Change::Refresh(wire::RefreshPublication {
            key: Some(key_to_wire(key)),
            known: *known,
            lifetime: Some(lifetime_to_wire(*lifetime)),
        }),
        PublishOne::Remove { key, known } => Change::Remove(wire::RemovePublication {
            key: Some(key_to_wire(key)),
            known: *known,
        }),
    };
    wire::PublishOne { change: Some(change) }
}

fn change(change: wire::PublishOne) -> Result<PublishOne, Malformed> {
    use wire::publish_one::Change;
    Ok(match required("publish.change", change.change)? {
        Change::Set(set) => PublishOne::Set {
            key: key(set.key)?,
            known: set.known,
            lifetime: lifetime(set.lifetime)?,
            content: content(set.content)?,
            kept: set.kept.map(kept).transpose()?,
        },
        Change::Refresh(refresh) => PublishOne::Refresh {
            key: key(refresh.key)?,
            known: refresh.known,
            lifetime: lifetime(refresh.lifetime)?,
        },
        Change::Remove(remove) => PublishOne::Remove {
            key: key(remove.key)?,
            known: remove.known,
        },
    })
}

/// Changes of publications.
pub fn publish_to_wire(publish: &Publish) -> wire::Publish {
    wire::Publish {
        user: publish.user.as_str().to_owned(),
        endpoint: publish
            .endpoint
            .as_ref()
            .map(|endpoint| endpoint.as_str().to_owned()),
        changes: publish.changes.iter().map(change_to_wire).collect(),
    }
}

/// Changes of publications.
///
/// # Errors
/// The field that is wrong.
pub fn publish(publish: wire::Publish) -> Result<Publish, Malformed> {
    Ok(Publish {
        user: aor("publish.user", &publish.user)?,
        endpoint: optional_endpoint("publish.endpoint", publish.endpoint.as_deref())?,
        changes: publish
            .changes
            .into_iter()
            .map(change)
            .collect::<Result<_, _>>()?,
    })
}

/// What became of changes.
pub fn published_to_wire(result: &Result<Published, PublishRefusal>) -> wire::PublishResult {
    use wire::publish_result::Result as Outcome;
    let result = match result {
        Ok(published) => Outcome::Published(wire::Published {
            versions: published
                .versions
                .iter()
                .map(|stored| wire::StoredVersion {
                    key: Some(key_to_wire(&stored.key)),
                    version: stored.version,
                })
                .collect(),
            own: Some(own_to_wire(&published.own)),
        }),
        Err(refusal) => Outcome::Refused(refused_to_wire(refusal)),
    };
    wire::PublishResult { result: Some(result) }
}

/// What became of changes.
///
/// # Errors
/// The field that is wrong.
pub fn published(result: wire::PublishResult) -> Result<Result<Published, PublishRefusal>, Malformed> {
    use wire::publish_result::Result as Outcome;
    let stored = |stored: wire::StoredVersion| {
        Ok(StoredVersion {
            key: key(stored.key)?,
            version: stored.version,
        })
    };
    Ok(match required("publish.result", result.result)? {
        Outcome::Published(published) => Ok(Published {
            versions: published
                .versions
                .into_iter()
                .map(stored)
                .collect::<Result<_, Malformed>>()?,
            own: own(required("published.own", published.own)?)?.into(),
        }),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    })
}
