//! What a front end has to be told.

use std::time::Duration;

use sip_auth::challenge::Offer;
use topology::MemberId;

/// A place clients know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advertised {
    /// A name or an address, IPv6 in brackets.
    pub host: String,
    /// The port for TLS; `None`: that of the connection. Clear text has the port of the connection always, because one
    /// port cannot be both.
    pub port: Option<u16>,
}

/// Settings of a front end, validated by whoever reads them.
#[derive(Clone, Debug)]
pub struct FrontEndConfig {
    /// This member's name.
    pub member: MemberId,
    /// Numbers of connections begin above this: in a pool larger than any of an earlier life of this member, so that a
    /// registration is never taken for one of another life.
    pub first_connection: u64,
    /// The pool's name: host of our own addresses, `targetname` of signing schemes.
    pub fqdn: String,
    /// Where clients reach this server, if our Contact is to say so: they must be able to resolve it. `None`: our
    /// Contact carries the address of the connection, which every client can reach.
    pub advertise: Option<Advertised>,
    /// Further hosts requests may name this server by, such as a balancer's. IPv6 in brackets.
    pub aliases: Vec<String>,
    /// The SIP domains served here, lower case. The first one is the Digest realm.
    pub domains: Vec<String>,
    /// Authentication schemes on offer.
    pub offer: Offer,
    /// Sign-ins per second that get as far as password work; the rest is told to come back.
    pub sign_ins_per_second: u32,
    /// Requests per second of one signed-in connection, with a burst of three times as many.
    pub requests_per_second: u32,
    /// Requests per second and address that have not signed in.
    pub unauthenticated_per_second: u32,
    /// Requests of all connections that wait for their answer; one more is told to come back.
    pub pending_transactions: usize,
    /// How long an invited client may ring.
    pub ring_time: Duration,
    /// How long a client may take to answer a message.
    pub delivery_time: Duration,
}

impl FrontEndConfig {
    /// The defaults of a pool of this name for these domains; at least one domain must be given.
    pub fn new(member: MemberId, fqdn: &str, domains: Vec<String>, offer: Offer) -> Self {
        FrontEndConfig {
            member,
            first_connection: 0,
            fqdn: fqdn.to_ascii_lowercase(),
            advertise: None,
            aliases: Vec::new(),
            domains,
            offer,
            sign_ins_per_second: 300,
            requests_per_second: 20,
            unauthenticated_per_second: 20,
            pending_transactions: 50_000,
            ring_time: Duration::from_secs(60),
            // Below the 32 s after which a sender's own transaction ends (RFC 3261 timer F).
            delivery_time: Duration::from_secs(25),
        }
    }

    /// The Digest realm.
    pub fn realm(&self) -> &str {
        self.domains.first().map_or(self.fqdn.as_str(), String::as_str)
    }

    /// Whether users of this domain are ours.
    pub fn serves(&self, domain: &str) -> bool {
        self.domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain))
    }

    /// Whether this host is one of our own names or addresses.
    pub fn answers_to(&self, host: &str) -> bool {
        let advertised = self.advertise.iter().map(|advertised| &advertised.host);
        let mut names = self.aliases.iter().chain(advertised).chain([&self.fqdn]);
        self.serves(host) || names.any(|ours| ours.eq_ignore_ascii_case(host))
    }
}
