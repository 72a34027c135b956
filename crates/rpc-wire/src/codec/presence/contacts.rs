//! Contact lists.

use rpc::presence::{
    Contact, ContactChange, ContactChanged, ContactGroup, ContactList, ContactNews, ContactRefusal,
    ListedGroup, PresenceVersion,
};
use sip_types::AddressOfRecord;

use super::super::directory::{addresses, addresses_to_wire};
use super::super::{Malformed, aor, required};
use super::document::version_to_wire;
use crate::proto::presence::v1 as wire;

/// What a refusal can say does not exist, by the names that messages use.
const THINGS: [&str; 3] = ["user", "group", "contact"];

fn group_to_wire(group: &ContactGroup) -> wire::ContactGroup {
    wire::ContactGroup {
        id: group.id,
        name: group.name.clone(),
        external_uri: group.external_uri.clone(),
    }
}

fn group(group: wire::ContactGroup) -> ContactGroup {
    ContactGroup {
        id: group.id,
        name: group.name,
        external_uri: group.external_uri,
    }
}

fn contact_to_wire(contact: &Contact) -> wire::Contact {
    wire::Contact {
        uri: contact.uri.as_str().to_owned(),
        name: contact.name.clone(),
        groups: contact.groups.clone(),
        subscribed: contact.subscribed,
        external_uri: contact.external_uri.clone(),
    }
}

fn contact(contact: wire::Contact) -> Result<Contact, Malformed> {
    Ok(Contact {
        uri: aor("contact.uri", &contact.uri)?,
        name: contact.name,
        groups: contact.groups,
        subscribed: contact.subscribed,
        external_uri: contact.external_uri,
    })
}

fn contacts(contacts: Vec<wire::Contact>) -> Result<Vec<Contact>, Malformed> {
    contacts.into_iter().map(contact).collect()
}

/// A contact list.
pub fn list_to_wire(list: &ContactList) -> wire::ContactsResponse {
    wire::ContactsResponse {
        delta: list.delta,
        groups: list.groups.iter().map(group_to_wire).collect(),
        contacts: list.contacts.iter().map(contact_to_wire).collect(),
        listed_groups: list.listed_groups.iter().map(listed_to_wire).collect(),
        version: Some(version_to_wire(list.version)),
    }
}

fn listed_to_wire(group: &ListedGroup) -> wire::ListedGroup {
    wire::ListedGroup {
        address: group.address.as_str().to_owned(),
        name: group.name.clone(),
        id: group.id,
        is_expanded: group.members.is_some(),
        members: addresses_to_wire(group.members.as_deref().unwrap_or_default()),
    }
}

fn listed(group: wire::ListedGroup) -> Result<ListedGroup, Malformed> {
    let members = addresses("listed_group.members", &group.members)?;
    Ok(ListedGroup {
        address: aor("listed_group.address", &group.address)?,
        name: group.name,
        id: group.id,
        members: group.is_expanded.then_some(members),
    })
}

/// A contact list.
///
/// # Errors
/// The field that is wrong.
pub fn list(response: wire::ContactsResponse) -> Result<ContactList, Malformed> {
    Ok(ContactList {
        delta: response.delta,
        groups: response.groups.into_iter().map(group).collect(),
        contacts: contacts(response.contacts)?,
        listed_groups: response
            .listed_groups
            .into_iter()
            .map(listed)
            .collect::<Result<_, _>>()?,
        version: response
            .version
            .map_or(PresenceVersion::default(), |version| PresenceVersion {
                epoch: version.epoch,
                count: version.count,
            }),
    })
}

/// A change of a contact list.
pub fn change_to_wire(
    user: &AddressOfRecord,
    known: Option<u64>,
    change: &ContactChange,
) -> wire::ChangeContactsRequest {
    use wire::change_contacts_request::Change;
    let change = match change {
        ContactChange::AddGroup { name, external_uri } => Change::AddGroup(wire::ContactGroup {
            id: 0,
            name: name.clone(),
            external_uri: external_uri.clone(),
        }),
        ContactChange::ModifyGroup(group) => Change::ModifyGroup(group_to_wire(group)),
        ContactChange::DeleteGroup(id) => Change::DeleteGroup(*id),
        ContactChange::SetContact(contact) => Change::SetContact(contact_to_wire(contact)),
        ContactChange::DeleteContact(uri) => Change::DeleteContact(uri.as_str().to_owned()),
    };
    wire::ChangeContactsRequest {
        user: user.as_str().to_owned(),
        known,
        change: Some(change),
    }
}

