//! [`ResourceList`]: who is in a list and which part has whose state, `application/rlmi+xml` (RFC 4662 section 5).
//!
//! Printed in the one form that all clients read: Linphone 5.1 crashes on an active instance that names no part and on
//! a list without resources, so [`ResourceList::print`] refuses to write them.

use bytes::Bytes;
use thiserror::Error;

use crate::BodyError;
use crate::lang_text::LangText;
use crate::xml::{Element, XmlEvent, XmlReader, XmlWriter};

/// The content type of the document.
pub const CONTENT_TYPE: &str = "application/rlmi+xml";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:rlmi";

/// A list, or what changed in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceList {
    /// The URI that was subscribed to, letter for letter.
    pub uri: String,
    /// Grows by one with each document of a subscription, from 0 (section 5.2).
    pub version: u32,
    /// Whether all resources are here. The first document, and the answer to each refresh, has them all.
    pub full_state: bool,
    /// The Content-ID of the part this list describes, if it is a list in a list.
    pub cid: Option<String>,
    /// Names of the list, for people.
    pub names: Vec<LangText>,
    /// Its members.
    pub resources: Vec<Resource>,
}

/// A member of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// The URI the list has it by.
    pub uri: String,
    /// Names, for people.
    pub names: Vec<LangText>,
    /// Its subscriptions; several if it forks. None: nothing is known yet.
    pub instances: Vec<Instance>,
}

/// The subscription to a resource (section 5.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Tells it from the others of its resource, as long as it lasts.
    pub id: String,
    /// What became of it.
    pub state: InstanceState,
    /// Why it ended, a value of the event package (RFC 6665 section 4.1.3).
    pub reason: Option<String>,
    /// The Content-ID of the part with its state, without angle brackets.
    pub cid: Option<String>,
}

/// What became of the subscription to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InstanceState {
    /// Allowed; there is state.
    Active,
    /// Nobody has decided yet.
    Pending,
    /// Ended.
    Terminated,
}

impl InstanceState {
    const ALL: [Self; 3] = [Self::Active, Self::Pending, Self::Terminated];

    const fn as_str(self) -> &'static str {
        match self {
            InstanceState::Active => "active",
            InstanceState::Pending => "pending",
            InstanceState::Terminated => "terminated",
        }
    }
}

/// Why a list is not written: clients would not survive it. A mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RlmiError {
    /// No resource at all.
    #[error("a resource list without resources")]
    Empty,
    /// An active instance does not say which part has its state.
    #[error("an active instance of a resource without a cid")]
    ActiveWithoutCid,
}

impl Instance {
    /// A subscription whose state is in the part `cid` (without angle brackets).
    pub fn active(id: impl Into<String>, cid: impl Into<String>) -> Self {
        Self {
            cid: Some(cid.into()),
            ..Self::of(id, InstanceState::Active)
        }
    }

    /// A subscription about which nobody has decided.
    pub fn pending(id: impl Into<String>) -> Self {
        Self::of(id, InstanceState::Pending)
    }

    /// A subscription that ended.
    pub fn terminated(id: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::of(id, InstanceState::Terminated)
        }
    }

    fn of(id: impl Into<String>, state: InstanceState) -> Self {
        Self {
            id: id.into(),
            state,
            reason: None,
            cid: None,
        }
    }
}

