//! [`SoapAnswer`]: what the server says to a request.

use bytes::Bytes;

use super::super::{boolean, boolean_text, number};
use super::{ENVELOPE, METHODS, ROWS, attribute, envelope, first_in_body};
use crate::BodyError;
use crate::xml::{Element, XmlReader, XmlWriter};

/// The array of the answer that holds the people found.
const ROWS_ID: &str = "rows";

/// Somebody who was found. What is empty is not told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DirectoryEntry {
    /// The address, with `sip:`.
    pub uri: String,
    /// The name to show.
    pub display_name: String,
    /// The position.
    pub title: String,
    /// The room.
    pub office: String,
    /// A phone number.
    pub phone: String,
    /// The employer.
    pub company: String,
    /// The city.
    pub city: String,
    /// The state.
    pub state: String,
    /// The country.
    pub country: String,
    /// An address of electronic mail.
    pub email: String,
}

/// The names of the attributes, in the order of [`DirectoryEntry::values`].
const ATTRIBUTES: [&str; 10] = [
    "uri",
    "displayName",
    "title",
    "office",
    "phone",
    "company",
    "city",
    "state",
    "country",
    "email",
];

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SoapAnswer {
    /// Done, and there is nothing to tell.
    Done,
    /// A group was added.
    GroupAdded {
        /// Its number, which the client needs to put contacts into it.
        group_id: u32,
    },
    /// These people were found.
    Found {
        /// Whether there are more.
        more_available: bool,
        /// The people.
        entries: Vec<DirectoryEntry>,
    },
    /// Refused.
    Fault {
        /// Who is to blame: `Client` or `Server`, with what follows a dot (SOAP 1.1 section 4.4.1).
        code: String,
        /// Why, for people.
        text: String,
    },
}

impl SoapAnswer {
    /// The fault for a request that names an operation we do not know.
    pub fn unknown_operation(operation: &str) -> Self {
        SoapAnswer::Fault {
            code: "Client.UnknownOperation".to_owned(),
            text: format!("unknown operation {operation}"),
        }
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = envelope();
        match self {
            SoapAnswer::Done => {}
            SoapAnswer::GroupAdded { group_id } => {
                writer.open("m:addGroup").leaf("m:groupID", &group_id.to_string());
            }
            SoapAnswer::Found {
                more_available,
                entries,
            } => {
                writer
                    .open("m:directorySearch")
                    .leaf("m:moreAvailable", boolean_text(*more_available))
                    .leaf("m:returned", &entries.len().to_string())
                    .open("m:value")
                    .attribute("m:href", "#rows")
                    .close()
                    .close()
                    .open("m:Array")
                    .attribute("m:id", ROWS_ID);
                for entry in entries {
                    entry.write(&mut writer);
                }
            }
            SoapAnswer::Fault { code, text } => {
                // SOAP 1.1 section 4.4: the children of a fault are in no namespace, the code is a qualified name.
                writer
                    .open("s:Fault")
                    .leaf("faultcode", &format!("s:{code}"))
                    .leaf("faultstring", text);
            }
        }
        Bytes::from(writer.finish())
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not a SOAP envelope or holds another answer, [`BodyError::Malformed`]
    /// if what an answer needs is missing or wrong, [`BodyError::Limit`] beyond [`ROWS`], else what [`XmlReader::next`]
    /// refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let Some(first) = first_in_body(&mut reader)? else {
            reader.finish()?;
            return Ok(SoapAnswer::Done);
        };
        let answer = if first.is(METHODS, "addGroup") {
            let [group_id] = read_texts(&mut reader, Some(METHODS), ["groupID"])?;
            let group_id = number(group_id, "groupID")?;
            SoapAnswer::GroupAdded {
                group_id: group_id.ok_or(BodyError::Malformed("addGroup without groupID"))?,
            }
        } else if first.is(METHODS, "directorySearch") {
            let [more] = read_texts(&mut reader, Some(METHODS), ["moreAvailable"])?;
            SoapAnswer::Found {
                more_available: more.is_some_and(|text| boolean(&text)),
                entries: read_entries(&mut reader)?,
            }
        } else if first.is(ENVELOPE, "Fault") {
            let [code, text] = read_texts(&mut reader, None, ["faultcode", "faultstring"])?;
            let code = code.ok_or(BodyError::Malformed("SOAP fault without code"))?;
            let code = code.split_once(':').map_or(code.as_str(), |(_, local)| local);
            SoapAnswer::Fault {
                code: code.to_owned(),
                text: text.unwrap_or_default(),
            }
        } else {
            return Err(BodyError::Unsupported("unknown SOAP answer"));
        };
        reader.finish()?;
        Ok(answer)
    }
}

impl DirectoryEntry {
    const fn values(&self) -> [&String; ATTRIBUTES.len()] {
        [
            &self.uri,
            &self.display_name,
            &self.title,
            &self.office,
            &self.phone,
            &self.company,
            &self.city,
            &self.state,
            &self.country,
            &self.email,
        ]
    }

    const fn values_mut(&mut self) -> [&mut String; ATTRIBUTES.len()] {
        [
            &mut self.uri,
            &mut self.display_name,
            &mut self.title,
            &mut self.office,
            &mut self.phone,
            &mut self.company,
            &mut self.city,
            &mut self.state,
            &mut self.country,
            &mut self.email,
        ]
    }

