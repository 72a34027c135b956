//! Who may say what: From against the connection's identity, Route and Request-URI against open relaying.

use sip_types::header::typed::Route;
use sip_types::{AddressOfRecord, Method, NameAddr, Request, SipStr, StatusCode, Uri};

use crate::config::FrontEndConfig;
use crate::counters::Refused;

/// Where a request outside a dialog is meant to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Destination {
    /// To this server itself.
    Server,
    /// To a user of one of our domains. The account may not exist.
    User(AddressOfRecord),
}

/// A refusal with the status the sender gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Denied {
    pub(crate) status: StatusCode,
    pub(crate) why: Refused,
}

const FOREIGN: Denied = Denied {
    status: StatusCode::FORBIDDEN,
    why: Refused::ForeignIdentity,
};
const RELAY: Denied = Denied {
    status: StatusCode::FORBIDDEN,
    why: Refused::Relay,
};
const MALFORMED: Denied = Denied {
    status: StatusCode::BAD_REQUEST,
    why: Refused::Malformed,
};

/// Our own host names on one connection.
#[derive(Clone, Debug)]
pub(crate) struct OwnHosts<'a> {
    pub(crate) config: &'a FrontEndConfig,
    /// The address the client connected to.
    pub(crate) local: std::net::SocketAddr,
}

impl OwnHosts<'_> {
    /// Whether this URI leads to this server. A name is ours whatever the port (a balancer may listen elsewhere); an
    /// address is ours only with the port of this connection, because something else may listen beside us.
    fn leads_here(&self, uri: &Uri) -> bool {
        let host = uri.host();
        if self.config.answers_to(host) {
            return true;
        }
        let same_port = uri.port().is_none_or(|port| port == self.local.port());
        let local_name = host.eq_ignore_ascii_case("localhost") && self.local.ip().is_loopback();
        same_port && (local_name || uri.host_ip() == Some(self.local.ip()))
    }
}

/// What names one endpoint in a GRUU: the `gr` parameter (RFC 5627 section 3.1), or the `opaque` parameter of a
/// Lync-family address. `None`: the URI is for the whole user.
pub(crate) fn endpoint_mark(uri: &Uri) -> Option<SipStr> {
    let params = uri.params();
    if let Some(gr) = params.text("gr").filter(|gr| !gr.is_empty()) {
        return Some(gr);
    }
    params.text("opaque").filter(|_| params.has("gruu"))
}

/// The identity a request claims: To of a REGISTER, From of anything else.
pub(crate) fn claimed(request: &Request) -> Result<AddressOfRecord, Denied> {
    match request.method() {
        Method::Register => aor_of(&request.to().map_err(|_| MALFORMED)?.0),
        _ => aor_of(&request.from().map_err(|_| MALFORMED)?.0),
    }
}

fn aor_of(address: &NameAddr) -> Result<AddressOfRecord, Denied> {
    address.uri.aor().ok_or(MALFORMED)
}

/// From (and To of a REGISTER) must be the signed-in user: nobody speaks in another's name.
pub(crate) fn check_from(request: &Request, signed_in: &AddressOfRecord) -> Result<(), Denied> {
    let from = aor_of(&request.from().map_err(|_| MALFORMED)?.0)?;
    let registers_another = || Ok(*request.method() == Method::Register && claimed(request)? != *signed_in);
    if from != *signed_in || registers_another()? {
        return Err(FOREIGN);
    }
    Ok(())
}

/// A Route may only name this server: we never send a request where a client points.
pub(crate) fn check_route(request: &Request, own: &OwnHosts<'_>) -> Result<(), Denied> {
    let routes = request.headers().list::<Route>().map_err(|_| MALFORMED)?;
    if routes.iter().all(|route| own.leads_here(&route.0.uri)) {
        Ok(())
    } else {
        Err(RELAY)
    }
}

/// Where the Request-URI leads: to this server or to a user of ours, never elsewhere.
pub(crate) fn destination(request: &Request, own: &OwnHosts<'_>) -> Result<Destination, Denied> {
    let uri = request.parsed_uri().map_err(|_| MALFORMED)?;
    if !uri.is_sip() && !uri.is_sips() {
        return Err(Denied {
            status: StatusCode::UNSUPPORTED_URI_SCHEME,
            why: Refused::Malformed,
        });
    }
    if own.config.serves(uri.host()) {
        // Another port of the domain's host is another service.
        if !matches!(uri.port(), None | Some(5060 | 5061)) && uri.port() != Some(own.local.port()) {
            return Err(RELAY);
        }
        return match uri.user() {
            None => Ok(Destination::Server),
            Some(_) => Ok(Destination::User(uri.aor().ok_or(MALFORMED)?)),
        };
    }
    if !own.leads_here(&uri) {
        return Err(RELAY);
    }
    match uri.user() {
        None => Ok(Destination::Server),
        // A user of a host that is no SIP domain: nobody of that name can exist.
        Some(_) => Err(Denied {
            status: StatusCode::NOT_FOUND,
            why: Refused::Relay,
        }),
    }
}

