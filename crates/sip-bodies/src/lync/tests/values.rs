//! Any value of each document, names that need escaping included.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::super::batch_subscribe::{BatchAction, BatchActionKind, BatchResource, BatchSubscribe};
use super::super::categories::{Categories, Category, CategoryInstance};
use super::super::contact_card::{ContactCard, Phone, PhoneKind, Photo};
use super::super::contacts::{Contact, ContactChange, ContactDelta, ContactList, Group};
use super::super::containers::{Container, ContainerChange, Member, MemberChange, SetContainerMembers};
use super::super::device::{Device, Service, Services};
use super::super::fault::{FailedOperation, Fault};
use super::super::note::{Note, NoteKind, NoteText};
use super::super::provisioning::{ProvisionGroup, ProvisioningAnswer, ProvisioningQuestion};
use super::super::publish::{Publication, Publish};
use super::super::roaming_self::{RoamingData, RoamingList, RoamingPart};
use super::super::set_subscribers::{SetSubscribers, Subscriber};
use super::super::soap::{ContactOperation, DirectoryEntry, SearchTerm, SoapAnswer, SoapRequest};
use super::super::state::{Activity, CustomText, State, StateKind};
use super::super::{ContainerId, ExpireType};
use crate::fragment::Fragment;

/// Text without blanks at its ends, not empty.
fn text() -> impl Strategy<Value = String> {
    "[!-~äß漢😀]([ -~\t\n\räß漢😀]{0,8}[!-~äß漢😀])?"
}

/// Text that may be anything XML can carry, or nothing.
fn any_text() -> impl Strategy<Value = String> {
    "[ -~\t\n\räß漢😀]{0,8}"
}

fn address() -> impl Strategy<Value = String> {
    "[a-z<>&\"']{1,8}@[a-z.]{1,8}"
}

fn content() -> impl Strategy<Value = Fragment> {
    let element = (any_text(), any_text(), "[a-z]{1,4}").prop_map(|(value, text, name)| {
        let (value, text) = (crate::xml::escaped(&value), crate::xml::escaped(&text));
        let xml = format!("<p:{name} xmlns:p='urn:p' a='{value}' p:b='p:c'>{text}<d/></p:{name}>");
        Fragment::parse(xml.as_bytes()).unwrap()
    });
    prop_oneof![
        element,
        state().prop_map(|state| state.print()),
        note().prop_map(|note| note.print())
    ]
}

fn container_id() -> impl Strategy<Value = ContainerId> {
    (0..=ContainerId::MAX.get()).prop_map(|number| ContainerId::new(number).unwrap())
}

fn expire_type() -> impl Strategy<Value = ExpireType> {
    prop::sample::select(ExpireType::ALL.to_vec())
}

fn delta_number() -> impl Strategy<Value = NonZeroU32> {
    (1..=u32::MAX).prop_map(|number| NonZeroU32::new(number).unwrap())
}

prop_compose! {
    fn category_instance()(
        (name, instance, publish_time, container, version) in
            (any_text(), any::<u32>(), of(any_text()), of(container_id()), of(any::<u32>())),
        (expire_type, expires, endpoint_id, content) in
            (of(expire_type()), of(any::<u32>()), of(any_text()), of(content())),
    ) -> CategoryInstance {
        CategoryInstance { name, instance, publish_time, container, version, expire_type, expires, endpoint_id, content }
    }
}

fn category() -> impl Strategy<Value = Category> {
    prop_oneof![
        category_instance().prop_map(Category::Instance),
        any_text().prop_map(Category::Removed)
    ]
}

prop_compose! {
    pub(super) fn categories()(uri in any_text(), categories in vec(category(), 0..4)) -> Categories {
        Categories { uri, categories }
    }
}

prop_compose! {
    fn publication()(
        (category_name, instance, container, version) in (text(), any::<u32>(), container_id(), any::<u32>()),
        (expire_type, expires, content) in (expire_type(), of(any::<u32>()), of(content())),
    ) -> Publication {
        Publication { category_name, instance, container, version, expire_type, expires, content }
    }
}

