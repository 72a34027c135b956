//! [`Imdn`]: receipts, `message/imdn+xml` (RFC 5438).
//!
//! The RFC wraps them in CPIM; linphone sends them bare. [`Imdn::find`] recognises both.

use bytes::Bytes;

use crate::BodyError;
use crate::cpim::{self, Cpim};
use crate::media_type::MediaType;
use crate::xml::{XmlEvent, XmlReader, escaped};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "message/imdn+xml";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:imdn";

/// What a receipt reports on (section 7.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DispositionKind {
    /// Whether the message reached the recipient's client.
    Delivery,
    /// What an intermediary did with it.
    Processing,
    /// Whether it was shown.
    Display,
}

impl DispositionKind {
    const ALL: [Self; 3] = [Self::Delivery, Self::Processing, Self::Display];

    const fn element(self) -> &'static str {
        match self {
            DispositionKind::Delivery => "delivery-notification",
            DispositionKind::Processing => "processing-notification",
            DispositionKind::Display => "display-notification",
        }
    }
}

/// What became of the message. Which of them fit which kind is the schema's business (section 11.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DispositionStatus {
    /// Reached the client.
    Delivered,
    /// Did not reach it.
    Failed,
    /// Handled by an intermediary.
    Processed,
    /// Kept by an intermediary for later.
    Stored,
    /// Shown.
    Displayed,
    /// The recipient does not want to tell.
    Forbidden,
    /// Something went wrong, and so does every status we do not know.
    Error,
}

impl DispositionStatus {
    const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Failed,
        Self::Processed,
        Self::Stored,
        Self::Displayed,
        Self::Forbidden,
        Self::Error,
    ];

    const fn element(self) -> &'static str {
        match self {
            DispositionStatus::Delivered => "delivered",
            DispositionStatus::Failed => "failed",
            DispositionStatus::Processed => "processed",
            DispositionStatus::Stored => "stored",
            DispositionStatus::Displayed => "displayed",
            DispositionStatus::Forbidden => "forbidden",
            DispositionStatus::Error => "error",
        }
    }
}

/// A receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imdn {
    /// `imdn.Message-ID` of the message it is about.
    pub message_id: String,
    /// When that message was sent, as written in it.
    pub date_time: Option<String>,
    /// Who got it.
    pub recipient_uri: Option<String>,
    /// Whom it was sent to.
    pub original_recipient_uri: Option<String>,
    /// Its subject.
    pub subject: Option<String>,
    /// What is reported.
    pub kind: DispositionKind,
    /// The report.
    pub status: DispositionStatus,
}

impl Imdn {
    /// The receipt in a body of this content type, bare or wrapped in CPIM; `Ok(None)` if it is something else.
    ///
    /// # Errors
    /// What is wrong with a body that says it is a receipt.
    pub fn find(content_type: &str, body: &Bytes) -> Result<Option<Self>, BodyError> {
        let Some(media) = MediaType::parse(content_type) else {
            return Ok(None);
        };
        if media.is(CONTENT_TYPE) {
            return Self::parse(body).map(Some);
        }
        if !media.is(cpim::CONTENT_TYPE) {
            return Ok(None);
        }
        let wrapper = Cpim::parse(body)?;
        match wrapper.content_type().as_deref().and_then(MediaType::parse) {
            Some(inner) if inner.is(CONTENT_TYPE) => Self::parse(wrapper.body()).map(Some),
            _ => Ok(None),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `imdn`, [`BodyError::Malformed`] if the message id or the
    /// notification is missing, else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        match reader.next()? {
            XmlEvent::Start(root) if root.is(NAMESPACE, "imdn") => {}
            _ => return Err(BodyError::Unsupported("not an imdn document")),
        }
        let mut fields = Fields::default();
        let mut disposition = None;
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
            match field {
                Field::Notification(kind) => disposition = Some((kind, read_status(&mut reader)?)),
                field => fields.set(&field, reader.text_of_element()?.trim()),
            }
        }
        reader.finish()?;
        let (kind, status) = disposition.ok_or(BodyError::Malformed("imdn without a notification"))?;
        Ok(Self {
            message_id: fields
                .message_id
                .ok_or(BodyError::Malformed("imdn without message-id"))?,
            date_time: fields.date_time,
            recipient_uri: fields.recipient_uri,
            original_recipient_uri: fields.original_recipient_uri,
            subject: fields.subject,
            kind,
            status,
        })
    }

    /// Writes the document, elements in the order of the schema.
    pub fn print(&self) -> Bytes {
        let mut document =
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"{NAMESPACE}\">");
        let fields = [
            ("message-id", Some(&self.message_id)),
            ("datetime", self.date_time.as_ref()),
            ("recipient-uri", self.recipient_uri.as_ref()),
            ("original-recipient-uri", self.original_recipient_uri.as_ref()),
            ("subject", self.subject.as_ref()),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                document.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
            }
        }
        let (kind, status) = (self.kind.element(), self.status.element());
        document.push_str(&format!(
            "<{kind}><status><{status}/></status></{kind}></imdn>\r\n"
        ));
        Bytes::from(document)
    }
}

/// Reads `<status><displayed/></status>` and what stands around it, up to the end of the notification.
fn read_status(reader: &mut XmlReader<'_>) -> Result<DispositionStatus, BodyError> {
    let mut depth = 1_usize;
    let mut in_status = false;
    let mut found = None;
    while depth > 0 {
        match reader.next()? {
            XmlEvent::Start(element) => {
                depth += 1;
                let ours = element.namespace() == Some(NAMESPACE);
                if depth == 2 {
                    in_status = ours && element.local_name() == "status";
                } else if depth == 3 && in_status && ours && found.is_none() {
                    let name = element.local_name();
                    let known = DispositionStatus::ALL
                        .into_iter()
                        .find(|status| status.element() == name);
                    found = Some(known.unwrap_or(DispositionStatus::Error));
                }
            }
            XmlEvent::End => depth -= 1,
            XmlEvent::Text(_) => {}
            XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
        }
    }
    found.ok_or(BodyError::Malformed("imdn notification without status"))
}

