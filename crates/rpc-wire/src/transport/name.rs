//! The name of a member as a DNS name, for its certificate.

use std::fmt::Write;

use topology::MemberId;

/// What the names of all members end in. The top level is reserved for private use: no public authority signs it.
pub(super) const SUFFIX: &str = "members.portico.internal";
/// Longest label of a DNS name.
const MAX_LABEL: usize = 63;
/// Longest DNS name.
const MAX_NAME: usize = 253;
/// Bytes of a name in one label of hexadecimal digits.
const CHUNK: usize = 30;

/// The DNS name of a member: `<member>.members.portico.internal`, or hexadecimal labels below `x` for one whose name is not
/// a label. `None`: the name is too long, about 100 bytes.
pub(super) fn to_dns(member: &MemberId) -> Option<String> {
    let name = member.as_str();
    if is_label(name) {
        return Some(format!("{name}.{SUFFIX}"));
    }
    if name.is_empty() {
        return None;
    }
    let mut dns = String::new();
    for chunk in name.as_bytes().chunks(CHUNK) {
        for byte in chunk {
            // Writing to a string cannot fail.
            let _: std::fmt::Result = write!(dns, "{byte:02x}");
        }
        dns.push('.');
    }
    dns.push_str("x.");
    dns.push_str(SUFFIX);
    (dns.len() <= MAX_NAME).then_some(dns)
}

/// The member a DNS name belongs to, if it is one of ours.
pub(super) fn from_dns(dns: &str) -> Option<MemberId> {
    let name = dns.strip_suffix(SUFFIX)?.strip_suffix('.')?;
    if is_label(name) {
        return Some(MemberId::new(name));
    }
    let digits: String = name.strip_suffix(".x")?.split('.').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    let member = MemberId::new(&String::from_utf8(bytes?).ok()?);
    // One name for each member and one member for each name.
    (to_dns(&member).as_deref() == Some(dns)).then_some(member)
}

/// Lower case, because DNS names are compared without regard to case and names of members with it.
fn is_label(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_dns_name_and_comes_back() {
        let long = "m".repeat(64);
        for name in [
            "fe1",
            "FE1",
            "x",
            "fe 1",
            "ä",
            "a.b",
            "-a",
            "host_1",
            "6665",
            long.as_str(),
        ] {
            let dns = to_dns(&MemberId::new(name)).unwrap();
            assert_eq!(from_dns(&dns), Some(MemberId::new(name)), "{dns}");
            assert!(dns.split('.').all(|label| (1..=MAX_LABEL).contains(&label.len())));
        }
        assert_eq!(
            to_dns(&MemberId::new("fe1")).unwrap(),
            "fe1.members.portico.internal"
        );
        assert_eq!(
            to_dns(&MemberId::new("FE1")).unwrap(),
            "464531.x.members.portico.internal"
        );
    }

    #[test]
    fn names_that_are_not_ours_belong_to_nobody() {
        for dns in [
            "",
            SUFFIX,
            "fe1.example.test",
            "fe1members.portico.internal",
            "a.b.members.portico.internal",
            "zz.x.members.portico.internal",
            "666531.x.members.portico.internal",
            "4.x.members.portico.internal",
            "+1.x.members.portico.internal",
            "fe1.members.portico.internal.example.test",
        ] {
            assert_eq!(from_dns(dns), None, "{dns}");
        }
        assert_eq!(to_dns(&MemberId::new("")), None);
        assert_eq!(to_dns(&MemberId::new(&"Ä".repeat(60))), None);
    }
}