prop_compose! {
    pub(super) fn publish()(uri in any_text(), publications in vec(publication(), 0..4)) -> Publish {
        Publish { uri, publications }
    }
}

prop_compose! {
    fn activity()(
        token in of(any_text()),
        custom in vec((of(any::<u32>()), any_text()).prop_map(|(lcid, text)| CustomText { lcid, text }), 0..3),
        min_availability in of(any::<u16>()),
        max_availability in of(any::<u16>()),
    ) -> Activity {
        Activity { token, custom, min_availability, max_availability }
    }
}

prop_compose! {
    pub(super) fn state()(
        kind in prop::sample::select(vec![
            StateKind::MachineState, StateKind::UserState, StateKind::PhoneState, StateKind::CalendarState,
            StateKind::ConferenceState, StateKind::AggregateMachineState, StateKind::AggregateState, StateKind::Other,
        ]),
        (manual, availability, activity) in (any::<bool>(), of(any::<u16>()), of(activity())),
        (endpoint_location, meeting_subject, meeting_location, device) in
            (of(text()), of(text()), of(text()), of(text())),
        (start_time, last_active) in (of(any_text()), of(any_text())),
    ) -> State {
        State {
            kind, manual, availability, activity, endpoint_location, meeting_subject, meeting_location, device,
            start_time, last_active,
        }
    }
}

prop_compose! {
    fn note_text()(
        kind in prop::sample::select(vec![NoteKind::Personal, NoteKind::OutOfOffice]),
        (uri, lcid, start_time, end_time, text) in
            (any_text(), of(any::<u32>()), of(any_text()), of(any_text()), any_text()),
    ) -> NoteText {
        NoteText { kind, uri, lcid, start_time, end_time, text }
    }
}

pub(super) fn note() -> impl Strategy<Value = Note> {
    vec(note_text(), 0..3).prop_map(|texts| Note { texts })
}

prop_compose! {
    fn phone()(
        kind in prop::sample::select(vec![PhoneKind::Work, PhoneKind::Mobile, PhoneKind::Home, PhoneKind::Other]),
        uri in of(text()),
        display_string in of(text()),
    ) -> Phone {
        Phone { kind, uri, display_string }
    }
}

prop_compose! {
    pub(super) fn contact_card()(
        (display_name, emails) in (of(text()), vec(text(), 0..3)),
        (company, department, title, office) in (of(text()), of(text()), of(text()), of(text())),
        phones in vec(phone(), 0..3),
        photo in of((of(text()), of(text())).prop_map(|(uri, hash)| Photo { uri, hash })),
        automaton in any::<bool>(),
    ) -> ContactCard {
        ContactCard { display_name, emails, company, department, title, office, phones, photo, automaton }
    }
}

prop_compose! {
    pub(super) fn device()(
        (endpoint_id, timezone, machine_name) in (of(any_text()), of(text()), of(text())),
        preferred in of(any::<bool>()),
    ) -> Device {
        let capabilities = preferred.map(|preferred| {
            let xml = format!(
                "<capabilities xmlns='http://schemas.microsoft.com/2006/09/sip/device' preferred='{preferred}'/>"
            );
            Fragment::parse(xml.as_bytes()).unwrap()
        });
        Device { endpoint_id, preferred: preferred.unwrap_or_default(), capabilities, timezone, machine_name }
    }
}

pub(super) fn services() -> impl Strategy<Value = Services> {
    let service = (of(any_text()), any::<bool>()).prop_map(|(uri, capable)| {
        let xml =
            b"<capabilities xmlns='http://schemas.microsoft.com/2006/09/sip/service'><text/></capabilities>";
        let capabilities = capable.then(|| Fragment::parse(xml).unwrap());
        Service { uri, capabilities }
    });
    vec(service, 0..3).prop_map(|services| Services { services })
}

