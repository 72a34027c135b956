//! Signatures on the messages of Lync-family clients (MS-SIPAE): what comes in is checked, what goes out is signed, as
//! the last step before it is written.

use sip_auth::signature::{MessageFields, NtlmAuthorization, SecurityAssociation, SignatureFault};
use sip_types::header::typed::CSeq;
use sip_types::{HeaderName, Headers, NameAddr, Request, Response, SipStr};

/// The parts of a message that are signed, held while they are borrowed.
struct Parts {
    call_id: SipStr,
    cseq: SipStr,
    method: SipStr,
    from_uri: SipStr,
    from_tag: SipStr,
    to_uri: SipStr,
    to_tag: SipStr,
    asserted_sip: SipStr,
    asserted_tel: SipStr,
    expires: SipStr,
}

impl Parts {
    fn of(headers: &Headers) -> Self {
        let text = |name: &HeaderName| headers.get(name).unwrap_or_default();
        let (from_uri, from_tag) = address(&text(&HeaderName::From));
        let (to_uri, to_tag) = address(&text(&HeaderName::To));
        let cseq = headers.one::<CSeq>().ok();
        let (asserted_sip, asserted_tel) = asserted(headers);
        Parts {
            call_id: text(&HeaderName::CallId),
            cseq: cseq
                .as_ref()
                .map_or_else(SipStr::default, |cseq| SipStr::from(cseq.number.to_string())),
            method: cseq.map_or_else(SipStr::default, |cseq| SipStr::copy_from(cseq.method.as_str())),
            from_uri,
            from_tag,
            to_uri,
            to_tag,
            asserted_sip,
            asserted_tel,
            expires: text(&HeaderName::Expires),
        }
    }

    fn fields(&self, status: Option<u16>) -> MessageFields<'_> {
        MessageFields {
            call_id: &self.call_id,
            cseq: &self.cseq,
            method: &self.method,
            from_uri: &self.from_uri,
            from_tag: &self.from_tag,
            to_uri: &self.to_uri,
            to_tag: &self.to_tag,
            asserted_sip: &self.asserted_sip,
            asserted_tel: &self.asserted_tel,
            expires: &self.expires,
            status,
        }
    }
}

/// URI and tag of a From or To, as they stand.
fn address(value: &SipStr) -> (SipStr, SipStr) {
    match NameAddr::parse(value) {
        Ok(address) => (
            address.uri.as_raw().clone(),
            address.params.text("tag").unwrap_or_default(),
        ),
        Err(_) => Default::default(),
    }
}

/// The `sip:` and `tel:` URIs of P-Asserted-Identity, or of P-Preferred-Identity where there is none.
fn asserted(headers: &Headers) -> (SipStr, SipStr) {
    let mut sip = SipStr::default();
    let mut tel = SipStr::default();
    let name = if headers.has(&HeaderName::PAssertedIdentity) {
        HeaderName::PAssertedIdentity
    } else {
        HeaderName::PPreferredIdentity
    };
    for value in headers.get_all(&name) {
        for one in sip_types::syntax::split_list(&value) {
            let Ok(address) = one.and_then(|one| NameAddr::parse(&value.slice_of(one))) else {
                continue;
            };
            let slot = if address.uri.is_tel() { &mut tel } else { &mut sip };
            if slot.is_empty() {
                *slot = address.uri.as_raw().clone();
            }
        }
    }
    (sip, tel)
}

/// Checks what a signed-in client sent: requests and responses alike carry `Authorization`.
pub(crate) fn verify(
    association: &mut SecurityAssociation,
    headers: &Headers,
    status: Option<u16>,
) -> Result<(), SignatureFault> {
    let value = headers
        .get_all(&HeaderName::Authorization)
        .find(|value| sip_auth::scheme(value).eq_ignore_ascii_case("NTLM"))
        .ok_or(SignatureFault::Missing)?;
    let authorization = NtlmAuthorization::parse(&value).map_err(|_| SignatureFault::Wrong)?;
    association.verify(&authorization, &Parts::of(headers).fields(status))
}

/// Signs a request to the client.
pub(crate) fn sign_request(
    association: &mut SecurityAssociation,
    srand: [u8; 4],
    request: Request,
) -> Request {
    let info = association.sign(srand, &Parts::of(request.headers()).fields(None));
    request.with_header(HeaderName::AuthenticationInfo, info)
}

/// Signs a response to the client. A 1xx needs no signature and a 401 cannot have one.
pub(crate) fn sign_response(
    association: &mut SecurityAssociation,
    srand: [u8; 4],
    response: Response,
) -> Response {
    let status = response.status();
    if status.is_provisional() {
        return response;
    }
    let info = association.sign(srand, &Parts::of(response.headers()).fields(Some(status.code())));
    response.with_header(HeaderName::AuthenticationInfo, info)
}
