//! [`BatchSubscribe`]: whom a client watches, and what of them, `application/msrtc-adrl-categorylist+xml`.

use bytes::Bytes;

use crate::BodyError;
use crate::xml::{Element, XmlReader, XmlWriter};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/msrtc-adrl-categorylist+xml";

/// Most actions of one request. Answer: 400.
pub const ACTIONS: usize = 16;
/// Most people of all actions: the most that a presence policy of Lync Server can allow. Answer: 400.
pub const RESOURCES: usize = 3_000;
/// Most categories of one action. Answer: 400.
pub const CATEGORIES: usize = 64;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/01/sip/batch-subscribe";
const CATEGORY_LIST: &str = "http://schemas.microsoft.com/2006/09/sip/categorylist";

/// What an action does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BatchActionKind {
    /// Adds people to those watched.
    Subscribe,
    /// Takes them away.
    Unsubscribe,
}

impl BatchActionKind {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            BatchActionKind::Subscribe => "subscribe",
            BatchActionKind::Unsubscribe => "unsubscribe",
        }
    }
}

/// Somebody to watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchResource {
    /// The address, with `sip:`.
    pub uri: String,
    /// Whether the user has just added this contact: there is a `context`.
    pub has_context: bool,
}

/// One action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchAction {
    /// What it does.
    pub kind: BatchActionKind,
    /// The client's name for it.
    pub id: String,
    /// Whom it is about.
    pub resources: Vec<BatchResource>,
    /// The names of the categories to watch.
    pub categories: Vec<String>,
}

/// A request to watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchSubscribe {
    /// Who watches, with `sip:`.
    pub uri: String,
    /// In the order of the request.
    pub actions: Vec<BatchAction>,
}

impl BatchSubscribe {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `batchSub`, [`BodyError::Malformed`] if an address or a name is
    /// missing, or an action is unknown, [`BodyError::Limit`] beyond [`ACTIONS`], [`RESOURCES`] or [`CATEGORIES`], else
    /// what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let root = reader.root()?;
        if !root.is(NAMESPACE, "batchSub") {
            return Err(BodyError::Unsupported("not a batchSub document"));
        }
        let mut request = Self {
            uri: needed(&root, "uri", "batchSub without uri")?,
            actions: Vec::new(),
        };
        let mut resources = 0;
        while let Some(element) = reader.child()? {
            if !element.is(NAMESPACE, "action") {
                reader.skip_element()?;
                continue;
            }
            if request.actions.len() >= ACTIONS {
                return Err(BodyError::Limit("actions of a batchSub"));
            }
            let mut action = BatchAction::read_start(&element)?;
            action.read_content(&mut reader, &mut resources)?;
            request.actions.push(action);
        }
        reader.finish()?;
        Ok(request)
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("batchSub", NAMESPACE);
        writer.attribute("uri", &self.uri).attribute("name", "");
        for action in &self.actions {
            action.write(&mut writer);
        }
        Bytes::from(writer.finish())
    }
}

impl BatchAction {
    fn read_start(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let kind = match element.attribute("name")?.as_deref() {
            Some("subscribe") => BatchActionKind::Subscribe,
            Some("unsubscribe") => BatchActionKind::Unsubscribe,
            _ => return Err(BodyError::Malformed("unknown action of a batchSub")),
        };
        Ok(Self {
            kind,
            id: element.attribute("id")?.unwrap_or_default(),
            resources: Vec::new(),
            categories: Vec::new(),
        })
    }

    fn read_content(&mut self, reader: &mut XmlReader<'_>, resources: &mut usize) -> Result<(), BodyError> {
        while let Some(element) = reader.child()? {
            if element.is(NAMESPACE, "adhocList") {
                self.read_resources(reader, resources)?;
            } else if element.is(CATEGORY_LIST, "categoryList") {
                self.read_categories(reader)?;
            } else {
                reader.skip_element()?;
            }
        }
        Ok(())
    }

    fn read_resources(&mut self, reader: &mut XmlReader<'_>, count: &mut usize) -> Result<(), BodyError> {
        while let Some(element) = reader.child()? {
            if !element.is(NAMESPACE, "resource") {
                reader.skip_element()?;
                continue;
            }
            *count += 1;
            if *count > RESOURCES {
                return Err(BodyError::Limit("resources of a batchSub"));
            }
            let uri = needed(&element, "uri", "resource without uri")?;
            let mut has_context = false;
            while let Some(element) = reader.child()? {
                has_context |= element.is(NAMESPACE, "context");
                reader.skip_element()?;
            }
            self.resources.push(BatchResource { uri, has_context });
        }
        Ok(())
    }

    fn read_categories(&mut self, reader: &mut XmlReader<'_>) -> Result<(), BodyError> {
        while let Some(element) = reader.child()? {
            if element.is(CATEGORY_LIST, "category") {
                if self.categories.len() >= CATEGORIES {
                    return Err(BodyError::Limit("categories of a batchSub"));
                }
                self.categories
                    .push(needed(&element, "name", "category without name")?);
            }
            reader.skip_element()?;
        }
        Ok(())
    }

