//! [`ContactList`] and [`ContactDelta`]: the user's contact list, whole and as a change,
//! `application/vnd-microsoft-roaming-contacts+xml`.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::{boolean, boolean_text, required_number};
use crate::BodyError;
use crate::xml::{Element, XmlReader, XmlWriter};

/// The content type of both documents.
pub const CONTENT_TYPE: &str = "application/vnd-microsoft-roaming-contacts+xml";

/// The name of the group of those who are in no other.
pub const DEFAULT_GROUP: &str = "~";

/// Most groups and contacts of one document. Answer: 400.
pub const ENTRIES: usize = 3_000;
/// Most groups one contact is in. Answer: 400.
pub const GROUPS_OF_CONTACT: usize = 256;

const SIP: &str = "sip:";

/// A group of contacts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number.
    pub id: u32,
    /// Its name; [`DEFAULT_GROUP`] for the one everybody has.
    pub name: String,
    /// What it is elsewhere, such as the address of a distribution list. Often empty.
    pub external_uri: String,
}

/// A contact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// The address, without `sip:`.
    pub address: String,
    /// The name the user gave; if empty, the one of the contact card is shown.
    pub name: String,
    /// The numbers of the groups.
    pub groups: Vec<u32>,
    /// Whether the user watches.
    pub subscribed: bool,
    /// What it is elsewhere. Often empty.
    pub external_uri: String,
}

/// The whole list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactList {
    /// Grows with each change. Clients do not take 0.
    pub delta_number: NonZeroU32,
    /// Should hold at least [`DEFAULT_GROUP`], else clients make it.
    pub groups: Vec<Group>,
    /// The contacts. A client forgets whom it does not find here.
    pub contacts: Vec<Contact>,
}

/// What changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContactChange {
    /// A new group.
    AddedGroup(Group),
    /// Another name for one.
    ModifiedGroup(Group),
    /// One less, by its number.
    DeletedGroup(u32),
    /// A new contact.
    AddedContact(Contact),
    /// Other groups or another name for one.
    ModifiedContact(Contact),
    /// One less, by its address without `sip:`.
    DeletedContact(String),
}

/// Some changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactDelta {
    /// The number of the list after them.
    pub delta_number: NonZeroU32,
    /// The number of the list before.
    pub previous_delta_number: NonZeroU32,
    /// In the order they were made.
    pub changes: Vec<ContactChange>,
}

impl ContactList {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `contactList`, [`BodyError::Malformed`] if a number or an address
    /// is missing or wrong, [`BodyError::Limit`] beyond [`ENTRIES`] or [`GROUPS_OF_CONTACT`], else what
    /// [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let root = reader.root()?;
        if root.local_name() != "contactList" {
            return Err(BodyError::Unsupported("not a contactList document"));
        }
        let mut list = Self {
            delta_number: required_number(root.attribute("deltaNum")?, "deltaNum")?,
            groups: Vec::new(),
            contacts: Vec::new(),
        };
        while let Some(element) = reader.child()? {
            if list.groups.len() + list.contacts.len() >= ENTRIES {
                return Err(BodyError::Limit("entries of a contactList"));
            }
            match element.local_name() {
                "group" => list.groups.push(Group::read(&element)?),
                "contact" => list.contacts.push(Contact::read(&element)?),
                _ => {}
            }
            reader.skip_element()?;
        }
        reader.finish()?;
        Ok(list)
    }

    /// Writes the document. Here addresses stand without `sip:`.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::without_namespace("contactList");
        writer.number("deltaNum", self.delta_number.get());
        for group in &self.groups {
            group.write("group", &mut writer);
        }
        for contact in &self.contacts {
            contact.write("contact", "", &mut writer);
        }
        Bytes::from(writer.finish())
    }
}

impl ContactDelta {
    /// Reads a document.
    ///
    /// # Errors
    /// As [`ContactList::parse`], with the root `contactDelta`.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let root = reader.root()?;
        if root.local_name() != "contactDelta" {
            return Err(BodyError::Unsupported("not a contactDelta document"));
        }
        let mut delta = Self {
            delta_number: required_number(root.attribute("deltaNum")?, "deltaNum")?,
            previous_delta_number: required_number(root.attribute("prevDeltaNum")?, "prevDeltaNum")?,
            changes: Vec::new(),
        };
        while let Some(element) = reader.child()? {
            if delta.changes.len() >= ENTRIES {
                return Err(BodyError::Limit("changes of a contactDelta"));
            }
            delta.changes.extend(ContactChange::read(&element)?);
            reader.skip_element()?;
        }
        reader.finish()?;
        Ok(delta)
    }

    /// Writes the document. Here addresses stand with `sip:`.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::without_namespace("contactDelta");
        writer
            .number("deltaNum", self.delta_number.get())
            .number("prevDeltaNum", self.previous_delta_number.get());
        for change in &self.changes {
            change.write(&mut writer);
        }
        Bytes::from(writer.finish())
    }
}

