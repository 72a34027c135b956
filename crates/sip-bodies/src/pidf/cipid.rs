//! [`Cipid`]: contact data of a person (RFC 4482).

use super::kept;
use crate::BodyError;
use crate::xml::{XmlReader, XmlWriter};

pub(super) const NAMESPACE: &str = "urn:ietf:params:xml:ns:pidf:cipid";

/// What else there is to know about somebody. Of several equal elements the first counts.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Cipid {
    /// URI of a business card.
    pub card: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// URI of a web page.
    pub homepage: Option<String>,
    /// URI of a picture.
    pub icon: Option<String>,
    /// URI of a map.
    pub map: Option<String>,
    /// URI of a sound.
    pub sound: Option<String>,
}

impl Cipid {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads on to the end of the element `name`.
    pub(super) fn read(&mut self, name: &str, reader: &mut XmlReader<'_>) -> Result<(), BodyError> {
        let value = kept::text(reader)?;
        let place = match name {
            "card" => &mut self.card,
            "display-name" => &mut self.display_name,
            "homepage" => &mut self.homepage,
            "icon" => &mut self.icon,
            "map" => &mut self.map,
            "sound" => &mut self.sound,
            _ => return Ok(()),
        };
        *place = place.take().or(value);
        Ok(())
    }

    pub(super) fn write(&self, writer: &mut XmlWriter) {
        let fields = [
            ("cipid:card", &self.card),
            ("cipid:display-name", &self.display_name),
            ("cipid:homepage", &self.homepage),
            ("cipid:icon", &self.icon),
            ("cipid:map", &self.map),
            ("cipid:sound", &self.sound),
        ];
        for (name, value) in fields {
            writer.leaf_if(name, value.as_deref());
        }
    }
}
