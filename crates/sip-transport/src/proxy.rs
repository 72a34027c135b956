//! PROXY protocol version 2: a load balancer says, before the first byte of the client, whose connection this
//! is.
//!
//! Only the binary version 2 is spoken, and only from addresses the operator trusts: whoever may send this
//! header chooses the address that limits, throttles and audit lines see.

mod crc32c;
#[cfg(test)]
mod tests;

use crate::cidr::Cidr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The first twelve bytes of every header.
pub(crate) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

/// TLV type of the checksum over the whole header.
const TYPE_CRC32C: u8 = 0x03;

/// Whether a listener takes PROXY headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyPolicy {
    /// No header is expected; one is taken as what it then is: not TLS and not SIP.
    #[default]
    Off,
    /// From these addresses a header may come first; from all others none is looked for.
    Trusted(Vec<Cidr>),
    /// Only these addresses may connect, and they must send a header.
    Required(Vec<Cidr>),
}

/// What a listener does with a connection from a given address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The stream begins with TLS or SIP.
    None,
    /// The stream may begin with a header.
    Optional,
    /// The stream must begin with a header.
    Required,
    /// The connection is closed at once.
    Refused,
}

impl ProxyPolicy {
    /// What to expect of a connection that comes from `address`.
    pub fn expectation(&self, address: IpAddr) -> Expectation {
        let trusted = |ranges: &[Cidr]| ranges.iter().any(|range| range.contains(address));
        match self {
            Self::Off => Expectation::None,
            Self::Trusted(ranges) if trusted(ranges) => Expectation::Optional,
            Self::Trusted(_) => Expectation::None,
            Self::Required(ranges) if trusted(ranges) => Expectation::Required,
            Self::Required(_) => Expectation::Refused,
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The balancer speaks for itself (a health probe): the socket's own addresses count.
    Local,
    /// The balancer speaks for a client.
    Proxied {
        /// Address of the client.
        source: SocketAddr,
        /// Address the client connected to.
        destination: SocketAddr,
    },
    /// The balancer speaks for somebody whose address has no form we know: the socket's own addresses count.
    Unknown,
}

/// Why the beginning of a stream is not an acceptable header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The stream does not begin with the signature.
    #[error("not a proxy protocol header")]
    NotAHeader,
    /// Another version of the protocol, or a command that does not exist.
    #[error("unknown version or command")]
    UnknownVersion,
    /// Not a byte stream.
    #[error("not a stream protocol")]
    NotAStream,
    /// The header is longer than the cap.
    #[error("header of {0} bytes is too long")]
    TooLong(usize),
    /// Addresses or TLVs do not fit the length.
    #[error("header contradicts its length")]
    Truncated,
    /// The checksum does not match.
    #[error("wrong checksum")]
    Checksum,
}

/// Reads the header at the front of `bytes`, which may hold more than it. `Ok(None)`: more bytes are needed.
/// The number is how many bytes the header takes.
///
/// `cap` bounds the whole header; 232 bytes hold two IPv6 addresses and 180 bytes of TLVs.
///
/// # Errors
/// [`ProxyError`] as soon as the bytes cannot become a header any more. Nothing was consumed.
pub fn parse(bytes: &[u8], cap: usize) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    if !SIGNATURE.starts_with(bytes) && !bytes.starts_with(&SIGNATURE) {
        return Err(ProxyError::NotAHeader);
    }
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > cap {
        return Err(ProxyError::TooLong(length));
    }
    let command = fixed[12];
    if command != 0x20 && command != 0x21 {
        return Err(ProxyError::UnknownVersion);
    }
    let Some(header) = bytes.get(..length) else {
        return Ok(None);
    };
    let rest = header.get(FIXED..).unwrap_or_default();
    let (parsed, tlvs) = addresses(fixed[13], rest)?;
    verify_checksum(header, length - tlvs.len())?;
    // LOCAL: the addresses must be skipped, whatever they say.
    let parsed = if command == 0x20 {
        ProxyHeader::Local
    } else {
        parsed
    };
    Ok(Some((parsed, length)))
}

/// The addresses by family and protocol, and the bytes behind them.
fn addresses(family: u8, rest: &[u8]) -> Result<(ProxyHeader, &[u8]), ProxyError> {
    let size = match family {
        0x00 => return Ok((ProxyHeader::Unknown, rest)), // UNSPEC: whatever follows has no known form.
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Err(ProxyError::NotAStream),
    };
    let (block, tlvs) = rest.split_at_checked(size).ok_or(ProxyError::Truncated)?;
    let header = match size {
        12 => proxied::<4, _>(block, Ipv4Addr::from),
        36 => proxied::<16, _>(block, Ipv6Addr::from),
        _ => Some(ProxyHeader::Unknown), // Unix sockets have no address that a limit could use.
    };
    Ok((header.ok_or(ProxyError::Truncated)?, tlvs))
}

/// Two addresses of `N` bytes, then two ports.
fn proxied<const N: usize, A: Into<IpAddr>>(block: &[u8], address: fn([u8; N]) -> A) -> Option<ProxyHeader> {
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let destination_port = rest.first_chunk::<2>()?;
    let endpoint = |bytes: &[u8; N], port: &[u8; 2]| {
        SocketAddr::new(address(*bytes).into().to_canonical(), u16::from_be_bytes(*port))
    };
    Some(ProxyHeader::Proxied {
        source: endpoint(source, source_port),
        destination: endpoint(destination, destination_port),
    })
}

/// Walks the TLVs from `at`; unknown ones are skipped, a checksum is verified.
fn verify_checksum(header: &[u8], mut at: usize) -> Result<(), ProxyError> {
    // UNSPEC may carry anything in place of addresses, so nothing in it can be told to be a TLV.
    if header.get(13) == Some(&0) {
        return Ok(());
    }
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..).and_then(<[u8]>::first_chunk) else {
            return Err(ProxyError::Truncated);
        };
        let value = at + 3..at + 3 + usize::from(u16::from_be_bytes([high, low]));
        let content = header.get(value.clone()).ok_or(ProxyError::Truncated)?;
        if kind == TYPE_CRC32C {
            let sent = content
                .try_into()
                .map(u32::from_be_bytes)
                .map_err(|_| ProxyError::Truncated)?;
            // The checksum covers the header with its own four bytes as zero.
            let mut crc = crc32c::Crc32c::new();
            crc.update(header.get(..value.start).unwrap_or_default());
            crc.update(&[0; 4]);
            crc.update(header.get(value.end..).unwrap_or_default());
            if crc.finish() != sent {
                return Err(ProxyError::Checksum);
            }
        }
        at = value.end;
    }
    Ok(())
}
