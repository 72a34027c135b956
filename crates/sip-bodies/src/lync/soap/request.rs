//! [`SoapRequest`]: what a client asks for.

use bytes::Bytes;

use super::super::contacts::{parse_groups, print_groups, without_sip};
use super::super::{boolean, boolean_text, number};
use super::{METHODS, ROWS, attribute, envelope, first_in_body};
use crate::BodyError;
use crate::xml::{XmlReader, XmlWriter, is_ncname};

/// Longest name of an operation that is repeated to its sender. Answer: 400.
const OPERATION_BYTES: usize = 64;

/// One change of the contact list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContactOperation {
    /// A new group.
    AddGroup {
        /// Its name.
        name: String,
        /// What it is elsewhere. Often empty.
        external_uri: String,
    },
    /// Another name for a group.
    ModifyGroup {
        /// Which one.
        group_id: u32,
        /// The new name.
        name: String,
        /// What it is elsewhere. Often empty.
        external_uri: String,
    },
    /// One group less.
    DeleteGroup {
        /// Which one.
        group_id: u32,
    },
    /// A new contact, or another name or other groups for one.
    SetContact {
        /// The address, without `sip:`.
        address: String,
        /// The name the user gives; may be empty.
        display_name: String,
        /// The numbers of all groups it is in.
        groups: Vec<u32>,
        /// Whether the user watches.
        subscribed: bool,
        /// What it is elsewhere. Often empty.
        external_uri: String,
    },
    /// One contact less.
    DeleteContact {
        /// The address, without `sip:`.
        address: String,
    },
}

/// What somebody searched for has to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchTerm {
    /// The directory's name of it: `givenName`, `sn`, `mail`, `msRTCSIP-PrimaryUserAddress`, `company`, `c`.
    pub attribute: String,
    /// What it has to be like.
    pub value: String,
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SoapRequest {
    /// A change of the contact list.
    Contacts {
        /// The number of the list that the client knows.
        delta_number: u32,
        /// The change.
        operation: ContactOperation,
    },
    /// A search for people.
    DirectorySearch {
        /// Most people the client wants.
        max_results: Option<u32>,
        /// All of which have to hold.
        terms: Vec<SearchTerm>,
    },
    /// Another operation, by its name: to be answered with a fault that names it.
    Unknown(String),
}

impl SoapRequest {
    /// Reads a document. `setPresence`, `getPresence` and whatever else is not told above is [`SoapRequest::Unknown`].
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not a SOAP envelope, [`BodyError::Malformed`] if it has no operation or
    /// what the operation needs is missing or wrong, [`BodyError::Limit`] beyond [`ROWS`] or the groups of a contact,
    /// else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let operation =
            first_in_body(&mut reader)?.ok_or(BodyError::Malformed("SOAP body without operation"))?;
        let known = operation.namespace() == Some(METHODS);
        let name = operation.local_name().to_owned();
        if name.len() > OPERATION_BYTES {
            return Err(BodyError::Limit("length of the name of a SOAP operation"));
        }
        if !is_ncname(&name) {
            return Err(BodyError::Malformed("name of a SOAP operation"));
        }
        let request = match name.as_str() {
            "directorySearch" if known => read_search(&mut reader)?,
            "addGroup" | "modifyGroup" | "deleteGroup" | "setContact" | "deleteContact" if known => {
                Fields::read(&mut reader)?.into_request(&name)?
            }
            _ => SoapRequest::Unknown(name),
        };
        reader.finish()?;
        Ok(request)
    }

    /// Writes the document. An operation that is not known has no fields.
    pub fn print(&self) -> Bytes {
        let mut writer = envelope();
        match self {
            SoapRequest::Contacts {
                delta_number,
                operation,
            } => operation.write(*delta_number, &mut writer),
            SoapRequest::DirectorySearch { max_results, terms } => {
                writer
                    .open("m:directorySearch")
                    .open("m:filter")
                    .attribute("m:href", "#searchArray")
                    .close();
                if let Some(most) = max_results {
                    writer.leaf("m:maxResults", &most.to_string());
                }
                writer.close().open("m:Array").attribute("m:id", "searchArray");
                for term in terms {
                    writer
                        .open("m:row")
                        .attribute("m:attrib", &term.attribute)
                        .attribute("m:value", &term.value)
                        .close();
                }
            }
            SoapRequest::Unknown(name) => {
                writer.open(&format!("m:{name}"));
            }
        }
        Bytes::from(writer.finish())
    }
}

