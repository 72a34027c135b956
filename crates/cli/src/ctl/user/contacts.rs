//! `porticoctl user contacts`.

use hyper::Method;
use server::control::api::{Contacts, SetContact};

use super::super::client::segment;
use super::super::failure::Failure;
use super::super::{Terms, table};
use crate::out;

/// Changes the list if that is asked for, and shows it.
pub(super) async fn run(
    terms: &Terms,
    user: &str,
    add: Option<String>,
    name: Option<String>,
    remove: Option<String>,
) -> Result<(), Failure> {
    let list = format!("{user}/contacts");
    let one = |contact: &str| format!("{list}/{}", segment(contact));
    let contacts: Contacts = match (add, remove) {
        (Some(contact), _) => {
            let wish = SetContact { name };
            terms.client.send(Method::PUT, &one(&contact), &wish).await?
        }
        (None, Some(contact)) => terms.client.delete_counted(&one(&contact)).await?,
        (None, None) => terms.client.get(&list).await?,
    };
    terms.show(&contacts, text);
    Ok(())
}

fn text(contacts: &Contacts) -> String {
    let rows: Vec<Vec<String>> = contacts
        .contacts
        .iter()
        .map(|contact| {
            vec![
                contact.address.clone(),
                contact.name.clone(),
                contact.groups.join(", "),
                table::yes_no(contact.subscribed),
            ]
        })
        .collect();
    out::table(&["address", "name", "groups", "subscribed"], &rows)
}
