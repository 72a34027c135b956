//! `Via`: RFC 3261 section 20.42, with `rport` of RFC 3581.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::params::Params;
use crate::syntax::{is_blank, is_token, parse_u16, split_at, trim};
use crate::text::SipStr;
use crate::uri::is_host;

/// What a branch begins with if it identifies the transaction (RFC 3261 section 8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One hop of a request, and the way back of its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Name and version, nearly always `SIP/2.0`.
    pub protocol: SipStr,
    /// `TLS`, `tcp`, ... as written. Compare without regard to case.
    pub transport: SipStr,
    /// The host of sent-by, as written; IPv6 references with brackets.
    pub host: SipStr,
    /// The port of sent-by.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` and others.
    pub params: Params,
}

impl Via {
    /// A hop of our own. `host` is a name, an IPv4 address or an IPv6 reference in brackets.
    pub fn new(transport: &str, host: &str, port: Option<u16>, branch: &str) -> Self {
        Self {
            protocol: SipStr::from_static("SIP/2.0"),
            transport: SipStr::copy_from(transport),
            host: SipStr::copy_from(host),
            port,
            params: Params::new().with("branch", branch),
        }
    }

    /// A hop of our own that asks for the answer where the request came from (`rport`, RFC 3581). The same as
    /// [`Via::new`] with that parameter, made at once because every request of ours has one. `branch` is a token.
    pub fn with_rport(transport: &'static str, local: SocketAddr, branch: &str) -> Self {
        let params = SipStr::from(format!("branch={branch};rport"));
        Self {
            protocol: SipStr::from_static("SIP/2.0"),
            transport: SipStr::from_static(transport),
            host: SipStr::from(match local.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            }),
            port: Some(local.port()),
            params: Params::parsed_before(&params, &params),
        }
    }

    /// The branch as received.
    pub fn branch(&self) -> Option<SipStr> {
        self.params.text("branch").filter(|branch| !branch.is_empty())
    }

    /// The branch if it identifies the transaction: it begins with [`MAGIC_COOKIE`] (in any case) and has more.
    /// `None` means that the older rules of RFC 2543 apply (RFC 3261 section 17.2.3).
    pub fn transaction_branch(&self) -> Option<SipStr> {
        self.branch().filter(|branch| {
            branch.len() > MAGIC_COOKIE.len()
                && branch.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
        })
    }

    /// The address the request really came from, brackets or not (RFC 5118 section 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.text("received")?;
        text.trim_matches(['[', ']']).parse().ok()
    }

    /// Whether the sender asks for, or was told, the port it sent from.
    pub fn has_rport(&self) -> bool {
        self.params.has("rport")
    }

    /// The port the request really came from.
    pub fn rport(&self) -> Option<u16> {
        self.params.text("rport").and_then(|port| parse_u16(&port).ok())
    }

    /// The hop as it looks from where the message came: `received` if the address differs from sent-by, and `rport` if
    /// it was asked for (RFC 3261 section 18.2.1, RFC 3581 section 4). `None` if there is nothing to tell.
    ///
    /// What is returned is only good for printing: every response has one.
    pub fn seen_from(&self, source: SocketAddr) -> Option<impl fmt::Display> {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host);
        let same = host.parse::<IpAddr>().is_ok_and(|address| address == source.ip());
        let asks = self.has_rport() && self.rport().is_none();
        (asks || !same).then_some(Seen { via: self, source, asks })
    }

    /// Prints what stands before the parameters.
    fn fmt_hop(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for text in [self.protocol.as_str(), "/", &self.transport, " ", &self.host] {
            f.write_str(text)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }

    /// The same hop with one parameter set; see [`Params::with`].
    #[must_use]
    pub fn with_param(mut self, name: &str, value: &str) -> Self {
        self.params = self.params.with(name, value);
        self
    }
}

