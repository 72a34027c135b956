//! [`Publish`]: what a Lync-family client publishes about its user, `application/msrtc-category-publish+xml`.

use bytes::Bytes;

use super::categories::read_content;
use super::{ContainerId, ExpireType, number, required_number};
use crate::BodyError;
use crate::fragment::Fragment;
use crate::xml::{Element, XmlReader, XmlWriter};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/msrtc-category-publish+xml";

/// Most publications of one request; SIPE sends about twenty when it signs in. Answer: 400.
pub const PUBLICATIONS: usize = 128;
/// Longest name of a category. Answer: 400.
pub const NAME_BYTES: usize = 64;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/rich-presence";

/// One instance of a category that its owner wants to set or remove.
///
/// (category, instance, container) name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// The category: `state`, `note`, `contactCard`, `device`, ...
    pub category_name: String,
    /// Which one of the category.
    pub instance: u32,
    /// Where it is published.
    pub container: ContainerId,
    /// The version the client knows; 0 if it knows of none.
    pub version: u32,
    /// How long it lives.
    pub expire_type: ExpireType,
    /// For how many seconds; 0 removes it.
    pub expires: Option<u32>,
    /// What is published: one element, kept whole.
    pub content: Option<Fragment>,
}

impl Publication {
    /// Whether the instance is to be removed.
    pub fn is_removal(&self) -> bool {
        self.expires == Some(0)
    }
}

/// A request to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// For whom, with `sip:`.
    pub uri: String,
    /// In the order of the request, which a fault counts from 1.
    pub publications: Vec<Publication>,
}

impl Publish {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `publish`, [`BodyError::Malformed`] if there is not exactly one
    /// `publications` or something of a publication is missing or not what it has to be, [`BodyError::Limit`] beyond
    /// [`PUBLICATIONS`] or [`NAME_BYTES`], else what [`XmlReader::next`] and [`Fragment::parse`] refuse.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(NAMESPACE, "publish") {
            return Err(BodyError::Unsupported("not a publish document"));
        }
        let mut found = None;
        while let Some(element) = reader.child()? {
            if !element.is(NAMESPACE, "publications") {
                reader.skip_element()?;
            } else if found.is_some() {
                return Err(BodyError::Malformed("publications for more than one"));
            } else {
                let uri = element.attribute("uri")?;
                let uri = uri.ok_or(BodyError::Malformed("publications without uri"))?;
                let publications = read_publications(&mut reader)?;
                found = Some(Self { uri, publications });
            }
        }
        reader.finish()?;
        found.ok_or(BodyError::Malformed("publish without publications"))
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("publish", NAMESPACE);
        writer.open("publications").attribute("uri", &self.uri);
        for publication in &self.publications {
            publication.write(&mut writer);
        }
        Bytes::from(writer.finish())
    }
}

fn read_publications(reader: &mut XmlReader<'_>) -> Result<Vec<Publication>, BodyError> {
    let mut publications = Vec::new();
    while let Some(element) = reader.child()? {
        if !element.is(NAMESPACE, "publication") {
            reader.skip_element()?;
            continue;
        }
        if publications.len() >= PUBLICATIONS {
            return Err(BodyError::Limit("publications"));
        }
        let mut publication = Publication::read_start(&element)?;
        publication.content = read_content(reader)?;
        publications.push(publication);
    }
    Ok(publications)
}

impl Publication {
    fn read_start(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let category_name = element.attribute("categoryName")?.unwrap_or_default();
        if category_name.is_empty() {
            return Err(BodyError::Malformed("publication without categoryName"));
        }
        if category_name.len() > NAME_BYTES {
            return Err(BodyError::Limit("length of a categoryName"));
        }
        let container = element.attribute("container")?;
        let expire_type = element.attribute("expireType")?;
        Ok(Self {
            category_name,
            instance: required_number(element.attribute("instance")?, "publication instance")?,
            container: ContainerId::parse(
                &container.ok_or(BodyError::Malformed("publication without container"))?,
            )?,
            version: required_number(element.attribute("version")?, "publication version")?,
            expire_type: ExpireType::parse(
                &expire_type.ok_or(BodyError::Malformed("publication without expireType"))?,
            )?,
            expires: number(element.attribute("expires")?, "publication expires")?,
            content: None,
        })
    }

