//! [`Note`]: one `note` element: what the user wants to be read beside the name.

use super::number;
use crate::BodyError;
use crate::fragment::Fragment;
use crate::xml::{Element, XmlReader, XmlWriter};

/// Most texts of one note. Answer: 400.
pub const TEXTS: usize = 64;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/note";

/// Where a text comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoteKind {
    /// The user wrote it.
    Personal,
    /// The calendar's out-of-office message.
    OutOfOffice,
}

impl NoteKind {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            NoteKind::Personal => "personal",
            NoteKind::OutOfOffice => "OOF",
        }
    }
}

/// One text of a note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteText {
    /// Where it comes from. What is not known counts as personal.
    pub kind: NoteKind,
    /// A page about it; clients send an empty one.
    pub uri: String,
    /// Its language: a Windows locale number.
    pub lcid: Option<u32>,
    /// From when it holds, an XML Schema `dateTime`.
    pub start_time: Option<String>,
    /// Until when.
    pub end_time: Option<String>,
    /// The text.
    pub text: String,
}

impl NoteText {
    /// A text of the user that always holds.
    pub fn personal(text: impl Into<String>) -> Self {
        Self {
            kind: NoteKind::Personal,
            uri: String::new(),
            lcid: None,
            start_time: None,
            end_time: None,
            text: text.into(),
        }
    }
}

/// A note. Without a text it stands for none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Note {
    /// What it says, `body` by `body`.
    pub texts: Vec<NoteText>,
}

impl Note {
    /// Reads the element as a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if it is not `note`, [`BodyError::Malformed`] if a language is not a number,
    /// [`BodyError::Limit`] beyond [`TEXTS`], else what [`XmlReader::next`] refuses.
    pub fn parse(document: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(document)?;
        if !reader.root()?.is(NAMESPACE, "note") {
            return Err(BodyError::Unsupported("not a note"));
        }
        let mut note = Self::default();
        while let Some(element) = reader.child()? {
            if !element.is(NAMESPACE, "body") {
                reader.skip_element()?;
                continue;
            }
            if note.texts.len() >= TEXTS {
                return Err(BodyError::Limit("texts of a note"));
            }
            let mut text = NoteText::read_start(&element)?;
            text.text = reader.text_of_element()?;
            note.texts.push(text);
        }
        reader.finish()?;
        Ok(note)
    }

    /// Writes the element.
    pub fn print(&self) -> Fragment {
        let mut writer = XmlWriter::new("note", NAMESPACE);
        for text in &self.texts {
            writer
                .open("body")
                .attribute("type", text.kind.as_str())
                .attribute("uri", &text.uri)
                .number_if("LCID", text.lcid)
                .attribute_if("startTime", text.start_time.as_deref())
                .attribute_if("endTime", text.end_time.as_deref())
                .text(&text.text)
                .close();
        }
        Fragment::printed(writer)
    }
}

impl NoteText {
    fn read_start(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(Self {
            kind: match element.attribute("type")?.as_deref() {
                Some("OOF") => NoteKind::OutOfOffice,
                _ => NoteKind::Personal,
            },
            uri: element.attribute("uri")?.unwrap_or_default(),
            lcid: number(element.attribute("LCID")?, "LCID")?,
            start_time: element.attribute("startTime")?,
            end_time: element.attribute("endTime")?,
            text: String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_personal_note_is_printed_as_clients_print_it() {
        let note = Note {
            texts: vec![NoteText::personal("Lunch & \"more\"")],
        };
        assert_eq!(
            note.print().as_str(),
            "<note xmlns=\"http://schemas.microsoft.com/2006/09/sip/note\">\
             <body type=\"personal\" uri=\"\">Lunch &amp; \"more\"</body></note>"
        );
    }

    #[test]
    fn an_out_of_office_note_holds_for_a_time() {
        let note = Note::parse(
            b"<n:note xmlns:n='http://schemas.microsoft.com/2006/09/sip/note'><n:body type='OOF' uri='' LCID='1031' \
              startTime='2026-11-21T00:00:00Z' endTime='2026-11-28T00:00:00Z'>Weg</n:body><body>no</body></n:note>",
        )
        .unwrap();
        let [text] = &note.texts[..] else {
            panic!("one text")
        };
        assert_eq!(
            (text.kind, text.lcid, text.text.as_str()),
            (NoteKind::OutOfOffice, Some(1031), "Weg")
        );
        assert_eq!(text.end_time.as_deref(), Some("2026-11-28T00:00:00Z"));
    }

    #[test]
    fn other_documents_and_too_many_texts_are_refused() {
        assert!(matches!(Note::parse(b"<note/>"), Err(BodyError::Unsupported(_))));
        let texts = |count: usize| {
            let list = "<body/>".repeat(count);
            Note::parse(format!("<note xmlns='{NAMESPACE}'>{list}</note>").as_bytes())
        };
        assert_eq!(texts(0), Ok(Note::default()));
        assert!(texts(TEXTS).is_ok());
        assert!(matches!(texts(TEXTS + 1), Err(BodyError::Limit(_))));
        let wrong = format!("<note xmlns='{NAMESPACE}'><body LCID='x'/></note>");
        assert!(matches!(
            Note::parse(wrong.as_bytes()),
            Err(BodyError::Malformed(_))
        ));
    }
}
