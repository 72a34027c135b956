//! Entity tags (RFC 3903 section 6): which publication a tag is about, and which version of it. A client may bring one back on
//! another connection and to another front end, so it needs no memory here.

use rpc::EndpointId;
use rpc::presence::{PublicationKey, category};
use sha2::{Digest as _, Sha256};

/// The container of what SIMPLE clients publish.
const CONTAINER: u16 = 2;

/// An entity tag, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EntityTag {
    /// Instance number of the publication.
    pub(crate) instance: u32,
    /// Its version; 0: there is none.
    pub(crate) version: u32,
}

impl EntityTag {
    /// Reads a tag of this pool. `None`: it is of another.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = |text: &str| {
            let is_hex = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(text, 16).ok().filter(|_| is_hex)
        };
        let (instance, version) = text.split_at_checked(8)?;
        Some(EntityTag {
            instance: hex(instance)?,
            version: hex(version)?,
        })
    }

    /// The publication meant.
    pub(crate) fn key(self) -> PublicationKey {
        key(self.instance)
    }
}

impl std::fmt::Display for EntityTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}{:08x}", self.instance, self.version)
    }
}

/// The instance number of an endpoint's document, the same wherever it is computed.
pub(crate) fn instance_of(endpoint: &EndpointId) -> u32 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(endpoint.as_str()));
    u32::from_be_bytes([a, b, c, d])
}

/// The name of the publication with this instance number.
pub(crate) fn key(instance: u32) -> PublicationKey {
    PublicationKey {
        category: category::PIDF.into(),
        instance,
        container: CONTAINER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_as_it_was_and_foreign_ones_are_not_read() {
        let tag = EntityTag {
            instance: instance_of(&EndpointId::new("urn:uuid:1;reg-id=1")),
            version: 17,
        };
        assert_eq!(EntityTag::parse(&tag.to_string()), Some(tag));
        for foreign in [
            "",
            "abc",
            "0123456789abcdeg",
            "+1234567+1234567",
            "0123456789abcdef0",
        ] {
            assert_eq!(EntityTag::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn endpoints_have_publications_of_their_own() {
        let one = instance_of(&EndpointId::new("urn:uuid:1;reg-id=1"));
        assert_ne!(one, instance_of(&EndpointId::new("urn:uuid:1;reg-id=2")));
        assert_eq!(one, instance_of(&EndpointId::new("urn:uuid:1;reg-id=1")));
    }
}
