//! Address ranges.

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

#[cfg(test)]
mod tests {
    use super::*;

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
