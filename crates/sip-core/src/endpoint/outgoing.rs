//! The requests the machines make themselves: ACK for a refused INVITE, and CANCEL.

use sip_types::typed::CSeq;
use sip_types::{HeaderName, Method, Request, RequestBuilder, Response};

/// `Max-Forwards` of every request we make (RFC 3261 section 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The ACK for a final response of 300 and above (section 17.1.1.3): the INVITE's top Via alone, its Request-URI,
/// From, Call-ID and Route; To as in the response.
pub(super) fn ack(invite: &Request, response: &Response) -> Request {
    hop_by_hop(invite, Method::Ack)
        .copy(response.headers(), &HeaderName::To)
        .build()
}

/// The CANCEL of an INVITE (section 9.1): as [`ack`], but with the INVITE's own To. Require and Proxy-Require are
/// left out on purpose.
pub(super) fn cancel(invite: &Request) -> Request {
    hop_by_hop(invite, Method::Cancel)
        .copy(invite.headers(), &HeaderName::To)
        .build()
}

fn hop_by_hop(invite: &Request, method: Method) -> RequestBuilder {
    let mut builder = Request::builder(method.clone(), invite.uri());
    // We made the INVITE: its Via and CSeq are well-formed.
    if let Ok(via) = invite.top_via() {
        builder = builder.typed(&via);
    }
    builder = builder
        .header(HeaderName::MaxForwards, MAX_FORWARDS)
        .copy(invite.headers(), &HeaderName::Route)
        .copy(invite.headers(), &HeaderName::From)
        .copy(invite.headers(), &HeaderName::CallId);
    match invite.cseq() {
        Ok(cseq) => builder.typed(&CSeq::new(cseq.number, method)),
        Err(_) => builder,
    }
}
