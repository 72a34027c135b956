//! [`RoamingList`] and [`RoamingData`]: the user's own presence, asked for and told,
//! `application/vnd-microsoft-roaming-self+xml`.

use bytes::Bytes;

use super::categories::{self, Categories};
use super::containers::{self, Container};
use super::set_subscribers::{self, Subscriber};
use crate::BodyError;
use crate::xml::{XmlReader, XmlWriter};

/// The content type of question and answer.
pub const CONTENT_TYPE: &str = "application/vnd-microsoft-roaming-self+xml";

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/roaming-self";

/// A part of the user's own data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RoamingPart {
    /// What is published.
    Categories,
    /// Who belongs to which access level.
    Containers,
    /// Who watches.
    Subscribers,
    /// Who may act for the user.
    Delegates,
}

impl RoamingPart {
    const ALL: [Self; 4] = [
        Self::Categories,
        Self::Containers,
        Self::Subscribers,
        Self::Delegates,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            RoamingPart::Categories => "categories",
            RoamingPart::Containers => "containers",
            RoamingPart::Subscribers => "subscribers",
            RoamingPart::Delegates => "delegates",
        }
    }
}

/// The question: which parts the client wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoamingList {
    /// Each once, in the order of the question. Parts we do not know are left out.
    pub parts: Vec<RoamingPart>,
}

impl RoamingList {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `roamingList`, else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(NAMESPACE, "roamingList") {
            return Err(BodyError::Unsupported("not a roamingList document"));
        }
        let mut parts = Vec::new();
        while let Some(element) = reader.child()? {
            if element.is(NAMESPACE, "roaming") {
                let asked = element.attribute("type")?;
                let known = RoamingPart::ALL
                    .into_iter()
                    .find(|part| Some(part.as_str()) == asked.as_deref());
                parts.extend(known.filter(|part| !parts.contains(part)));
            }
            reader.skip_element()?;
        }
        reader.finish()?;
        Ok(Self { parts })
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("roamingList", NAMESPACE);
        for part in &self.parts {
            writer.open("roaming").attribute("type", part.as_str()).close();
        }
        Bytes::from(writer.finish())
    }
}

/// The answer, and each later change. A part that is `None` stays as the client knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoamingData {
    /// What is published, with versions. A category that occurs replaces all that was known of it.
    pub categories: Option<Categories>,
    /// Who belongs to which access level.
    pub containers: Option<Vec<Container>>,
    /// Who began to watch.
    pub subscribers: Option<Vec<Subscriber>>,
}

impl RoamingData {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `roamingData`, [`BodyError::Malformed`] and [`BodyError::Limit`] as
    /// its parts say, else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(NAMESPACE, "roamingData") {
            return Err(BodyError::Unsupported("not a roamingData document"));
        }
        let mut data = Self::default();
        while let Some(element) = reader.child()? {
            if element.is(categories::NAMESPACE, "categories") {
                let uri = element.attribute("uri")?;
                data.categories = Some(Categories::read_children(uri, &mut reader)?);
            } else if containers::is_part(&element) {
                data.containers = Some(containers::read_part(&mut reader)?);
            } else if set_subscribers::is_part(&element) {
                data.subscribers = Some(set_subscribers::read_part(&mut reader)?);
            } else {
                reader.skip_element()?;
            }
        }
        reader.finish()?;
        Ok(data)
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("roamingData", NAMESPACE);
        if let Some(categories) = &self.categories {
            writer
                .open("categories")
                .attribute("xmlns", categories::NAMESPACE);
            categories.write_children(&mut writer);
            writer.close();
        }
        if let Some(containers) = &self.containers {
            containers::write_part(containers, &mut writer);
        }
        if let Some(subscribers) = &self.subscribers {
            set_subscribers::write_part(subscribers, &mut writer);
        }
        Bytes::from(writer.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::super::categories::{Category, CategoryInstance};
    use super::super::containers::Member;
    use super::super::state::{State, StateKind};
    use super::super::{ContainerId, ExpireType};
    use super::*;

    #[test]
    fn known_parts_are_asked_for_once() {
        let document = format!(
            "<r:roamingList xmlns:r='{NAMESPACE}'><r:roaming type='categories'/><r:roaming type='delegates'/>\
             <r:roaming type='weather'/><r:roaming/><roaming type='containers'/><r:roaming type='categories'/>\
             </r:roamingList>"
        );
        let list = RoamingList::parse(document.as_bytes()).unwrap();
        assert_eq!(list.parts, [RoamingPart::Categories, RoamingPart::Delegates]);
        let all = RoamingList {
            parts: RoamingPart::ALL.to_vec(),
        };
        assert_eq!(RoamingList::parse(&all.print()), Ok(all));
        assert!(matches!(
            RoamingList::parse(b"<roamingList/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn the_whole_answer_is_printed_as_clients_read_it() {
        let mut state = State::new(StateKind::AggregateState);
        state.availability = Some(6500);
        let data = RoamingData {
            categories: Some(Categories {
                uri: "sip:alice@example.test".to_owned(),
                categories: vec![Category::Instance(CategoryInstance {
                    name: "state".to_owned(),
                    instance: 1,
                    publish_time: Some("2026-11-21T08:00:00Z".to_owned()),
                    container: ContainerId::new(2),
                    version: Some(1),
                    expire_type: Some(ExpireType::User),
                    expires: None,
                    endpoint_id: None,
                    content: Some(state.print()),
                })],
            }),
            containers: Some(vec![Container {
                id: ContainerId::new(200).unwrap(),
                version: 1,
                members: vec![Member::SameEnterprise],
            }]),
            subscribers: Some(vec![Subscriber {
                user: "bob@example.test".to_owned(),
                display_name: Some("Bob".to_owned()),
                acknowledged: false,
                kind: Some("sameEnterprise".to_owned()),
            }]),
        };
        assert_eq!(
            data.print(),
            "<roamingData xmlns=\"http://schemas.microsoft.com/2006/09/sip/roaming-self\">\
             <categories xmlns=\"http://schemas.microsoft.com/2006/09/sip/categories\" uri=\"sip:alice@example.test\">\
             <category name=\"state\" instance=\"1\" publishTime=\"2026-11-21T08:00:00Z\" container=\"2\" version=\"1\" \
             expireType=\"user\"><state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"aggregateState\">\
             <availability>6500</availability></state></category></categories>\
             <containers xmlns=\"http://schemas.microsoft.com/2006/09/sip/containers\"><container id=\"200\" \
             version=\"1\"><member type=\"sameEnterprise\"/></container></containers>\
             <subscribers xmlns=\"http://schemas.microsoft.com/2006/09/sip/presence-subscribers\"><subscriber \
             user=\"bob@example.test\" displayName=\"Bob\" acknowledged=\"false\" type=\"sameEnterprise\"><context/>\
             </subscriber></subscribers></roamingData>"
        );
        assert_eq!(RoamingData::parse(&data.print()), Ok(data));
    }

    #[test]
    fn a_part_that_is_not_told_is_not_there() {
        let nothing = RoamingData::default();
        assert_eq!(
            nothing.print(),
            "<roamingData xmlns=\"http://schemas.microsoft.com/2006/09/sip/roaming-self\"/>"
        );
        let document = format!("<roamingData xmlns='{NAMESPACE}'><new/><categories uri='u'/></roamingData>");
        assert_eq!(RoamingData::parse(document.as_bytes()), Ok(nothing));
        assert!(matches!(
            RoamingData::parse(b"<roamingData/>"),
            Err(BodyError::Unsupported(_))
        ));
    }
}
