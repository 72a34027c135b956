//! [`WatcherInfo`]: who watches somebody, `application/watcherinfo+xml` (RFC 3858).

use bytes::Bytes;

use crate::BodyError;
use crate::xml::{Element, XmlEvent, XmlReader, XmlWriter};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/watcherinfo+xml";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:watcherinfo";

/// Watchers, all or those that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatcherInfo {
    /// Grows by one with each document of a subscription, from 0 (section 4.1).
    pub version: u32,
    /// Whether all watchers are here, or only what changed.
    pub is_full: bool,
    /// One for each resource and event package.
    pub lists: Vec<WatcherList>,
}

/// The watchers of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatcherList {
    /// The URI that is watched.
    pub resource: String,
    /// The event package, `presence`.
    pub package: String,
    /// Who watches it.
    pub watchers: Vec<Watcher>,
}

/// Somebody who watches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watcher {
    /// Tells the subscription from others; the same in all documents about it.
    pub id: String,
    /// The URI of the watcher.
    pub uri: String,
    /// Their name, for people.
    pub display_name: Option<String>,
    /// How the subscription stands.
    pub status: WatcherStatus,
    /// What brought it there.
    pub event: WatcherEvent,
    /// Seconds until it ends.
    pub expiration: Option<u64>,
    /// Seconds since it began.
    pub duration_subscribed: Option<u64>,
}

/// How a subscription stands (RFC 3857 section 4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatcherStatus {
    /// Nobody has decided about it.
    Pending,
    /// Allowed.
    Active,
    /// It ended before anybody decided.
    Waiting,
    /// Ended.
    Terminated,
}

impl WatcherStatus {
    const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Waiting, Self::Terminated];

    const fn as_str(self) -> &'static str {
        match self {
            WatcherStatus::Pending => "pending",
            WatcherStatus::Active => "active",
            WatcherStatus::Waiting => "waiting",
            WatcherStatus::Terminated => "terminated",
        }
    }
}

/// What changed a subscription (RFC 3857 section 4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatcherEvent {
    /// It began.
    Subscribe,
    /// It was allowed.
    Approved,
    /// Ended; to be tried again at once.
    Deactivated,
    /// Ended; to be tried again later.
    Probation,
    /// It was not allowed.
    Rejected,
    /// It was not refreshed.
    Timeout,
    /// Nobody decided about it for too long.
    GiveUp,
    /// What was watched is gone.
    NoResource,
}

impl WatcherEvent {
    const ALL: [Self; 8] = [
        Self::Subscribe,
        Self::Approved,
        Self::Deactivated,
        Self::Probation,
        Self::Rejected,
        Self::Timeout,
        Self::GiveUp,
        Self::NoResource,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            WatcherEvent::Subscribe => "subscribe",
            WatcherEvent::Approved => "approved",
            WatcherEvent::Deactivated => "deactivated",
            WatcherEvent::Probation => "probation",
            WatcherEvent::Rejected => "rejected",
            WatcherEvent::Timeout => "timeout",
            WatcherEvent::GiveUp => "giveup",
            WatcherEvent::NoResource => "noresource",
        }
    }
}

impl WatcherInfo {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `watcherinfo`, [`BodyError::Malformed`] if a required attribute
    /// is missing or has a value the schema does not know, else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let mut info = match reader.next()? {
            XmlEvent::Start(root) if root.is(NAMESPACE, "watcherinfo") => {
                let version = root.required("version", "watcherinfo without version")?;
                let state = root.required("state", "watcherinfo without state")?;
                WatcherInfo {
                    version: number(&version)?,
                    is_full: match state.as_str() {
                        "full" => true,
                        "partial" => false,
                        _ => return Err(BodyError::Malformed("state of watcherinfo")),
                    },
                    lists: Vec::new(),
                }
            }
            _ => return Err(BodyError::Unsupported("not a watcherinfo document")),
        };
        let mut in_list = false;
        loop {
            let child = match reader.next()? {
                XmlEvent::Start(element) => Child::of(&element, in_list)?,
                XmlEvent::Text(_) => continue,
                XmlEvent::End if in_list => {
                    in_list = false;
                    continue;
                }
                XmlEvent::End => break,
                XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
            };
            match child {
                Child::List(list) => {
                    info.lists.push(list);
                    in_list = true;
                }
                Child::Watcher(mut watcher) => {
                    watcher.uri = reader.text_of_element()?.trim().to_owned();
                    if let Some(list) = info.lists.last_mut() {
                        list.watchers.push(watcher);
                    }
                }
                Child::Unknown => reader.skip_element()?,
            }
        }
        reader.finish()?;
        Ok(info)
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let watchers = self.lists.iter().map(|list| list.watchers.len()).sum::<usize>();
        let mut writer = XmlWriter::declared("watcherinfo", NAMESPACE, 256 + 160 * watchers);
        writer
            .number("version", self.version)
            .attribute("state", if self.is_full { "full" } else { "partial" });
        for list in &self.lists {
            writer
                .open("watcher-list")
                .attribute("resource", &list.resource)
                .attribute("package", &list.package);
            for watcher in &list.watchers {
                watcher.write(&mut writer);
            }
            writer.close();
        }
        writer.finish_line()
    }
}