    fn write(&self, writer: &mut XmlWriter) {
        writer
            .open("publication")
            .attribute("categoryName", &self.category_name)
            .number("instance", self.instance)
            .number("container", self.container.get())
            .number("version", self.version)
            .attribute("expireType", self.expire_type.as_str())
            .number_if("expires", self.expires);
        if let Some(content) = &self.content {
            writer.fragment(content);
        }
        writer.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{State, StateKind};
    use super::*;

    /// In the shape SIPE sends to say that its user is here.
    const HERE: &str = "<publish xmlns=\"http://schemas.microsoft.com/2006/09/sip/rich-presence\">\
        <publications uri=\"sip:alice@example.test\"><publication categoryName=\"state\" instance=\"993308598\" \
        container=\"2\" version=\"0\" expireType=\"endpoint\">\
        <state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" manual=\"false\" \
        xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"machineState\">\
        <availability>3500</availability><endpointLocation/></state></publication>\
        <publication categoryName=\"note\" instance=\"0\" container=\"200\" version=\"3\" expireType=\"static\" \
        expires=\"0\"/></publications></publish>";

    #[test]
    fn a_state_is_kept_whole_and_a_note_removed() {
        let publish = Publish::parse(HERE.as_bytes()).unwrap();
        assert_eq!(publish.uri, "sip:alice@example.test");
        let [state, note] = &publish.publications[..] else {
            panic!("two publications")
        };
        assert_eq!(
            (
                state.category_name.as_str(),
                state.instance,
                state.container.get()
            ),
            ("state", 993_308_598, 2)
        );
        assert_eq!((state.version, state.expire_type), (0, ExpireType::Endpoint));
        assert!(!state.is_removal());
        let content = State::parse(state.content.as_ref().unwrap().as_str().as_bytes()).unwrap();
        assert_eq!(
            (content.kind, content.availability),
            (StateKind::MachineState, Some(3500))
        );
        assert!(note.is_removal());
        assert_eq!(note.content, None);
    }

    #[test]
    fn declarations_of_the_request_hold_in_what_is_kept() {
        let document = format!(
            "<r:publish xmlns:r='{NAMESPACE}' xmlns:s='http://schemas.microsoft.com/2006/09/sip/state' \
             xmlns:i='http://www.w3.org/2001/XMLSchema-instance'><r:publications uri='u'><r:publication \
             categoryName='state' instance='1' container='2' version='0' expireType='user'>\
             <s:state i:type='s:userState'><s:availability>6500</s:availability></s:state></r:publication>\
             </r:publications></r:publish>"
        );
        let publish = Publish::parse(document.as_bytes()).unwrap();
        let content = publish.publications[0].content.as_ref().unwrap();
        let state = State::parse(content.as_str().as_bytes()).unwrap();
        assert_eq!(
            (state.kind, state.availability),
            (StateKind::UserState, Some(6500))
        );
        assert_eq!(Publish::parse(&publish.print()), Ok(publish));
    }

    fn with(publication: &str) -> Result<Publish, BodyError> {
        let document = format!(
            "<publish xmlns='{NAMESPACE}'><publications uri='u'>{publication}</publications></publish>"
        );
        Publish::parse(document.as_bytes())
    }

    #[test]
    fn what_can_not_be_understood_is_malformed() {
        for publication in [
            "<publication instance='1' container='2' version='0' expireType='static'/>",
            "<publication categoryName='' instance='1' container='2' version='0' expireType='static'/>",
            "<publication categoryName='a' container='2' version='0' expireType='static'/>",
            "<publication categoryName='a' instance='4294967296' container='2' version='0' expireType='static'/>",
            "<publication categoryName='a' instance='1' version='0' expireType='static'/>",
            "<publication categoryName='a' instance='1' container='32768' version='0' expireType='static'/>",
            "<publication categoryName='a' instance='1' container='2' expireType='static'/>",
            "<publication categoryName='a' instance='1' container='2' version='0'/>",
            "<publication categoryName='a' instance='1' container='2' version='0' expireType='never'/>",
            "<publication categoryName='a' instance='1' container='2' version='0' expireType='time' expires='-1'/>",
        ] {
            assert!(
                matches!(with(publication), Err(BodyError::Malformed(_))),
                "{publication}"
            );
        }
        for publications in [
            "",
            "<publications uri='a'/><publications uri='b'/>",
            "<publications/>",
        ] {
            let document = format!("<publish xmlns='{NAMESPACE}'>{publications}</publish>");
            let outcome = Publish::parse(document.as_bytes());
            assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{publications}");
        }
        assert!(matches!(
            Publish::parse(b"<publish/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn every_limit_holds_at_its_value_and_one_above() {
        let named = |name: &str| {
            format!(
                "<publication categoryName='{name}' instance='1' container='2' version='0' expireType='user'/>"
            )
        };
        assert!(with(&named("a").repeat(PUBLICATIONS)).is_ok());
        let outcome = with(&named("a").repeat(PUBLICATIONS + 1));
        assert!(matches!(outcome, Err(BodyError::Limit(_))));
        assert!(with(&named(&"a".repeat(NAME_BYTES))).is_ok());
        let outcome = with(&named(&"a".repeat(NAME_BYTES + 1)));
        assert!(matches!(outcome, Err(BodyError::Limit(_))));
        let content = |bytes: usize| {
            let text = "x".repeat(bytes - "<a xmlns=\"urn:a\"></a>".len());
            with(&format!(
                "<publication categoryName='a' instance='1' container='2' version='0' expireType='user'>\
                 <a xmlns='urn:a'>{text}</a></publication>"
            ))
        };
        assert!(content(crate::fragment::FRAGMENT_BYTES).is_ok());
        assert!(matches!(
            content(crate::fragment::FRAGMENT_BYTES + 1),
            Err(BodyError::TooLarge(_))
        ));
    }
}
