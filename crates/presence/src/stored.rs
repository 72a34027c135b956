//! How publications and rules are stored: the store keeps what is written here without looking into it.
//!
//! A field that is added gets a default, so that what an earlier release wrote can be read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rpc::EndpointId;
use rpc::presence::{
    AccessRules, Activity, Availability, Bound, ContactCard, Container, ContainerMember, CustomText, Kept,
    KeptFormat, Lifetime, Note, NoteKind, Phone, PhoneKind, Publication, PublicationContent, PublicationKey,
    Source, StateInput,
};
use serde::{Deserialize, Serialize};
use sip_types::AddressOfRecord;
use store::{StoreError, StoredContainer, StoredPublication, StoredRules};

use crate::time::millis_of;

/// A publication without its name, version and end.
#[derive(Serialize, Deserialize)]
pub(crate) struct Data {
    endpoint: Option<String>,
    expires_ms: Option<u64>,
    content: Content,
    kept: Option<KeptData>,
}

#[derive(Serialize, Deserialize)]
enum Content {
    States(Vec<StateData>),
    Notes(Vec<NoteData>),
    Document {
        states: Vec<StateData>,
        notes: Vec<NoteData>,
    },
    Card(CardData),
    Opaque,
}

#[derive(Serialize, Deserialize)]
struct KeptData {
    #[serde(with = "KeptFormatDef")]
    format: KeptFormat,
    xml: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "KeptFormat")]
enum KeptFormatDef {
    Category,
    Pidf,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Source")]
enum SourceDef {
    Machine,
    User,
    Calendar,
    OutOfOffice,
    Phone,
    Conference,
}

#[derive(Serialize, Deserialize)]
enum ActivityData {
    Token(String),
    Custom(Vec<(u32, String)>),
}

#[derive(Serialize, Deserialize)]
struct StateData {
    #[serde(with = "SourceDef")]
    source: Source,
    availability: u16,
    activity: Option<ActivityData>,
    location: Option<String>,
    meeting_subject: Option<String>,
    meeting_location: Option<String>,
    starts_at: Option<u64>,
    last_active: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NoteKind")]
enum NoteKindDef {
    Personal,
    OutOfOffice,
}

#[derive(Serialize, Deserialize)]
struct NoteData {
    #[serde(with = "NoteKindDef")]
    kind: NoteKind,
    text: String,
    language: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PhoneKind")]
enum PhoneKindDef {
    Work,
    Mobile,
    Home,
    Other,
}

#[derive(Serialize, Deserialize)]
struct PhoneData {
    #[serde(with = "PhoneKindDef")]
    kind: PhoneKind,
    uri: String,
    display: String,
}

#[derive(Serialize, Deserialize)]
struct CardData {
    display_name: String,
    emails: Vec<String>,
    phones: Vec<PhoneData>,
    title: Option<String>,
    office: Option<String>,
    company: Option<String>,
    department: Option<String>,
    url: Option<String>,
}

// === publications ===

impl Data {
    /// # Errors
    /// Inconsistent: it cannot be written, which is a defect.
    pub(crate) fn of(publication: &Publication) -> Result<Self, StoreError> {
        let kept = match &publication.kept {
            None => None,
            Some(kept) => Some(KeptData {
                format: kept.format,
                xml: String::from_utf8(kept.xml.to_vec()).map_err(inconsistent)?,
            }),
        };
        Ok(Data {
            endpoint: publication
                .endpoint
                .as_ref()
                .map(|endpoint| endpoint.as_str().to_owned()),
            expires_ms: publication.lifetime.expires.map(millis_of),
            content: content_to_store(&publication.content),
            kept,
        })
    }