impl ContactOperation {
    const fn name(&self) -> &'static str {
        match self {
            ContactOperation::AddGroup { .. } => "m:addGroup",
            ContactOperation::ModifyGroup { .. } => "m:modifyGroup",
            ContactOperation::DeleteGroup { .. } => "m:deleteGroup",
            ContactOperation::SetContact { .. } => "m:setContact",
            ContactOperation::DeleteContact { .. } => "m:deleteContact",
        }
    }

    fn write(&self, delta_number: u32, writer: &mut XmlWriter) {
        writer.open(self.name());
        match self {
            ContactOperation::AddGroup { name, external_uri } => {
                writer.leaf("m:name", name).leaf("m:externalURI", external_uri);
            }
            ContactOperation::ModifyGroup {
                group_id,
                name,
                external_uri,
            } => {
                writer
                    .leaf("m:groupID", &group_id.to_string())
                    .leaf("m:name", name)
                    .leaf("m:externalURI", external_uri);
            }
            ContactOperation::DeleteGroup { group_id } => {
                writer.leaf("m:groupID", &group_id.to_string());
            }
            ContactOperation::SetContact {
                address,
                display_name,
                groups,
                subscribed,
                external_uri,
            } => {
                writer
                    .leaf("m:displayName", display_name)
                    .leaf("m:groups", &print_groups(groups))
                    .leaf("m:subscribed", boolean_text(*subscribed))
                    .leaf("m:URI", &format!("sip:{address}"))
                    .leaf("m:externalURI", external_uri);
            }
            ContactOperation::DeleteContact { address } => {
                writer.leaf("m:URI", &format!("sip:{address}"));
            }
        }
        writer.leaf("m:deltaNum", &delta_number.to_string());
    }
}

/// The fields of all operations on the contact list.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    external_uri: Option<String>,
    group_id: Option<u32>,
    display_name: Option<String>,
    groups: Option<String>,
    subscribed: Option<String>,
    uri: Option<String>,
    delta_number: Option<u32>,
}

impl Fields {
    fn read(reader: &mut XmlReader<'_>) -> Result<Self, BodyError> {
        let mut fields = Self::default();
        while let Some(element) = reader.child()? {
            let ours = element.namespace() == Some(METHODS);
            let name = element.local_name().to_owned();
            let text = reader.text_of_element()?;
            let text = Some(text.trim().to_owned());
            match name.as_str() {
                _ if !ours => {}
                "name" => fields.name = text,
                "externalURI" => fields.external_uri = text,
                "groupID" => fields.group_id = number(text, "groupID")?,
                "displayName" => fields.display_name = text,
                "groups" => fields.groups = text,
                "subscribed" => fields.subscribed = text,
                "URI" => fields.uri = text,
                "deltaNum" => fields.delta_number = number(text, "deltaNum")?,
                _ => {}
            }
        }
        Ok(fields)
    }

    fn into_request(self, operation: &str) -> Result<SoapRequest, BodyError> {
        let external_uri = self.external_uri.unwrap_or_default();
        let name = self.name.filter(|name| !name.is_empty());
        let name = name.ok_or(BodyError::Malformed("group without name"));
        let group_id = self.group_id.ok_or(BodyError::Malformed("group without groupID"));
        let address = self.uri.as_deref().and_then(without_sip);
        let address = address.ok_or(BodyError::Malformed("contact without URI"));
        let operation = match operation {
            "addGroup" => ContactOperation::AddGroup {
                name: name?,
                external_uri,
            },
            "modifyGroup" => ContactOperation::ModifyGroup {
                group_id: group_id?,
                name: name?,
                external_uri,
            },
            "deleteGroup" => ContactOperation::DeleteGroup { group_id: group_id? },
            "deleteContact" => ContactOperation::DeleteContact { address: address? },
            _ => ContactOperation::SetContact {
                address: address?,
                display_name: self.display_name.unwrap_or_default(),
                groups: parse_groups(&self.groups.unwrap_or_default())?,
                subscribed: self.subscribed.is_some_and(|text| boolean(&text)),
                external_uri,
            },
        };
        let delta_number = self.delta_number;
        Ok(SoapRequest::Contacts {
            delta_number: delta_number.ok_or(BodyError::Malformed("contact operation without deltaNum"))?,
            operation,
        })
    }
}

/// Reads `directorySearch`, whose start was the last event, and the array beside it.
fn read_search(reader: &mut XmlReader<'_>) -> Result<SoapRequest, BodyError> {
    let (mut max_results, mut filter) = (None, None);
    while let Some(element) = reader.child()? {
        if element.is(METHODS, "maxResults") {
            max_results = number(Some(reader.text_of_element()?), "maxResults")?;
            continue;
        }
        if element.is(METHODS, "filter") {
            filter = attribute(&element, "href")?;
        }
        reader.skip_element()?;
    }
    let filter = filter.and_then(|reference| reference.strip_prefix('#').map(str::to_owned));
    let mut terms = None;
    while let Some(element) = reader.child()? {
        if terms.is_none() && element.is(METHODS, "Array") && attribute(&element, "id")? == filter {
            terms = Some(read_terms(reader)?);
        } else {
            reader.skip_element()?;
        }
    }
    Ok(SoapRequest::DirectorySearch {
        max_results,
        terms: terms.ok_or(BodyError::Malformed("directorySearch without its filter"))?,
    })
}

fn read_terms(reader: &mut XmlReader<'_>) -> Result<Vec<SearchTerm>, BodyError> {
    let mut terms = Vec::new();
    while let Some(element) = reader.child()? {
        if element.is(METHODS, "row") {
            if terms.len() >= ROWS {
                return Err(BodyError::Limit("terms of a directorySearch"));
            }
            let attribute_name = attribute(&element, "attrib")?;
            terms.push(SearchTerm {
                attribute: attribute_name.ok_or(BodyError::Malformed("search term without attribute"))?,
                value: attribute(&element, "value")?.unwrap_or_default(),
            });
        }
        reader.skip_element()?;
    }
    Ok(terms)
}

#[cfg(test)]
mod tests;
