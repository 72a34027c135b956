//! Globally routable user agent URIs: one address per endpoint, the same for as long as the endpoint exists.
//!
//! Two forms. A Lync-family client gets the one of its own family, made of its instance UUID, or of its `epid` when it
//! names no instance. Any other client with an instance gets the public GRUU of RFC 5627 section 4. Temporary GRUUs are not
//! made: the pool shows the address of record anyway.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rpc::ClientFamily;
use sha1::{Digest, Sha1};
use sip_types::AddressOfRecord;
use uuid::{Builder, Uuid};

/// The name space in which an `epid` becomes an instance UUID (MS-SIPRE).
const EPID_NAME_SPACE: Uuid = Uuid::from_u128(0xfcacfb03_8a73_46ef_91b1_e5ebeeaba4fe);

/// The instance UUID of a client that names only its `epid`.
///
/// A name-based UUID of version 5 (SHA-1, RFC 9562 section 5.5) in which the first three fields of the name space and of the
/// result are taken in little-endian order, as these clients keep UUIDs in memory.
pub(crate) fn instance_of_epid(epid: &str) -> Uuid {
    let hash = Sha1::new()
        .chain_update(EPID_NAME_SPACE.to_bytes_le())
        .chain_update(epid)
        .finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    // The builder sets version and variant.
    Builder::from_sha1_bytes(*Uuid::from_bytes_le(bytes).as_bytes()).into_uuid()
}

/// The GRUU of an endpoint; `None` for one that says nothing about its instance.
pub(crate) fn gruu(
    aor: &AddressOfRecord,
    family: ClientFamily,
    instance: Option<&str>,
    epid: Option<&str>,
) -> Option<String> {
    match family {
        ClientFamily::Lync => {
            let named = instance.and_then(|urn| Uuid::parse_str(urn).ok());
            let uuid = named.or_else(|| epid.map(instance_of_epid))?;
            Some(lync_form(aor, uuid))
        }
        ClientFamily::Simple => instance.map(|urn| public_form(aor, urn)),
    }
}

/// The UUID in base64url, with two zero bytes behind it: 22 characters that say something and `AA`.
fn lync_form(aor: &AddressOfRecord, uuid: Uuid) -> String {
    let mut opaque = [0; 18];
    opaque[..16].copy_from_slice(uuid.as_bytes());
    format!(
        "{};opaque=user:epid:{};gruu",
        aor.to_uri_string(),
        URL_SAFE_NO_PAD.encode(opaque)
    )
}

/// RFC 5627 section 4.1: the instance id as the value of `gr`.
fn public_form(aor: &AddressOfRecord, instance: &str) -> String {
    let mut gruu = aor.to_uri_string();
    gruu.push_str(";gr=");
    for byte in instance.bytes() {
        // RFC 3261 section 25.1, `pvalue`: unreserved and param-unreserved; the rest is escaped.
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$".contains(&byte) {
            gruu.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(gruu, "%{byte:02X}");
        }
    }
    gruu
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a";

    fn alice() -> AddressOfRecord {
        AddressOfRecord::parse("sip:alice@example.test").unwrap()
    }

    #[test]
    fn the_instance_of_an_epid_is_the_one_the_client_computes() {
        // What an open Lync-family client sent in one REGISTER: this epid and this +sip.instance.
        let expected = Uuid::parse_str(INSTANCE).unwrap();
        assert_eq!(instance_of_epid("b34afb6ebb23"), expected);
    }

    #[test]
    fn a_lync_family_client_gets_its_familys_form() {
        let expected = "sip:alice@example.test;opaque=user:epid:CF4L2AMcWg2NmvFJquaVSgAA;gruu";
        let by_instance = gruu(&alice(), ClientFamily::Lync, Some(INSTANCE), Some("ffffffffffff"));
        assert_eq!(by_instance.as_deref(), Some(expected));
        let by_epid = gruu(&alice(), ClientFamily::Lync, None, Some("b34afb6ebb23"));
        assert_eq!(by_epid.as_deref(), Some(expected));
        let nonsense = gruu(
            &alice(),
            ClientFamily::Lync,
            Some("urn:imei:1"),
            Some("b34afb6ebb23"),
        );
        assert_eq!(nonsense.as_deref(), Some(expected));
        assert_eq!(gruu(&alice(), ClientFamily::Lync, None, None), None);
    }

    #[test]
    fn others_get_the_public_form_of_the_standard() {
        let expected = format!("sip:alice@example.test;gr={INSTANCE}");
        assert_eq!(
            gruu(&alice(), ClientFamily::Simple, Some(INSTANCE), None),
            Some(expected)
        );
        assert_eq!(
            gruu(&alice(), ClientFamily::Simple, None, Some("b34afb6ebb23")),
            None
        );
    }

    #[test]
    fn an_instance_cannot_add_parameters_to_the_uri() {
        let made = gruu(&alice(), ClientFamily::Simple, Some("urn:x:a;b=c>\r\nd\"é"), None).unwrap();
        assert_eq!(
            made,
            "sip:alice@example.test;gr=urn:x:a%3Bb%3Dc%3E%0D%0Ad%22%C3%A9"
        );
    }
}
