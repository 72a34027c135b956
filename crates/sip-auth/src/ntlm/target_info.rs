//! AV_PAIRs (MS-NLMP section 2.2.2.1): what the server says of itself, and what the client adds.

use super::crypto::{md5, utf16le};

/// Names the server gives in its challenge.
///
/// Clients mostly copy them into their answer. Each is cut at 255 UTF-16 units, the longest a DNS name can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetNames {
    /// NetBIOS name of the domain, e.g. `EXAMPLE`. Also the TargetName of the challenge.
    pub nb_domain: String,
    /// NetBIOS name of the server, e.g. `FE`.
    pub nb_computer: String,
    /// DNS name of the domain, e.g. `example.test`.
    pub dns_domain: String,
    /// DNS name of the server, e.g. `fe.example.test`.
    pub dns_computer: String,
}

impl TargetNames {
    /// The four names from the server's FQDN, the NetBIOS ones in the customary way: the first label in capitals,
    /// cut at 15 characters.
    #[must_use]
    pub fn from_fqdn(fqdn: &str) -> Self {
        let (host, domain) = fqdn.split_once('.').unwrap_or((fqdn, fqdn));
        let netbios = |name: &str| {
            let label = name.split('.').next().unwrap_or_default();
            label.chars().take(15).collect::<String>().to_ascii_uppercase()
        };
        Self {
            nb_domain: netbios(domain),
            nb_computer: netbios(host),
            dns_domain: domain.into(),
            dns_computer: fqdn.into(),
        }
    }
}

/// MsvAvEOL.
const EOL: u16 = 0;
/// MsvAvNbComputerName.
const NB_COMPUTER: u16 = 1;
/// MsvAvNbDomainName.
const NB_DOMAIN: u16 = 2;
/// MsvAvDnsComputerName.
const DNS_COMPUTER: u16 = 3;
/// MsvAvDnsDomainName.
const DNS_DOMAIN: u16 = 4;
/// MsvAvFlags.
pub(super) const FLAGS: u16 = 6;
/// MsvAvTimestamp.
const TIMESTAMP: u16 = 7;
/// MsvAvChannelBindings.
pub(super) const CHANNEL_BINDINGS: u16 = 10;

/// The TargetInfo of a challenge: four names, the time, the end.
pub(super) fn encode(names: &TargetNames, file_time: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    for (id, name) in [
        (NB_DOMAIN, &names.nb_domain),
        (NB_COMPUTER, &names.nb_computer),
        (DNS_DOMAIN, &names.dns_domain),
        (DNS_COMPUTER, &names.dns_computer),
    ] {
        push(&mut out, id, &encode_name(name));
    }
    push(&mut out, TIMESTAMP, &file_time.to_le_bytes());
    push(&mut out, EOL, &[]);
    out
}

/// A name as UTF-16LE, at most 510 bytes.
pub(super) fn encode_name(name: &str) -> Vec<u8> {
    utf16le(name.encode_utf16().take(255))
}

pub(super) fn push(out: &mut Vec<u8>, id: u16, value: &[u8]) {
    out.extend(id.to_le_bytes());
    // Values are names of at most 510 bytes, 16-byte hashes or fixed numbers.
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(value);
}

/// Walks AV_PAIRs up to MsvAvEOL or the first that does not fit.
pub(super) fn pairs(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        let (id, len) = (
            u16::from_le_bytes([head[0], head[1]]),
            u16::from_le_bytes([head[2], head[3]]),
        );
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        bytes = rest;
        (id != EOL).then_some((id, value))
    })
}

/// The hash a client puts into MsvAvChannelBindings for the TLS connection it sees.
///
/// `application_data` is the binding with its prefix, such as `tls-server-end-point:` and the certificate's hash
/// (RFC 5929 section 4) or `tls-exporter:` and 32 exported bytes (RFC 9266). The hash is MD5 over a
/// `gss_channel_bindings_struct` (RFC 2744 section 3.11) without addresses, as MS-NLMP section 3.1.5.1.2 says.
#[must_use]
pub fn channel_binding_hash(application_data: &[u8]) -> [u8; 16] {
    // Initiator type and length, acceptor type and length: all zero.
    let addresses = [0; 16];
    let len = u32::try_from(application_data.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    md5(&[&addresses, &len, application_data])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_fqdn() {
        let names = TargetNames::from_fqdn("front-end-number-one.example.test");
        assert_eq!(names.nb_domain, "EXAMPLE");
        assert_eq!(names.nb_computer, "FRONT-END-NUMBE");
        assert_eq!(names.dns_domain, "example.test");
        assert_eq!(names.dns_computer, "front-end-number-one.example.test");
        let single = TargetNames::from_fqdn("localhost");
        assert_eq!(
            (single.nb_domain.as_str(), single.dns_domain.as_str()),
            ("LOCALHOST", "localhost")
        );
    }

    #[test]
    fn a_name_of_any_length_is_encoded() {
        let names = TargetNames::from_fqdn(&"ü".repeat(70_000));
        let encoded = encode(&names, 0);
        let lengths: Vec<_> = pairs(&encoded).map(|(id, value)| (id, value.len())).collect();
        assert_eq!(lengths, [(2, 30), (1, 30), (4, 510), (3, 510), (7, 8)]);
    }

    #[test]
    fn pairs_end_at_the_end_or_where_they_do_not_fit() {
        let list = |bytes: &[u8]| pairs(bytes).map(|(id, v)| (id, v.to_vec())).collect::<Vec<_>>();
        assert_eq!(list(&[]), []);
        assert_eq!(list(&[6, 0, 1, 0, 2, 0, 0, 0, 0, 7, 0, 0, 0]), [(6, vec![2])]);
        assert_eq!(list(&[6, 0, 1, 0, 2, 7, 0, 255, 255, 1]), [(6, vec![2])]);
    }

    #[test]
    fn the_channel_binding_hash_covers_an_empty_header_and_the_data() {
        // MD5 of 16 zero bytes, 03000000 and "abc", computed apart with Python's hashlib.
        assert_eq!(
            hex::encode(channel_binding_hash(b"abc")),
            "420b92da63953711d03790fc6a20013d"
        );
    }
}
