//! [`KeyboardActivity`]: "is typing" of Lync-family clients, the body of an INFO in the session's dialog.
//!
//! The content type is the general `application/xml`; the root element tells what it is.

use bytes::Bytes;

use crate::BodyError;
use crate::xml::{XmlEvent, XmlReader};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/xml";

/// Whether the other side's keyboard is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyboardActivity {
    /// `type`.
    Typing,
    /// `idle`, and any status we do not know.
    Idle,
}

impl KeyboardActivity {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `KeyboardActivity`, [`BodyError::Malformed`] if it holds no
    /// `status` with a `status` attribute, else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        match reader.next()? {
            XmlEvent::Start(root) if root.local_name() == "KeyboardActivity" => {}
            _ => return Err(BodyError::Unsupported("not a KeyboardActivity document")),
        }
        let mut found = None;
        loop {
            match reader.next()? {
                XmlEvent::Start(element) if element.local_name() == "status" => {
                    found = found.or(element.attribute("status")?);
                }
                XmlEvent::Start(_) | XmlEvent::End | XmlEvent::Text(_) => {}
                XmlEvent::Eof => break,
            }
        }
        match found.as_deref() {
            Some("type") => Ok(KeyboardActivity::Typing),
            Some(_) => Ok(KeyboardActivity::Idle),
            None => Err(BodyError::Malformed("KeyboardActivity without status")),
        }
    }

    /// Writes the document, in the bytes Lync-family clients write themselves.
    pub const fn print(self) -> Bytes {
        Bytes::from_static(match self {
            KeyboardActivity::Typing => {
                b"<?xml version=\"1.0\"?><KeyboardActivity> <status status=\"type\" /></KeyboardActivity>"
            }
            KeyboardActivity::Idle => {
                b"<?xml version=\"1.0\"?><KeyboardActivity> <status status=\"idle\" /></KeyboardActivity>"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn print_and_parse_are_inverse() {
        for activity in [KeyboardActivity::Typing, KeyboardActivity::Idle] {
            assert_eq!(KeyboardActivity::parse(&activity.print()), Ok(activity));
        }
    }

    #[test]
    fn an_unknown_status_counts_as_idle() {
        let document = b"<KeyboardActivity><status status='dancing'/></KeyboardActivity>";
        assert_eq!(KeyboardActivity::parse(document), Ok(KeyboardActivity::Idle));
    }

    #[test]
    fn other_documents_are_refused() {
        assert!(matches!(
            KeyboardActivity::parse(b"<a/>"),
            Err(BodyError::Unsupported(_))
        ));
        assert!(matches!(
            KeyboardActivity::parse(b"<KeyboardActivity/>"),
            Err(BodyError::Malformed(_))
        ));
        assert!(matches!(
            KeyboardActivity::parse(b"<KeyboardActivity><status/></KeyboardActivity>"),
            Err(BodyError::Malformed(_))
        ));
        assert!(matches!(
            KeyboardActivity::parse(b"typing"),
            Err(BodyError::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeyboardActivity::parse(&bytes);
        }
    }
}
