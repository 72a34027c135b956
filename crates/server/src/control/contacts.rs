//! Contact lists.

use axum::Json;
use axum::extract::{Path, State};
use rpc::presence::{Contact, ContactChange, ContactList, ContactRefusal};
use rpc::{Error, ErrorCode};

use super::{Control, Refusal, address, api};

pub(super) async fn list(
    State(control): State<Control>,
    Path(user): Path<String>,
) -> Result<Json<api::Contacts>, Refusal> {
    let list = control.presence.client.contacts(&address(&user)?).await?;
    Ok(Json(contacts(&list)))
}

/// Adds a contact, or gives one that is there another name.
pub(super) async fn set(
    State(control): State<Control>,
    Path((user, contact)): Path<(String, String)>,
    Json(wish): Json<api::SetContact>,
) -> Result<Json<api::Contacts>, Refusal> {
    let contact = address(&contact)?;
    change(&control, &user, |list| {
        let before = list.contacts.iter().find(|known| known.uri == contact);
        let mut after = before.cloned().unwrap_or_else(|| Contact {
            uri: contact,
            name: String::new(),
            groups: Vec::new(),
            subscribed: true,
            external_uri: String::new(),
        });
        after.name = wish.name.unwrap_or(after.name);
        ContactChange::SetContact(after)
    })
    .await
}

pub(super) async fn remove(
    State(control): State<Control>,
    Path((user, contact)): Path<(String, String)>,
) -> Result<Json<api::Contacts>, Refusal> {
    let contact = address(&contact)?;
    change(&control, &user, |_| ContactChange::DeleteContact(contact)).await
}

/// Makes a change of the list as it is now.
async fn change(
    control: &Control,
    user: &str,
    make: impl FnOnce(&ContactList) -> ContactChange,
) -> Result<Json<api::Contacts>, Refusal> {
    let (user, presence) = (address(user)?, &control.presence.client);
    let list = presence.contacts(&user).await?;
    let changed = presence
        .change_contacts(&user, Some(list.delta), make(&list))
        .await?;
    changed.map_err(refused)?;
    Ok(Json(contacts(&*presence.contacts(&user).await?)))
}

fn refused(refusal: ContactRefusal) -> Refusal {
    let code = match refusal {
        ContactRefusal::NotFound(_) => ErrorCode::NotFound,
        ContactRefusal::Stale(_) => {
            let text = "the list was changed by somebody else at the same moment; try again";
            return Error::new(ErrorCode::Conflict, text).into();
        }
        ContactRefusal::Limit(_) => ErrorCode::TooMany,
        ContactRefusal::Invalid(_) => ErrorCode::InvalidRequest,
    };
    Error::new(code, refusal.to_string()).into()
}

fn contacts(list: &ContactList) -> api::Contacts {
    let group = |id: &u32| {
        let group = list.groups.iter().find(|group| group.id == *id);
        group.map_or_else(|| id.to_string(), |group| group.name.clone())
    };
    let contact = |contact: &Contact| api::Contact {
        address: contact.uri.to_string(),
        name: contact.name.clone(),
        groups: contact.groups.iter().map(group).collect(),
        subscribed: contact.subscribed,
    };
    api::Contacts {
        delta: list.delta,
        contacts: list.contacts.iter().map(contact).collect(),
    }
}
