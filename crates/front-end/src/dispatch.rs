//! What a request goes through before its method is looked at, and the one place that knows which methods there are.

use std::sync::Arc;
use std::time::Instant;

use sip_core::ServerKey;
use sip_transport::CloseReason;
use sip_types::header::typed::MaxForwards;
use sip_types::{HeaderName, Method, Request, StatusCode};

use crate::counters::Refused;
use crate::flow::Flow;
use crate::identity::{self, Denied, OwnHosts};
use crate::method::{self, Incoming};
use crate::service::FrontEndService;
use crate::{sign_in, trace};

/// The methods answered here, for Allow.
pub(crate) const ALLOW: &str =
    "REGISTER, OPTIONS, INVITE, ACK, CANCEL, BYE, MESSAGE, INFO, SUBSCRIBE, PUBLISH, SERVICE";

/// Extensions a request may demand (RFC 3261 section 8.2.2.3).
const REQUIRABLE: [&str; 9] = [
    "path",
    "outbound",
    "gruu",
    "gruu-10",
    "ms-benotify",
    "eventlist",
    "recipient-list-subscribe",
    "adhoclist",
    "categoryList",
];

/// A new request: checked, signed in where it is not, and handed to its method.
pub(crate) fn request(
    service: &Arc<FrontEndService>,
    flow: &Arc<Flow>,
    key: ServerKey,
    request: Request,
    received: Instant,
) {
    service.counters.request_in(request.method());
    if let Err(rejection) = request.validate() {
        service.counters.refused(Refused::Malformed);
        let reply = request
            .reply(rejection.status)
            .reason(&rejection.reason)
            .to_tag(&service.ids.tag());
        return flow.respond(service, &key, reply.build());
    }
    let signed_in = flow.signed_in();
    if signed_in.is_none() && is_probe(service, flow, &request) {
        service.counters.probe();
        return flow.respond(
            service,
            &key,
            method::options::answer(&request, &service.ids.tag()),
        );
    }
    match signed_in {
        None if service.turns_away() => {
            service.turn_away(flow, &key, &request);
            // What it does next, it does on a connection to another front end.
            flow.close(CloseReason::Shutdown);
        }
        Some(_) if flow.is_shut() => service.turn_away(flow, &key, &request),
        Some(who) => {
            dispatch(Incoming {
                service: Arc::clone(service),
                flow: Arc::clone(flow),
                span: trace::request(flow, &request),
                key,
                request,
                received,
                who,
            });
        }
        None => sign_in::begin(service, flow, key, request, received),
    }
}

/// One client may not take the time of the others, and all together not more than there is.
pub(crate) fn too_many(service: &FrontEndService, flow: &Flow) -> Option<Refused> {
    if !flow.admit_request() {
        return Some(Refused::RequestRate);
    }
    if !service.admit_pending() {
        return Some(Refused::Pending);
    }
    let strangers = flow.signed_in().is_none() && !service.admit_unauthenticated(flow.peer());
    strangers.then_some(Refused::UnauthenticatedRate)
}

/// Answers a request that is one too many, before it costs more than the answer. An ACK is never answered.
pub(crate) fn refuse_excess(service: &FrontEndService, flow: &Flow, request: &Request, refused: Refused) {
    service.counters.refused(refused);
    if *request.method() != Method::Ack {
        let reply = request
            .reply(StatusCode::SERVICE_UNAVAILABLE)
            .to_tag(&service.ids.tag());
        flow.reject(
            service,
            reply
                .header(HeaderName::RetryAfter, service.retry_after())
                .build(),
        );
    }
    if refused == Refused::UnauthenticatedRate || flow.exceeds_for_too_long() {
        flow.close(CloseReason::Abuse);
    }
}

/// OPTIONS to the server itself says nothing about users, and is what a balancer asks.
fn is_probe(service: &FrontEndService, flow: &Flow, request: &Request) -> bool {
    if *request.method() != Method::Options {
        return false;
    }
    let own = OwnHosts {
        config: &service.config,
        local: flow.local(),
    };
    // A health check may address any user part; nothing is looked up for it.
    let health = request
        .parsed_uri()
        .is_ok_and(|uri| uri.user().is_some_and(|user| user == "health"));
    health
        || matches!(
            identity::destination(request, &own),
            Ok(identity::Destination::Server)
        )
}

