//! [`IsComposing`]: "is typing" of standard clients, `application/im-iscomposing+xml` (RFC 3994).

use bytes::Bytes;

use crate::BodyError;
use crate::xml::{XmlEvent, XmlReader, escaped};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/im-iscomposing+xml";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:im-iscomposing";

/// Whether somebody is typing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ComposingState {
    /// Typing.
    Active,
    /// Not typing. Section 4: any state a receiver does not know counts as idle.
    Idle,
}

impl ComposingState {
    const fn as_str(self) -> &'static str {
        match self {
            ComposingState::Active => "active",
            ComposingState::Idle => "idle",
        }
    }
}

/// A status message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsComposing {
    /// Typing or not.
    pub state: ComposingState,
    /// Seconds for which `active` holds without being repeated; the RFC's default is 120.
    pub refresh: Option<u32>,
    /// Media type of what is being composed.
    pub content_type: Option<String>,
    /// When the state was last active, an ISO 8601 time as written.
    pub last_active: Option<String>,
}

impl IsComposing {
    /// A status message with nothing but its state.
    pub const fn new(state: ComposingState) -> Self {
        Self {
            state,
            refresh: None,
            content_type: None,
            last_active: None,
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `isComposing`, [`BodyError::Malformed`] if there is no state,
    /// else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        match reader.next()? {
            XmlEvent::Start(root) if root.is(NAMESPACE, "isComposing") => {}
            _ => return Err(BodyError::Unsupported("not an isComposing document")),
        }
        let mut state = None;
        let mut parsed = Self::new(ComposingState::Idle);
        loop {
            let field = match reader.next()? {
                XmlEvent::Start(element) if element.namespace() == Some(NAMESPACE) => {
                    Field::of(element.local_name())
                }
                XmlEvent::Start(_) => Field::Unknown,
                XmlEvent::Text(_) => continue,
                XmlEvent::End => break,
                XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
            };
            let text = reader.text_of_element()?;
            let text = text.trim();
            match field {
                Field::State if text.eq_ignore_ascii_case("active") => state = Some(ComposingState::Active),
                Field::State => state = Some(ComposingState::Idle),
                Field::Refresh => parsed.refresh = text.parse().ok(),
                Field::ContentType => parsed.content_type = Some(text.to_owned()),
                Field::LastActive => parsed.last_active = Some(text.to_owned()),
                Field::Unknown => {}
            }
        }
        reader.finish()?;
        parsed.state = state.ok_or(BodyError::Malformed("isComposing without state"))?;
        Ok(parsed)
    }

    /// Writes the document, elements in the order of the schema.
    pub fn print(&self) -> Bytes {
        let mut document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<isComposing xmlns=\"{NAMESPACE}\"><state>{}</state>",
            self.state.as_str()
        );
        if let Some(last_active) = &self.last_active {
            document.push_str(&format!("<lastactive>{}</lastactive>", escaped(last_active)));
        }
        if let Some(content_type) = &self.content_type {
            document.push_str(&format!("<contenttype>{}</contenttype>", escaped(content_type)));
        }
        if let Some(refresh) = self.refresh {
            document.push_str(&format!("<refresh>{refresh}</refresh>"));
        }
        document.push_str("</isComposing>\r\n");
        Bytes::from(document)
    }
}

enum Field {
    State,
    Refresh,
    ContentType,
    LastActive,
    Unknown,
}

impl Field {
    fn of(name: &str) -> Self {
        match name {
            "state" => Field::State,
            "refresh" => Field::Refresh,
            "contenttype" => Field::ContentType,
            "lastactive" => Field::LastActive,
            _ => Field::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_document_is_read() {
        let document = "<?xml version='1.0' encoding='UTF-8'?>\n<isComposing \
            xmlns='urn:ietf:params:xml:ns:im-iscomposing' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' \
            xsi:schemaLocation='urn:ietf:params:xml:ns:im-composing iscomposing.xsd'>\n  <state>active</state>\n  \
            <lastactive>2026-01-27T10:43:00Z</lastactive>\n  <contenttype>text/plain</contenttype>\n  \
            <refresh>90</refresh>\n  <x:more xmlns:x='urn:x'><x:state>idle</x:state></x:more></isComposing>";
        let parsed = IsComposing::parse(document.as_bytes()).unwrap();
        assert_eq!(parsed.state, ComposingState::Active);
        assert_eq!(parsed.refresh, Some(90));
        assert_eq!(parsed.content_type.as_deref(), Some("text/plain"));
        assert_eq!(parsed.last_active.as_deref(), Some("2026-01-27T10:43:00Z"));
    }

    #[test]
    fn an_unknown_state_counts_as_idle() {
        let document = format!("<isComposing xmlns='{NAMESPACE}'><state>pondering</state></isComposing>");
        assert_eq!(
            IsComposing::parse(document.as_bytes()).unwrap().state,
            ComposingState::Idle
        );
    }

    #[test]
    fn a_refresh_that_is_no_number_is_left_out() {
        for refresh in ["", "soon", "-1", "99999999999"] {
            let document = format!(
                "<isComposing xmlns='{NAMESPACE}'><state>active</state><refresh>{refresh}</refresh></isComposing>"
            );
            assert_eq!(
                IsComposing::parse(document.as_bytes()).unwrap().refresh,
                None,
                "{refresh}"
            );
        }
    }

    #[test]
    fn other_documents_are_refused() {
        assert!(matches!(
            IsComposing::parse(b"<a/>"),
            Err(BodyError::Unsupported(_))
        ));
        assert!(matches!(
            IsComposing::parse(b"<isComposing/>"),
            Err(BodyError::Unsupported(_))
        ));
        let empty = format!("<isComposing xmlns='{NAMESPACE}'/>");
        assert_eq!(
            IsComposing::parse(empty.as_bytes()),
            Err(BodyError::Malformed("isComposing without state"))
        );
        let cut = format!("<isComposing xmlns='{NAMESPACE}'><state>active</state>");
        assert!(matches!(
            IsComposing::parse(cut.as_bytes()),
            Err(BodyError::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn print_and_parse_are_inverse(
            active: bool,
            refresh in proptest::option::of(any::<u32>()),
            content_type in proptest::option::of("[!-~]{1,30}"),
            last_active in proptest::option::of("[0-9TZ:.+-]{1,30}"),
        ) {
            let state = if active { ComposingState::Active } else { ComposingState::Idle };
            let composing = IsComposing { state, refresh, content_type, last_active };
            prop_assert_eq!(IsComposing::parse(&composing.print()), Ok(composing));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = IsComposing::parse(&bytes);
        }
    }
}
