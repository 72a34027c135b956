//! SOAP 1.1 over SERVICE, `application/SOAP+xml`: [`SoapRequest`] to change the contact list or to search for people,
//! [`SoapAnswer`] to it.

mod answer;
mod request;

pub use answer::{DirectoryEntry, SoapAnswer};
pub use request::{ContactOperation, SearchTerm, SoapRequest};

/// The content type of request and answer.
pub const CONTENT_TYPE: &str = "application/SOAP+xml";

/// Most terms of a search, and most people found. Answer: 400.
pub const ROWS: usize = 1_000;

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const METHODS: &str = "http://schemas.microsoft.com/winrtc/2002/11/sip";

/// An attribute of a method, which clients write with and without a prefix.
fn attribute(element: &crate::xml::Element<'_, '_>, name: &str) -> Result<Option<String>, crate::BodyError> {
    match element.attribute(name)? {
        Some(value) => Ok(Some(value)),
        None => element.attribute_in(METHODS, name),
    }
}

/// The beginning of every document of ours, up to the body.
fn envelope() -> crate::xml::XmlWriter {
    let mut writer = crate::xml::XmlWriter::without_namespace("s:Envelope");
    writer
        .attribute("xmlns:s", ENVELOPE)
        .attribute("xmlns:m", METHODS)
        .open("s:Body");
    writer
}

/// Reads on to the first element in the body; `None` if there is none.
fn first_in_body<'r, 'a>(
    reader: &'r mut crate::xml::XmlReader<'a>,
) -> Result<Option<crate::xml::Element<'r, 'a>>, crate::BodyError> {
    if !reader.root()?.is(ENVELOPE, "Envelope") {
        return Err(crate::BodyError::Unsupported("not a SOAP envelope"));
    }
    loop {
        let Some(element) = reader.child()? else {
            return Err(crate::BodyError::Malformed("SOAP envelope without body"));
        };
        if element.is(ENVELOPE, "Body") {
            break;
        }
        reader.skip_element()?;
    }
    reader.child()
}
