//! Delivering a message to endpoints of this front end, page mode or inside a session.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use rpc::{Deliver, EndpointId, FailureReason, InstantMessage, MessageId, Path, Target};
use sip_types::{HeaderName, Method, Request, RequestBuilder, Response, StatusCode};
use tokio::sync::oneshot;

use crate::dialect::outgoing::{self, Rendered};
use crate::flow::{Flow, From, Registration};
use crate::leg::Leg;
use crate::recent::Admission;
use crate::service::FrontEndService;
use crate::trace;

/// Delivers one message; one outcome per target, in their order.
pub(crate) async fn deliver(
    service: &Arc<FrontEndService>,
    deliver: &Deliver,
) -> Vec<Result<(), FailureReason>> {
    match deliver.targets.as_slice() {
        [one] => vec![to_target(service, deliver, one).await],
        many => {
            let all = many.iter().enumerate().map(|(place, target)| async move {
                let outcome = to_target(service, deliver, target).await;
                if let Some(progress) = &deliver.progress {
                    progress.report(place, outcome);
                }
                outcome
            });
            join_all(all).await
        }
    }
}

async fn to_target(
    service: &Arc<FrontEndService>,
    deliver: &Deliver,
    target: &Target,
) -> Result<(), FailureReason> {
    let (flow, registration) = service.find(&target.address).ok_or(FailureReason::NotOwner)?;
    match flow.admit_delivery(&registration.endpoint, deliver.message.id) {
        Admission::Deliver => {}
        Admission::Done(outcome) => {
            service.counters.duplicate();
            return outcome;
        }
        Admission::Join(mut outcome) => {
            service.counters.duplicate();
            let joined = outcome.wait_for(Option::is_some).await.map(|outcome| *outcome);
            return joined
                .ok()
                .flatten()
                .unwrap_or(Err(FailureReason::EndpointFailed));
        }
    }
    let started = Instant::now();
    let admitted = Admitted {
        flow: &flow,
        endpoint: &registration.endpoint,
        id: deliver.message.id,
        outcome: None,
    };
    let delivery = Delivery {
        service,
        flow: &flow,
        registration: &registration,
        message: &deliver.message,
    };
    let span = trace::outgoing(&flow, &Method::Message);
    let sent = delivery.send(target.path, started + deliver.patience);
    let outcome = trace::outcome(span, sent).await;
    if outcome.is_ok() {
        service.counters.delivery().observe(started.elapsed());
    }
    admitted.finish(outcome)
}

/// A delivery the endpoint's memory knows to be under way. However it ends, also by nobody waiting for it any more, the
/// memory learns of it, so that a repeated delivery never waits for one that is over.
struct Admitted<'a> {
    flow: &'a Flow,
    endpoint: &'a EndpointId,
    id: MessageId,
    outcome: Option<Result<(), FailureReason>>,
}

impl Admitted<'_> {
    fn finish(mut self, outcome: Result<(), FailureReason>) -> Result<(), FailureReason> {
        self.outcome = Some(outcome);
        outcome
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or(Err(FailureReason::Timeout));
        self.flow.finish_delivery(self.endpoint, self.id, outcome);
    }
}

/// One message on its way to one endpoint.
struct Delivery<'a> {
    service: &'a Arc<FrontEndService>,
    flow: &'a Arc<Flow>,
    registration: &'a Registration,
    message: &'a InstantMessage,
}

impl Delivery<'_> {
    async fn send(&self, path: Path, deadline: Instant) -> Result<(), FailureReason> {
        let plain_only = self.flow.plain_only();
        let status = self.attempt(path, plain_only, deadline).await?;
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE
            && !plain_only
            && outgoing::has_plainer_form(&self.message.content)
        {
            self.flow.set_plain_only();
            return outcome(self.attempt(path, true, deadline).await?);
        }
        outcome(status)
    }

    /// Sends the message once and waits for the final answer.
    async fn attempt(
        &self,
        path: Path,
        plain_only: bool,
        deadline: Instant,
    ) -> Result<StatusCode, FailureReason> {
        let body = outgoing::message(self.registration.client.family, plain_only, &self.message.content);
        let (leg, response) = match path {
            Path::Page => (None, self.page(body)),
            Path::Leg(id) => {
                let leg = self.service.legs.get(&id).ok_or(FailureReason::NoSession)?;
                if tokio::time::timeout_at(deadline.into(), leg.settled())
                    .await
                    .is_err()
                {
                    return Err(FailureReason::Timeout);
                }
                let response = self.in_session(&leg, body).ok_or(FailureReason::NoSession)?;
                (Some(leg), response)
            }
        };
        let response = match tokio::time::timeout_at(deadline.into(), response).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) if self.flow.is_gone() => return Err(FailureReason::Unavailable),
            // No answer in time, from the client or by its transaction.
            Ok(Err(_)) | Err(_) => return Err(FailureReason::Timeout),
        };
        let status = response.status();
        if let Some(leg) = leg.filter(|_| ends_dialog(status)) {
            self.service.forget(&leg);
            return Err(FailureReason::NoSession);
        }
        Ok(status)
    }

    fn page(&self, body: Rendered) -> oneshot::Receiver<Response> {
        let from = From {
            aor: &self.message.from,
            display_name: &self.message.from_display,
        };
        let builder = self.flow.new_request(
            self.service,
            Method::Message,
            self.registration,
            &from,
            &self.message.to,
        );
        self.flow.send(self.service, self.finish(builder, body)).1
    }

    fn in_session(&self, leg: &Arc<Leg>, body: Rendered) -> Option<oneshot::Receiver<Response>> {
        leg.request(Method::Message, |builder| {
            self.flow.send(self.service, self.finish(builder, body)).1
        })
    }

    fn finish(&self, builder: RequestBuilder, body: Rendered) -> Request {
        let builder = match &self.message.subject {
            Some(subject) => builder.header(HeaderName::Subject, subject),
            None => builder,
        };
        builder.body(&body.content_type, body.body).build()
    }
}

fn outcome(status: StatusCode) -> Result<(), FailureReason> {
    match FailureReason::from_sip_status(status.code()) {
        None => Ok(()),
        // Outside a session there is none to be gone: the endpoint did not take the message.
        Some(FailureReason::NoSession) => Err(FailureReason::EndpointFailed),
        Some(reason) => Err(reason),
    }
}

/// RFC 3261 section 12.2.1.2: these answers end the dialog of a request in it. Lync-family clients also drop the session
/// on 480.
pub(crate) fn ends_dialog(status: StatusCode) -> bool {
    matches!(status.code(), 404 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}
