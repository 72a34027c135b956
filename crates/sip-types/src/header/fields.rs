//! [`Headers`]: the header fields of one message.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::name::{OTHER, by_id};
use super::{HeaderError, HeaderName, TypedHeader};
use crate::syntax::{SyntaxError, split_list, trim};
use crate::text::SipStr;

/// How many fields fit the index without a second allocation; most messages have fewer.
const INLINE: usize = 24;

/// The positions of all fields.
pub(crate) type Index = SmallVec<[Field; INLINE]>;

/// Where one header field is in the head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// First byte of the name.
    pub(crate) start: u32,
    /// First byte of the trimmed value.
    pub(crate) value: u32,
    /// Behind the last byte of the trimmed value.
    pub(crate) end: u32,
    /// Length of the name.
    pub(crate) name_len: u16,
    /// Position in the name table, or [`OTHER`].
    pub(crate) id: u8,
    /// Whether the value is spread over several lines.
    pub(crate) folded: bool,
}

impl Field {
    pub(crate) fn value_range(&self) -> Range<usize> {
        self.value as usize..self.end as usize
    }

    fn name_range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start.saturating_add(usize::from(self.name_len))
    }
}

/// The header fields of one message, in their order.
///
/// Values are slices of the message's buffer. Only a folded value is copied, when it is asked for: each fold becomes
/// one space (RFC 3261 section 7.3.1). Cloning counts two references.
#[derive(Clone)]
pub struct Headers {
    head: SipStr,
    index: Arc<Index>,
}

impl Headers {
    /// `index` must have been made for `head`.
    pub(crate) fn new(head: SipStr, index: Arc<Index>) -> Self {
        Self { head, index }
    }

    /// The whole head: start line, fields, empty line.
    pub(crate) fn head(&self) -> &SipStr {
        &self.head
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The value of the first field of this name, trimmed and unfolded.
    pub fn get(&self, name: &HeaderName) -> Option<SipStr> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, one item per field.
    pub fn get_all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = SipStr> + use<'a> {
        self.fields_of(name.clone()).map(|field| self.value(field))
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &HeaderName) -> bool {
        self.fields_of(name.clone()).next().is_some()
    }

    /// How many fields of this name there are.
    pub fn count(&self, name: &HeaderName) -> usize {
        self.fields_of(name.clone()).count()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (HeaderName, SipStr)> {
        self.index
            .iter()
            .map(|field| (self.name(field), self.value(field)))
    }

    /// All fields in order, the names as they were written.
    pub fn iter_verbatim(&self) -> impl Iterator<Item = (SipStr, SipStr)> {
        self.index
            .iter()
            .map(|field| (self.verbatim_name(field), self.value(field)))
    }

    /// The one header of this type.
    ///
    /// # Errors
    /// No field, more than one field, or a value that does not parse.
    pub fn one<H: TypedHeader>(&self) -> Result<H, HeaderError> {
        self.optional()?.ok_or(HeaderError::Missing(H::NAME))
    }

    /// The header of this type if there is one.
    ///
    /// # Errors
    /// More than one field, or a value that does not parse.
    pub fn optional<H: TypedHeader>(&self) -> Result<Option<H>, HeaderError> {
        let mut fields = self.fields_of(H::NAME);
        let Some(field) = fields.next() else {
            return Ok(None);
        };
        if fields.next().is_some() {
            return Err(HeaderError::Duplicate(H::NAME));
        }
        H::parse(&self.value(field)).map(Some)
    }

    /// All values of this type: of all fields, and of each comma separated list if the header may have lists.
    ///
    /// # Errors
    /// The first value that does not parse.
    pub fn list<H: TypedHeader>(&self) -> Result<Vec<H>, HeaderError> {
        let mut all = Vec::new();
        for field in self.fields_of(H::NAME) {
            let value = self.value(field);
            if !H::COMMA_SEPARATED {
                all.push(H::parse(&value)?);
                continue;
            }
            for item in split_list(&value) {
                all.push(parse_item(&value, item)?);
            }
        }
        Ok(all)
    }

    /// The first value of this type, whether or not more follow in the same or in other fields.
    ///
    /// # Errors
    /// No field, or a first value that does not parse.
    pub fn first<H: TypedHeader>(&self) -> Result<H, HeaderError> {
        let field = self
            .fields_of(H::NAME)
            .next()
            .ok_or(HeaderError::Missing(H::NAME))?;
        let value = self.value(field);
        match split_list(&value).next().filter(|_| H::COMMA_SEPARATED) {
            Some(item) => parse_item(&value, item),
            None => H::parse(&value),
        }
    }

    /// Takes `name` by value, so that the iterator does not depend on a temporary of the caller.
    fn fields_of(&self, name: HeaderName) -> impl Iterator<Item = &Field> {
        let id = name.id();
        self.index
            .iter()
            .filter(move |field| field.id == id && (id != OTHER || self.has_name(field, &name)))
    }

    /// Looks at the value of the first field of this name, where it lies: `look` gets the value and what to slice.
    pub(super) fn look<T>(
        &self,
        name: HeaderName,
        look: impl FnOnce(&SipStr, &str) -> Option<T>,
    ) -> Option<T> {
        let field = self.fields_of(name).next()?;
        if field.folded {
            let value = self.value(field);
            return look(&value, &value);
        }
        look(&self.head, self.head.get(field.value_range())?)
    }

    fn has_name(&self, field: &Field, name: &HeaderName) -> bool {
        let raw = self.head.get(field.name_range()).unwrap_or_default();
        raw.eq_ignore_ascii_case(name.as_str())
    }

    fn name(&self, field: &Field) -> HeaderName {
        by_id(field.id).unwrap_or_else(|| HeaderName::Other(self.verbatim_name(field)))
    }

    fn verbatim_name(&self, field: &Field) -> SipStr {
        self.head.slice(field.name_range())
    }

    pub(crate) fn value(&self, field: &Field) -> SipStr {
        let value = self.head.slice(field.value_range());
        if !field.folded {
            return value;
        }
        match unfold(&value) {
            Cow::Borrowed(_) => value,
            Cow::Owned(plain) => plain.into(),
        }
    }
}

/// Parses one item of a list.
fn parse_item<H: TypedHeader>(value: &SipStr, item: Result<&str, SyntaxError>) -> Result<H, HeaderError> {
    let item = item.map_err(HeaderError::syntax::<H>)?;
    // The usual list has one item.
    if item.len() == value.len() {
        H::parse(value)
    } else {
        H::parse(&value.slice_of(item))
    }
}

/// Replaces each line end and the blanks around it by one space.
fn unfold(value: &str) -> Cow<'_, str> {
    if !value.contains('\r') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    for line in value.split("\r\n") {
        let line = trim(line);
        if !plain.is_empty() && !line.is_empty() {
            plain.push(' ');
        }
        plain.push_str(line);
    }
    Cow::Owned(plain)
}

