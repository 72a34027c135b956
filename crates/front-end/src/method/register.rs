//! REGISTER (RFC 3261 section 10, RFC 5626, RFC 5627, MS-SIPREGE): endpoints sign in, refresh and sign out.

use std::sync::Arc;
use std::time::Duration;

use rpc::{
    Binding, ClientFamily, EndpointId, Epoch, Freshness, Register, RegisterError, Registered, Unregister,
    Which,
};
use sip_types::header::typed::Contact;
use sip_types::{HeaderName, NameAddr, Request, ResponseBuilder, StatusCode};

use super::Incoming;
use crate::client;
use crate::flow::Registration;
use crate::presence::lync::ALLOW_EVENTS;

/// How often a Lync-family client sends its keep-alive.
const LYNC_KEEP_ALIVE: Duration = Duration::from_secs(300);

/// RFC 5626 section 4.4.1: the client sends its CRLF within 80 to 100 per cent of this.
const FLOW_TIMER: Duration = Duration::from_secs(120);

/// What the contacts of a REGISTER ask for.
enum Wish {
    /// No Contact: tell me what is bound.
    Fetch,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    /// One or more endpoints to bind or remove.
    Contacts(Vec<Contact>),
}

/// Answers a REGISTER of a signed-in user.
pub(crate) fn handle(incoming: Incoming) {
    let wish = match wish(&incoming.request) {
        Ok(wish) => wish,
        Err(status) => return incoming.answer(status),
    };
    let service = Arc::clone(&incoming.service);
    if incoming.flow.is_parting() && adds(&incoming.request, &wish) {
        return service.turn_away(&incoming.flow, &incoming.key, &incoming.request);
    }
    service.spawn(async move {
        let bindings = match wish {
            Wish::Fetch => fetch(&incoming).await,
            Wish::RemoveAll => remove(&incoming, Which::All).await,
            Wish::Contacts(contacts) => update(&incoming, contacts).await,
        };
        match bindings {
            Ok(bindings) => incoming.respond(accepted(&incoming, &bindings).build()),
            Err(error) => refuse(&incoming, &error),
        }
    });
}

fn wish(request: &Request) -> Result<Wish, StatusCode> {
    let contacts = request
        .headers()
        .list::<Contact>()
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    if contacts.is_empty() {
        return Ok(Wish::Fetch);
    }
    if contacts
        .iter()
        .any(|contact| matches!(contact, Contact::Wildcard))
    {
        // RFC 3261 section 10.2.2: the wildcard stands alone and only with Expires: 0.
        let alone = contacts.len() == 1 && header_expires(request) == Some(0);
        return if alone {
            Ok(Wish::RemoveAll)
        } else {
            Err(StatusCode::BAD_REQUEST)
        };
    }
    Ok(Wish::Contacts(contacts))
}

/// Whether it asks for a binding, and not only for the end of some.
fn adds(request: &Request, wish: &Wish) -> bool {
    let Wish::Contacts(contacts) = wish else {
        return false;
    };
    let expires = |contact: &Contact| contact.expires().or_else(|| header_expires(request));
    contacts.iter().any(|contact| expires(contact) != Some(0))
}

fn header_expires(request: &Request) -> Option<u32> {
    let value = request.headers().get(&HeaderName::Expires)?;
    // RFC 3261 section 20.19: a malformed value counts as 3600.
    Some(
        value
            .trim()
            .parse()
            .unwrap_or(sip_types::header::typed::MALFORMED_EXPIRES),
    )
}

async fn fetch(incoming: &Incoming) -> Result<Vec<Binding>, RegisterError> {
    let location = incoming
        .service
        .registrar
        .lookup(&incoming.who.aor, Freshness::Newest)
        .await?;
    Ok(location
        .map(|location| location.bindings.to_vec())
        .unwrap_or_default())
}

async fn remove(incoming: &Incoming, which: Which) -> Result<Vec<Binding>, RegisterError> {
    let endpoint = match &which {
        Which::Endpoint(endpoint) => Some(endpoint.clone()),
        _ => None,
    };
    let request = Unregister {
        aor: incoming.who.aor.clone(),
        which,
        order: order(&incoming.request),
    };
    let left = incoming.service.registrar.unregister(request).await?;
    incoming.flow.forget_registration(endpoint.as_ref());
    Ok(left)
}