/// A request of a signed-in client, perhaps signed in by this request.
pub(crate) fn dispatch(incoming: Incoming) {
    let _current = incoming.span.enter();
    if let Err(denied) = identity::check_from(&incoming.request, &incoming.who.aor) {
        return deny(&incoming, denied);
    }
    sign_in::use_up_proof(&incoming);
    if no_hops_left(&incoming.request) {
        incoming.service.counters.refused(Refused::Malformed);
        return incoming.answer(StatusCode::TOO_MANY_HOPS);
    }
    let own = OwnHosts {
        config: &incoming.service.config,
        local: incoming.flow.local(),
    };
    if let Err(denied) = identity::check_route(&incoming.request, &own) {
        return deny(&incoming, denied);
    }
    if let Some(unsupported) = unsupported_extensions(&incoming.request) {
        incoming.service.counters.refused(Refused::Extension);
        let reply = incoming
            .reply(StatusCode::BAD_EXTENSION)
            .header(HeaderName::Unsupported, unsupported);
        return incoming.respond(reply.build());
    }
    // Within a dialog the dialog says where the request goes; its Request-URI is our own Contact.
    let destination = if incoming.request.headers().to_tag().is_some() {
        None
    } else {
        match identity::destination(&incoming.request, &own) {
            Ok(destination) => Some(destination),
            Err(denied) => return deny(&incoming, denied),
        }
    };
    match incoming.request.method() {
        Method::Register => method::register::handle(incoming),
        Method::Message => method::message::handle(incoming, destination),
        Method::Invite => method::invite::handle(incoming, destination),
        Method::Bye => method::bye::handle(&incoming, destination.as_ref()),
        Method::Info => method::info::handle(&incoming, destination.as_ref()),
        Method::Options => {
            let response = method::options::answer(&incoming.request, &incoming.service.ids.tag());
            incoming.respond(response);
        }
        Method::Subscribe => method::subscribe::handle(incoming, destination),
        Method::Publish => method::publish::handle(incoming, destination.as_ref()),
        Method::Notify | Method::Benotify | Method::Update | Method::Prack => {
            refuse(&incoming, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        Method::Service => method::service::handle(incoming, destination.as_ref()),
        Method::Refer => refuse(&incoming, StatusCode::METHOD_NOT_ALLOWED),
        // A CANCEL that matches no INVITE (RFC 3261 section 9.2).
        Method::Cancel => refuse(&incoming, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        Method::Ack => {}
        Method::Other(_) => refuse(&incoming, StatusCode::NOT_IMPLEMENTED),
    }
}

/// RFC 3261 section 16.3: what is to go on to somebody else needs a hop for it. What is about this server or its state ends here.
fn no_hops_left(request: &Request) -> bool {
    let ends_here = matches!(
        request.method(),
        Method::Options | Method::Register | Method::Subscribe | Method::Publish | Method::Service
    );
    let hops = request.headers().optional::<MaxForwards>();
    !ends_here && hops.is_ok_and(|hops| hops == Some(MaxForwards(0)))
}

fn refuse(incoming: &Incoming, status: StatusCode) {
    incoming.service.counters.refused(Refused::Unsupported);
    incoming.respond(incoming.reply(status).header(HeaderName::Allow, ALLOW).build());
}

fn deny(incoming: &Incoming, denied: Denied) {
    incoming.service.counters.refused(denied.why);
    tracing::info!(
        user = %telemetry::user(incoming.who.aor.as_str()),
        method = %incoming.request.method(),
        reason = ?denied.why,
        "request denied"
    );
    incoming.answer(denied.status);
}

/// The option tags of Require and Proxy-Require that are not spoken here.
fn unsupported_extensions(request: &Request) -> Option<String> {
    let demanded = [HeaderName::Require, HeaderName::ProxyRequire]
        .into_iter()
        .flat_map(|name| request.headers().get_all(&name).collect::<Vec<_>>())
        .flat_map(|value| {
            value
                .split(',')
                .map(|tag| tag.trim().to_owned())
                .collect::<Vec<_>>()
        });
    let unknown: Vec<String> = demanded
        .filter(|tag| !tag.is_empty() && !REQUIRABLE.iter().any(|known| known.eq_ignore_ascii_case(tag)))
        .collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}
