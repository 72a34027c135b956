//! [`Container`] and [`SetContainerMembers`]: who belongs to which access level,
//! `application/msrtc-setcontainermembers+xml`.

use bytes::Bytes;

use super::{ContainerId, required_number};
use crate::BodyError;
use crate::xml::{Element, XmlReader, XmlWriter};

/// The content type of the request.
pub const CONTENT_TYPE: &str = "application/msrtc-setcontainermembers+xml";

/// Most containers of one document. Answer: 400.
pub const CONTAINERS: usize = 64;
/// Most members of all containers of one document. Answer: 400.
pub const MEMBERS: usize = 3_000;

const NAMESPACE: &str = "http://schemas.microsoft.com/2006/09/sip/containers";
const MANAGEMENT: &str = "http://schemas.microsoft.com/2006/09/sip/container-management";

/// Who belongs to a container.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Member {
    /// One user: the address without `sip:`.
    User(String),
    /// All of a domain.
    Domain(String),
    /// All of the same organisation.
    SameEnterprise,
    /// All of federated organisations.
    Federated,
    /// All of public providers.
    PublicCloud,
    /// Everyone.
    Everyone,
}

impl Member {
    /// The kind, as it is written.
    pub const fn kind(&self) -> &'static str {
        match self {
            Member::User(_) => "user",
            Member::Domain(_) => "domain",
            Member::SameEnterprise => "sameEnterprise",
            Member::Federated => "federated",
            Member::PublicCloud => "publicCloud",
            Member::Everyone => "everyone",
        }
    }

    /// Which user or domain.
    pub fn value(&self) -> Option<&str> {
        match self {
            Member::User(value) | Member::Domain(value) => Some(value),
            Member::SameEnterprise | Member::Federated | Member::PublicCloud | Member::Everyone => None,
        }
    }

    fn read(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        let value = || {
            let value = element.attribute("value")?.unwrap_or_default();
            if value.trim().is_empty() {
                return Err(BodyError::Malformed("container member without value"));
            }
            Ok(value.trim().to_owned())
        };
        Ok(match element.attribute("type")?.as_deref() {
            Some("user") => Member::User(value()?),
            Some("domain") => Member::Domain(value()?),
            Some("sameEnterprise") => Member::SameEnterprise,
            Some("federated") => Member::Federated,
            Some("publicCloud") => Member::PublicCloud,
            Some("everyone") => Member::Everyone,
            _ => return Err(BodyError::Malformed("type of a container member")),
        })
    }

    fn write(&self, action: Option<&str>, writer: &mut XmlWriter) {
        writer
            .open("member")
            .attribute_if("action", action)
            .attribute("type", self.kind())
            .attribute_if("value", self.value())
            .close();
    }
}

/// A container as its owner knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    /// Which one.
    pub id: ContainerId,
    /// How often its members were changed.
    pub version: u32,
    /// Who belongs to it.
    pub members: Vec<Member>,
}

/// What is to become of a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberChange {
    /// The container gets it.
    Add(Member),
    /// The container loses it.
    Remove(Member),
}

/// The changes of one container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerChange {
    /// Which one.
    pub id: ContainerId,
    /// The version the client knows.
    pub version: u32,
    /// In the order of the request.
    pub changes: Vec<MemberChange>,
}

/// A request to change who belongs to containers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetContainerMembers {
    /// Container by container.
    pub containers: Vec<ContainerChange>,
}

impl SetContainerMembers {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `setContainerMembers`, [`BodyError::Malformed`] if a number, an
    /// action, a type or a needed value is missing or wrong, [`BodyError::Limit`] beyond [`CONTAINERS`] or
    /// [`MEMBERS`], else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(MANAGEMENT, "setContainerMembers") {
            return Err(BodyError::Unsupported("not a setContainerMembers document"));
        }
        let containers = read_containers(MANAGEMENT, &mut reader, |element| {
            let member = Member::read(element)?;
            match element.attribute("action")?.as_deref() {
                Some("add") => Ok(MemberChange::Add(member)),
                Some("remove") => Ok(MemberChange::Remove(member)),
                _ => Err(BodyError::Malformed("action on a container member")),
            }
        })?;
        reader.finish()?;
        let containers = containers.into_iter();
        Ok(Self {
            containers: containers
                .map(|(id, version, changes)| ContainerChange { id, version, changes })
                .collect(),
        })
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("setContainerMembers", MANAGEMENT);
        for container in &self.containers {
            writer
                .open("container")
                .number("id", container.id.get())
                .number("version", container.version);
            for change in &container.changes {
                match change {
                    MemberChange::Add(member) => member.write(Some("add"), &mut writer),
                    MemberChange::Remove(member) => member.write(Some("remove"), &mut writer),
                }
            }
            writer.close();
        }
        Bytes::from(writer.finish())
    }
}