    fn write(&self, writer: &mut XmlWriter) {
        writer.open("m:row");
        for (name, value) in ATTRIBUTES.into_iter().zip(self.values()) {
            if !value.is_empty() {
                writer.attribute(&format!("m:{name}"), value);
            }
        }
        writer.close();
    }

    fn read(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let mut entry = Self::default();
        for (name, value) in ATTRIBUTES.into_iter().zip(entry.values_mut()) {
            *value = attribute(element, name)?.unwrap_or_default();
        }
        if entry.uri.is_empty() {
            return Err(BodyError::Malformed("directory entry without uri"));
        }
        Ok(entry)
    }
}

/// The people in the arrays of the body.
fn read_entries(reader: &mut XmlReader<'_>) -> Result<Vec<DirectoryEntry>, BodyError> {
    let mut entries = Vec::new();
    while let Some(element) = reader.child()? {
        if !element.is(METHODS, "Array") {
            reader.skip_element()?;
            continue;
        }
        while let Some(element) = reader.child()? {
            if element.is(METHODS, "row") {
                if entries.len() >= ROWS {
                    return Err(BodyError::Limit("rows of a directorySearch"));
                }
                entries.push(DirectoryEntry::read(&element)?);
            }
            reader.skip_element()?;
        }
    }
    Ok(entries)
}

/// The texts of the children with these names, up to the end of the element whose start was the last event.
fn read_texts<const N: usize>(
    reader: &mut XmlReader<'_>,
    namespace: Option<&str>,
    names: [&str; N],
) -> Result<[Option<String>; N], BodyError> {
    let mut texts = [const { None }; N];
    while let Some(element) = reader.child()? {
        let ours = element.namespace() == namespace;
        let position = names
            .iter()
            .position(|name| ours && *name == element.local_name());
        let text = reader.text_of_element()?;
        if let Some(slot) = position.and_then(|position| texts.get_mut(position)) {
            *slot = Some(text);
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
        xmlns:m=\"http://schemas.microsoft.com/winrtc/2002/11/sip\">";

    #[test]
    fn answers_are_printed_as_clients_read_them() {
        let print = |answer: SoapAnswer| String::from_utf8(answer.print().to_vec()).unwrap();
        let whole = |body: &str| format!("{START}{body}</s:Envelope>");
        assert_eq!(print(SoapAnswer::Done), whole("<s:Body/>"));
        assert_eq!(
            print(SoapAnswer::GroupAdded { group_id: 3 }),
            whole("<s:Body><m:addGroup><m:groupID>3</m:groupID></m:addGroup></s:Body>")
        );
        let entries = vec![DirectoryEntry {
            uri: "sip:bob@example.test".to_owned(),
            display_name: "Bob \"B\" <T>".to_owned(),
            ..DirectoryEntry::default()
        }];
        assert_eq!(
            print(SoapAnswer::Found {
                more_available: false,
                entries
            }),
            whole(
                "<s:Body><m:directorySearch><m:moreAvailable>false</m:moreAvailable><m:returned>1</m:returned>\
                 <m:value m:href=\"#rows\"/></m:directorySearch><m:Array m:id=\"rows\">\
                 <m:row m:uri=\"sip:bob@example.test\" m:displayName=\"Bob &quot;B&quot; &lt;T&gt;\"/></m:Array></s:Body>"
            )
        );
        assert_eq!(
            print(SoapAnswer::unknown_operation("setPresence")),
            whole(
                "<s:Body><s:Fault><faultcode>s:Client.UnknownOperation</faultcode>\
                 <faultstring>unknown operation setPresence</faultstring></s:Fault></s:Body>"
            )
        );
    }

    #[test]
    fn rows_are_read_with_or_without_prefix() {
        let document = format!(
            "{START}<s:Body><m:directorySearch><m:moreAvailable>true</m:moreAvailable></m:directorySearch>\
             <m:Array><m:row uri='sip:a@b' email='a@b'/><row/></m:Array></s:Body></s:Envelope>"
        );
        let entry = DirectoryEntry {
            uri: "sip:a@b".to_owned(),
            email: "a@b".to_owned(),
            ..DirectoryEntry::default()
        };
        assert_eq!(
            SoapAnswer::parse(document.as_bytes()),
            Ok(SoapAnswer::Found {
                more_available: true,
                entries: vec![entry],
            })
        );
    }

    #[test]
    fn what_can_not_be_understood_is_refused() {
        let answer =
            |body: &str| SoapAnswer::parse(format!("{START}<s:Body>{body}</s:Body></s:Envelope>").as_bytes());
        for body in [
            "<m:addGroup/>",
            "<m:addGroup><m:groupID>x</m:groupID></m:addGroup>",
            "<m:directorySearch/><m:Array><m:row/></m:Array>",
            "<s:Fault/>",
        ] {
            assert!(matches!(answer(body), Err(BodyError::Malformed(_))), "{body}");
        }
        assert!(matches!(answer("<m:other/>"), Err(BodyError::Unsupported(_))));
        let many = |count: usize| {
            let list = "<m:row uri='a'/>".repeat(count);
            answer(&format!("<m:directorySearch/><m:Array>{list}</m:Array>"))
        };
        assert!(many(ROWS).is_ok());
        assert!(matches!(many(ROWS + 1), Err(BodyError::Limit(_))));
    }
}
