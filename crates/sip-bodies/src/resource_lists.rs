//! [`ResourceLists`]: whom a request is for, `application/resource-lists+xml` (RFC 4826 section 3).
//!
//! As the body `recipient-list` of a SUBSCRIBE (RFC 5367), a MESSAGE (RFC 5365) or an INVITE (RFC 5366), and as what a
//! user keeps on a server. References to lists elsewhere are reported and never followed.

use std::collections::HashSet;

use bytes::Bytes;

use crate::BodyError;
use crate::lang_text::LangText;
use crate::xml::{Element, XmlEvent, XmlReader, XmlWriter};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/resource-lists+xml";

/// The Content-Disposition of a body that says whom its request is for (RFC 5363 section 4).
pub const RECIPIENT_LIST: &str = "recipient-list";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";

/// Lists.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ResourceLists {
    /// The lists of the document, in order.
    pub lists: Vec<List>,
}

/// A list.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct List {
    /// Tells it from the others of its parent.
    pub name: Option<String>,
    /// Its name for people.
    pub display_name: Option<LangText>,
    /// What is in it, in order.
    pub members: Vec<Member>,
}

/// What a list holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Member {
    /// Somebody.
    Entry(Entry),
    /// A list in the list.
    List(List),
    /// `entry-ref`: a relative URI of an entry elsewhere, as written.
    EntryRef(String),
    /// `external`: the URI of a list elsewhere, as written; empty if it does not say.
    External(String),
}

/// Somebody in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Their URI; never empty.
    pub uri: String,
    /// Their name, for people.
    pub display_name: Option<LangText>,
}

impl ResourceLists {
    /// A document with one list of these URIs.
    pub fn of(uris: impl IntoIterator<Item = String>) -> Self {
        let entry = |uri| {
            Member::Entry(Entry {
                uri,
                display_name: None,
            })
        };
        let list = List {
            members: uris.into_iter().map(entry).collect(),
            ..List::default()
        };
        Self { lists: vec![list] }
    }

    /// Reads a document of at most `limit` different entries.
    ///
    /// An entry whose URI was there before, in whatever list, is left out: it would get the same twice. URIs are
    /// compared letter for letter; who knows their scheme may find more duplicates.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `resource-lists`, [`BodyError::Limit`] beyond `limit`,
    /// [`BodyError::Malformed`] if an entry has no URI, else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        match reader.next()? {
            XmlEvent::Start(root) if root.is(NAMESPACE, "resource-lists") => {}
            _ => return Err(BodyError::Unsupported("not a document of resource lists")),
        }
        let mut lists = Vec::new();
        // The open lists, the innermost last.
        let mut open: Vec<List> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let child = match reader.next()? {
                XmlEvent::Start(element) => Child::of(&element, !open.is_empty())?,
                XmlEvent::Text(_) => continue,
                XmlEvent::End => match open.pop() {
                    Some(list) => {
                        match open.last_mut() {
                            Some(parent) => parent.members.push(Member::List(list)),
                            None => lists.push(list),
                        }
                        continue;
                    }
                    None => break,
                },
                XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
            };
            let member = match child {
                Child::List(list) => {
                    open.push(list);
                    continue;
                }
                Child::DisplayName(lang) => {
                    let name = LangText::read(&mut reader, lang)?;
                    if let Some(list) = open.last_mut() {
                        list.display_name.get_or_insert(name);
                    }
                    continue;
                }
                Child::Unknown => {
                    reader.skip_element()?;
                    continue;
                }
                Child::Entry(uri) => {
                    let display_name = read_display_name(&mut reader)?;
                    if !seen.insert(uri.clone()) {
                        continue;
                    }
                    if seen.len() > limit {
                        return Err(BodyError::Limit("entries of a resource list"));
                    }
                    Member::Entry(Entry { uri, display_name })
                }
                Child::Reference(member) => {
                    reader.skip_element()?;
                    member
                }
            };
            if let Some(list) = open.last_mut() {
                list.members.push(member);
            }
        }
        reader.finish()?;
        Ok(Self { lists })
    }

    /// All entries, those of lists in lists too, in the order of the document.
    pub fn entries(&self) -> Vec<&Entry> {
        self.members()
            .filter_map(|member| match member {
                Member::Entry(entry) => Some(entry),
                Member::List(_) | Member::EntryRef(_) | Member::External(_) => None,
            })
            .collect()
    }

    /// Whether some of the lists are elsewhere. A service that does not resolve references answers 488 or leaves them
    /// out, as its RFC says.
    pub fn has_references(&self) -> bool {
        self.members()
            .any(|member| matches!(member, Member::EntryRef(_) | Member::External(_)))
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        let mut open: Vec<std::slice::Iter<'_, Member>> =
            self.lists.iter().rev().map(|list| list.members.iter()).collect();
        std::iter::from_fn(move || {
            while let Some(innermost) = open.last_mut() {
                match innermost.next() {
                    Some(Member::List(list)) => open.push(list.members.iter()),
                    Some(member) => return Some(member),
                    None => drop(open.pop()),
                }
            }
            None
        })
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::declared("resource-lists", NAMESPACE, 1024);
        // What to write next, the nearest last: our own documents may be as deep as they like.
        let mut pending: Vec<Step<'_>> = self.lists.iter().rev().map(Step::List).collect();
        while let Some(step) = pending.pop() {
            match step {
                Step::List(list) => {
                    writer.open("list").attribute_if("name", list.name.as_deref());
                    if let Some(name) = &list.display_name {
                        name.write(&mut writer, "display-name");
                    }
                    pending.push(Step::End);
                    pending.extend(list.members.iter().rev().map(|member| match member {
                        Member::List(list) => Step::List(list),
                        other => Step::Member(other),
                    }));
                }
                Step::Member(member) => member.write(&mut writer),
                Step::End => {
                    writer.close();
                }
            }
        }
        writer.finish_line()
    }
}

