//! Which kind of client speaks on a flow, told from what it sends.

use rpc::{ClientFamily, ImMode};
use sip_types::{HeaderName, NameAddr, Params, Request};

/// What a client is and can, learned from its REGISTER.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    /// The dialect it speaks.
    pub(crate) family: ClientFamily,
    /// Whether it rings for a session or takes copies.
    pub(crate) mode: ImMode,
}

/// Lync-family clients carry an `epid` in From, or announce enhanced presence (MS-SIPREGE section 2.2).
pub(crate) fn family(request: &Request) -> ClientFamily {
    if epid(request).is_some() || supports(request, "msrtc-event-categories") {
        ClientFamily::Lync
    } else {
        ClientFamily::Simple
    }
}

/// `epid` of the From header.
pub(crate) fn epid(request: &Request) -> Option<String> {
    let from = NameAddr::parse(&request.headers().get(&HeaderName::From)?).ok()?;
    from.params.text("epid").map(|epid| epid.to_string())
}

/// What a REGISTER with this Contact says about its client.
///
/// `Allow` cannot tell: baresip 1.0 lists INVITE and takes only page mode. A SIMPLE client that wants sessions says so by
/// the `sip.message` feature tag (RFC 4569), which in a Contact is the parameter `+sip.message`; `message` without the
/// prefix is taken too, because it is a common slip.
pub(crate) fn client(request: &Request, contact: &Params) -> Client {
    let family = family(request);
    let sessions = family == ClientFamily::Lync || contact.has("+sip.message") || contact.has("message");
    Client {
        family,
        mode: if sessions { ImMode::Session } else { ImMode::Page },
    }
}

/// The option of a subscription that brings its list (RFC 5367).
pub(crate) const LIST_SUBSCRIBE: &str = "recipient-list-subscribe";

/// Whether an option tag stands in any Supported header.
pub(crate) fn supports(request: &Request, option: &str) -> bool {
    names(request, &HeaderName::Supported, option)
}

/// Whether an option tag stands in any Require header.
pub(crate) fn requires(request: &Request, option: &str) -> bool {
    names(request, &HeaderName::Require, option)
}

fn names(request: &Request, header: &HeaderName, option: &str) -> bool {
    request.headers().get_all(header).any(|value| {
        value
            .split(',')
            .any(|tag| tag.trim().eq_ignore_ascii_case(option))
    })
}

/// Whether a SUBSCRIBE comes from liblinphone: it says so, or it has no name, or the one of an application that gave it none,
/// and sends a deflated list.
pub(crate) fn is_linphone(request: &Request) -> bool {
    let headers = request.headers();
    let agent = headers.get(&HeaderName::UserAgent);
    match agent.as_deref() {
        None | Some("Unknown") => {
            headers.get(&HeaderName::ContentEncoding).is_some() && requires(request, LIST_SUBSCRIBE)
        }
        Some(_) => calls_itself(request, "linphone"),
    }
}

/// Whether it comes from SIPE, the plug-in of Pidgin.
pub(crate) fn is_sipe(request: &Request) -> bool {
    calls_itself(request, "sipe")
}

/// Whether this, in small letters, is in the User-Agent.
fn calls_itself(request: &Request, name: &str) -> bool {
    let agent = request.headers().get(&HeaderName::UserAgent);
    agent.is_some_and(|agent| agent.to_ascii_lowercase().contains(name))
}