fn order(request: &Request) -> Option<(String, u32)> {
    Some((request.call_id().ok()?.to_string(), request.cseq().ok()?.number))
}

async fn update(incoming: &Incoming, contacts: Vec<Contact>) -> Result<Vec<Binding>, RegisterError> {
    let mut bindings = Vec::new();
    for contact in contacts {
        let Some(address) = contact.address() else {
            continue;
        };
        let expires = contact.expires().or_else(|| header_expires(&incoming.request));
        bindings = if expires == Some(0) {
            remove(
                incoming,
                Which::Endpoint(endpoint_id(&incoming.request, &contact, address)),
            )
            .await?
        } else {
            bind(incoming, &contact, address, expires).await?.bindings
        };
    }
    Ok(bindings)
}

async fn bind(
    incoming: &Incoming,
    contact: &Contact,
    address: &NameAddr,
    expires: Option<u32>,
) -> Result<Registered, RegisterError> {
    let request = &incoming.request;
    let client = client::client(request, &address.params);
    let endpoint = endpoint_id(request, contact, address);
    let (call_id, cseq) = order(request).unwrap_or_default();
    let register = Register {
        aor: incoming.who.aor.clone(),
        endpoint: endpoint.clone(),
        contact: address.uri.to_string(),
        instance: contact.instance().map(|instance| instance.to_string()),
        epid: client::epid(request),
        reg_id: contact.reg_id(),
        call_id,
        cseq,
        expires,
        member: incoming.service.config.member.clone(),
        connection: incoming.flow.id(),
        family: client.family,
        mode: client.mode,
        user_agent: request
            .headers()
            .get(&HeaderName::UserAgent)
            .map(|agent| agent.to_string()),
    };
    let registered = incoming.service.registrar.register(register).await?;
    let kept = incoming.flow.keep_registration(Registration {
        aor: incoming.who.aor.clone(),
        endpoint: endpoint.clone(),
        epoch: registered.epoch,
        client,
        contact: address.uri.as_raw().detach(),
        epid: client::epid(request),
    });
    if !kept || !is_bound(incoming, &endpoint, registered.epoch).await? {
        // The connection closed, or an administrator ended the binding, while it was being made.
        incoming.flow.forget_registration(Some(&endpoint));
        incoming
            .service
            .unregister(incoming.who.aor.clone(), endpoint, registered.epoch);
        return Err(RegisterError::Forbidden);
    }
    let (keep_alive, pong) = keep_alive(incoming, client.family, registered.expires);
    incoming.flow.set_keep_alive(keep_alive, pong);
    Ok(registered)
}

/// Whether a binding just made still stands.
async fn is_bound(incoming: &Incoming, endpoint: &EndpointId, epoch: Epoch) -> Result<bool, RegisterError> {
    let location = incoming
        .service
        .registrar
        .lookup(&incoming.who.aor, Freshness::Newest)
        .await?;
    Ok(location.is_some_and(|location| {
        let mut addresses = location.bindings.iter().map(|binding| &binding.address);
        addresses.any(|address| address.endpoint == *endpoint && address.epoch == epoch)
    }))
}

/// How long the connection may be silent, and whether a double CRLF is answered: on outbound flows only
/// (RFC 5626 section 3.5.1; a Lync-family client's keep-alive is not answered).
fn keep_alive(incoming: &Incoming, family: ClientFamily, expires: u32) -> (Duration, bool) {
    match family {
        ClientFamily::Lync => (LYNC_KEEP_ALIVE, false),
        ClientFamily::Simple if outbound(incoming) => (FLOW_TIMER, true),
        // No keep-alive was agreed: the refresh is the sign of life.
        ClientFamily::Simple => (Duration::from_secs(u64::from(expires)), false),
    }
}

/// RFC 5626 section 6: outbound is used when the client supports it and names a flow.
fn outbound(incoming: &Incoming) -> bool {
    let contacts = incoming.request.headers().list::<Contact>().unwrap_or_default();
    client::supports(&incoming.request, "outbound")
        && contacts.iter().any(|contact| contact.reg_id().is_some())
}