impl Watcher {
    fn write(&self, writer: &mut XmlWriter) {
        writer
            .open("watcher")
            .attribute("id", &self.id)
            .attribute("status", self.status.as_str())
            .attribute("event", self.event.as_str())
            .number_if("expiration", self.expiration)
            .number_if("duration-subscribed", self.duration_subscribed)
            .attribute_if("display-name", self.display_name.as_deref())
            .text(&self.uri)
            .close();
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, BodyError> {
    text.trim()
        .parse()
        .map_err(|_| BodyError::Malformed("number in watcherinfo"))
}

enum Child {
    List(WatcherList),
    Watcher(Watcher),
    Unknown,
}

impl Child {
    fn of(element: &Element<'_, '_>, in_list: bool) -> Result<Self, BodyError> {
        if element.namespace() != Some(NAMESPACE) {
            return Ok(Child::Unknown);
        }
        Ok(match (element.local_name(), in_list) {
            ("watcher-list", false) => Child::List(WatcherList {
                resource: element.required("resource", "watcher-list without resource")?,
                package: element.required("package", "watcher-list without package")?,
                watchers: Vec::new(),
            }),
            ("watcher", true) => Child::Watcher(read_watcher(element)?),
            _ => Child::Unknown,
        })
    }
}

/// A watcher without its URI, which is the text of the element.
fn read_watcher(element: &Element<'_, '_>) -> Result<Watcher, BodyError> {
    let status = element.required("status", "watcher without status")?;
    let event = element.required("event", "watcher without event")?;
    let seconds = |name| element.attribute(name)?.map(|text| number(&text)).transpose();
    Ok(Watcher {
        id: element.required("id", "watcher without id")?,
        uri: String::new(),
        display_name: element.attribute("display-name")?,
        status: WatcherStatus::ALL
            .into_iter()
            .find(|known| known.as_str() == status)
            .ok_or(BodyError::Malformed("status of a watcher"))?,
        event: WatcherEvent::ALL
            .into_iter()
            .find(|known| known.as_str() == event)
            .ok_or(BodyError::Malformed("event of a watcher"))?,
        expiration: seconds("expiration")?,
        duration_subscribed: seconds("duration-subscribed")?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_is_read() {
        let document = "<?xml version='1.0'?>\n<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='0' \
            state='full'>\n <watcher-list resource='sip:alice@example.test' package='presence'>\n  \
            <watcher id='7768a77s' event='subscribe' status='pending' display-name='Bob &amp; B.' expiration='60' \
            duration-subscribed='18446744073709551615'> sip:bob@example.test </watcher>\n \
            <x:watcher xmlns:x='urn:x'/></watcher-list>\n</watcherinfo>";
        let info = WatcherInfo::parse(document.as_bytes()).unwrap();
        assert!(info.is_full);
        let list = &info.lists[0];
        assert_eq!(
            (list.resource.as_str(), list.package.as_str()),
            ("sip:alice@example.test", "presence")
        );
        let watcher = Watcher {
            id: "7768a77s".to_owned(),
            uri: "sip:bob@example.test".to_owned(),
            display_name: Some("Bob & B.".to_owned()),
            status: WatcherStatus::Pending,
            event: WatcherEvent::Subscribe,
            expiration: Some(60),
            duration_subscribed: Some(u64::MAX),
        };
        assert_eq!(list.watchers, [watcher]);
    }

    #[test]
    fn incomplete_documents_are_malformed() {
        let list = "<watcher-list resource='sip:a@b' package='presence'>";
        for (attributes, inner) in [
            ("state='full'", String::new()),
            ("version='0'", String::new()),
            ("version='x' state='full'", String::new()),
            ("version='0' state='half'", String::new()),
            (
                "version='0' state='full'",
                "<watcher-list package='presence'/>".to_owned(),
            ),
            (
                "version='0' state='full'",
                "<watcher-list resource='sip:a@b'/>".to_owned(),
            ),
            (
                "version='0' state='full'",
                format!("{list}<watcher status='active' event='approved'/></watcher-list>"),
            ),
            (
                "version='0' state='full'",
                format!("{list}<watcher id='1' status='odd' event='approved'/></watcher-list>"),
            ),
            (
                "version='0' state='full'",
                format!("{list}<watcher id='1' status='active' event='odd'/></watcher-list>"),
            ),
            (
                "version='0' state='full'",
                format!(
                    "{list}<watcher id='1' status='active' event='approved' expiration='-1'/></watcher-list>"
                ),
            ),
        ] {
            let body = format!("<watcherinfo xmlns='{NAMESPACE}' {attributes}>{inner}</watcherinfo>");
            let outcome = WatcherInfo::parse(body.as_bytes());
            assert!(
                matches!(outcome, Err(BodyError::Malformed(_))),
                "{body}: {outcome:?}"
            );
        }
        assert!(matches!(
            WatcherInfo::parse(b"<watcherinfo/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    prop_compose! {
        fn watcher()(
            id in "[!-~]{1,8}",
            uri in "[!-~]{0,16}",
            display_name in proptest::option::of("[ -~ä]{0,8}"),
            status in 0..4_usize,
            event in 0..8_usize,
            expiration: Option<u64>,
            duration_subscribed: Option<u64>,
        ) -> Watcher {
            let (status, event) = (WatcherStatus::ALL[status], WatcherEvent::ALL[event]);
            Watcher { id, uri, display_name, status, event, expiration, duration_subscribed }
        }
    }

    prop_compose! {
        fn list()(
            resource in "[!-~]{1,16}",
            package in "[!-~]{1,8}",
            watchers in proptest::collection::vec(watcher(), 0..4),
        ) -> WatcherList {
            WatcherList { resource, package, watchers }
        }
    }

    proptest! {
        #[test]
        fn print_and_parse_are_inverse(
            version: u32,
            is_full: bool,
            lists in proptest::collection::vec(list(), 0..3),
        ) {
            let info = WatcherInfo { version, is_full, lists };
            prop_assert_eq!(WatcherInfo::parse(&info.print()), Ok(info));
        }
    }
}
