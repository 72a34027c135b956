//! Showing a typing indication to the endpoints whose dialect can.

use std::sync::Arc;

use rpc::{Path, Signal, Target};
use sip_types::{AddressOfRecord, StatusCode};
use tokio::sync::oneshot;

use crate::dialect::outgoing;
use crate::flow::{Flow, From};
use crate::service::FrontEndService;

/// Sends the indication; nobody waits for the answers, but one that says *never again* is heeded.
pub(crate) fn signal(service: &Arc<FrontEndService>, signal: &Signal, targets: &[Target]) {
    for target in targets {
        let Some((flow, registration)) = service.find(&target.address) else {
            continue;
        };
        if !flow.takes_typing() {
            continue;
        }
        let in_session = matches!(target.path, Path::Leg(_));
        let (method, body) = outgoing::typing(registration.client.family, in_session, signal.typing);
        let response = match target.path {
            Path::Page => {
                let from = From {
                    aor: &signal.from,
                    display_name: "",
                };
                let builder = flow.new_request(service, method, &registration, &from, recipient(signal));
                Some(
                    flow.send(service, builder.body(&body.content_type, body.body).build())
                        .1,
                )
            }
            Path::Leg(id) => service.legs.get(&id).and_then(|leg| {
                leg.request(method, |builder| {
                    flow.send(service, builder.body(&body.content_type, body.body).build())
                        .1
                })
            }),
        };
        if let Some(response) = response {
            heed(service, flow, response);
        }
    }
}

fn recipient(signal: &Signal) -> &AddressOfRecord {
    &signal.to
}

/// baresip 1.0 takes plain text only and answers 415: it is not asked again.
fn heed(service: &Arc<FrontEndService>, flow: Arc<Flow>, response: oneshot::Receiver<sip_types::Response>) {
    service.spawn(async move {
        let Ok(response) = response.await else { return };
        let refused = [
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::NOT_IMPLEMENTED,
        ];
        if refused.contains(&response.status()) {
            flow.set_no_typing();
        }
    });
}