/// A change of a contact list: whose, the number the client knows, what changes.
///
/// # Errors
/// The field that is wrong.
pub fn change(
    request: wire::ChangeContactsRequest,
) -> Result<(AddressOfRecord, Option<u64>, ContactChange), Malformed> {
    use wire::change_contacts_request::Change;
    let change = match required("change_contacts.change", request.change)? {
        Change::AddGroup(group) => ContactChange::AddGroup {
            name: group.name,
            external_uri: group.external_uri,
        },
        Change::ModifyGroup(one) => ContactChange::ModifyGroup(group(one)),
        Change::DeleteGroup(id) => ContactChange::DeleteGroup(id),
        Change::SetContact(one) => ContactChange::SetContact(contact(one)?),
        Change::DeleteContact(uri) => ContactChange::DeleteContact(aor("change_contacts.delete", &uri)?),
    };
    Ok((aor("change_contacts.user", &request.user)?, request.known, change))
}

pub(super) fn contact_news_to_wire(news: &ContactNews) -> wire::ContactNews {
    use wire::contact_news::Changed;
    let changed = match &news.changed {
        ContactChanged::AddedGroup(group) => Changed::AddedGroup(group_to_wire(group)),
        ContactChanged::ModifiedGroup(group) => Changed::ModifiedGroup(group_to_wire(group)),
        ContactChanged::DeletedGroup(id, contacts) => Changed::DeletedGroup(wire::DeletedGroup {
            id: *id,
            contacts: contacts.iter().map(contact_to_wire).collect(),
        }),
        ContactChanged::AddedContact(contact) => Changed::AddedContact(contact_to_wire(contact)),
        ContactChanged::ModifiedContact(contact) => Changed::ModifiedContact(contact_to_wire(contact)),
        ContactChanged::DeletedContact(uri) => Changed::DeletedContact(uri.as_str().to_owned()),
    };
    wire::ContactNews {
        user: news.user.as_str().to_owned(),
        previous: news.previous,
        delta: news.delta,
        has_groups: news.has_groups,
        changed: Some(changed),
    }
}

pub(super) fn contact_news(news: wire::ContactNews) -> Result<ContactNews, Malformed> {
    use wire::contact_news::Changed;
    let changed = match required("contact_news.changed", news.changed)? {
        Changed::AddedGroup(one) => ContactChanged::AddedGroup(group(one)),
        Changed::ModifiedGroup(one) => ContactChanged::ModifiedGroup(group(one)),
        Changed::DeletedGroup(one) => ContactChanged::DeletedGroup(one.id, contacts(one.contacts)?),
        Changed::AddedContact(one) => ContactChanged::AddedContact(contact(one)?),
        Changed::ModifiedContact(one) => ContactChanged::ModifiedContact(contact(one)?),
        Changed::DeletedContact(uri) => ContactChanged::DeletedContact(aor("contact_news.deleted", &uri)?),
    };
    Ok(ContactNews {
        user: aor("contact_news.user", &news.user)?,
        previous: news.previous,
        delta: news.delta,
        has_groups: news.has_groups,
        changed,
    })
}

/// What became of a change of a contact list.
pub fn contacts_changed_to_wire(
    result: &Result<ContactNews, ContactRefusal>,
) -> wire::ChangeContactsResponse {
    use wire::change_contacts_response::Result as Outcome;
    use wire::contacts_refused::Reason;
    let refused = |reason: Reason, text: &str, number: u64| {
        Outcome::Refused(wire::ContactsRefused {
            reason: reason.into(),
            text: text.to_owned(),
            number,
        })
    };
    let result = match result {
        Ok(news) => Outcome::News(contact_news_to_wire(news)),
        Err(ContactRefusal::NotFound(thing)) => refused(Reason::NotFound, thing, 0),
        Err(ContactRefusal::Stale(number)) => refused(Reason::Stale, "", *number),
        Err(ContactRefusal::Limit(number)) => refused(Reason::Limit, "", u64::from(*number)),
        Err(ContactRefusal::Invalid(text)) => refused(Reason::Invalid, text, 0),
    };
    wire::ChangeContactsResponse { result: Some(result) }
}

/// What became of a change of a contact list.
///
/// # Errors
/// The field that is wrong.
pub fn contacts_changed(
    response: wire::ChangeContactsResponse,
) -> Result<Result<ContactNews, ContactRefusal>, Malformed> {
    use wire::change_contacts_response::Result as Outcome;
    use wire::contacts_refused::Reason;
    let refused = match required("change_contacts.result", response.result)? {
        Outcome::News(news) => return Ok(Ok(contact_news(news)?)),
        Outcome::Refused(refused) => refused,
    };
    Ok(Err(match refused.reason() {
        Reason::NotFound => {
            let thing = THINGS.into_iter().find(|known| *known == refused.text);
            ContactRefusal::NotFound(thing.unwrap_or("thing"))
        }
        Reason::Stale => ContactRefusal::Stale(refused.number),
        Reason::Limit => ContactRefusal::Limit(u32::try_from(refused.number).unwrap_or(u32::MAX)),
        Reason::Invalid | Reason::Unspecified => ContactRefusal::Invalid(refused.text),
    }))
}