impl ContactChange {
    fn read(element: &Element<'_, '_>) -> Result<Option<Self>, BodyError> {
        Ok(Some(match element.local_name() {
            "addedGroup" => ContactChange::AddedGroup(Group::read(element)?),
            "modifiedGroup" => ContactChange::ModifiedGroup(Group::read(element)?),
            "deletedGroup" => ContactChange::DeletedGroup(group_id(element)?),
            "addedContact" => ContactChange::AddedContact(Contact::read(element)?),
            "modifiedContact" => ContactChange::ModifiedContact(Contact::read(element)?),
            "deletedContact" => ContactChange::DeletedContact(address(element)?),
            _ => return Ok(None),
        }))
    }

    fn write(&self, writer: &mut XmlWriter) {
        match self {
            ContactChange::AddedGroup(group) => group.write("addedGroup", writer),
            ContactChange::ModifiedGroup(group) => group.write("modifiedGroup", writer),
            ContactChange::DeletedGroup(id) => {
                writer.open("deletedGroup").number("id", *id).close();
            }
            ContactChange::AddedContact(contact) => contact.write("addedContact", SIP, writer),
            ContactChange::ModifiedContact(contact) => contact.write("modifiedContact", SIP, writer),
            ContactChange::DeletedContact(address) => {
                let uri = format!("{SIP}{address}");
                writer.open("deletedContact").attribute("uri", &uri).close();
            }
        }
    }
}

impl Group {
    fn read(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(Self {
            id: group_id(element)?,
            name: element.attribute("name")?.unwrap_or_default(),
            external_uri: element.attribute("externalURI")?.unwrap_or_default(),
        })
    }

    fn write(&self, name: &str, writer: &mut XmlWriter) {
        writer
            .open(name)
            .number("id", self.id)
            .attribute("name", &self.name)
            .attribute("externalURI", &self.external_uri)
            .close();
    }
}

impl Contact {
    fn read(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(Self {
            address: address(element)?,
            name: element.attribute("name")?.unwrap_or_default(),
            groups: parse_groups(&element.attribute("groups")?.unwrap_or_default())?,
            subscribed: element
                .attribute("subscribed")?
                .is_some_and(|text| boolean(&text)),
            external_uri: element.attribute("externalURI")?.unwrap_or_default(),
        })
    }

    fn write(&self, name: &str, scheme: &str, writer: &mut XmlWriter) {
        writer
            .open(name)
            .attribute("uri", &format!("{scheme}{}", self.address))
            .attribute("name", &self.name)
            .attribute("groups", &print_groups(&self.groups))
            .attribute("subscribed", boolean_text(self.subscribed))
            .attribute("externalURI", &self.external_uri)
            .close();
    }
}

fn group_id(element: &Element<'_, '_>) -> Result<u32, BodyError> {
    required_number(element.attribute("id")?, "group id")
}

fn address(element: &Element<'_, '_>) -> Result<String, BodyError> {
    let uri = element.attribute("uri")?.unwrap_or_default();
    without_sip(&uri).ok_or(BodyError::Malformed("contact without uri"))
}

/// An address without its `sip:`, if there is anything else.
pub(super) fn without_sip(uri: &str) -> Option<String> {
    let mut address = uri.trim();
    while let Some((scheme, rest)) = address.split_at_checked(SIP.len())
        && scheme.eq_ignore_ascii_case(SIP)
    {
        address = rest.trim();
    }
    (!address.is_empty()).then(|| address.to_owned())
}

/// Group numbers with blanks between them.
pub(super) fn parse_groups(text: &str) -> Result<Vec<u32>, BodyError> {
    let mut groups = Vec::new();
    for number in text.split_ascii_whitespace() {
        if groups.len() >= GROUPS_OF_CONTACT {
            return Err(BodyError::Limit("groups of a contact"));
        }
        groups.push(number.parse().map_err(|_| BodyError::Malformed("group id"))?);
    }
    Ok(groups)
}

