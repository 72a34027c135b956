//! [`Categories`]: what is published about one person, `application/msrtc-event-categories+xml`.
//!
//! The same element is a part of [`RoamingData`](super::roaming_self::RoamingData), there with container, version and
//! expiry of each instance.

use bytes::Bytes;

use super::{ContainerId, ExpireType, number};
use crate::BodyError;
use crate::fragment::{Fragment, Keeper};
use crate::xml::{Element, XmlReader, XmlWriter};

/// The content type of the document for watchers.
pub const CONTENT_TYPE: &str = "application/msrtc-event-categories+xml";

/// Most categories of one document. Answer: 400.
pub const CATEGORIES: usize = 1_000;

pub(super) const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/categories";

/// The instances of one category, or that there are none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Category {
    /// One instance.
    Instance(CategoryInstance),
    /// Nothing is published of the category with this name (any more): `<category name="note"/>`.
    Removed(String),
}

/// One instance of a category.
///
/// To watchers only name, instance, time and content are told; the rest is for the owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CategoryInstance {
    /// The category: `state`, `note`, `contactCard`, `device`, ...
    pub name: String,
    /// Which one of the category.
    pub instance: u32,
    /// When it was published, an XML Schema `dateTime`.
    pub publish_time: Option<String>,
    /// Where it was published.
    pub container: Option<ContainerId>,
    /// How often it was published.
    pub version: Option<u32>,
    /// How long it lives.
    pub expire_type: Option<ExpireType>,
    /// For how many seconds, if it lives for a time.
    pub expires: Option<u32>,
    /// The endpoint that published it.
    pub endpoint_id: Option<String>,
    /// What was published.
    pub content: Option<Fragment>,
}

/// The categories of one person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Categories {
    /// Whose they are, with `sip:`.
    pub uri: String,
    /// In the order they are told. All instances of a category belong together: they replace what was known of it.
    pub categories: Vec<Category>,
}

impl Categories {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `categories`, [`BodyError::Malformed`] if a name or the `uri` is
    /// missing or a number is none, [`BodyError::Limit`] beyond [`CATEGORIES`], else what [`XmlReader::next`] and
    /// [`Fragment::parse`] refuse.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let root = reader.root()?;
        if !root.is(NAMESPACE, "categories") {
            return Err(BodyError::Unsupported("not a categories document"));
        }
        let uri = root.attribute("uri")?;
        let categories = Self::read_children(uri, &mut reader)?;
        reader.finish()?;
        Ok(categories)
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("categories", NAMESPACE);
        self.write_children(&mut writer);
        Bytes::from(writer.finish())
    }

    /// Reads what is in the element whose start was the last event.
    pub(super) fn read_children(uri: Option<String>, reader: &mut XmlReader<'_>) -> Result<Self, BodyError> {
        let uri = uri.ok_or(BodyError::Malformed("categories without uri"))?;
        let mut categories = Vec::new();
        while let Some(element) = reader.child()? {
            if !element.is(NAMESPACE, "category") {
                reader.skip_element()?;
                continue;
            }
            if categories.len() >= CATEGORIES {
                return Err(BodyError::Limit("categories"));
            }
            let mut category = Category::read_start(&element)?;
            let content = read_content(reader)?;
            if let Category::Instance(instance) = &mut category {
                instance.content = content;
            }
            categories.push(category);
        }
        Ok(Self { uri, categories })
    }

    /// Writes attributes and content of the element just begun.
    pub(super) fn write_children(&self, writer: &mut XmlWriter) {
        writer.attribute("uri", &self.uri);
        for category in &self.categories {
            writer.open("category");
            match category {
                Category::Removed(name) => {
                    writer.attribute("name", name);
                }
                Category::Instance(instance) => instance.write(writer),
            }
            writer.close();
        }
    }
}

impl Category {
    fn read_start(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let name = element
            .attribute("name")?
            .ok_or(BodyError::Malformed("category without name"))?;
        let Some(instance) = number(element.attribute("instance")?, "category instance")? else {
            return Ok(Category::Removed(name));
        };
        let container = element.attribute("container")?;
        let expire_type = element.attribute("expireType")?;
        Ok(Category::Instance(CategoryInstance {
            name,
            instance,
            publish_time: element.attribute("publishTime")?,
            container: container.map(|text| ContainerId::parse(&text)).transpose()?,
            version: number(element.attribute("version")?, "category version")?,
            expire_type: expire_type.map(|text| ExpireType::parse(&text)).transpose()?,
            expires: number(element.attribute("expires")?, "category expires")?,
            endpoint_id: element.attribute("endpointId")?,
            content: None,
        }))
    }
}