/// The names and values as they stand, one per line; for tests and traces. May show credentials.
impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter_verbatim()
            .try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}

/// Names only: values may be credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.index.iter().map(|field| self.verbatim_name(field)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::header::typed::{CallId, Supported};
    use crate::message::Message;

    fn headers(fields: &str) -> Headers {
        let head = format!("OPTIONS sip:a@example.test SIP/2.0\r\n{fields}\r\n");
        Message::parse(head.into(), Bytes::new())
            .unwrap()
            .headers()
            .clone()
    }

    #[test]
    fn values_are_slices_and_names_need_no_case() {
        let all = headers("x-One:  first \r\nX-ONE:second\r\nVIA:\tSIP/2.0/TCP h\r\n");
        let name = HeaderName::parse(&"X-one".into()).unwrap();
        let values: Vec<_> = all.get_all(&name).collect();
        assert_eq!(values, ["first", "second"]);
        let start = all.head().bytes().as_ptr() as usize;
        assert!((start..start + all.head().len()).contains(&(values[0].bytes().as_ptr() as usize)));
        assert_eq!(all.get(&HeaderName::Via).unwrap(), "SIP/2.0/TCP h");
        assert_eq!(all.count(&name), 2);
        assert!(!all.has(&HeaderName::To));
    }

    #[test]
    fn a_fold_becomes_one_space() {
        let all = headers("Subject: one\r\n  two\t\r\n\tthree\r\n  \r\n four\r\nTo:\r\n <sip:a@h>\r\n");
        assert_eq!(all.get(&HeaderName::Subject).unwrap(), "one two three four");
        assert_eq!(all.get(&HeaderName::To).unwrap(), "<sip:a@h>");
    }

    #[test]
    fn order_and_spelling_of_unknown_headers_survive() {
        let all = headers("x-B: 1\r\nv: SIP/2.0/TCP h\r\nX-a: \r\n");
        let names: Vec<_> = all
            .iter_verbatim()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(names, ["x-B=1", "v=SIP/2.0/TCP h", "X-a="]);
        let canonical: Vec<_> = all.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(canonical, ["x-B", "Via", "X-a"]);
    }

    #[test]
    fn one_and_optional_count_fields() {
        let all = headers("i: a@b\r\n");
        assert_eq!(all.one::<CallId>().unwrap().as_str(), "a@b");
        let none = headers("x: 1\r\n");
        assert_eq!(
            none.one::<CallId>(),
            Err(HeaderError::Missing(HeaderName::CallId))
        );
        assert_eq!(none.optional::<CallId>(), Ok(None));
        let two = headers("i: a@b\r\nCall-ID: a@b\r\n");
        assert_eq!(
            two.optional::<CallId>(),
            Err(HeaderError::Duplicate(HeaderName::CallId))
        );
    }

    #[test]
    fn lists_are_gathered_over_fields_and_commas() {
        let all = headers("Supported: gruu, path\r\nk:\r\nSupported: outbound\r\n");
        let tags: Vec<_> = all
            .list::<Supported>()
            .unwrap()
            .into_iter()
            .map(|one| one.to_string())
            .collect();
        assert_eq!(tags, ["gruu", "path", "outbound"]);
        assert_eq!(all.first::<Supported>().unwrap().to_string(), "gruu");
        assert!(headers("Supported: a,,b\r\n").list::<Supported>().is_err());
    }

    #[test]
    fn debug_shows_no_values() {
        let all = headers("Authorization: Digest secret=\"x\"\r\n");
        assert_eq!(format!("{all:?}"), "[\"Authorization\"]");
    }
}
