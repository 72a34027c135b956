//! What a Lync-family client publishes, in the words of the pool.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rpc::presence::{
    Activity, Availability, Bound, ContactCard, ContainerMember, CustomText, Kept, KeptFormat, Lifetime,
    MemberChange, MemberChanges, Note, NoteKind, Phone, PhoneKind, PublicationContent, PublicationKey,
    PublishOne, Source, StateInput, category,
};
use sip_bodies::BodyError;
use sip_bodies::fragment::Fragment;
use sip_bodies::lync::publish::Publication;
use sip_bodies::lync::{ExpireType, contact_card, containers, note, state};
use sip_types::AddressOfRecord;

/// Longest text of the user's own for a state, characters.
const CUSTOM_TEXT: usize = 64;

/// One publication as a change.
///
/// # Errors
/// Those of the elements the pool looks into; [`BodyError::Malformed`] if something is to expire and does not say when.
pub(crate) fn change(publication: &Publication) -> Result<PublishOne, BodyError> {
    let key = PublicationKey {
        category: publication.category_name.as_str().into(),
        instance: publication.instance,
        container: publication.container.get(),
    };
    let known = Some(publication.version);
    if publication.is_removal() {
        return Ok(PublishOne::Remove { key, known });
    }
    let content = match &publication.content {
        Some(element) => content(&publication.category_name, element)?,
        None => PublicationContent::Opaque,
    };
    let kept = publication.content.as_ref().map(|element| Kept {
        format: KeptFormat::Category,
        xml: Bytes::copy_from_slice(element.as_str().as_bytes()),
    });
    Ok(PublishOne::Set {
        key,
        known,
        lifetime: lifetime(publication)?,
        content,
        kept,
    })
}

fn lifetime(publication: &Publication) -> Result<Lifetime, BodyError> {
    let expires = publication.expires.map(u64::from).map(Duration::from_secs);
    let bound = match publication.expire_type {
        ExpireType::Static => Bound::Static,
        ExpireType::User => Bound::User,
        ExpireType::Endpoint => Bound::Endpoint,
        ExpireType::Time if expires.is_none() => {
            return Err(BodyError::Malformed("publication for a time without expires"));
        }
        ExpireType::Time => Bound::Static,
    };
    Ok(Lifetime { bound, expires })
}

fn content(name: &str, element: &Fragment) -> Result<PublicationContent, BodyError> {
    let document = element.as_str().as_bytes();
    Ok(match name {
        category::STATE => states(&state::State::parse(document)?),
        category::NOTE => PublicationContent::Notes(notes(&note::Note::parse(document)?)),
        category::CONTACT_CARD => {
            let card = card(contact_card::ContactCard::parse(document)?);
            PublicationContent::Card(Arc::new(card))
        }
        _ => PublicationContent::Opaque,
    })
}

/// A state; one without an availability takes back what was said before.
fn states(said: &state::State) -> PublicationContent {
    let token = said
        .activity
        .as_ref()
        .and_then(|activity| activity.token.as_deref());
    let source = match said.kind {
        state::StateKind::MachineState => Source::Machine,
        state::StateKind::UserState => Source::User,
        state::StateKind::PhoneState => Source::Phone,
        state::StateKind::CalendarState if token == Some("out-of-office") => Source::OutOfOffice,
        state::StateKind::CalendarState => Source::Calendar,
        state::StateKind::ConferenceState => Source::Conference,
        // What adds up is made here, whatever clients make of it.
        state::StateKind::AggregateMachineState
        | state::StateKind::AggregateState
        | state::StateKind::Other => return PublicationContent::Opaque,
    };
    let Some(availability) = said.availability else {
        return PublicationContent::States(Arc::default());
    };
    let input = StateInput {
        activity: said.activity.as_ref().and_then(activity),
        location: said.endpoint_location.clone(),
        meeting_subject: said.meeting_subject.clone(),
        meeting_location: said.meeting_location.clone(),
        starts_at: said.start_time.as_deref().and_then(seconds),
        last_active: said.last_active.as_deref().and_then(seconds),
        ..StateInput::new(source, Availability(availability))
    };
    PublicationContent::States([input].into())
}

fn activity(said: &state::Activity) -> Option<Activity> {
    if let Some(token) = said.token.as_deref().filter(|token| !token.is_empty()) {
        return Some(Activity::Token(token.into()));
    }
    let texts: Arc<[CustomText]> = said
        .custom
        .iter()
        .map(|custom| CustomText {
            lcid: custom.lcid.unwrap_or_default(),
            text: custom.text.chars().take(CUSTOM_TEXT).collect(),
        })
        .collect();
    (!texts.is_empty()).then_some(Activity::Custom(texts))
}

