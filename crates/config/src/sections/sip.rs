//! `[sip]`: listeners of clients.

use std::net::SocketAddr;

use crate::net::{Host, HostPort, IpNet};
use crate::raw::Raw;
use crate::reader::Reader;
use crate::value::{Value, quoted, text_of};

/// Listeners of clients.
#[derive(Clone, Debug)]
pub struct Sip {
    /// `sip.tls_listen` (`127.0.0.1:5061`): SIP over TLS; `off` for none. Loopback by default so that a first try is
    /// not reachable from outside; a pool sets `0.0.0.0:5061` or `[::]:5061`.
    pub tls_listen: Option<SocketAddr>,
    /// `sip.tcp_listen` (`off`): SIP in clear text, for tests and tools. Only on loopback unless
    /// `sip.tcp_internal` says that the network is trusted.
    pub tcp_listen: Option<SocketAddr>,
    /// `sip.tcp_internal` (`false`): the network of `sip.tcp_listen` carries passwords and texts in the clear, and
    /// that is accepted.
    pub tcp_internal: bool,
    /// `sip.advertise` (not set): the host clients reach this server by, and the port of its TLS listener as they see it.
    /// Set: the Contact of this server carries it, and clients must be able to resolve it. Not set: the Contact carries
    /// the address the client connected to.
    pub advertise: Option<HostPort>,
    /// `sip.aliases` (`[]`): further names and addresses this server answers to in a Route or a Request-URI, such as a
    /// balancer's, whatever the port beside them. `pool.fqdn`, `pool.domains`, `sip.advertise` and the address of the
    /// connection need not be here.
    pub aliases: Vec<Host>,
    /// `sip.proxy_protocol` (`off`): whether connections begin with a PROXY protocol version 2 header.
    pub proxy_protocol: ProxyProtocol,
    /// `sip.trusted_proxies` (`[]`): the balancers whose PROXY header is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Whether connections come through a balancer that says who the client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProxyProtocol {
    /// They come from clients: a PROXY header is a protocol error.
    #[default]
    Off,
    /// Those from trusted proxies begin with a header, others come from clients.
    Trusted,
    /// All come from trusted proxies; others are refused.
    Required,
}

impl Value for ProxyProtocol {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match text_of(raw) {
            Some("off") => Ok(ProxyProtocol::Off),
            Some("trusted") => Ok(ProxyProtocol::Trusted),
            Some("required") => Ok(ProxyProtocol::Required),
            _ => Err("\"off\", \"trusted\" or \"required\"".to_owned()),
        }
    }

    fn show(&self) -> String {
        quoted(match self {
            ProxyProtocol::Off => "off",
            ProxyProtocol::Trusted => "trusted",
            ProxyProtocol::Required => "required",
        })
    }
}

impl Sip {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let sip = Sip {
            tls_listen: reader.get("sip.tls_listen", Some(SocketAddr::from(([127, 0, 0, 1], 5061)))),
            tcp_listen: reader.get("sip.tcp_listen", None),
            tcp_internal: reader.get("sip.tcp_internal", false),
            advertise: reader.get("sip.advertise", None::<HostPort>),
            aliases: reader.get("sip.aliases", Vec::new()),
            proxy_protocol: reader.get("sip.proxy_protocol", ProxyProtocol::Off),
            trusted_proxies: reader.get("sip.trusted_proxies", Vec::new()),
        };
        sip.validate(reader);
        sip
    }

    fn validate(&self, reader: &mut Reader) {
        if self.tls_listen.is_none() && self.tcp_listen.is_none() {
            reader.problem("sip.tls_listen", "no listener is left for clients");
        }
        if let Some(address) = self.tcp_listen
            && !address.ip().is_loopback()
            && !self.tcp_internal
        {
            let message = format!(
                "{address} would take passwords and texts in clear text from the network; use a loopback address, or \
                 set sip.tcp_internal = true if that network is trusted"
            );
            reader.problem("sip.tcp_listen", message);
        }
        if self.proxy_protocol != ProxyProtocol::Off && self.trusted_proxies.is_empty() {
            let message = "needs sip.trusted_proxies: the addresses of the balancers that are believed";
            reader.problem("sip.proxy_protocol", message);
        }
        if self.proxy_protocol == ProxyProtocol::Off && !self.trusted_proxies.is_empty() {
            reader.problem(
                "sip.trusted_proxies",
                "has no effect while sip.proxy_protocol is \"off\"",
            );
        }
    }
}
