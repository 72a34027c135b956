//! Address ranges, and hosts as clients write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses written `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

impl IpNet {
    /// The lowest address of the range.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits are fixed.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether an address is in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(one)) => mask_v4(one, self.prefix) == net,
            (IpAddr::V6(net), IpAddr::V6(one)) => mask_v6(one, self.prefix) == net,
            _ => false,
        }
    }
}

fn mask_v4(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

fn mask_v6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// Not an address range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an address or a range such as 10.0.0.0/8 with no bits set behind the prefix")]
pub struct NotANet;

impl FromStr for IpNet {
    type Err = NotANet;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| NotANet)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANet)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        let lowest = match address {
            _ if prefix > longest => return Err(NotANet),
            IpAddr::V4(v4) => IpAddr::V4(mask_v4(v4, prefix)),
            IpAddr::V6(v6) => IpAddr::V6(mask_v6(v6, prefix)),
        };
        // 10.0.0.7/8 is more often a slip of the prefix than a wish for the whole of 10/8.
        if lowest != address {
            return Err(NotANet);
        }
        Ok(IpNet { address, prefix })
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A host name or an address, in the one spelling that names are compared in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host(String);

/// Not a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a host name or an address (IPv6 in brackets), with or without a port")]
pub struct NotAHost;

impl Host {
    /// Lower case; an IPv6 address stands in brackets, as in a SIP URI (RFC 3261 section 25.1).
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.trim_matches(['[', ']']).parse().ok()
    }
}

impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = address.parse().map_err(|_| NotAHost)?;
            return Ok(Host(format!("[{address}]")));
        }
        // Numbers that are no address must not pass for a name.
        let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let valid = match numeric {
            true => text.parse::<Ipv4Addr>().is_ok(),
            false => is_host_name(text),
        };
        valid.then(|| Host(text.to_ascii_lowercase())).ok_or(NotAHost)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host, and a port if one was written: `sip.example.com`, `192.0.2.1:5061`, `[2001:db8::1]:5061`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port, if written.
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A colon within brackets belongs to the address.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err(NotAHost),
        };
        let host = host.parse()?;
        Ok(HostPort { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// Letters, digits and hyphens, 1 to 63 (RFC 1123 section 2.1).
pub(crate) fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Labels with points between them.
pub(crate) fn is_host_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("SIP.Example.com", "sip.example.com", None),
            ("sip.example.com:5061", "sip.example.com", Some(5061)),
            ("192.0.2.1:443", "192.0.2.1", Some(443)),
            ("[2001:DB8:0::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:5061", "[2001:db8::1]", Some(5061)),
        ] {
            let read: HostPort = text.parse().unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port), "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":5061",
            "sip.example.com:",
            "sip.example.com:0",
            "sip.example.com:sips",
            "sip.example.com:70000",
            "2001:db8::1",
            "[2001:db8::1",
            "300.0.2.1",
            "not a name",
            "sip:sip.example.com",
            "-.example.com",
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(NotAHost), "{text}");
        }
    }

    #[test]
    fn a_range_holds_its_own_addresses_only() {
        let net: IpNet = "10.1.0.0/16".parse().unwrap();
        assert!(net.contains("10.1.255.255".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.0.1".parse().unwrap()));
        assert!(!net.contains("10.2.0.0".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        assert!(
            "0.0.0.0/0"
                .parse::<IpNet>()
                .unwrap()
                .contains("192.0.2.1".parse().unwrap())
        );
        assert!(
            "::/0"
                .parse::<IpNet>()
                .unwrap()
                .contains("2001:db8::1".parse().unwrap())
        );
    }

    #[test]
    fn one_address_is_a_range_of_one() {
        let net: IpNet = "192.0.2.7".parse().unwrap();
        assert_eq!(net.to_string(), "192.0.2.7/32");
        assert!(!net.contains("192.0.2.8".parse().unwrap()));
    }

    #[test]
    fn slips_are_refused() {
        for text in [
            "10.0.0.7/8",
            "10.0.0.0/33",
            "::1/129",
            "ten",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "",
        ] {
            assert!(text.parse::<IpNet>().is_err(), "{text}");
        }
    }
}