impl TypedHeader for Via {
    const NAME: HeaderName = HeaderName::Via;
    const COMMA_SEPARATED: bool = true;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let bad = HeaderError::invalid::<Self>;
        let text = trim(value);
        let (name, rest) = crate::syntax::cut(text, b'/').ok_or(bad("no protocol"))?;
        let (version, rest) = crate::syntax::cut(rest, b'/').ok_or(bad("no protocol version"))?;
        let rest = trim(rest);
        let end = rest.bytes().position(is_blank).ok_or(bad("no sent-by"))?;
        let (transport, rest) = split_at(rest, end);
        let (name, version) = (trim(name), trim(version));
        if !is_token(name) || !is_token(version) || !is_token(transport) {
            return Err(bad("malformed protocol"));
        }
        let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
        let (sent_by, params) = split_at(rest, end);
        let (host, port) = sent_by_parts(trim(sent_by)).ok_or(bad("malformed sent-by"))?;
        Ok(Self {
            protocol: protocol(name, version),
            transport: value.slice_of(transport),
            host: value.slice_of(host),
            port,
            params: Params::parse_in(value, params).map_err(HeaderError::syntax::<Self>)?,
        })
    }
}

fn protocol(name: &str, version: &str) -> SipStr {
    if name.eq_ignore_ascii_case("SIP") && version == "2.0" {
        SipStr::from_static("SIP/2.0")
    } else {
        SipStr::from(format!("{name}/{version}"))
    }
}

/// Host and port; blanks may stand around the colon (RFC 3261 section 25.1, COLON).
fn sent_by_parts(text: &str) -> Option<(&str, Option<u16>)> {
    let from = if text.starts_with('[') { memchr::memchr(b']', text.as_bytes())? } else { 0 };
    let colon = memchr::memchr(b':', text.as_bytes().get(from..)?).and_then(|at| at.checked_add(from));
    let (host, port) = match colon {
        Some(colon) => {
            let (host, port) = split_at(text, colon);
            (trim(host), Some(parse_u16(trim(port.get(1..)?)).ok()?))
        }
        None => (text, None),
    };
    is_host(host).then_some((host, port))
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_hop(f)?;
        fmt::Display::fmt(&self.params, f)
    }
}