fn member() -> impl Strategy<Value = Member> {
    prop_oneof![
        text().prop_map(Member::User),
        text().prop_map(Member::Domain),
        Just(Member::SameEnterprise),
        Just(Member::Federated),
        Just(Member::PublicCloud),
        Just(Member::Everyone)
    ]
}

fn member_change() -> impl Strategy<Value = MemberChange> {
    prop_oneof![
        member().prop_map(MemberChange::Add),
        member().prop_map(MemberChange::Remove)
    ]
}

pub(super) fn set_container_members() -> impl Strategy<Value = SetContainerMembers> {
    let change = (container_id(), any::<u32>(), vec(member_change(), 0..3));
    let change = change.prop_map(|(id, version, changes)| ContainerChange { id, version, changes });
    vec(change, 0..3).prop_map(|containers| SetContainerMembers { containers })
}

fn container() -> impl Strategy<Value = Container> {
    let container = (container_id(), any::<u32>(), vec(member(), 0..3));
    container.prop_map(|(id, version, members)| Container { id, version, members })
}

prop_compose! {
    fn subscriber()(
        (user, display_name, acknowledged, kind) in (text(), of(any_text()), any::<bool>(), of(any_text())),
    ) -> Subscriber {
        Subscriber { user, display_name, acknowledged, kind }
    }
}

pub(super) fn set_subscribers() -> impl Strategy<Value = SetSubscribers> {
    vec(subscriber(), 0..3).prop_map(|subscribers| SetSubscribers { subscribers })
}

pub(super) fn roaming_list() -> impl Strategy<Value = RoamingList> {
    let all = vec![
        RoamingPart::Subscribers,
        RoamingPart::Delegates,
        RoamingPart::Categories,
        RoamingPart::Containers,
    ];
    prop::sample::subsequence(all, 0..=4).prop_map(|parts| RoamingList { parts })
}

prop_compose! {
    pub(super) fn roaming_data()(
        categories in of(categories()),
        containers in of(vec(container(), 0..3)),
        subscribers in of(vec(subscriber(), 0..3)),
    ) -> RoamingData {
        RoamingData { categories, containers, subscribers }
    }
}

prop_compose! {
    pub(super) fn fault()(
        code in text(),
        operations in vec((any::<u32>(), any::<u32>(), any::<u32>()), 0..3),
    ) -> Fault {
        let operations = operations.into_iter();
        let operations = operations
            .map(|(index, version, current_version)| FailedOperation { index, version, current_version })
            .collect();
        Fault { code, operations }
    }
}

prop_compose! {
    fn group()((id, name, external_uri) in (any::<u32>(), any_text(), any_text())) -> Group {
        Group { id, name, external_uri }
    }
}

prop_compose! {
    fn contact()(
        (address, name, groups) in (address(), any_text(), vec(any::<u32>(), 0..3)),
        (subscribed, external_uri) in (any::<bool>(), any_text()),
    ) -> Contact {
        Contact { address, name, groups, subscribed, external_uri }
    }
}

prop_compose! {
    pub(super) fn contact_list()(
        delta_number in delta_number(),
        groups in vec(group(), 0..3),
        contacts in vec(contact(), 0..3),
    ) -> ContactList {
        ContactList { delta_number, groups, contacts }
    }
}

fn contact_change() -> impl Strategy<Value = ContactChange> {
    prop_oneof![
        group().prop_map(ContactChange::AddedGroup),
        group().prop_map(ContactChange::ModifiedGroup),
        any::<u32>().prop_map(ContactChange::DeletedGroup),
        contact().prop_map(ContactChange::AddedContact),
        contact().prop_map(ContactChange::ModifiedContact),
        address().prop_map(ContactChange::DeletedContact)
    ]
}

prop_compose! {
    pub(super) fn contact_delta()(
        delta_number in delta_number(),
        previous_delta_number in delta_number(),
        changes in vec(contact_change(), 0..3),
    ) -> ContactDelta {
        ContactDelta { delta_number, previous_delta_number, changes }
    }
}

