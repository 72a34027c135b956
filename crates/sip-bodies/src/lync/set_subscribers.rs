//! [`Subscriber`] and [`SetSubscribers`]: who began to watch, and that the user has seen it,
//! `application/msrtc-presence-setsubscriber+xml`.

use bytes::Bytes;

use super::{boolean, boolean_text};
use crate::BodyError;
use crate::xml::{Element, XmlReader, XmlWriter};

/// The content type of the request.
pub const CONTENT_TYPE: &str = "application/msrtc-presence-setsubscriber+xml";

/// Most subscribers of one document. Answer: 400.
pub const SUBSCRIBERS: usize = 1_000;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/presence-subscribers";

/// Somebody who watches the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscriber {
    /// The address without `sip:`.
    pub user: String,
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether the user knows of them.
    pub acknowledged: bool,
    /// What they are to the user: `sameEnterprise`, `federated`, `publicCloud`.
    pub kind: Option<String>,
}

/// A request to set what the user knows of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetSubscribers {
    /// The subscribers it is about.
    pub subscribers: Vec<Subscriber>,
}

impl SetSubscribers {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `setSubscribers`, [`BodyError::Malformed`] if a `user` is missing,
    /// [`BodyError::Limit`] beyond [`SUBSCRIBERS`], else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(NAMESPACE, "setSubscribers") {
            return Err(BodyError::Unsupported("not a setSubscribers document"));
        }
        let subscribers = read_part(&mut reader)?;
        reader.finish()?;
        Ok(Self { subscribers })
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("setSubscribers", NAMESPACE);
        for subscriber in &self.subscribers {
            subscriber.write_start(&mut writer);
            writer.close();
        }
        Bytes::from(writer.finish())
    }
}

impl Subscriber {
    fn read(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let user = element.attribute("user")?.unwrap_or_default();
        if user.trim().is_empty() {
            return Err(BodyError::Malformed("subscriber without user"));
        }
        Ok(Self {
            user: user.trim().to_owned(),
            display_name: element.attribute("displayName")?,
            acknowledged: element
                .attribute("acknowledged")?
                .is_some_and(|text| boolean(&text)),
            kind: element.attribute("type")?,
        })
    }

    fn write_start(&self, writer: &mut XmlWriter) {
        writer
            .open("subscriber")
            .attribute("user", &self.user)
            .attribute_if("displayName", self.display_name.as_deref())
            .attribute("acknowledged", boolean_text(self.acknowledged))
            .attribute_if("type", self.kind.as_deref());
    }
}

/// Whether this is the `subscribers` part of the owner's document.
pub(super) fn is_part(element: &Element<'_, '_>) -> bool {
    element.is(NAMESPACE, "subscribers")
}

/// Reads the subscribers in the element whose start was the last event.
pub(super) fn read_part(reader: &mut XmlReader<'_>) -> Result<Vec<Subscriber>, BodyError> {
    let mut subscribers = Vec::new();
    while let Some(element) = reader.child()? {
        if element.is(NAMESPACE, "subscriber") {
            if subscribers.len() >= SUBSCRIBERS {
                return Err(BodyError::Limit("subscribers"));
            }
            subscribers.push(Subscriber::read(&element)?);
        }
        reader.skip_element()?;
    }
    Ok(subscribers)
}

/// Writes the `subscribers` part of the owner's document.
pub(super) fn write_part(subscribers: &[Subscriber], writer: &mut XmlWriter) {
    writer.open("subscribers").attribute("xmlns", NAMESPACE);
    for subscriber in subscribers {
        subscriber.write_start(writer);
        // How the subscription came about, which watchers do not tell.
        writer.open("context").close().close();
    }
    writer.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_in_the_shape_sipe_sends_is_read() {
        let request = SetSubscribers::parse(
            b"<setSubscribers xmlns=\"http://schemas.microsoft.com/2006/09/sip/presence-subscribers\">\
              <subscriber user=\"bob@example.test\" acknowledged=\"true\"/></setSubscribers>",
        );
        let expected = Subscriber {
            user: "bob@example.test".to_owned(),
            display_name: None,
            acknowledged: true,
            kind: None,
        };
        assert_eq!(request.unwrap().subscribers, [expected]);
    }

    #[test]
    fn what_can_not_be_understood_is_refused() {
        let request = |inner: &str| {
            SetSubscribers::parse(
                format!("<setSubscribers xmlns='{NAMESPACE}'>{inner}</setSubscribers>").as_bytes(),
            )
        };
        assert!(matches!(request("<subscriber/>"), Err(BodyError::Malformed(_))));
        assert!(matches!(
            SetSubscribers::parse(b"<setSubscribers/>"),
            Err(BodyError::Unsupported(_))
        ));
        let many = |count: usize| request(&"<subscriber user='a@b'/>".repeat(count));
        assert!(many(SUBSCRIBERS).is_ok());
        assert!(matches!(many(SUBSCRIBERS + 1), Err(BodyError::Limit(_))));
    }
}
