//! [`Fault`]: why a publication or a change of containers was refused, `application/msrtc-fault+xml`.

use bytes::Bytes;

use super::{required_number, some_text};
use crate::BodyError;
use crate::xml::{XmlReader, XmlWriter};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/msrtc-fault+xml";

/// The code of a request that names a version other than the current one; goes with 409.
pub const WRONG_DELTA: &str = "Client.BadCall.WrongDelta";

/// Most operations of one document. Answer: 400.
pub const OPERATIONS: usize = 256;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/error";

/// One operation that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FailedOperation {
    /// Which one of the request, from 1.
    pub index: u32,
    /// The version the request named.
    pub version: u32,
    /// The current one.
    pub current_version: u32,
}

/// What was wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Such as [`WRONG_DELTA`].
    pub code: String,
    /// Operation by operation, in the order of the request.
    pub operations: Vec<FailedOperation>,
}

impl Fault {
    /// Versions that are not the current ones.
    pub fn wrong_delta(operations: Vec<FailedOperation>) -> Self {
        Self {
            code: WRONG_DELTA.to_owned(),
            operations,
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `Fault`, [`BodyError::Malformed`] if the code or a number is
    /// missing, [`BodyError::Limit`] beyond [`OPERATIONS`], else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(NAMESPACE, "Fault") {
            return Err(BodyError::Unsupported("not a Fault document"));
        }
        let (mut code, mut operations) = (None, Vec::new());
        while let Some(element) = reader.child()? {
            if element.is(NAMESPACE, "Faultcode") {
                code = some_text(&reader.text_of_element()?);
            } else if element.is(NAMESPACE, "details") {
                read_operations(&mut reader, &mut operations)?;
            } else {
                reader.skip_element()?;
            }
        }
        reader.finish()?;
        let code = code.ok_or(BodyError::Malformed("Fault without Faultcode"))?;
        Ok(Self { code, operations })
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("Fault", NAMESPACE);
        writer.leaf("Faultcode", &self.code);
        if !self.operations.is_empty() {
            writer.open("details");
            for operation in &self.operations {
                writer
                    .open("operation")
                    .number("index", operation.index)
                    .number("version", operation.version)
                    .number("curVersion", operation.current_version)
                    .close();
            }
        }
        Bytes::from(writer.finish())
    }
}

fn read_operations(
    reader: &mut XmlReader<'_>,
    operations: &mut Vec<FailedOperation>,
) -> Result<(), BodyError> {
    while let Some(element) = reader.child()? {
        if element.is(NAMESPACE, "operation") {
            if operations.len() >= OPERATIONS {
                return Err(BodyError::Limit("operations of a Fault"));
            }
            operations.push(FailedOperation {
                index: required_number(element.attribute("index")?, "operation index")?,
                version: required_number(element.attribute("version")?, "operation version")?,
                current_version: required_number(element.attribute("curVersion")?, "operation curVersion")?,
            });
        }
        reader.skip_element()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_printed_as_clients_read_it() {
        let fault = Fault::wrong_delta(vec![FailedOperation {
            index: 1,
            version: 0,
            current_version: 7,
        }]);
        assert_eq!(
            fault.print(),
            "<Fault xmlns=\"http://schemas.microsoft.com/2006/09/sip/error\">\
             <Faultcode>Client.BadCall.WrongDelta</Faultcode><details>\
             <operation index=\"1\" version=\"0\" curVersion=\"7\"/></details></Fault>"
        );
    }

    #[test]
    fn what_can_not_be_understood_is_refused() {
        let fault =
            |inner: &str| Fault::parse(format!("<Fault xmlns='{NAMESPACE}'>{inner}</Fault>").as_bytes());
        for inner in [
            "",
            "<Faultcode/>",
            "<Faultcode>a</Faultcode><details><operation/></details>",
        ] {
            assert!(matches!(fault(inner), Err(BodyError::Malformed(_))), "{inner}");
        }
        assert!(fault("<Faultcode>a</Faultcode><Faultstring>b</Faultstring>").is_ok());
        assert!(matches!(
            Fault::parse(b"<Fault/>"),
            Err(BodyError::Unsupported(_))
        ));
        let many = |count: usize| {
            let list = "<operation index='1' version='1' curVersion='1'/>".repeat(count);
            fault(&format!("<Faultcode>a</Faultcode><details>{list}</details>"))
        };
        assert!(many(OPERATIONS).is_ok());
        assert!(matches!(many(OPERATIONS + 1), Err(BodyError::Limit(_))));
    }
}
