//! What presence says survives the wire, whatever it is; what is malformed is named.

#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use prost::Message;
use rpc::EndpointId;
use rpc::presence::{
    AccessRules, Activity, Availability, Bound, Contact, ContactCard, ContactChange, ContactChanged,
    ContactGroup, ContactList, ContactNews, ContactRefusal, Container, ContainerMember, CustomText,
    FollowRefusal, Kept, KeptFormat, LevelView, Lifetime, ListedGroup, MemberChange, MemberChanges, Note,
    NoteKind, OwnData, PassedOn, Phone, PhoneKind, PresenceDocument, PresenceNews, PresenceVersion,
    Publication, PublicationContent, PublicationKey, Publish, PublishOne, PublishRefusal, Published,
    SeenWatcher, Source, StateInput, StoredVersion, WatcherStatus,
};
use rpc_wire::codec::presence;
use rpc_wire::proto::presence::v1 as wire;
use sip_types::AddressOfRecord;
use topology::Partition;

/// Over the wire and back.
fn sent<M: Message + Default>(message: M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).unwrap()
}

fn aor() -> impl Strategy<Value = AddressOfRecord> {
    "[a-z]{1,8}@[a-z]{1,6}\\.test".prop_map(|text| AddressOfRecord::parse(&text).unwrap())
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn name() -> impl Strategy<Value = Arc<str>> {
    "[a-zA-Z]{1,12}".prop_map(Into::into)
}

fn activity() -> impl Strategy<Value = Activity> {
    let custom = (any::<u32>(), text()).prop_map(|(lcid, text)| CustomText { lcid, text });
    prop_oneof![
        name().prop_map(Activity::Token),
        vec(custom, 1..3).prop_map(|texts| Activity::Custom(texts.into())),
    ]
}

fn state() -> impl Strategy<Value = StateInput> {
    let source = prop_oneof![
        Just(Source::Machine),
        Just(Source::User),
        Just(Source::Calendar),
        Just(Source::OutOfOffice),
        Just(Source::Phone),
        Just(Source::Conference),
    ];
    let words = (of(text()), of(text()), of(text()));
    let times = (of(any::<u64>()), of(any::<u64>()));
    (source, any::<u16>(), of(activity()), words, times).prop_map(
        |(source, availability, activity, words, times)| StateInput {
            source,
            availability: Availability(availability),
            activity,
            location: words.0,
            meeting_subject: words.1,
            meeting_location: words.2,
            starts_at: times.0,
            last_active: times.1,
        },
    )
}

fn states() -> impl Strategy<Value = Arc<[StateInput]>> {
    vec(state(), 0..3).prop_map(Into::into)
}

fn notes() -> impl Strategy<Value = Arc<[Note]>> {
    let kind = prop_oneof![Just(NoteKind::Personal), Just(NoteKind::OutOfOffice)];
    let note = (kind, text(), of(text())).prop_map(|(kind, text, language)| Note { kind, text, language });
    vec(note, 0..3).prop_map(Into::into)
}

fn card() -> impl Strategy<Value = Arc<ContactCard>> {
    let kind = prop_oneof![
        Just(PhoneKind::Work),
        Just(PhoneKind::Mobile),
        Just(PhoneKind::Home),
        Just(PhoneKind::Other),
    ];
    let phone = (kind, text(), text()).prop_map(|(kind, uri, display)| Phone { kind, uri, display });
    let where_ = (of(text()), of(text()), of(text()), of(text()), of(text()));
    (text(), vec(text(), 0..3), vec(phone, 0..3), where_).prop_map(
        |(display_name, emails, phones, (title, office, company, department, url))| {
            Arc::new(ContactCard {
                display_name,
                emails,
                phones,
                title,
                office,
                company,
                department,
                url,
            })
        },
    )
}

fn kept() -> impl Strategy<Value = Kept> {
    let format = prop_oneof![Just(KeptFormat::Category), Just(KeptFormat::Pidf)];
    (format, vec(any::<u8>(), 0..20)).prop_map(|(format, xml)| Kept {
        format,
        xml: xml.into(),
    })
}

fn content() -> impl Strategy<Value = PublicationContent> {
    prop_oneof![
        states().prop_map(PublicationContent::States),
        notes().prop_map(PublicationContent::Notes),
        (states(), notes()).prop_map(|(states, notes)| PublicationContent::Document { states, notes }),
        card().prop_map(PublicationContent::Card),
        Just(PublicationContent::Opaque),
    ]
}

fn key() -> impl Strategy<Value = PublicationKey> {
    (name(), any::<u32>(), any::<u16>()).prop_map(|(category, instance, container)| PublicationKey {
        category,
        instance,
        container,
    })
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    let bound = prop_oneof![Just(Bound::Static), Just(Bound::User), Just(Bound::Endpoint)];
    let expires = any::<u32>().prop_map(|ms| Duration::from_millis(ms.into()));
    (bound, of(expires)).prop_map(|(bound, expires)| Lifetime { bound, expires })
}

fn endpoint() -> impl Strategy<Value = Option<EndpointId>> {
    of("[a-z0-9:;-]{1,20}".prop_map(|name| EndpointId::new(&name)))
}

fn publish() -> impl Strategy<Value = Publish> {
    let set = (key(), of(any::<u32>()), lifetime(), content(), of(kept())).prop_map(
        |(key, known, lifetime, content, kept)| PublishOne::Set {
            key,
            known,
            lifetime,
            content,
            kept,
        },
    );
    let refresh = (key(), any::<u32>(), lifetime()).prop_map(|(key, known, lifetime)| PublishOne::Refresh {
        key,
        known,
        lifetime,
    });
    let remove = (key(), of(any::<u32>())).prop_map(|(key, known)| PublishOne::Remove { key, known });
    (aor(), endpoint(), vec(prop_oneof![set, refresh, remove], 0..4)).prop_map(|(user, endpoint, changes)| {
        Publish {
            user,
            endpoint,
            changes,
        }
    })
}

fn version() -> impl Strategy<Value = PresenceVersion> {
    (any::<u64>(), any::<u64>()).prop_map(|(epoch, count)| PresenceVersion { epoch, count })
}

fn publication() -> impl Strategy<Value = Arc<Publication>> {
    (
        key(),
        any::<u32>(),
        endpoint(),
        lifetime(),
        any::<u64>(),
        content(),
        of(kept()),
    )
        .prop_map(
            |(key, version, endpoint, lifetime, published_at, content, kept)| {
                Arc::new(Publication {
                    key,
                    version,
                    endpoint,
                    lifetime,
                    published_at,
                    content,
                    kept,
                })
            },
        )
}

fn member() -> impl Strategy<Value = ContainerMember> {
    prop_oneof![
        aor().prop_map(ContainerMember::User),
        name().prop_map(ContainerMember::Domain),
        Just(ContainerMember::SameEnterprise),
        Just(ContainerMember::Federated),
        Just(ContainerMember::PublicCloud),
        Just(ContainerMember::Everyone),
    ]
}

fn rules() -> impl Strategy<Value = Arc<AccessRules>> {
    let container = (any::<u16>(), any::<u32>(), vec(member(), 0..3))
        .prop_map(|(id, version, members)| Container { id, version, members });
    (aor(), vec(container, 0..3), any::<bool>()).prop_map(|(presentity, containers, contacts_only)| {
        Arc::new(AccessRules {
            presentity,
            containers,
            contacts_only,
        })
    })
}

fn watchers() -> impl Strategy<Value = Vec<SeenWatcher>> {
    let status = prop_oneof![Just(WatcherStatus::Active), Just(WatcherStatus::Terminated)];
    let watcher = (aor(), text(), status).prop_map(|(watcher, display_name, status)| SeenWatcher {
        watcher,
        display_name,
        status,
    });
    vec(watcher, 0..3)
}

fn own() -> impl Strategy<Value = Arc<OwnData>> {
    (
        aor(),
        version(),
        of(vec(name(), 0..3)),
        vec(publication(), 0..3),
        of(rules()),
        of(watchers()),
        of(watchers()),
    )
        .prop_map(
            |(user, version, categories, publications, rules, prompts, watchers)| {
                Arc::new(OwnData {
                    user,
                    version,
                    categories,
                    publications,
                    rules,
                    prompts,
                    watchers,
                })
            },
        )
}

fn view() -> impl Strategy<Value = Arc<LevelView>> {
    let passed =
        (name(), any::<u32>(), any::<u64>(), kept()).prop_map(|(category, instance, published_at, kept)| {
            PassedOn {
                category,
                instance,
                published_at,
                kept,
            }
        });
    (
        (any::<u16>(), of(activity()), any::<u64>(), of(any::<u64>())),
        (of(text()), of(text())),
        notes(),
        card(),
        vec(passed, 0..2),
        vec(kept(), 0..2),
    )
        .prop_map(
            |(
                (availability, activity, since, last_active),
                (location, meeting_subject),
                notes,
                card,
                passed_on,
                documents,
            )| {
                Arc::new(LevelView {
                    availability: Availability(availability),
                    activity,
                    since,
                    last_active,
                    location,
                    meeting_subject,
                    notes,
                    card,
                    passed_on: passed_on.into(),
                    documents: documents.into(),
                })
            },
        )
}

fn document() -> impl Strategy<Value = Arc<PresenceDocument>> {
    // Some levels share a view, as they do in life.
    let views = (view(), view(), view(), [0_usize..3, 0..3, 0..3, 0..3, 0..3, 0..3])
        .prop_map(|(one, other, third, places)| places.map(|place| [&one, &other, &third][place].clone()));
    (aor(), version(), rules(), views).prop_map(|(presentity, version, rules, views)| {
        Arc::new(PresenceDocument {
            presentity,
            version,
            rules,
            views,
        })
    })
}

fn group() -> impl Strategy<Value = ContactGroup> {
    (any::<u32>(), text(), text()).prop_map(|(id, name, external_uri)| ContactGroup {
        id,
        name,
        external_uri,
    })
}

fn contact() -> impl Strategy<Value = Contact> {
    (aor(), text(), vec(any::<u32>(), 0..3), any::<bool>(), text()).prop_map(
        |(uri, name, groups, subscribed, external_uri)| Contact {
            uri,
            name,
            groups,
            subscribed,
            external_uri,
        },
    )
}

fn contact_news() -> impl Strategy<Value = ContactNews> {
    let changed = prop_oneof![
        group().prop_map(ContactChanged::AddedGroup),
        group().prop_map(ContactChanged::ModifiedGroup),
        (any::<u32>(), vec(contact(), 0..3))
            .prop_map(|(id, contacts)| ContactChanged::DeletedGroup(id, contacts)),
        contact().prop_map(ContactChanged::AddedContact),
        contact().prop_map(ContactChanged::ModifiedContact),
        aor().prop_map(ContactChanged::DeletedContact),
    ];
    (aor(), any::<u64>(), any::<u64>(), any::<bool>(), changed).prop_map(
        |(user, previous, delta, has_groups, changed)| ContactNews {
            user,
            previous,
            delta,
            has_groups,
            changed,
        },
    )
}

fn refusal() -> impl Strategy<Value = PublishRefusal> {
    let conflict = (0_usize..100, any::<u32>(), any::<u32>());
    prop_oneof![
        Just(PublishRefusal::NoSuchUser),
        vec(conflict, 1..3).prop_map(PublishRefusal::Conflict),
        text().prop_map(PublishRefusal::Limit),
        text().prop_map(PublishRefusal::Invalid),
    ]
}

proptest! {
    #[test]
    fn changes_of_publications_come_back_as_they_went(before in publish()) {
        let after = presence::publish(sent(presence::publish_to_wire(&before))).unwrap();
        prop_assert_eq!(after, before);
    }

    #[test]
    fn what_became_of_them_comes_back_as_it_went(
        own in own(),
        versions in vec((key(), any::<u32>()), 0..3),
        refusal in refusal(),
    ) {
        let versions = versions
            .into_iter()
            .map(|(key, version)| StoredVersion { key, version })
            .collect();
        for before in [Ok(Published { versions, own }), Err(refusal)] {
            let after = presence::published(sent(presence::published_to_wire(&before))).unwrap();
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn changes_of_containers_come_back_as_they_went(
        user in aor(),
        containers in vec((any::<u16>(), of(any::<u32>()), vec((any::<bool>(), member()), 0..3)), 0..3),
        rules in rules(),
        refusal in refusal(),
    ) {
        let changes = |changes: Vec<(bool, ContainerMember)>| {
            let change = |(add, member)| match add {
                true => MemberChange::Add(member),
                false => MemberChange::Remove(member),
            };
            changes.into_iter().map(change).collect()
        };
        let before = MemberChanges {
            containers: containers
                .into_iter()
                .map(|(id, known, members)| (id, known, changes(members)))
                .collect(),
        };
        let after = presence::change_members(sent(presence::change_members_to_wire(&user, &before))).unwrap();
        prop_assert_eq!(after, (user, before));
        for before in [Ok(rules), Err(refusal)] {
            let after = presence::members_changed(sent(presence::members_changed_to_wire(&before))).unwrap();
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn documents_come_back_as_they_went_and_equal_views_are_sent_once(before in document()) {
        let wire = sent(presence::document_to_wire(&before));
        let mut distinct: Vec<&LevelView> = Vec::new();
        for view in &before.views {
            if !distinct.contains(&&**view) {
                distinct.push(view);
            }
        }
        prop_assert_eq!(wire.views.len(), distinct.len());
        prop_assert_eq!(&presence::document(wire).unwrap(), &*before);
        let answers = vec![Ok(before), Err(FollowRefusal::NoSuchUser)];
        let wire = presence::followed_to_wire(&answers, usize::MAX);
        let len = wire.encoded_len();
        let after = presence::followed(sent(wire.clone()), 2).unwrap();
        prop_assert_eq!(&after, &answers);
        let malformed = presence::followed(wire, 1).unwrap_err();
        prop_assert!(malformed.message.contains("follow.answers"));
        // Only the first ones fit.
        prop_assert_eq!(presence::followed_to_wire(&answers, len).answers.len(), 2);
        let cut = presence::followed_to_wire(&answers, len - 1);
        prop_assert_eq!(&presence::followed(sent(cut), 2).unwrap(), &answers[..1]);
    }

    #[test]
    fn news_come_back_as_they_went(
        document in document(),
        own in own(),
        contacts in contact_news(),
        partition in 0_u16..1024,
    ) {
        use PresenceNews::{Contacts, Document, GroupsChanged, Lost, Own};
        let partition = Partition::new(partition).unwrap();
        for before in [
            Document(document.clone()),
            Own(own.clone()),
            Contacts(Arc::new(contacts)),
            GroupsChanged(document.presentity.clone()),
            Lost(partition),
        ] {
            let after = presence::news(sent(presence::news_to_wire(&before))).unwrap().unwrap();
            prop_assert_eq!(format!("{before:?}"), format!("{after:?}"));
        }
        let news = [Lost(partition), Own(own), Document(document), Lost(partition)];
        let all = presence::news_in_messages(&news, usize::MAX);
        prop_assert_eq!(all.len(), 1);
        let room = all[0].encoded_len() - 1;
        let cut = presence::news_in_messages(&news, room);
        prop_assert!(cut.len() == 2 && cut.iter().all(|message| message.encoded_len() <= room));
        let items: Vec<_> = cut.into_iter().flat_map(|message| message.items).collect();
        prop_assert_eq!(&items, &all[0].items);
        prop_assert_eq!(presence::news_in_messages(&news, 0).len(), 4);
    }

    #[test]
    fn contact_lists_and_their_changes_come_back_as_they_went(
        user in aor(),
        known in of(any::<u64>()),
        delta in any::<u64>(),
        groups in vec(group(), 0..3),
        contacts in vec(contact(), 0..3),
        news in contact_news(),
        words in text(),
        number in any::<u32>(),
    ) {
        for before in [
            ContactChange::AddGroup { name: words.clone(), external_uri: words.clone() },
            ContactChange::ModifyGroup(ContactGroup { id: number, name: words.clone(), external_uri: words.clone() }),
            ContactChange::DeleteGroup(number),
            ContactChange::DeleteContact(user.clone()),
        ]
        .into_iter()
        .chain(contacts.first().cloned().map(ContactChange::SetContact))
        {
            let after = presence::change(sent(presence::change_to_wire(&user, known, &before))).unwrap();
            prop_assert_eq!(after, (user.clone(), known, before));
        }
        let members = contacts.iter().map(|contact| contact.uri.clone()).collect();
        let listed = |members| ListedGroup { address: user.clone(), name: words.clone(), id: number, members };
        let before = ContactList {
            delta,
            groups,
            contacts,
            listed_groups: vec![listed(None), listed(Some(members))],
            version: PresenceVersion { epoch: delta, count: u64::from(number) },
        };
        prop_assert_eq!(&presence::list(sent(presence::list_to_wire(&before))).unwrap(), &before);
        for before in [
            Ok(news),
            Err(ContactRefusal::NotFound("group")),
            Err(ContactRefusal::Stale(delta)),
            Err(ContactRefusal::Limit(number)),
            Err(ContactRefusal::Invalid(words)),
        ] {
            let after = presence::contacts_changed(sent(presence::contacts_changed_to_wire(&before))).unwrap();
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn whatever_arrives_is_a_value_or_malformed(bytes in vec(any::<u8>(), 0..200)) {
        // Neither panics: that is the claim.
        let bytes = Bytes::from(bytes);
        if let Ok(message) = wire::Publish::decode(bytes.clone()) {
            let _any = presence::publish(message);
        }
        if let Ok(message) = wire::NewsItem::decode(bytes.clone()) {
            let _any = presence::news(message);
        }
        if let Ok(message) = wire::ChangeMembersRequest::decode(bytes.clone()) {
            let _any = presence::change_members(message);
        }
        if let Ok(message) = wire::ChangeContactsRequest::decode(bytes) {
            let _any = presence::change(message);
        }
    }
}

#[test]
fn what_is_malformed_is_named() {
    let publish = wire::Publish {
        user: "no address".to_owned(),
        ..wire::Publish::default()
    };
    assert_eq!(presence::publish(publish).unwrap_err().field, "publish.user");
    let partition = wire::NewsItem {
        news: Some(wire::news_item::News::LostPartition(1_024)),
    };
    assert_eq!(
        presence::news(partition).unwrap_err().field,
        "news.lost_partition"
    );
    let no_views = wire::PresenceDocument {
        presentity: "a@example.test".to_owned(),
        levels: vec![0; 6],
        ..wire::PresenceDocument::default()
    };
    assert_eq!(presence::document(no_views).unwrap_err().field, "document.levels");
    assert!(presence::news(wire::NewsItem::default()).unwrap().is_none());
}