impl CategoryInstance {
    fn write(&self, writer: &mut XmlWriter) {
        writer
            .attribute("name", &self.name)
            .number("instance", self.instance)
            .attribute_if("publishTime", self.publish_time.as_deref())
            .number_if("container", self.container.map(ContainerId::get))
            .number_if("version", self.version)
            .attribute_if("expireType", self.expire_type.map(ExpireType::as_str))
            .number_if("expires", self.expires)
            .attribute_if("endpointId", self.endpoint_id.as_deref());
        if let Some(content) = &self.content {
            writer.fragment(content);
        }
    }
}

/// Reads on to the end of the element whose start was the last event and keeps its first child. The schema allows one.
pub(super) fn read_content(reader: &mut XmlReader<'_>) -> Result<Option<Fragment>, BodyError> {
    let mut content = None;
    while let Some(child) = reader.child()? {
        if content.is_none() {
            let keeper = Keeper::start(&child)?;
            content = Some(keeper.read(reader)?);
        } else {
            reader.skip_element()?;
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_and_a_removed_one_are_told_to_watchers() {
        let note = Fragment::parse(b"<note xmlns='urn:note'>Lunch</note>").unwrap();
        let categories = Categories {
            uri: "sip:bob@example.test".to_owned(),
            categories: vec![
                Category::Removed("state".to_owned()),
                Category::Instance(CategoryInstance {
                    name: "note".to_owned(),
                    instance: 0,
                    publish_time: Some("2026-11-21T08:12:01Z".to_owned()),
                    container: None,
                    version: None,
                    expire_type: None,
                    expires: None,
                    endpoint_id: None,
                    content: Some(note),
                }),
            ],
        };
        assert_eq!(
            categories.print(),
            "<categories xmlns=\"http://schemas.microsoft.com/2006/09/sip/categories\" uri=\"sip:bob@example.test\">\
             <category name=\"state\"/><category name=\"note\" instance=\"0\" publishTime=\"2026-11-21T08:12:01Z\">\
             <note xmlns=\"urn:note\">Lunch</note></category></categories>"
        );
    }

    #[test]
    fn a_prefix_changes_nothing_and_a_foreign_namespace_does() {
        let ours = format!(
            "<c:categories xmlns:c='{NAMESPACE}' uri='u'><c:category name='a' instance='4294967295'/>\
             <category name='b' instance='1'/><c:other/></c:categories>"
        );
        let categories = Categories::parse(ours.as_bytes()).unwrap().categories;
        assert!(
            matches!(&categories[..], [Category::Instance(one)] if one.name == "a" && one.instance == u32::MAX)
        );
        assert!(matches!(
            Categories::parse(b"<categories uri='u'/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn what_can_not_be_understood_is_malformed() {
        for inner in [
            "<category/>",
            "<category name='a' instance='-1'/>",
            "<category name='a' instance='1' container='32768'/>",
            "<category name='a' instance='1' version='x'/>",
            "<category name='a' instance='1' expireType='sometimes'/>",
        ] {
            let document = format!("<categories xmlns='{NAMESPACE}' uri='u'>{inner}</categories>");
            let outcome = Categories::parse(document.as_bytes());
            assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{inner}");
        }
        let without_uri = format!("<categories xmlns='{NAMESPACE}'/>");
        assert!(matches!(
            Categories::parse(without_uri.as_bytes()),
            Err(BodyError::Malformed(_))
        ));
    }

    #[test]
    fn the_limit_holds_at_its_value_and_one_above() {
        let many = |count: usize| {
            let list = "<category name='a'/>".repeat(count);
            Categories::parse(
                format!("<categories xmlns='{NAMESPACE}' uri='u'>{list}</categories>").as_bytes(),
            )
        };
        assert_eq!(many(CATEGORIES).unwrap().categories.len(), CATEGORIES);
        assert!(matches!(many(CATEGORIES + 1), Err(BodyError::Limit(_))));
    }
}