/// See [`Via::seen_from`].
struct Seen<'a> {
    via: &'a Via,
    source: SocketAddr,
    /// `rport` waits for its value.
    asks: bool,
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.via.fmt_hop(f)?;
        for (name, value) in self.via.params.iter() {
            if name.eq_ignore_ascii_case("received") {
                // Whatever the sender claims: the one below counts.
                continue;
            }
            f.write_char(';')?;
            f.write_str(name)?;
            if self.asks && name.eq_ignore_ascii_case("rport") {
                write!(f, "={}", self.source.port())?;
            } else if !value.is_empty() {
                f.write_char('=')?;
                f.write_str(value)?;
            }
        }
        write!(f, ";received={}", self.source.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn parts_are_found() {
        let via: Via = check(
            "SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK1;rport;received=[2001:db8::2]",
            "SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK1;rport;received=[2001:db8::2]",
        );
        assert_eq!((via.host.as_str(), via.port), ("[2001:db8::1]", Some(5061)));
        assert_eq!(via.branch().unwrap(), "z9hG4bK1");
        assert!(via.has_rport());
        assert_eq!(via.rport(), None);
        assert_eq!(via.received(), Some("2001:db8::2".parse().unwrap()));
        assert_eq!(via.clone().with_param("rport", "40000").rport(), Some(40000));
    }

    #[test]
    fn blanks_may_stand_nearly_everywhere() {
        check::<Via>(
            "SIP  / 2.0  / TCP     spindle.example.com : 5060  ;  branch  =   z9hG4bK9ikj8 ; x",
            "SIP/2.0/TCP spindle.example.com:5060;branch=z9hG4bK9ikj8;x",
        );
    }

    #[test]
    fn lower_case_transport_and_no_branch_are_fine() {
        let via: Via = check("SIP/2.0/tls 127.0.0.1:38220", "SIP/2.0/tls 127.0.0.1:38220");
        assert_eq!(via.transport, "tls");
        assert_eq!(via.branch(), None);
        check::<Via>("SIP/7.0/SCTP h", "SIP/7.0/SCTP h");
    }

    #[test]
    fn only_a_unique_branch_identifies_a_transaction() {
        let branch = |text: &str| Via::new("TCP", "h", None, text).transaction_branch();
        assert!(branch("z9hG4bKa").is_some());
        assert!(branch("Z9HG4BKa").is_some());
        assert_eq!(branch("z9hG4bK"), None, "RFC 4475 section 3.2.1");
        assert_eq!(branch("1"), None);
    }

    #[test]
    fn received_without_brackets_is_read() {
        let via: Via = check("SIP/2.0/UDP h;received=2001:db8::9:255", "SIP/2.0/UDP h;received=2001:db8::9:255");
        assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
    }

    #[test]
    fn a_hop_of_ours_asks_for_the_port() {
        for local in ["192.0.2.1:5061", "[2001:db8::1]:5061"] {
            let local: SocketAddr = local.parse().unwrap();
            let via = Via::with_rport("TLS", local, "z9hG4bKx");
            let printed = format!("SIP/2.0/TLS {local};branch=z9hG4bKx;rport");
            assert_eq!(via.to_string(), printed);
            assert_eq!(Via::parse(&SipStr::from(printed)), Ok(via));
        }
    }

    #[test]
    fn a_hop_is_told_where_it_comes_from() {
        let seen = |via: &'static str| {
            let via = Via::parse(&SipStr::from_static(via)).unwrap();
            via.seen_from("192.0.2.7:4242".parse().unwrap()).map(|seen| seen.to_string())
        };
        assert_eq!(seen("SIP/2.0/TLS 192.0.2.7;branch=z9hG4bKx"), None);
        assert_eq!(
            seen("SIP/2.0/TLS host.test;branch=z9hG4bKx").as_deref(),
            Some("SIP/2.0/TLS host.test;branch=z9hG4bKx;received=192.0.2.7")
        );
        assert_eq!(
            seen("SIP/2.0/TLS 10.0.0.1:5061;rport;branch=z9hG4bKx").as_deref(),
            Some("SIP/2.0/TLS 10.0.0.1:5061;rport=4242;branch=z9hG4bKx;received=192.0.2.7")
        );
        assert_eq!(
            seen("SIP/2.0/TLS host.test;Received=10.0.0.1;branch=z9hG4bKx;rport=1").as_deref(),
            Some("SIP/2.0/TLS host.test;branch=z9hG4bKx;rport=1;received=192.0.2.7"),
            "what the sender claims about itself does not count"
        );
        // RFC 5118 section 4.5: without brackets and quotes.
        let via = Via::new("TLS", "host.test", None, "z9hG4bKx");
        let six = via.seen_from("[2001:db8::7]:4242".parse().unwrap()).unwrap().to_string();
        assert_eq!(six, "SIP/2.0/TLS host.test;branch=z9hG4bKx;received=2001:db8::7");
        assert!(Via::parse(&SipStr::from(six)).unwrap().received().is_some());
    }

    #[test]
    fn malformed_values_are_refused() {
        refuse::<Via>(&[
            "",
            "SIP/2.0/TCP",
            "SIP/2.0 h",
            "SIP/2.0/TCP h;;branch=a",
            "SIP/2.0/TCP h;",
            "SIP/2.0/TCP h i",
            "SIP/2.0/TCP h:x",
            "SIP/2.0/TCP h:70000",
            "SIP/2.0/TCP [::1",
            "SIP//TCP h",
            "SIP/2.0/T@P h",
            "SIP/2.0/TCP ;x",
        ]);
    }
}