    fn write(&self, writer: &mut XmlWriter) {
        writer
            .open("action")
            .attribute("name", self.kind.as_str())
            .attribute("id", &self.id)
            .open("adhocList");
        for resource in &self.resources {
            writer.open("resource").attribute("uri", &resource.uri);
            if resource.has_context {
                writer.open("context").close();
            }
            writer.close();
        }
        writer
            .close()
            .open("categoryList")
            .attribute("xmlns", CATEGORY_LIST);
        for name in &self.categories {
            writer.open("category").attribute("name", name).close();
        }
        writer.close().close();
    }
}

fn needed(element: &Element<'_, '_>, name: &str, what: &'static str) -> Result<String, BodyError> {
    let value = element.attribute(name)?.unwrap_or_default();
    if value.trim().is_empty() {
        return Err(BodyError::Malformed(what));
    }
    Ok(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(inner: &str) -> Result<BatchSubscribe, BodyError> {
        let document = format!(
            "<b:batchSub xmlns:b='{NAMESPACE}' xmlns:c='{CATEGORY_LIST}' uri='sip:a@b'>{inner}</b:batchSub>"
        );
        BatchSubscribe::parse(document.as_bytes())
    }

    #[test]
    fn a_subscription_in_the_shape_sipe_sends_is_read() {
        let request = BatchSubscribe::parse(
            b"<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\" \
              uri=\"sip:alice@example.test\" name=\"\">\n<action name=\"subscribe\" id=\"63792024\">\n<adhocList>\n\
              <resource uri=\"sip:bob@example.test\"><context/></resource>\n<resource uri=\"sip:carol@example.test\"/>\n\
              </adhocList>\n<categoryList xmlns=\"http://schemas.microsoft.com/2006/09/sip/categorylist\">\n\
              <category name=\"note\"/>\n<category name=\"state\"/>\n</categoryList>\n</action>\n</batchSub>",
        )
        .unwrap();
        assert_eq!(request.uri, "sip:alice@example.test");
        let [action] = &request.actions[..] else {
            panic!("one action")
        };
        assert_eq!(
            (action.kind, action.id.as_str()),
            (BatchActionKind::Subscribe, "63792024")
        );
        let resources: Vec<_> = action
            .resources
            .iter()
            .map(|resource| (resource.uri.as_str(), resource.has_context))
            .collect();
        assert_eq!(
            resources,
            [("sip:bob@example.test", true), ("sip:carol@example.test", false)]
        );
        assert_eq!(action.categories, ["note", "state"]);
        assert_eq!(BatchSubscribe::parse(&request.print()), Ok(request));
    }

    #[test]
    fn an_unsubscription_needs_no_categories() {
        let request = batch(
            "<b:action name='unsubscribe' id='1'><b:adhocList><b:resource uri='sip:c@b'/><resource/></b:adhocList>\
             <categoryList/></b:action>",
        )
        .unwrap();
        assert_eq!(request.actions[0].kind, BatchActionKind::Unsubscribe);
        assert_eq!(request.actions[0].resources.len(), 1);
    }

    #[test]
    fn what_can_not_be_understood_is_malformed() {
        for inner in [
            "<b:action/>",
            "<b:action name='watch'/>",
            "<b:action name='subscribe'><b:adhocList><b:resource/></b:adhocList></b:action>",
            "<b:action name='subscribe'><b:adhocList><b:resource uri=' '/></b:adhocList></b:action>",
            "<b:action name='subscribe'><c:categoryList><c:category/></c:categoryList></b:action>",
        ] {
            assert!(matches!(batch(inner), Err(BodyError::Malformed(_))), "{inner}");
        }
        let nobody = format!("<batchSub xmlns='{NAMESPACE}'/>");
        assert!(matches!(
            BatchSubscribe::parse(nobody.as_bytes()),
            Err(BodyError::Malformed(_))
        ));
        assert!(matches!(
            BatchSubscribe::parse(b"<batchSub/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn every_limit_holds_at_its_value_and_one_above() {
        let actions = |count: usize| batch(&"<b:action name='subscribe'/>".repeat(count));
        assert!(actions(ACTIONS).is_ok());
        assert!(matches!(actions(ACTIONS + 1), Err(BodyError::Limit(_))));
        let action = |inner: &str| batch(&format!("<b:action name='subscribe'>{inner}</b:action>"));
        let resources = |count: usize| {
            let list = "<b:resource uri='sip:a@b'/>".repeat(count);
            action(&format!("<b:adhocList>{list}</b:adhocList>"))
        };
        assert!(resources(RESOURCES).is_ok());
        assert!(matches!(resources(RESOURCES + 1), Err(BodyError::Limit(_))));
        let categories = |count: usize| {
            let list = "<c:category name='a'/>".repeat(count);
            action(&format!("<c:categoryList>{list}</c:categoryList>"))
        };
        assert!(categories(CATEGORIES).is_ok());
        assert!(matches!(categories(CATEGORIES + 1), Err(BodyError::Limit(_))));
    }
}