/// The other way.
pub(super) fn print_groups(groups: &[u32]) -> String {
    let numbers: Vec<String> = groups.iter().map(u32::to_string).collect();
    numbers.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bob() -> Contact {
        Contact {
            address: "bob@example.test".to_owned(),
            name: "Bob <&> \"Test\"".to_owned(),
            groups: vec![1, 2],
            subscribed: true,
            external_uri: String::new(),
        }
    }

    fn delta_number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn the_list_has_addresses_without_scheme_and_a_delta_with() {
        let list = ContactList {
            delta_number: delta_number(7),
            groups: vec![Group {
                id: 1,
                name: DEFAULT_GROUP.to_owned(),
                external_uri: String::new(),
            }],
            contacts: vec![bob()],
        };
        assert_eq!(
            list.print(),
            "<contactList deltaNum=\"7\"><group id=\"1\" name=\"~\" externalURI=\"\"/>\
             <contact uri=\"bob@example.test\" name=\"Bob &lt;&amp;&gt; &quot;Test&quot;\" groups=\"1 2\" \
             subscribed=\"true\" externalURI=\"\"/></contactList>"
        );
        let delta = ContactDelta {
            delta_number: delta_number(8),
            previous_delta_number: delta_number(7),
            changes: vec![
                ContactChange::AddedContact(bob()),
                ContactChange::DeletedContact("carol@example.test".to_owned()),
                ContactChange::DeletedGroup(3),
            ],
        };
        assert_eq!(
            delta.print(),
            "<contactDelta deltaNum=\"8\" prevDeltaNum=\"7\"><addedContact uri=\"sip:bob@example.test\" \
             name=\"Bob &lt;&amp;&gt; &quot;Test&quot;\" groups=\"1 2\" subscribed=\"true\" externalURI=\"\"/>\
             <deletedContact uri=\"sip:carol@example.test\"/><deletedGroup id=\"3\"/></contactDelta>"
        );
        assert_eq!(ContactList::parse(&list.print()), Ok(list));
        assert_eq!(ContactDelta::parse(&delta.print()), Ok(delta));
    }

    #[test]
    fn what_can_not_be_understood_is_malformed() {
        for document in [
            "<contactList/>",
            "<contactList deltaNum='0'/>",
            "<contactList deltaNum='1'><group name='a'/></contactList>",
            "<contactList deltaNum='1'><contact uri='sip:'/></contactList>",
            "<contactList deltaNum='1'><contact uri='a@b' groups='x'/></contactList>",
        ] {
            let outcome = ContactList::parse(document.as_bytes());
            assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{document}");
        }
        for document in [
            "<contactDelta deltaNum='1'/>",
            "<contactDelta deltaNum='2' prevDeltaNum='1'><deletedGroup/></contactDelta>",
            "<contactDelta deltaNum='2' prevDeltaNum='1'><deletedContact/></contactDelta>",
        ] {
            let outcome = ContactDelta::parse(document.as_bytes());
            assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{document}");
        }
        assert!(matches!(
            ContactList::parse(b"<a/>"),
            Err(BodyError::Unsupported(_))
        ));
        assert!(matches!(
            ContactDelta::parse(b"<a/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn every_limit_holds_at_its_value_and_one_above() {
        let entries = |count: usize| {
            let list = "<group id='1'/>".repeat(count);
            ContactList::parse(format!("<contactList deltaNum='1'>{list}</contactList>").as_bytes())
        };
        assert!(entries(ENTRIES).is_ok());
        assert!(matches!(entries(ENTRIES + 1), Err(BodyError::Limit(_))));
        let changes = |count: usize| {
            let list = "<deletedGroup id='1'/>".repeat(count);
            let start = "<contactDelta deltaNum='2' prevDeltaNum='1'>";
            ContactDelta::parse(format!("{start}{list}</contactDelta>").as_bytes())
        };
        assert!(changes(ENTRIES).is_ok());
        assert!(matches!(changes(ENTRIES + 1), Err(BodyError::Limit(_))));
        assert!(parse_groups(&"1 ".repeat(GROUPS_OF_CONTACT)).is_ok());
        assert!(matches!(
            parse_groups(&"1 ".repeat(GROUPS_OF_CONTACT + 1)),
            Err(BodyError::Limit(_))
        ));
    }
}