/// Whether this is the `containers` part of the owner's document.
pub(super) fn is_part(element: &Element<'_, '_>) -> bool {
    element.is(NAMESPACE, "containers")
}

/// Reads the part whose start was the last event.
pub(super) fn read_part(reader: &mut XmlReader<'_>) -> Result<Vec<Container>, BodyError> {
    let containers = read_containers(NAMESPACE, reader, Member::read)?.into_iter();
    Ok(containers
        .map(|(id, version, members)| Container { id, version, members })
        .collect())
}

/// Writes the part.
pub(super) fn write_part(containers: &[Container], writer: &mut XmlWriter) {
    writer.open("containers").attribute("xmlns", NAMESPACE);
    for container in containers {
        writer
            .open("container")
            .number("id", container.id.get())
            .number("version", container.version);
        for member in &container.members {
            member.write(None, writer);
        }
        writer.close();
    }
    writer.close();
}

/// Number, version and what `read` makes of the members of each container.
fn read_containers<T>(
    namespace: &str,
    reader: &mut XmlReader<'_>,
    read: impl Fn(&Element<'_, '_>) -> Result<T, BodyError>,
) -> Result<Vec<(ContainerId, u32, Vec<T>)>, BodyError> {
    let mut containers = Vec::new();
    let mut count = 0_usize;
    while let Some(element) = reader.child()? {
        if !element.is(namespace, "container") {
            reader.skip_element()?;
            continue;
        }
        if containers.len() >= CONTAINERS {
            return Err(BodyError::Limit("containers"));
        }
        let id = element.attribute("id")?;
        let id = ContainerId::parse(&id.ok_or(BodyError::Malformed("container without id"))?)?;
        let version = required_number(element.attribute("version")?, "container version")?;
        let mut members = Vec::new();
        while let Some(element) = reader.child()? {
            if element.is(namespace, "member") {
                count += 1;
                if count > MEMBERS {
                    return Err(BodyError::Limit("container members"));
                }
                members.push(read(&element)?);
            }
            reader.skip_element()?;
        }
        containers.push((id, version, members));
    }
    Ok(containers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(inner: &str) -> Result<SetContainerMembers, BodyError> {
        let document = format!("<setContainerMembers xmlns='{MANAGEMENT}'>{inner}</setContainerMembers>");
        SetContainerMembers::parse(document.as_bytes())
    }

    #[test]
    fn members_come_and_go() {
        let request = request(
            "<container id='200' version='0'><member action='add' type='sameEnterprise'/>\
             <member action='remove' type='user' value='bob@example.test'/><new/></container>\
             <container id='32000' version='7'/><new/>",
        )
        .unwrap();
        let expected = [
            ContainerChange {
                id: ContainerId::new(200).unwrap(),
                version: 0,
                changes: vec![
                    MemberChange::Add(Member::SameEnterprise),
                    MemberChange::Remove(Member::User("bob@example.test".to_owned())),
                ],
            },
            ContainerChange {
                id: ContainerId::new(32_000).unwrap(),
                version: 7,
                changes: vec![],
            },
        ];
        assert_eq!(request.containers, expected);
    }

    #[test]
    fn what_can_not_be_understood_is_malformed() {
        for inner in [
            "<container version='0'/>",
            "<container id='200'/>",
            "<container id='40000' version='0'/>",
            "<container id='200' version='0'><member action='add'/></container>",
            "<container id='200' version='0'><member action='add' type='friend'/></container>",
            "<container id='200' version='0'><member action='add' type='user' value=' '/></container>",
            "<container id='200' version='0'><member action='add' type='domain'/></container>",
            "<container id='200' version='0'><member type='everyone'/></container>",
            "<container id='200' version='0'><member action='swap' type='everyone'/></container>",
        ] {
            assert!(matches!(request(inner), Err(BodyError::Malformed(_))), "{inner}");
        }
        assert!(matches!(
            SetContainerMembers::parse(b"<setContainerMembers/>"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn every_limit_holds_at_its_value_and_one_above() {
        let containers = |count: usize| request(&"<container id='1' version='1'/>".repeat(count));
        assert!(containers(CONTAINERS).is_ok());
        assert!(matches!(containers(CONTAINERS + 1), Err(BodyError::Limit(_))));
        let members = |count: usize| {
            let list = "<member type='everyone' action='add'/>".repeat(count);
            request(&format!("<container id='1' version='1'>{list}</container>"))
        };
        assert!(members(MEMBERS).is_ok());
        assert!(matches!(members(MEMBERS + 1), Err(BodyError::Limit(_))));
    }
}
