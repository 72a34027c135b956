use rpc::presence::category;

use super::*;

fn publication(content: PublicationContent) -> Publication {
    Publication {
        key: PublicationKey {
            category: category::STATE.into(),
            instance: 0x2000_0000,
            container: 3,
        },
        version: 7,
        endpoint: Some(EndpointId::new("e1")),
        lifetime: Lifetime {
            bound: Bound::Static,
            expires: Some(Duration::from_millis(86_400_001)),
        },
        published_at: 1_800_000_000_123,
        content,
        kept: Some(Kept {
            format: KeptFormat::Category,
            xml: Bytes::from_static("<state>\u{e4}</state>".as_bytes()),
        }),
    }
}

fn contents() -> Vec<PublicationContent> {
    let mut states: Vec<StateInput> = [
        Source::Machine,
        Source::User,
        Source::Calendar,
        Source::OutOfOffice,
        Source::Phone,
        Source::Conference,
    ]
    .map(|source| StateInput::new(source, Availability::BUSY))
    .into();
    states[0].last_active = Some(1);
    states[1].activity = Some(Activity::Custom(
        [CustomText {
            lcid: 1_033,
            text: "Writing".to_owned(),
        }]
        .into(),
    ));
    states[2].activity = Some(Activity::Token("in-a-meeting".into()));
    states[2].meeting_subject = Some("Budget".to_owned());
    states[2].meeting_location = Some("Room 5".to_owned());
    states[2].starts_at = Some(2);
    states[3].location = Some("Office".to_owned());
    let notes: Arc<[Note]> = [NoteKind::Personal, NoteKind::OutOfOffice]
        .map(|kind| Note {
            kind,
            text: "text".to_owned(),
            language: Some("en".to_owned()),
        })
        .into();
    let card = ContactCard {
        display_name: "Alice".to_owned(),
        emails: vec!["a@example.test".to_owned()],
        phones: [
            PhoneKind::Work,
            PhoneKind::Mobile,
            PhoneKind::Home,
            PhoneKind::Other,
        ]
        .map(|kind| Phone {
            kind,
            uri: "tel:1".to_owned(),
            display: "1".to_owned(),
        })
        .into(),
        title: Some("t".to_owned()),
        office: Some("o".to_owned()),
        company: Some("c".to_owned()),
        department: Some("d".to_owned()),
        url: Some("u".to_owned()),
    };
    vec![
        PublicationContent::States(states.clone().into()),
        PublicationContent::Notes(notes.clone()),
        PublicationContent::Document {
            states: states.into(),
            notes,
        },
        PublicationContent::Card(Arc::new(card)),
        PublicationContent::Opaque,
    ]
}

#[test]
fn every_content_reads_back_as_it_was_written() {
    for content in contents() {
        let written = publication(content);
        let stored = publication_to_store(&written, Some(5)).unwrap();
        assert_eq!(stored.expires_at, Some(5));
        assert_eq!(publication_from_store(stored).unwrap(), written);
    }
}

#[test]
fn what_cannot_be_read_is_inconsistent() {
    let mut stored = publication_to_store(&publication(PublicationContent::Opaque), None).unwrap();
    stored.data = b"{}".to_vec();
    let outcome = publication_from_store(stored);
    assert!(matches!(outcome, Err(StoreError::Inconsistent(_))), "{outcome:?}");
}

#[test]
fn rules_read_back_as_they_were_written() {
    let alice = AddressOfRecord::parse("alice@example.test").unwrap();
    let mut rules = AccessRules::usual(alice.clone());
    rules.containers.push(Container {
        id: 32_000,
        version: 9,
        members: vec![
            ContainerMember::User(AddressOfRecord::parse("bob@example.test").unwrap()),
            ContainerMember::Domain("other.test".into()),
            ContainerMember::PublicCloud,
            ContainerMember::Everyone,
        ],
    });
    let stored = rules_to_store(&rules, 4);
    assert_eq!(stored.revision, 4);
    assert_eq!(rules_from_store(&alice, &stored).unwrap(), rules);
    let mut bad = stored;
    bad.containers[0].members.push("nobody:x".to_owned());
    let outcome = rules_from_store(&alice, &bad);
    assert!(matches!(outcome, Err(StoreError::Inconsistent(_))), "{outcome:?}");
}