impl ResourceList {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `list`, [`BodyError::Malformed`] if a required attribute is
    /// missing or has a value the schema does not know, else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        let mut list = match reader.next()? {
            XmlEvent::Start(root) if root.is(NAMESPACE, "list") => read_list(&root)?,
            _ => return Err(BodyError::Unsupported("not a resource list")),
        };
        // Whose children come next: those of the list, or of its last resource.
        let mut in_resource = false;
        loop {
            let child = match reader.next()? {
                XmlEvent::Start(element) => Child::of(&element, in_resource)?,
                XmlEvent::Text(_) => continue,
                XmlEvent::End if in_resource => {
                    in_resource = false;
                    continue;
                }
                XmlEvent::End => break,
                XmlEvent::Eof => return Err(BodyError::Malformed("the document ends early")),
            };
            match child {
                Child::Resource(resource) => {
                    list.resources.push(resource);
                    in_resource = true;
                }
                Child::Name(lang) => {
                    let name = LangText::read(&mut reader, lang)?;
                    match list.resources.last_mut().filter(|_| in_resource) {
                        Some(resource) => resource.names.push(name),
                        None => list.names.push(name),
                    }
                }
                Child::Instance(instance) => {
                    reader.skip_element()?;
                    if let Some(resource) = list.resources.last_mut() {
                        resource.instances.push(instance);
                    }
                }
                Child::Unknown => reader.skip_element()?,
            }
        }
        reader.finish()?;
        Ok(list)
    }

    /// Writes the document.
    ///
    /// # Errors
    /// What clients do not survive: see [`RlmiError`].
    pub fn print(&self) -> Result<Bytes, RlmiError> {
        if self.resources.is_empty() {
            return Err(RlmiError::Empty);
        }
        let mut writer = XmlWriter::declared("list", NAMESPACE, 256 + 160 * self.resources.len());
        writer
            .attribute("uri", &self.uri)
            .number("version", self.version)
            .attribute("fullState", if self.full_state { "true" } else { "false" })
            .attribute_if("cid", self.cid.as_deref());
        for name in &self.names {
            name.write(&mut writer, "name");
        }
        for resource in &self.resources {
            resource.write(&mut writer)?;
        }
        Ok(writer.finish_line())
    }
}

impl Resource {
    fn write(&self, writer: &mut XmlWriter) -> Result<(), RlmiError> {
        writer.open("resource").attribute("uri", &self.uri);
        for name in &self.names {
            name.write(writer, "name");
        }
        for instance in &self.instances {
            if instance.state == InstanceState::Active && instance.cid.is_none() {
                return Err(RlmiError::ActiveWithoutCid);
            }
            writer
                .open("instance")
                .attribute("id", &instance.id)
                .attribute("state", instance.state.as_str())
                .attribute_if("reason", instance.reason.as_deref())
                .attribute_if("cid", instance.cid.as_deref())
                .close();
        }
        writer.close();
        Ok(())
    }
}

fn read_list(root: &Element<'_, '_>) -> Result<ResourceList, BodyError> {
    let version = root.required("version", "resource list without version")?;
    let full_state = root.required("fullState", "resource list without fullState")?;
    Ok(ResourceList {
        uri: root.required("uri", "resource list without uri")?,
        version: version
            .parse()
            .map_err(|_| BodyError::Malformed("version of a resource list"))?,
        full_state: match full_state.as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(BodyError::Malformed("fullState of a resource list")),
        },
        cid: root.attribute("cid")?,
        names: Vec::new(),
        resources: Vec::new(),
    })
}

enum Child {
    Resource(Resource),
    Name(Option<String>),
    Instance(Instance),
    Unknown,
}