enum Step<'l> {
    List(&'l List),
    Member(&'l Member),
    End,
}

impl Member {
    /// A list is written by its document.
    fn write(&self, writer: &mut XmlWriter) {
        let (name, attribute, value) = match self {
            Member::Entry(entry) => ("entry", "uri", &entry.uri),
            Member::EntryRef(reference) => ("entry-ref", "ref", reference),
            Member::External(anchor) => ("external", "anchor", anchor),
            Member::List(_) => return,
        };
        writer.open(name).attribute(attribute, value);
        if let Member::Entry(Entry {
            display_name: Some(display_name),
            ..
        }) = self
        {
            display_name.write(writer, "display-name");
        }
        writer.close();
    }
}

/// Reads on to the end of an entry; the first name counts.
fn read_display_name(reader: &mut XmlReader<'_>) -> Result<Option<LangText>, BodyError> {
    let mut found = None;
    loop {
        let lang = match reader.next()? {
            XmlEvent::Start(element) if element.is(NAMESPACE, "display-name") => LangText::lang_of(&element)?,
            XmlEvent::Start(_) => {
                reader.skip_element()?;
                continue;
            }
            XmlEvent::Text(_) => continue,
            XmlEvent::End => return Ok(found),
            XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
        };
        let name = LangText::read(reader, lang)?;
        found.get_or_insert(name);
    }
}

enum Child {
    List(List),
    DisplayName(Option<String>),
    Entry(String),
    Reference(Member),
    Unknown,
}

impl Child {
    fn of(element: &Element<'_, '_>, in_list: bool) -> Result<Self, BodyError> {
        if element.namespace() != Some(NAMESPACE) {
            return Ok(Child::Unknown);
        }
        Ok(match (element.local_name(), in_list) {
            ("list", _) => Child::List(List {
                name: element.attribute("name")?,
                ..List::default()
            }),
            ("display-name", true) => Child::DisplayName(LangText::lang_of(element)?),
            ("entry", true) => Child::Entry(element.required("uri", "entry of a list without uri")?),
            ("entry-ref", true) => {
                let reference = element.required("ref", "entry-ref of a list without ref")?;
                Child::Reference(Member::EntryRef(reference))
            }
            ("external", true) => {
                let anchor = element.attribute("anchor")?.unwrap_or_default();
                Child::Reference(Member::External(anchor.trim().to_owned()))
            }
            _ => Child::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// In the shape Linphone sends with its SUBSCRIBE, and what others may add.
    const LISTS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<resource-lists \
        xmlns=\"urn:ietf:params:xml:ns:resource-lists\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n  \
        <list name=\"all\">\n    <display-name xml:lang=\"en\">Everybody</display-name>\n    \
        <entry uri=\"sip:bob@example.test\"/>\n    <list><entry uri=\"sip:carol@example.test\" \
        cp:copyControl=\"to\" xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\"><display-name>Carol</display-name>\
        <display-name>C.</display-name></entry></list>\n    <entry-ref ref=\"resource-lists/users/x\"/>\
        <entry uri=\"sip:bob@example.test\"/><external anchor=\"http://example.test/list\"/>\
        <entry uri=\"sip:dave@example.test\"/></list>\n</resource-lists>\n";

    fn uris(lists: &ResourceLists) -> Vec<&str> {
        lists.entries().iter().map(|entry| entry.uri.as_str()).collect()
    }

    #[test]
    fn entries_of_nested_lists_come_in_order_and_once() {
        let lists = ResourceLists::parse(LISTS.as_bytes(), 3).unwrap();
        assert_eq!(
            uris(&lists),
            [
                "sip:bob@example.test",
                "sip:carol@example.test",
                "sip:dave@example.test"
            ]
        );
        assert_eq!(lists.entries()[1].display_name, Some(LangText::new("Carol")));
        let list = &lists.lists[0];
        assert_eq!(list.name.as_deref(), Some("all"));
        assert_eq!(
            list.display_name.as_ref().map(|name| name.text.as_str()),
            Some("Everybody")
        );
    }

    #[test]
    fn references_are_reported() {
        let lists = ResourceLists::parse(LISTS.as_bytes(), 3).unwrap();
        assert!(lists.has_references());
        let members = &lists.lists[0].members;
        assert!(members.contains(&Member::EntryRef("resource-lists/users/x".to_owned())));
        assert!(members.contains(&Member::External("http://example.test/list".to_owned())));
        assert!(!ResourceLists::of(["sip:a@b".to_owned()]).has_references());
    }

    #[test]
    fn the_limit_on_entries_counts_different_ones() {
        assert!(ResourceLists::parse(LISTS.as_bytes(), 3).is_ok());
        assert_eq!(
            ResourceLists::parse(LISTS.as_bytes(), 2),
            Err(BodyError::Limit("entries of a resource list"))
        );
    }

    #[test]
    fn broken_lists_are_refused() {
        let within = |inner: &str| format!("<resource-lists xmlns='{NAMESPACE}'>{inner}</resource-lists>");
        for inner in [
            "<list><entry/></list>",
            "<list><entry uri=' '/></list>",
            "<list><entry-ref/></list>",
            "<list>",
        ] {
            let outcome = ResourceLists::parse(within(inner).as_bytes(), 9);
            assert!(
                matches!(outcome, Err(BodyError::Malformed(_))),
                "{inner}: {outcome:?}"
            );
        }
        assert!(matches!(
            ResourceLists::parse(b"<list/>", 9),
            Err(BodyError::Unsupported(_))
        ));
        let outside = within("<entry uri='sip:a@b'/><display-name/><x xmlns='urn:x'><list/></x>");
        assert_eq!(
            ResourceLists::parse(outside.as_bytes(), 9),
            Ok(ResourceLists::default())
        );
        assert_eq!(
            ResourceLists::parse(within("").as_bytes(), 0),
            Ok(ResourceLists::default())
        );
    }

    fn name() -> impl Strategy<Value = Option<LangText>> {
        proptest::option::of("[!-~ä]{0,8}").prop_map(|text| text.map(LangText::new))
    }

    fn list() -> impl Strategy<Value = List> {
        let member = prop_oneof![
            ("[!-~]{1,12}", name())
                .prop_map(|(uri, display_name)| Member::Entry(Entry { uri, display_name })),
            "[!-~]{1,9}".prop_map(Member::EntryRef),
            "[!-~]{0,9}".prop_map(Member::External),
        ];
        member
            .prop_recursive(3, 20, 4, |member| {
                let members = proptest::collection::vec(member, 0..4);
                (proptest::option::of("[ -~]{0,6}"), name(), members).prop_map(
                    |(name, display_name, members)| {
                        Member::List(List {
                            name,
                            display_name,
                            members,
                        })
                    },
                )
            })
            .prop_map(|member| match member {
                Member::List(list) => list,
                other => List {
                    members: vec![other],
                    ..List::default()
                },
            })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_and_printed_alike(lists in proptest::collection::vec(list(), 0..3)) {
            let lists = ResourceLists { lists };
            // Reading takes duplicates out; what is left is stable.
            let read = ResourceLists::parse(&lists.print(), 1000).unwrap();
            prop_assert_eq!(ResourceLists::parse(&read.print(), 1000), Ok(read.clone()));
            let unique: HashSet<_> = uris(&lists).into_iter().collect();
            prop_assert_eq!(uris(&read).len(), unique.len());
            if unique.len() == uris(&lists).len() {
                prop_assert_eq!(read, lists);
            }
        }
    }
}