/// The name of an endpoint: its instance and flow, the `epid` of a Lync-family client without instance, or its Contact.
fn endpoint_id(request: &Request, contact: &Contact, address: &NameAddr) -> EndpointId {
    let name = match (contact.instance(), client::epid(request)) {
        (Some(instance), _) => match contact.reg_id() {
            Some(reg_id) => format!("{};reg-id={reg_id}", instance.to_ascii_lowercase()),
            None => instance.to_ascii_lowercase(),
        },
        (None, Some(epid)) => format!("epid:{}", epid.to_ascii_lowercase()),
        (None, None) => {
            let user = address.uri.user().unwrap_or_default();
            let port = address
                .uri
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            format!("contact:{user}@{}{port}", address.uri.host().to_ascii_lowercase())
        }
    };
    EndpointId::new(&name)
}

/// The 200: every binding of the user (RFC 3261 section 10.3 step 8) and what makes each family's client feel at home.
fn accepted(incoming: &Incoming, bindings: &[Binding]) -> ResponseBuilder {
    let mut reply = incoming.reply(StatusCode::OK);
    let family = client::family(&incoming.request);
    let gruu = family == ClientFamily::Lync || client::supports(&incoming.request, "gruu");
    for binding in bindings {
        reply = reply.header(HeaderName::Contact, contact_value(binding, family, gruu));
    }
    match family {
        ClientFamily::Lync => {
            if let Some(own) = incoming.flow.registered_expiry(bindings) {
                reply = reply.header(HeaderName::Expires, own);
            }
            // SIPE 1.25 compares whole values: one option per line. Together they switch the client to its modern
            // dialect.
            let alive = format!(
                "UAS; tcp=no; hop-hop=yes; end-end=no; timeout={}",
                LYNC_KEEP_ALIVE.as_secs()
            );
            reply = reply
                .header(HeaderName::AllowEvents, ALLOW_EVENTS)
                .raw_line("presence-state: register-action=\"added\"")
                .header(HeaderName::Supported, "adhoclist")
                .header(HeaderName::Supported, "msrtc-event-categories")
                .header(HeaderName::Server, "RTC/4.0")
                .header(HeaderName::MsKeepAlive, alive);
        }
        ClientFamily::Simple => {
            reply = reply.header(HeaderName::Supported, "path, outbound, gruu");
            for path in incoming.request.headers().get_all(&HeaderName::Path) {
                reply = reply.header(HeaderName::Path, path);
            }
            if outbound(incoming) && !bindings.is_empty() {
                reply = reply
                    .header(HeaderName::Require, "outbound")
                    .header(HeaderName::FlowTimer, FLOW_TIMER.as_secs());
            }
        }
    }
    reply.header(HeaderName::Date, crate::service::sip_date())
}

fn contact_value(binding: &Binding, family: ClientFamily, gruu: bool) -> String {
    let mut value = format!("<{}>;expires={}", binding.contact, binding.expires_in);
    if let Some(instance) = &binding.instance {
        value.push_str(&format!(";+sip.instance=\"<{instance}>\""));
    }
    if let Some(reg_id) = binding.reg_id {
        value.push_str(&format!(";reg-id={reg_id}"));
    }
    if let Some(address) = binding.gruu.as_ref().filter(|_| gruu) {
        // RFC 5627 says `pub-gruu`; Lync-family clients look for `gruu`.
        let name = if family == ClientFamily::Lync {
            "gruu"
        } else {
            "pub-gruu"
        };
        value.push_str(&format!(";{name}=\"{address}\""));
    }
    value
}

fn refuse(incoming: &Incoming, error: &RegisterError) {
    match error {
        RegisterError::IntervalTooBrief(minimum) => {
            let reply = incoming
                .reply(StatusCode::INTERVAL_TOO_BRIEF)
                .header(HeaderName::MinExpires, minimum);
            incoming.respond(reply.build());
        }
        // RFC 3261 section 10.3 step 7: the update is aborted and the request fails.
        RegisterError::OutOfOrder => incoming.answer(StatusCode::SERVER_INTERNAL_ERROR),
        RegisterError::NoSuchUser => incoming.answer(StatusCode::NOT_FOUND),
        RegisterError::Forbidden => incoming.answer(StatusCode::FORBIDDEN),
        RegisterError::Failed(error) => incoming.answer_error(error),
    }
}