enum Field {
    MessageId,
    DateTime,
    RecipientUri,
    OriginalRecipientUri,
    Subject,
    Notification(DispositionKind),
    Unknown,
}

impl Field {
    fn of(name: &str) -> Self {
        match name {
            "message-id" => Field::MessageId,
            "datetime" => Field::DateTime,
            "recipient-uri" => Field::RecipientUri,
            "original-recipient-uri" => Field::OriginalRecipientUri,
            "subject" => Field::Subject,
            _ => DispositionKind::ALL
                .into_iter()
                .find(|kind| kind.element() == name)
                .map_or(Field::Unknown, Field::Notification),
        }
    }
}

#[derive(Default)]
struct Fields {
    message_id: Option<String>,
    date_time: Option<String>,
    recipient_uri: Option<String>,
    original_recipient_uri: Option<String>,
    subject: Option<String>,
}

impl Fields {
    fn set(&mut self, field: &Field, text: &str) {
        let slot = match field {
            Field::MessageId => &mut self.message_id,
            Field::DateTime => &mut self.date_time,
            Field::RecipientUri => &mut self.recipient_uri,
            Field::OriginalRecipientUri => &mut self.original_recipient_uri,
            Field::Subject => &mut self.subject,
            Field::Notification(_) | Field::Unknown => return,
        };
        *slot = Some(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DISPLAYED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\" ?>\n\
        <imdn xmlns=\"urn:ietf:params:xml:ns:imdn\" xmlns:linphoneimdn=\"http://www.linphone.org/xsds/imdn.xsd\">\n\n  \
        <message-id>QZdWGtW3ck</message-id>\n  <datetime>2026-07-25T10:05:42Z</datetime>\n  \
        <recipient-uri>sip:bob@example.test</recipient-uri>\n\n  <display-notification>\n    <status>\n      \
        <displayed/>\n    </status>\n  </display-notification>\n</imdn>\n";

    #[test]
    fn a_bare_receipt_is_found() {
        let body = Bytes::from_static(DISPLAYED.as_bytes());
        let receipt = Imdn::find("message/imdn+xml", &body).unwrap().unwrap();
        assert_eq!(receipt.message_id, "QZdWGtW3ck");
        assert_eq!(receipt.recipient_uri.as_deref(), Some("sip:bob@example.test"));
        assert_eq!(
            (receipt.kind, receipt.status),
            (DispositionKind::Display, DispositionStatus::Displayed)
        );
    }

    #[test]
    fn a_receipt_in_cpim_is_found() {
        let body = format!(
            "From: <sip:bob@example.test>\r\nTo: <sip:alice@example.test>\r\n\r\n\
             Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n{DISPLAYED}"
        );
        let receipt = Imdn::find("message/cpim", &Bytes::from(body)).unwrap().unwrap();
        assert_eq!(receipt.message_id, "QZdWGtW3ck");
    }

    #[test]
    fn a_text_is_not_a_receipt() {
        let text = Bytes::from_static(b"hello");
        assert_eq!(Imdn::find("text/plain", &text), Ok(None));
        assert_eq!(Imdn::find("nonsense", &text), Ok(None));
        let wrapped = Bytes::from_static(b"From: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nhello");
        assert_eq!(Imdn::find("message/cpim", &wrapped), Ok(None));
    }

    #[test]
    fn a_status_outside_its_place_does_not_count() {
        let body = "<imdn xmlns='urn:ietf:params:xml:ns:imdn' xmlns:x='urn:x'><message-id>1</message-id>\
            <delivery-notification><x:status><delivered/></x:status><status><x:delivered/><failed/></status>\
            </delivery-notification></imdn>";
        assert_eq!(
            Imdn::parse(body.as_bytes()).unwrap().status,
            DispositionStatus::Failed
        );
    }

    #[test]
    fn incomplete_documents_are_malformed() {
        for inner in [
            "<message-id>1</message-id>",
            "<message-id>1</message-id><display-notification/>",
            "<message-id>1</message-id><display-notification><status/></display-notification>",
            "<display-notification><status><displayed/></status></display-notification>",
        ] {
            let body = format!("<imdn xmlns='{NAMESPACE}'>{inner}</imdn>");
            assert!(
                matches!(Imdn::parse(body.as_bytes()), Err(BodyError::Malformed(_))),
                "{inner}"
            );
        }
        assert!(matches!(Imdn::parse(b"<imdn/>"), Err(BodyError::Unsupported(_))));
    }

    proptest! {
        #[test]
        fn print_and_parse_are_inverse(
            message_id in "[!-~]{1,30}",
            optional in proptest::collection::vec(proptest::option::of("[!-~äöü]{1,20}"), 4),
            kind in 0..3_usize,
            status in 0..7_usize,
        ) {
            let receipt = Imdn {
                message_id,
                date_time: optional[0].clone(),
                recipient_uri: optional[1].clone(),
                original_recipient_uri: optional[2].clone(),
                subject: optional[3].clone(),
                kind: DispositionKind::ALL[kind],
                status: DispositionStatus::ALL[status],
            };
            prop_assert_eq!(Imdn::parse(&receipt.print()), Ok(receipt));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = Imdn::find("message/imdn+xml", &bytes);
            let _ = Imdn::find("message/cpim", &bytes);
        }
    }
}
