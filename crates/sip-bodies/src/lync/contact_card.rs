//! [`ContactCard`]: one `contactCard` element: who somebody is, and how to reach them.

use super::{boolean, some_text};
use crate::BodyError;
use crate::fragment::Fragment;
use crate::xml::{Element, XmlReader, XmlWriter};

/// Most phone numbers, and most addresses of electronic mail, of one card. Answer: 400.
pub const ENTRIES: usize = 32;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/contactcard";

/// Where a phone rings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PhoneKind {
    /// At work.
    Work,
    /// In the pocket.
    Mobile,
    /// At home.
    Home,
    /// Elsewhere, and every kind we do not know.
    Other,
}

impl PhoneKind {
    const ALL: [Self; 4] = [Self::Work, Self::Mobile, Self::Home, Self::Other];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            PhoneKind::Work => "work",
            PhoneKind::Mobile => "mobile",
            PhoneKind::Home => "home",
            PhoneKind::Other => "other",
        }
    }

    fn parse(text: &str) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.unwrap_or(PhoneKind::Other)
    }
}

/// A phone number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phone {
    /// Where it rings.
    pub kind: PhoneKind,
    /// To call it, such as `tel:+12065550100`.
    pub uri: Option<String>,
    /// To read it.
    pub display_string: Option<String>,
}

/// A picture.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Photo {
    /// Where it is.
    pub uri: Option<String>,
    /// Changes when the picture does.
    pub hash: Option<String>,
}

/// A contact card. What is `None` is not told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContactCard {
    /// The name to show.
    pub display_name: Option<String>,
    /// Addresses of electronic mail, the first one first.
    pub emails: Vec<String>,
    /// The employer.
    pub company: Option<String>,
    /// The department.
    pub department: Option<String>,
    /// The position.
    pub title: Option<String>,
    /// The room.
    pub office: Option<String>,
    /// Phone numbers.
    pub phones: Vec<Phone>,
    /// A picture.
    pub photo: Option<Photo>,
    /// Whether this is a machine.
    pub automaton: bool,
}

impl ContactCard {
    /// Reads the element as a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if it is not `contactCard`, [`BodyError::Limit`] beyond [`ENTRIES`], else what
    /// [`XmlReader::next`] refuses.
    pub fn parse(document: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(document)?;
        if !reader.root()?.is(NAMESPACE, "contactCard") {
            return Err(BodyError::Unsupported("not a contactCard"));
        }
        let mut card = Self::default();
        while let Some(element) = reader.child()? {
            match Field::of(&element)? {
                Field::Identity => card.read_identity(&mut reader)?,
                Field::Phone(kind) => {
                    let [uri, display_string] = read_texts(&mut reader, ["uri", "displayString"])?;
                    push(
                        &mut card.phones,
                        Phone {
                            kind,
                            uri,
                            display_string,
                        },
                    )?;
                }
                Field::Photo => {
                    let [uri, hash] = read_texts(&mut reader, ["uri", "hash"])?;
                    card.photo = Some(Photo { uri, hash });
                }
                Field::Automaton => card.automaton = boolean(&reader.text_of_element()?),
                Field::Company => card.company = some_text(&reader.text_of_element()?),
                Field::Department => card.department = some_text(&reader.text_of_element()?),
                Field::Title => card.title = some_text(&reader.text_of_element()?),
                Field::Office => card.office = some_text(&reader.text_of_element()?),
                Field::Unknown => reader.skip_element()?,
            }
        }
        reader.finish()?;
        Ok(card)
    }

    /// Writes the element.
    pub fn print(&self) -> Fragment {
        let mut writer = XmlWriter::new("contactCard", NAMESPACE);
        if self.display_name.is_some() || !self.emails.is_empty() {
            writer.open("identity");
            if let Some(name) = &self.display_name {
                writer.open("name").leaf("displayName", name).close();
            }
            for email in &self.emails {
                writer.leaf("email", email);
            }
            writer.close();
        }
        writer
            .leaf_if("company", self.company.as_deref())
            .leaf_if("department", self.department.as_deref())
            .leaf_if("title", self.title.as_deref())
            .leaf_if("office", self.office.as_deref());
        for phone in &self.phones {
            writer
                .open("phone")
                .attribute("type", phone.kind.as_str())
                .leaf_if("uri", phone.uri.as_deref())
                .leaf_if("displayString", phone.display_string.as_deref())
                .close();
        }
        if let Some(photo) = &self.photo {
            writer
                .open("photo")
                .leaf_if("uri", photo.uri.as_deref())
                .leaf_if("hash", photo.hash.as_deref())
                .close();
        }
        writer.leaf_if("automaton", self.automaton.then_some("true"));
        Fragment::printed(writer)
    }

