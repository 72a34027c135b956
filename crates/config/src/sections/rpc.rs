//! `[rpc]`: how the members of a pool reach each other.

use std::net::SocketAddr;

use crate::net::HostPort;
use crate::raw::Raw;
use crate::reader::Reader;
use crate::value::{Value, quoted};

/// How the members of a pool reach each other.
#[derive(Clone, Debug)]
pub struct Rpc {
    /// `rpc.listen` (`off`): the listener for other members. Off loopback it speaks mutual TLS with certificates of the
    /// pool's own authority, which every member makes from the key file; nothing has to be set up for it.
    pub listen: Option<SocketAddr>,
    /// `rpc.advertise` (the address of `rpc.listen`, or this host's name where that is a wildcard): how other members reach
    /// this one, as `host` or `host:port`. Without a port it is the one that was bound.
    pub advertise: Option<HostPort>,
    /// `rpc.members` (`[]`): where members of a pool without Redis find each other. Beside a Redis URL it is not used.
    pub members: Members,
}

/// Where members of a pool without Redis find each other. The same in every member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Members {
    /// Nowhere: in Redis, or this process is the whole pool.
    #[default]
    None,
    /// At these members, each with its port, in this order; at least one.
    Seeds(Vec<HostPort>),
    /// At the addresses of this name, which stands for all members, with the port they all listen on.
    Dns(HostPort),
}

/// Marks a name that stands for all members.
const DNS: &str = "dns:";

impl Rpc {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let rpc = Rpc {
            listen: reader.get("rpc.listen", None),
            advertise: reader.get("rpc.advertise", None),
            members: reader.get("rpc.members", Members::None),
        };
        if rpc.members != Members::None && rpc.listen.is_none() {
            reader.problem(
                "rpc.members",
                "members reach each other at rpc.listen: set it too",
            );
        }
        rpc
    }
}

impl Value for Members {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let words = match raw {
            Raw::Text(text) => vec![text.clone()],
            raw => Vec::<String>::from_raw(raw).map_err(|_| wanted())?,
        };
        let with_port = |word: &str| {
            let parsed: Option<HostPort> = word.parse().ok();
            parsed.filter(|seed| seed.port.is_some()).ok_or_else(wanted)
        };
        if let [one] = &words[..]
            && let Some(name) = one.strip_prefix(DNS)
        {
            return with_port(name).map(Members::Dns);
        }
        if words.iter().any(|word| word.starts_with(DNS)) {
            return Err(
                "one \"dns:name:port\" alone: the name stands for all members, and nothing can stand beside it"
                    .to_owned(),
            );
        }
        let mut seeds: Vec<HostPort> = Vec::with_capacity(words.len());
        for word in &words {
            let seed = with_port(word)?;
            if seeds.contains(&seed) {
                return Err(format!("a list in which {seed} is there once"));
            }
            seeds.push(seed);
        }
        Ok(match seeds.is_empty() {
            true => Members::None,
            false => Members::Seeds(seeds),
        })
    }

    fn show(&self) -> String {
        match self {
            Members::None => "[]".to_owned(),
            Members::Seeds(seeds) => {
                let words: Vec<String> = seeds.iter().map(ToString::to_string).collect();
                words.show()
            }
            Members::Dns(name) => quoted(&format!("{DNS}{name}")),
        }
    }
}

fn wanted() -> String {
    "a list of members with their ports such as [\"im1.example.com:7000\"], or one name of all members such as \
     \"dns:members.example.com:7000\""
        .to_owned()
}