/// Fields of SOAP requests are read without blanks around them; an empty one is none.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![text(), Just(String::new())]
}

fn contact_operation() -> impl Strategy<Value = ContactOperation> {
    prop_oneof![
        (text(), field()).prop_map(|(name, external_uri)| ContactOperation::AddGroup { name, external_uri }),
        (any::<u32>(), text(), field()).prop_map(|(group_id, name, external_uri)| {
            ContactOperation::ModifyGroup {
                group_id,
                name,
                external_uri,
            }
        }),
        any::<u32>().prop_map(|group_id| ContactOperation::DeleteGroup { group_id }),
        (
            address(),
            field(),
            vec(any::<u32>(), 0..3),
            any::<bool>(),
            field()
        )
            .prop_map(|(address, display_name, groups, subscribed, external_uri)| {
                ContactOperation::SetContact {
                    address,
                    display_name,
                    groups,
                    subscribed,
                    external_uri,
                }
            }),
        address().prop_map(|address| ContactOperation::DeleteContact { address })
    ]
}

pub(super) fn soap_request() -> impl Strategy<Value = SoapRequest> {
    let term = (any_text(), any_text()).prop_map(|(attribute, value)| SearchTerm { attribute, value });
    prop_oneof![
        (any::<u32>(), contact_operation()).prop_map(|(delta_number, operation)| SoapRequest::Contacts {
            delta_number,
            operation,
        }),
        (of(any::<u32>()), vec(term, 0..3))
            .prop_map(|(max_results, terms)| SoapRequest::DirectorySearch { max_results, terms })
    ]
}

prop_compose! {
    fn directory_entry()(values in vec(any_text(), 9), uri in text()) -> DirectoryEntry {
        let mut values = values.into_iter();
        let mut next = || values.next().unwrap();
        DirectoryEntry {
            uri,
            display_name: next(),
            title: next(),
            office: next(),
            phone: next(),
            company: next(),
            city: next(),
            state: next(),
            country: next(),
            email: next(),
        }
    }
}

pub(super) fn soap_answer() -> impl Strategy<Value = SoapAnswer> {
    prop_oneof![
        Just(SoapAnswer::Done),
        any::<u32>().prop_map(|group_id| SoapAnswer::GroupAdded { group_id }),
        (any::<bool>(), vec(directory_entry(), 0..3)).prop_map(|(more_available, entries)| {
            SoapAnswer::Found {
                more_available,
                entries,
            }
        }),
        (any_text(), any_text()).prop_map(|(code, text)| SoapAnswer::Fault { code, text })
    ]
}

pub(super) fn provisioning_question() -> impl Strategy<Value = ProvisioningQuestion> {
    vec(any_text(), 0..4).prop_map(|groups| ProvisioningQuestion { groups })
}

pub(super) fn provisioning_answer() -> impl Strategy<Value = ProvisioningAnswer> {
    let group = (any_text(), vec(("[a-zA-Zä][a-z0-9.-]{0,6}", any_text()), 0..3));
    let group = group.prop_map(|(name, settings)| {
        let mut group = ProvisionGroup::new(name);
        for (name, value) in settings {
            group.set(name, value).unwrap();
        }
        group
    });
    vec(group, 0..3).prop_map(|groups| ProvisioningAnswer { groups })
}

prop_compose! {
    fn batch_action()(
        kind in prop::sample::select(vec![BatchActionKind::Subscribe, BatchActionKind::Unsubscribe]),
        id in any_text(),
        resources in vec((text(), any::<bool>()).prop_map(|(uri, has_context)| BatchResource { uri, has_context }), 0..3),
        categories in vec(text(), 0..3),
    ) -> BatchAction {
        BatchAction { kind, id, resources, categories }
    }
}

prop_compose! {
    pub(super) fn batch_subscribe()(uri in text(), actions in vec(batch_action(), 0..3)) -> BatchSubscribe {
        BatchSubscribe { uri, actions }
    }
}