/// Unix seconds; a time that is none counts as not told.
fn seconds(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

fn notes(said: &note::Note) -> Arc<[Note]> {
    let texts = said.texts.iter().filter(|text| !text.text.is_empty());
    let notes = texts.map(|text| Note {
        kind: match text.kind {
            note::NoteKind::Personal => NoteKind::Personal,
            note::NoteKind::OutOfOffice => NoteKind::OutOfOffice,
        },
        text: text.text.clone(),
        language: None,
    });
    notes.collect()
}

fn card(said: contact_card::ContactCard) -> ContactCard {
    let phones = said.phones.into_iter().map(|phone| Phone {
        kind: match phone.kind {
            contact_card::PhoneKind::Work => PhoneKind::Work,
            contact_card::PhoneKind::Mobile => PhoneKind::Mobile,
            contact_card::PhoneKind::Home => PhoneKind::Home,
            contact_card::PhoneKind::Other => PhoneKind::Other,
        },
        uri: phone.uri.unwrap_or_default(),
        display: phone.display_string.unwrap_or_default(),
    });
    ContactCard {
        display_name: said.display_name.unwrap_or_default(),
        emails: said.emails,
        phones: phones.collect(),
        title: said.title,
        office: said.office,
        company: said.company,
        department: said.department,
        url: None,
    }
}

/// A request to change access levels.
///
/// # Errors
/// [`BodyError::Malformed`] if a member is no address of record.
pub(crate) fn members(said: &containers::SetContainerMembers) -> Result<MemberChanges, BodyError> {
    let mut changes = MemberChanges::default();
    for container in &said.containers {
        let members: Result<Vec<MemberChange>, BodyError> = container
            .changes
            .iter()
            .map(|change| {
                Ok(match change {
                    containers::MemberChange::Add(who) => MemberChange::Add(member(who)?),
                    containers::MemberChange::Remove(who) => MemberChange::Remove(member(who)?),
                })
            })
            .collect();
        changes
            .containers
            .push((container.id.get(), Some(container.version), members?));
    }
    Ok(changes)
}

fn member(said: &containers::Member) -> Result<ContainerMember, BodyError> {
    Ok(match said {
        containers::Member::User(user) => ContainerMember::User(address(user)?),
        containers::Member::Domain(domain) => ContainerMember::Domain(domain.to_ascii_lowercase().into()),
        containers::Member::SameEnterprise => ContainerMember::SameEnterprise,
        containers::Member::Federated => ContainerMember::Federated,
        containers::Member::PublicCloud => ContainerMember::PublicCloud,
        containers::Member::Everyone => ContainerMember::Everyone,
    })
}

/// An address without or with its `sip:`.
///
/// # Errors
/// [`BodyError::Malformed`] if it is none.
pub(crate) fn address(text: &str) -> Result<AddressOfRecord, BodyError> {
    AddressOfRecord::parse(text.trim()).map_err(|_| BodyError::Malformed("address of a user"))
}

#[cfg(test)]
mod tests {
    use sip_bodies::lync::publish::Publish;

    use super::*;

    fn read(publication: &str) -> Result<PublishOne, BodyError> {
        let document = format!(
            "<publish xmlns='http://schemas.microsoft.com/2006/09/sip/rich-presence'><publications uri='sip:a@b.test'>\
             {publication}</publications></publish>"
        );
        change(&Publish::parse(document.as_bytes()).unwrap().publications[0])
    }

    fn state(inner: &str) -> PublicationContent {
        let publication = format!(
            "<publication categoryName='state' instance='1' container='2' version='0' expireType='endpoint'>\
             <state xmlns='http://schemas.microsoft.com/2006/09/sip/state' \
             xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' {inner}</state></publication>"
        );
        match read(&publication) {
            Ok(PublishOne::Set { content, .. }) => content,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_state_is_of_the_source_its_type_names() {
        for (inner, source, availability) in [
            (
                "xsi:type='machineState'><availability>3500</availability>",
                Source::Machine,
                3_500,
            ),
            (
                "xsi:type='userState'><availability>9500</availability>",
                Source::User,
                9_500,
            ),
            (
                "xsi:type='calendarState'><availability>6500</availability><activity token='in-a-meeting'/>",
                Source::Calendar,
                6_500,
            ),
            (
                "xsi:type='calendarState'><availability>15500</availability><activity token='out-of-office'/>",
                Source::OutOfOffice,
                15_500,
            ),
            (
                "xsi:type='phoneState'><availability>6500</availability>",
                Source::Phone,
                6_500,
            ),
        ] {
            let PublicationContent::States(states) = state(inner) else {
                panic!("{inner}");
            };
            assert_eq!(
                (states[0].source, states[0].availability),
                (source, Availability(availability)),
                "{inner}"
            );
        }
        let taken_back = state("xsi:type='userState'>");
        assert_eq!(taken_back, PublicationContent::States(Arc::default()));
        let aggregate = state("xsi:type='aggregateState'><availability>3500</availability>");
        assert_eq!(aggregate, PublicationContent::Opaque, "what adds up is made here");
    }

    #[test]
    fn a_publication_ends_as_it_says() {
        let ends = |how: &str| {
            read(&format!(
                "<publication categoryName='a' instance='1' container='2' version='3' {how}/>"
            ))
        };
        let Ok(PublishOne::Set { lifetime, known, .. }) = ends("expireType='time' expires='60'") else {
            panic!("a time");
        };
        assert_eq!(lifetime.expires, Some(Duration::from_secs(60)));
        assert_eq!((lifetime.bound, known), (Bound::Static, Some(3)));
        assert!(matches!(ends("expireType='time'"), Err(BodyError::Malformed(_))));
        assert!(matches!(
            ends("expireType='user' expires='0'"),
            Ok(PublishOne::Remove { known: Some(3), .. })
        ));
    }
}