impl Child {
    fn of(element: &Element<'_, '_>, in_resource: bool) -> Result<Self, BodyError> {
        if element.namespace() != Some(NAMESPACE) {
            return Ok(Child::Unknown);
        }
        Ok(match (element.local_name(), in_resource) {
            ("name", _) => Child::Name(LangText::lang_of(element)?),
            ("resource", false) => Child::Resource(Resource {
                uri: element.required("uri", "resource without uri")?,
                names: Vec::new(),
                instances: Vec::new(),
            }),
            ("instance", true) => {
                let state = element.required("state", "instance without state")?;
                let known = InstanceState::ALL
                    .into_iter()
                    .find(|known| known.as_str() == state);
                Child::Instance(Instance {
                    id: element.required("id", "instance without id")?,
                    state: known.ok_or(BodyError::Malformed("state of an instance"))?,
                    reason: element.attribute("reason")?,
                    cid: element.attribute("cid")?,
                })
            }
            _ => Child::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_with_every_state_is_read() {
        let document = "<?xml version='1.0'?><l:list xmlns:l='urn:ietf:params:xml:ns:rlmi' uri='sip:friends@example.test' \
            version='7' fullState='1'><l:name xml:lang='en'>Friends</l:name>\
            <l:resource uri='sip:bob@example.test'><l:name>Bob</l:name><l:instance id='a' state='active' cid='1@x'>\
            <x xmlns='urn:x'/></l:instance></l:resource><l:resource uri='sip:ed@example.test'>\
            <l:instance id='b' state='pending'/></l:resource><x xmlns='urn:x'><resource/></x>\
            <l:resource uri='sip:dave@example.test'><l:instance id='c' state='terminated' reason='rejected'/>\
            </l:resource></l:list>";
        let list = ResourceList::parse(document.as_bytes()).unwrap();
        assert_eq!(
            (list.uri.as_str(), list.version, list.full_state),
            ("sip:friends@example.test", 7, true)
        );
        assert_eq!(list.names[0].lang.as_deref(), Some("en"));
        let instances: Vec<_> = list.resources.iter().map(|r| r.instances.clone()).collect();
        assert_eq!(
            instances,
            [
                vec![Instance::active("a", "1@x")],
                vec![Instance::pending("b")],
                vec![Instance::terminated("c", "rejected")]
            ]
        );
        assert_eq!(list.resources[0].names, [LangText::new("Bob")]);
    }

    #[test]
    fn what_crashes_clients_is_not_written() {
        let mut list = ResourceList {
            uri: "sip:friends@example.test".to_owned(),
            version: 0,
            full_state: true,
            cid: None,
            names: vec![],
            resources: vec![],
        };
        assert_eq!(list.print(), Err(RlmiError::Empty));
        let instance = Instance {
            cid: None,
            ..Instance::active("a", "")
        };
        list.resources.push(Resource {
            uri: "sip:bob@example.test".to_owned(),
            names: vec![],
            instances: vec![instance],
        });
        assert_eq!(list.print(), Err(RlmiError::ActiveWithoutCid));
        list.resources[0].instances = vec![Instance::active("a", "b@example.test")];
        assert_eq!(
            list.print().unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<list xmlns=\"urn:ietf:params:xml:ns:rlmi\" \
             uri=\"sip:friends@example.test\" version=\"0\" fullState=\"true\"><resource uri=\"sip:bob@example.test\">\
             <instance id=\"a\" state=\"active\" cid=\"b@example.test\"/></resource></list>\r\n"
        );
    }

    #[test]
    fn incomplete_lists_are_malformed() {
        let attributes = "uri='sip:a@b' version='1' fullState='true'";
        for (attributes, inner) in [
            ("version='1' fullState='true'", ""),
            ("uri='sip:a@b' fullState='true'", ""),
            ("uri='sip:a@b' version='-1' fullState='true'", ""),
            ("uri='sip:a@b' version='1'", ""),
            ("uri='sip:a@b' version='1' fullState='maybe'", ""),
            (attributes, "<resource/>"),
            (
                attributes,
                "<resource uri='sip:a@b'><instance id='1'/></resource>",
            ),
            (
                attributes,
                "<resource uri='sip:a@b'><instance state='active'/></resource>",
            ),
            (
                attributes,
                "<resource uri='sip:a@b'><instance id='1' state='odd'/></resource>",
            ),
        ] {
            let body = format!("<list xmlns='{NAMESPACE}' {attributes}>{inner}</list>");
            let outcome = ResourceList::parse(body.as_bytes());
            assert!(
                matches!(outcome, Err(BodyError::Malformed(_))),
                "{body}: {outcome:?}"
            );
        }
        assert!(matches!(
            ResourceList::parse(b"<list/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    fn name() -> impl Strategy<Value = LangText> {
        (
            proptest::option::of("[a-z]{1,8}(-[A-Z0-9]{1,8})?"),
            "([!-~ä]([ -~ä]{0,8}[!-~ä])?)?",
        )
            .prop_map(|(lang, text)| LangText { lang, text })
    }

    fn instance() -> impl Strategy<Value = Instance> {
        (
            "[!-~]{1,6}",
            0..3_usize,
            proptest::option::of("[!-~]{0,6}"),
            "[!-~]{0,6}",
        )
            .prop_map(|(id, state, reason, cid)| Instance {
                id,
                state: InstanceState::ALL[state],
                reason,
                cid: (state == 0 || cid.len() > 2).then_some(cid),
            })
    }

    prop_compose! {
        fn resource()(
            uri in "[!-~]{1,20}",
            names in proptest::collection::vec(name(), 0..3),
            instances in proptest::collection::vec(instance(), 0..3),
        ) -> Resource {
            Resource { uri, names, instances }
        }
    }

    proptest! {
        #[test]
        fn print_and_parse_are_inverse(
            uri in "[!-~]{1,20}",
            version: u32,
            full_state: bool,
            cid in proptest::option::of("[!-~]{1,9}"),
            names in proptest::collection::vec(name(), 0..3),
            resources in proptest::collection::vec(resource(), 1..4),
        ) {
            let list = ResourceList { uri, version, full_state, cid, names, resources };
            prop_assert_eq!(ResourceList::parse(&list.print().unwrap()), Ok(list));
        }
    }
}