    /// The publication of this name.
    pub(crate) fn into_publication(
        self,
        key: PublicationKey,
        version: u32,
        bound: Bound,
        published_at: u64,
    ) -> Publication {
        Publication {
            key,
            version,
            endpoint: self.endpoint.map(|endpoint| EndpointId::new(&endpoint)),
            lifetime: Lifetime {
                bound,
                expires: self.expires_ms.map(Duration::from_millis),
            },
            published_at,
            content: content_from_store(self.content),
            kept: self.kept.map(|kept| Kept {
                format: kept.format,
                xml: Bytes::from(kept.xml),
            }),
        }
    }
}

/// A static publication as it is stored. `expires_at` in Unix milliseconds.
///
/// # Errors
/// Inconsistent: it cannot be written, which is a defect.
pub(crate) fn publication_to_store(
    publication: &Publication,
    expires_at: Option<u64>,
) -> Result<StoredPublication, StoreError> {
    let data = Data::of(publication)?;
    Ok(StoredPublication {
        category: publication.key.category.to_string(),
        instance: publication.key.instance,
        container: publication.key.container,
        version: publication.version,
        published_at: publication.published_at,
        expires_at,
        data: serde_json::to_vec(&data).map_err(inconsistent)?,
    })
}

/// A static publication as it was stored.
///
/// # Errors
/// Inconsistent: what is stored cannot be read.
pub(crate) fn publication_from_store(stored: StoredPublication) -> Result<Publication, StoreError> {
    let data: Data = serde_json::from_slice(&stored.data).map_err(|error| {
        StoreError::Inconsistent(format!(
            "publication {} {} {}: {error}",
            stored.category, stored.instance, stored.container
        ))
    })?;
    let key = PublicationKey {
        category: stored.category.into(),
        instance: stored.instance,
        container: stored.container,
    };
    Ok(data.into_publication(key, stored.version, Bound::Static, stored.published_at))
}

pub(crate) fn inconsistent(error: impl std::fmt::Display) -> StoreError {
    StoreError::Inconsistent(format!("a publication cannot be written: {error}"))
}

fn content_to_store(content: &PublicationContent) -> Content {
    let all_states = |states: &[StateInput]| states.iter().map(state_to_store).collect();
    let all_notes = |notes: &[Note]| notes.iter().map(note_to_store).collect();
    match content {
        PublicationContent::States(states) => Content::States(all_states(states)),
        PublicationContent::Notes(notes) => Content::Notes(all_notes(notes)),
        PublicationContent::Document { states, notes } => Content::Document {
            states: all_states(states),
            notes: all_notes(notes),
        },
        PublicationContent::Card(card) => Content::Card(card_to_store(card)),
        PublicationContent::Opaque => Content::Opaque,
    }
}

fn content_from_store(content: Content) -> PublicationContent {
    let all_states =
        |states: Vec<StateData>| -> Arc<[StateInput]> { states.into_iter().map(state_from_store).collect() };
    let all_notes =
        |notes: Vec<NoteData>| -> Arc<[Note]> { notes.into_iter().map(note_from_store).collect() };
    match content {
        Content::States(states) => PublicationContent::States(all_states(states)),
        Content::Notes(notes) => PublicationContent::Notes(all_notes(notes)),
        Content::Document { states, notes } => PublicationContent::Document {
            states: all_states(states),
            notes: all_notes(notes),
        },
        Content::Card(card) => PublicationContent::Card(Arc::new(card_from_store(card))),
        Content::Opaque => PublicationContent::Opaque,
    }
}

fn state_to_store(state: &StateInput) -> StateData {
    StateData {
        source: state.source,
        availability: state.availability.0,
        activity: state.activity.as_ref().map(|activity| match activity {
            Activity::Token(token) => ActivityData::Token(token.to_string()),
            Activity::Custom(texts) => {
                ActivityData::Custom(texts.iter().map(|one| (one.lcid, one.text.clone())).collect())
            }
        }),
        location: state.location.clone(),
        meeting_subject: state.meeting_subject.clone(),
        meeting_location: state.meeting_location.clone(),
        starts_at: state.starts_at,
        last_active: state.last_active,
    }
}

fn state_from_store(state: StateData) -> StateInput {
    StateInput {
        source: state.source,
        availability: Availability(state.availability),
        activity: state.activity.map(|activity| match activity {
            ActivityData::Token(token) => Activity::Token(token.into()),
            ActivityData::Custom(texts) => Activity::Custom(
                texts
                    .into_iter()
                    .map(|(lcid, text)| CustomText { lcid, text })
                    .collect(),
            ),
        }),
        location: state.location,
        meeting_subject: state.meeting_subject,
        meeting_location: state.meeting_location,
        starts_at: state.starts_at,
        last_active: state.last_active,
    }
}

fn note_to_store(note: &Note) -> NoteData {
    NoteData {
        kind: note.kind,
        text: note.text.clone(),
        language: note.language.clone(),
    }
}

fn note_from_store(note: NoteData) -> Note {
    Note {
        kind: note.kind,
        text: note.text,
        language: note.language,
    }
}

fn card_to_store(card: &ContactCard) -> CardData {
    let phones = card.phones.iter().map(|phone| PhoneData {
        kind: phone.kind,
        uri: phone.uri.clone(),
        display: phone.display.clone(),
    });
    CardData {
        display_name: card.display_name.clone(),
        emails: card.emails.clone(),
        phones: phones.collect(),
        title: card.title.clone(),
        office: card.office.clone(),
        company: card.company.clone(),
        department: card.department.clone(),
        url: card.url.clone(),
    }
}

fn card_from_store(card: CardData) -> ContactCard {
    let phones = card.phones.into_iter().map(|phone| Phone {
        kind: phone.kind,
        uri: phone.uri,
        display: phone.display,
    });
    ContactCard {
        display_name: card.display_name,
        emails: card.emails,
        phones: phones.collect(),
        title: card.title,
        office: card.office,
        company: card.company,
        department: card.department,
        url: card.url,
    }
}

// === rules ===

/// Rules as they are stored.
pub(crate) fn rules_to_store(rules: &AccessRules, revision: u64) -> StoredRules {
    let containers = rules.containers.iter().map(|container| StoredContainer {
        id: container.id,
        version: container.version,
        members: container.members.iter().map(member_to_store).collect(),
    });
    StoredRules {
        revision,
        containers: containers.collect(),
    }
}

/// Rules as they were stored.
///
/// # Errors
/// Inconsistent: what is stored cannot be read.
pub(crate) fn rules_from_store(
    presentity: &AddressOfRecord,
    stored: &StoredRules,
) -> Result<AccessRules, StoreError> {
    let containers = stored.containers.iter().map(|container| {
        let members = container.members.iter().map(|text| {
            member_from_store(text).ok_or_else(|| {
                StoreError::Inconsistent(format!("container {} has the member {text:?}", container.id))
            })
        });
        Ok(Container {
            id: container.id,
            version: container.version,
            members: members.collect::<Result<_, StoreError>>()?,
        })
    });
    Ok(AccessRules {
        presentity: presentity.clone(),
        containers: containers.collect::<Result<_, StoreError>>()?,
        contacts_only: false,
    })
}

fn member_to_store(member: &ContainerMember) -> String {
    match member {
        ContainerMember::User(user) => format!("user:{user}"),
        ContainerMember::Domain(domain) => format!("domain:{domain}"),
        ContainerMember::SameEnterprise => "sameEnterprise".to_owned(),
        ContainerMember::Federated => "federated".to_owned(),
        ContainerMember::PublicCloud => "publicCloud".to_owned(),
        ContainerMember::Everyone => "everyone".to_owned(),
    }
}

fn member_from_store(text: &str) -> Option<ContainerMember> {
    match text.split_once(':') {
        Some(("user", user)) => AddressOfRecord::parse(user).ok().map(ContainerMember::User),
        Some(("domain", domain)) => Some(ContainerMember::Domain(domain.into())),
        Some(_) => None,
        None => match text {
            "sameEnterprise" => Some(ContainerMember::SameEnterprise),
            "federated" => Some(ContainerMember::Federated),
            "publicCloud" => Some(ContainerMember::PublicCloud),
            "everyone" => Some(ContainerMember::Everyone),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests;