    fn read_identity(&mut self, reader: &mut XmlReader<'_>) -> Result<(), BodyError> {
        while let Some(element) = reader.child()? {
            if element.is(NAMESPACE, "name") {
                [self.display_name] = read_texts(reader, ["displayName"])?;
            } else if element.is(NAMESPACE, "email") {
                if let Some(email) = some_text(&reader.text_of_element()?) {
                    push(&mut self.emails, email)?;
                }
            } else {
                reader.skip_element()?;
            }
        }
        Ok(())
    }
}

enum Field {
    Identity,
    Company,
    Department,
    Title,
    Office,
    Phone(PhoneKind),
    Photo,
    Automaton,
    Unknown,
}

impl Field {
    fn of(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        if element.namespace() != Some(NAMESPACE) {
            return Ok(Field::Unknown);
        }
        Ok(match element.local_name() {
            "identity" => Field::Identity,
            "company" => Field::Company,
            "department" => Field::Department,
            "title" => Field::Title,
            "office" => Field::Office,
            "phone" => Field::Phone(PhoneKind::parse(&element.attribute("type")?.unwrap_or_default())),
            "photo" => Field::Photo,
            "automaton" => Field::Automaton,
            _ => Field::Unknown,
        })
    }
}

/// The texts of the children with these names, up to the end of the element whose start was the last event.
fn read_texts<const N: usize>(
    reader: &mut XmlReader<'_>,
    names: [&str; N],
) -> Result<[Option<String>; N], BodyError> {
    let mut texts = [const { None }; N];
    while let Some(element) = reader.child()? {
        let ours = element.namespace() == Some(NAMESPACE);
        let position = names
            .iter()
            .position(|name| ours && *name == element.local_name());
        let text = reader.text_of_element()?;
        if let Some(slot) = position.and_then(|position| texts.get_mut(position)) {
            *slot = some_text(&text);
        }
    }
    Ok(texts)
}

fn push<T>(entries: &mut Vec<T>, entry: T) -> Result<(), BodyError> {
    if entries.len() >= ENTRIES {
        return Err(BodyError::Limit("entries of a contactCard"));
    }
    entries.push(entry);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_printed_as_clients_read_it() {
        let card = ContactCard {
            display_name: Some("Bob \"<T&st>\"".to_owned()),
            emails: vec!["bob@example.test".to_owned()],
            title: Some("Clerk".to_owned()),
            phones: vec![Phone {
                kind: PhoneKind::Mobile,
                uri: Some("tel:+12065550100".to_owned()),
                display_string: Some("206 555 0100".to_owned()),
            }],
            automaton: true,
            ..ContactCard::default()
        };
        assert_eq!(
            card.print().as_str(),
            "<contactCard xmlns=\"http://schemas.microsoft.com/2006/09/sip/contactcard\"><identity><name>\
             <displayName>Bob \"&lt;T&amp;st&gt;\"</displayName></name><email>bob@example.test</email></identity>\
             <title>Clerk</title><phone type=\"mobile\"><uri>tel:+12065550100</uri>\
             <displayString>206 555 0100</displayString></phone><automaton>true</automaton></contactCard>"
        );
        assert_eq!(
            ContactCard::default().print().as_str(),
            "<contactCard xmlns=\"http://schemas.microsoft.com/2006/09/sip/contactcard\"/>"
        );
    }

    #[test]
    fn what_is_unknown_is_passed_over() {
        let document = format!(
            "<c:contactCard xmlns:c='{NAMESPACE}' xmlns='urn:x'><c:identity><c:name><c:displayName>Bob</c:displayName>\
             <displayName>no</displayName><c:nick>B</c:nick></c:name><c:email> </c:email><email>no</email></c:identity>\
             <c:phone type='pager'/><c:address type='work'><c:title>no</c:title></c:address><title>no</title>\
             <c:photo><c:uri>http://example.test/b.jpg</c:uri><c:hash>1</c:hash></c:photo></c:contactCard>"
        );
        let expected = ContactCard {
            display_name: Some("Bob".to_owned()),
            phones: vec![Phone {
                kind: PhoneKind::Other,
                uri: None,
                display_string: None,
            }],
            photo: Some(Photo {
                uri: Some("http://example.test/b.jpg".to_owned()),
                hash: Some("1".to_owned()),
            }),
            ..ContactCard::default()
        };
        assert_eq!(ContactCard::parse(document.as_bytes()), Ok(expected));
        assert!(matches!(
            ContactCard::parse(b"<contactCard/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn the_limit_holds_at_its_value_and_one_above() {
        let phones = |count: usize| {
            let list = "<phone/>".repeat(count);
            ContactCard::parse(format!("<contactCard xmlns='{NAMESPACE}'>{list}</contactCard>").as_bytes())
        };
        assert!(phones(ENTRIES).is_ok());
        assert!(matches!(phones(ENTRIES + 1), Err(BodyError::Limit(_))));
    }
}
