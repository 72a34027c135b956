//! [`Kept`]: a part of a document in two forms that agree.

use crate::BodyError;
use crate::fragment::Fragment;
use crate::xml::{Element, XmlEvent, XmlReader};

/// A tuple, person or device: what is understood of it.
pub trait Part: Sized {
    /// Reads what is understood of an element.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if it is another element, [`BodyError::Malformed`] if it says two things at once.
    fn read(element: &Fragment) -> Result<Self, BodyError>;

    /// The element that says this and nothing else.
    fn element(&self) -> Fragment;
}

/// A part of a document: what is understood of it, and the whole element.
///
/// **Invariant:** the two say the same: one was made from the other, and neither can change alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept<T> {
    value: T,
    element: Fragment,
}

impl<T: Part> Kept<T> {
    /// A part of our own.
    pub fn new(value: T) -> Self {
        let element = value.element();
        Self { value, element }
    }

    /// A part that somebody wrote.
    ///
    /// # Errors
    /// As [`Part::read`].
    pub fn parse(element: Fragment) -> Result<Self, BodyError> {
        Ok(Self {
            value: T::read(&element)?,
            element,
        })
    }

    /// What is understood.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The same with other ids; see [`Fragment::rename_ids`].
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] if the element becomes too long.
    pub fn rename_ids(&self, rename: &mut dyn FnMut(Option<&str>) -> String) -> Result<Self, BodyError> {
        Self::parse(self.element.rename_ids(rename)?)
    }
}

impl<T> Kept<T> {
    /// The whole element.
    pub fn element(&self) -> &Fragment {
        &self.element
    }
}

/// Starts to read an element, which has to be `local` of `namespace`; gives the value of its `id`.
pub(super) fn open<'a>(
    element: &'a Fragment,
    namespace: &str,
    local: &str,
) -> Result<(XmlReader<'a>, Option<String>), BodyError> {
    let mut reader = XmlReader::new(element.as_str().as_bytes())?;
    let id = match reader.next()? {
        XmlEvent::Start(root) if root.is(namespace, local) => root.attribute("id")?,
        _ => return Err(BodyError::Unsupported("another part of a presence document")),
    };
    let id = id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
    Ok((reader, id))
}

/// The next child of the open element as `recognise` sees it, `None` at its end.
pub(super) fn next_child<T>(
    reader: &mut XmlReader<'_>,
    recognise: impl Fn(&Element<'_, '_>) -> Result<T, BodyError>,
) -> Result<Option<T>, BodyError> {
    loop {
        match reader.next()? {
            XmlEvent::Start(element) => return recognise(&element).map(Some),
            XmlEvent::Text(_) => {}
            XmlEvent::End => return Ok(None),
            XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
        }
    }
}

/// Fills a place that may be filled once.
pub(super) fn once<T>(place: &mut Option<T>, value: T, rule: &'static str) -> Result<(), BodyError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(BodyError::Malformed(rule)),
    }
}

/// The trimmed text of the open element, `None` if there is none.
pub(super) fn text(reader: &mut XmlReader<'_>) -> Result<Option<String>, BodyError> {
    let text = reader.text_of_element()?;
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