#[cfg(test)]
mod tests {
    use sip_auth::challenge::Offer;
    use sip_types::{HeaderName, RequestBuilder};
    use topology::MemberId;

    use super::*;

    fn config() -> FrontEndConfig {
        let offer = Offer {
            ntlm: false,
            md5: true,
            sha256: true,
        };
        let mut config = FrontEndConfig::new(
            MemberId::new("fe1"),
            "pool.example.test",
            vec!["example.test".into()],
            offer,
        );
        config.aliases.push("sip.example.net".into());
        config
    }

    fn request(method: Method, uri: &str, from: &str, to: &str) -> RequestBuilder {
        Request::builder(method, uri)
            .header(HeaderName::From, from)
            .header(HeaderName::To, to)
    }

    fn to(uri: &str) -> Result<Destination, StatusCode> {
        let config = config();
        let own = OwnHosts {
            config: &config,
            local: "127.0.0.1:5061".parse().unwrap(),
        };
        let request = request(
            Method::Message,
            uri,
            "<sip:a@example.test>;tag=1",
            "<sip:b@example.test>",
        )
        .build();
        destination(&request, &own).map_err(|denied| denied.status)
    }

    #[test]
    fn a_request_reaches_our_users_and_this_server_and_nobody_else() {
        let bob = AddressOfRecord::parse("bob@example.test").unwrap();
        assert_eq!(to("sip:bob@example.test"), Ok(Destination::User(bob.clone())));
        assert_eq!(
            to("sips:Bob@EXAMPLE.test;transport=tls"),
            Ok(Destination::User(bob))
        );
        assert_eq!(to("sip:example.test"), Ok(Destination::Server));
        assert_eq!(to("sip:127.0.0.1:5061;transport=tls"), Ok(Destination::Server));
        assert_eq!(to("sip:sip.example.net"), Ok(Destination::Server));
        for elsewhere in [
            "sip:bob@example.com",
            "sip:bob@127.0.0.1:9999",
            "sip:127.0.0.1:25",
            "sip:bob@10.0.0.1",
        ] {
            assert_eq!(to(elsewhere), Err(StatusCode::FORBIDDEN), "{elsewhere}");
        }
        assert_eq!(to("tel:+15551234"), Err(StatusCode::UNSUPPORTED_URI_SCHEME));
    }

    #[test]
    fn a_gruu_names_one_endpoint() {
        let mark = |uri: &'static str| endpoint_mark(&Uri::parse(&SipStr::from_static(uri)).unwrap());
        assert_eq!(
            mark("sip:b@example.test;gr=urn:uuid:1").as_deref(),
            Some("urn:uuid:1")
        );
        assert_eq!(
            mark("sip:b@example.test;opaque=user:epid:xAA;gruu").as_deref(),
            Some("user:epid:xAA")
        );
        assert_eq!(mark("sip:b@example.test;opaque=app:conf").as_deref(), None);
        assert_eq!(mark("sip:b@example.test;gr").as_deref(), None);
    }

    #[test]
    fn a_route_may_only_name_this_server() {
        let config = config();
        let own = OwnHosts {
            config: &config,
            local: "127.0.0.1:5061".parse().unwrap(),
        };
        let routed = |route: &str| {
            let request = request(
                Method::Message,
                "sip:b@example.test",
                "<sip:a@example.test>",
                "<sip:b@example.test>",
            );
            check_route(&request.header(HeaderName::Route, route).build(), &own)
                .map_err(|denied| denied.status)
        };
        for ours in [
            "<sip:localhost:5061;transport=tls;lr>",
            "<sip:127.0.0.1:5061;transport=tls;lr>",
            "<sip:pool.example.test:15061;lr>, <sip:example.test;lr>",
        ] {
            assert_eq!(routed(ours), Ok(()), "{ours}");
        }
        for elsewhere in [
            "<sip:evil.example.net;lr>",
            "<sip:127.0.0.1:9999;lr>",
            "<sip:example.test;lr>, <sip:evil.example.net>",
        ] {
            assert_eq!(routed(elsewhere), Err(StatusCode::FORBIDDEN), "{elsewhere}");
        }
    }

    #[test]
    fn nobody_speaks_in_anothers_name() {
        let alice = AddressOfRecord::parse("alice@example.test").unwrap();
        let check = |method: Method, from: &str, to: &str| {
            check_from(&request(method, "sip:example.test", from, to).build(), &alice)
                .map_err(|denied| denied.status)
        };
        let (own, foreign) = (
            "<sip:ALICE@example.test>;tag=1",
            "\"Alice\" <sip:bob@example.test>;tag=1",
        );
        assert_eq!(check(Method::Message, own, foreign), Ok(()));
        assert_eq!(check(Method::Message, foreign, own), Err(StatusCode::FORBIDDEN));
        assert_eq!(
            check(Method::Register, own, foreign),
            Err(StatusCode::FORBIDDEN),
            "third-party registration"
        );
        assert_eq!(
            check(Method::Message, "<tel:+1555>;tag=1", own),
            Err(StatusCode::BAD_REQUEST)
        );
    }
}
