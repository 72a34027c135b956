//! `[rpc]`: how the members of a pool reach each other.

use std::net::SocketAddr;

use crate::net::HostPort;
use crate::reader::Reader;

/// How the members of a pool reach each other.
#[derive(Clone, Debug)]
pub struct Rpc {
    /// `rpc.listen` (`off`): the listener for other members. Off loopback it speaks mutual TLS with certificates of the
    /// pool's own authority, which every member makes from the key file; nothing has to be set up for it.
    pub listen: Option<SocketAddr>,
    /// `rpc.advertise` (the address of `rpc.listen`, or this host's name where that is a wildcard): how other members reach
    /// this one, as `host` or `host:port`. Without a port it is the one that was bound.
    pub advertise: Option<HostPort>,
}

impl Rpc {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        Rpc {
            listen: reader.get("rpc.listen", None),
            advertise: reader.get("rpc.advertise", None),
        }
    }
}
