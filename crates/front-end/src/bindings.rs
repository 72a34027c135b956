//! What happens at this front end when a binding ends: the client is told in its dialect and its connection is closed.

use std::sync::Arc;

use rpc::{BindingChange, BindingEnd, ClientFamily, EndpointAddress, Freshness, RegistrarChange};
use sip_transport::CloseReason;
use sip_types::{AddressOfRecord, HeaderName, Method};
use tokio_stream::StreamExt as _;

use crate::flow::{Flow, From, Registration};
use crate::service::FrontEndService;

/// Content type of the notice (MS-SIPREGE section 2.2.2.2).
const REGISTRATION_EVENT: &str = "text/registration-event";

/// Seconds without a stream of changes before an operator is told: a registrar that starts or moves is away for a moment.
const PATIENT_FAILURES: u32 = 5;

impl FrontEndService {
    /// Follows the registrar's changes until it ends. To be run as a task for as long as the front end serves.
    pub(crate) async fn follow_bindings(self: Arc<Self>) {
        let mut may_have_missed = false;
        let mut failures = 0_u32;
        loop {
            match self.registrar.watch().await {
                Ok(mut changes) => {
                    failures = 0;
                    if std::mem::replace(&mut may_have_missed, true) {
                        self.reconcile().await;
                    }
                    while let Some(change) = changes.next().await {
                        if let RegistrarChange::Bindings(change) = change {
                            self.apply(&change);
                        }
                    }
                    tracing::debug!("the stream of binding changes ended");
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    match failures == PATIENT_FAILURES {
                        true => tracing::warn!(%error, "cannot follow binding changes for a while"),
                        false => tracing::debug!(%error, "cannot follow binding changes"),
                    }
                }
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    /// Finds out what a lost stream of changes would have told: registrations here that no longer stand.
    async fn reconcile(self: &Arc<Self>) {
        for flow in self.flows.values() {
            for registration in flow.registrations() {
                let Ok(location) = self.registrar.lookup(&registration.aor, Freshness::Newest).await else {
                    continue;
                };
                let bindings = location.map(|location| location.bindings);
                let stands = bindings
                    .iter()
                    .flat_map(|bindings| bindings.iter())
                    .any(|binding| {
                        binding.address.endpoint == registration.endpoint
                            && binding.address.epoch == registration.epoch
                    });
                if !stands {
                    let address = EndpointAddress {
                        aor: registration.aor,
                        endpoint: registration.endpoint,
                        epoch: registration.epoch,
                        member: self.config.member.clone(),
                        connection: flow.id(),
                    };
                    self.end_binding(&address, BindingEnd::Expired);
                }
            }
        }
    }

    fn apply(self: &Arc<Self>, change: &BindingChange) {
        for (address, end) in &change.ended {
            if address.member == self.config.member {
                self.end_binding(address, *end);
            }
        }
        if change.account_ended {
            // Rare, so looking at every connection is cheaper than remembering who is signed in where.
            for flow in self.flows.values() {
                if flow.signed_in().is_some_and(|who| who.aor == change.aor) {
                    flow.sign_out();
                    flow.close(CloseReason::Replaced);
                }
            }
        }
    }

    fn end_binding(self: &Arc<Self>, address: &EndpointAddress, end: BindingEnd) {
        let Some((flow, registration)) = self.find(address) else {
            return;
        };
        flow.forget_registration(Some(&address.endpoint));
        if end == BindingEnd::Replaced && flow.is_parting() {
            // It went where it was told to; its connection is closed once nothing is under way on it.
            return;
        }
        let event = match end {
            // The client itself signed out: it knows.
            BindingEnd::Unregistered => return,
            BindingEnd::Expired => "unregistered",
            BindingEnd::Replaced | BindingEnd::Displaced => "deactivated",
            BindingEnd::Rejected => "rejected",
        };
        if registration.client.family == ClientFamily::Lync {
            self.send_notice(&flow, &registration, &address.aor, event, reason(end));
        }
        tracing::debug!(user = %telemetry::user(address.aor.as_str()), ?end, "binding ended");
        if !flow.is_registered() {
            flow.sign_out();
            flow.close(CloseReason::Replaced);
        }
    }

    /// NOTIFY outside any dialog: the client shows the reason and signs in again or not.
    pub(crate) fn send_notice(
        self: &Arc<Self>,
        flow: &Arc<Flow>,
        registration: &Registration,
        aor: &AddressOfRecord,
        event: &str,
        reason: &str,
    ) {
        let from = From {
            aor,
            display_name: "",
        };
        let notice = flow
            .new_request(self, Method::Notify, registration, &from, aor)
            .header(HeaderName::Event, "registration-notify")
            .header(HeaderName::SubscriptionState, "terminated;expires=0")
            .header(
                HeaderName::MsDiagnosticsPublic,
                format_args!("4141;reason=\"{reason}\""),
            )
            .body(
                REGISTRATION_EVENT,
                bytes::Bytes::from(format!("deregistered;event={event}\r\n")),
            )
            .build();
        // The connection closes behind it: there will be no answer to wait for.
        drop(flow.send(self, notice));
    }
}

fn reason(end: BindingEnd) -> &'static str {
    match end {
        BindingEnd::Unregistered => "signed out",
        BindingEnd::Expired => "the registration was not refreshed",
        BindingEnd::Replaced => "this endpoint signed in on another connection",
        BindingEnd::Displaced => "too many endpoints are signed in",
        BindingEnd::Rejected => "an administrator ended this registration",
    }
}
