//! Hosts and ports: names, IPv4 addresses, IPv6 references in brackets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::UriError;
use crate::syntax::parse_u16;

/// A host and a port, as found in URIs and in `Via`.
pub(crate) struct HostPort<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

/// Whether `host` is a host name, an IPv4 address or an IPv6 reference in brackets.
pub fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(is_ipv6),
        None => is_name(host),
    }
}

/// The address that `host` spells, brackets or not.
pub(super) fn ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => ipv6(rest.strip_suffix(']')?).map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn is_ipv6(text: &str) -> bool {
    ipv6(text).is_some()
}

/// RFC 3986 addresses (RFC 5954), and the third colon before an IPv4 part that the grammar of RFC 3261 made peers
/// write: RFC 5118 section 4.10 wants it tolerated.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    if let Some((head, tail)) = text.split_once(":::") {
        let embedded = tail.parse::<Ipv4Addr>().ok()?;
        return format!("{head}::{embedded}").parse().ok();
    }
    text.parse().ok()
}

/// Labels of letters, digits and hyphens. An underscore is let through: internal zones have it.
fn is_name(host: &str) -> bool {
    let mut last = b'.';
    for byte in host.bytes() {
        let good =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && last != b'.');
        if !good {
            return false;
        }
        last = byte;
    }
    // One point at the end makes the name absolute, RFC 1034 section 3.1.
    !host.is_empty()
}

/// Parses `host` or `host:port`, without blanks.
pub(crate) fn parse_host_port(text: &str) -> Result<HostPort<'_>, UriError> {
    // Behind an IPv6 reference the port's colon comes after the bracket.
    let from = if text.starts_with('[') {
        memchr::memchr(b']', text.as_bytes()).ok_or(UriError("unterminated IPv6 reference"))?
    } else {
        0
    };
    let tail = text.get(from..).unwrap_or_default();
    let (host, port) = match memchr::memchr(b':', tail.as_bytes()).and_then(|at| at.checked_add(from)) {
        Some(colon) => {
            let (host, port) = crate::syntax::split_at(text, colon);
            let port =
                parse_u16(port.get(1..).unwrap_or_default()).map_err(|_| UriError("malformed port"))?;
            (host, Some(port))
        }
        None => (text, None),
    };
    if !is_host(host) {
        return Err(UriError("malformed host"));
    }
    Ok(HostPort { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in [
            "example.com",
            "a",
            "192.0.2.1",
            "[2001:db8::1]",
            "[::ffff:192.0.2.1]",
            "x-1_y.example.",
            "1.example",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "[::1",
            "::1",
            "[1.2.3.4]",
            "[::1%eth0]",
            "ä.example",
            "[]",
            "a@b",
            "a/b",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn a_third_colon_is_tolerated_before_an_ipv4_part_only() {
        assert!(is_host("[2001:db8:::192.0.2.1]"));
        assert_eq!(ip("[2001:db8:::192.0.2.1]"), ip("[2001:db8::192.0.2.1]"));
        for bad in [
            "[2001:db8:::1]",
            "[:::]",
            "[2001::db8:::192.0.2.1]",
            "[2001:db8::::192.0.2.1]",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn the_port_comes_after_the_reference() {
        let parsed = parse_host_port("[2001:db8::1:5070]:5060").unwrap();
        assert_eq!((parsed.host, parsed.port), ("[2001:db8::1:5070]", Some(5060)));
        assert_eq!(parse_host_port("[2001:db8::1:5070]").unwrap().port, None);
        for bad in [
            "a:",
            "a:x",
            "a:65536",
            "a:-1",
            "2001:db8::10",
            "[::1]5060",
            "a:1:2",
        ] {
            assert!(parse_host_port(bad).is_err(), "{bad}");
        }
    }
}
