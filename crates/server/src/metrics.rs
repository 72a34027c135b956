//! The collectors of this member: what the transport, the roles and the process have counted.

use std::sync::Arc;
use std::time::SystemTime;

use sip_transport::{Count, Counters, Listener, Transport};
use telemetry::names::label;
use telemetry::otlp::Exporter;
use telemetry::{Page, Registry, collect_process, names, suppressed_lines};

use crate::background::Background;
use crate::certificate::Certificate;
use crate::health::{Health, State};

/// Registers what every member has.
pub(crate) fn register(
    registry: &Registry,
    health: &Arc<Health>,
    transport: &Transport,
    certificate: Option<&Certificate>,
) {
    registry.register(Box::new(collect_process));
    registry.register(Box::new(|page| {
        page.gauge(&names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.counter(&names::LOG_LINES_SUPPRESSED, &[], suppressed_lines());
    }));
    let health = Arc::clone(health);
    registry.register(Box::new(move |page| {
        let present = health.state();
        for state in State::ALL {
            let value = if state == present { 1.0 } else { 0.0 };
            page.gauge(&names::MEMBER_STATE, &[(label::STATE, state.as_str())], value);
        }
    }));
    let counters = Arc::clone(transport.counters());
    registry.register(Box::new(move |page| collect_transport(page, &counters)));
    if let Some(certificate) = certificate.cloned() {
        registry.register(Box::new(move |page| {
            let remaining = certificate.remaining_seconds(SystemTime::now()) as f64;
            page.gauge(
                &names::TLS_CERTIFICATE_REMAINING,
                &[(label::CERTIFICATE, "sip")],
                remaining,
            );
        }));
    }
}

/// Sends the numbers of the registry to a collector until the member stops, and shows what became of it.
pub(crate) fn push(registry: &Arc<Registry>, exporter: &Exporter, background: &Background) {
    let counted = exporter.clone();
    registry.register(Box::new(move |page| counted.collect(page)));
    let stop = background.stop.clone().cancelled_owned();
    background
        .tasks
        .spawn(exporter.clone().push_metrics(Arc::clone(registry), stop));
}

/// Registers what only listeners know.
pub(crate) fn register_listeners(registry: &Registry, listeners: &Arc<[Listener]>) {
    let listeners = Arc::clone(listeners);
    registry.register(Box::new(move |page| {
        for listener in &*listeners {
            let labels = [(label::LISTENER, listener.name())];
            page.gauge(
                &names::CONNECTIONS_ACTIVE,
                &labels,
                listener.connection_count() as f64,
            );
        }
    }));
}

fn collect_transport(page: &mut Page, counters: &Counters) {
    for (metric, count) in [
        (&names::CONNECTIONS_ACCEPTED, Count::Accepted),
        (&names::TLS_HANDSHAKES, Count::Handshake),
        (&names::TLS_HANDSHAKES_FAILED, Count::HandshakeFailed),
        (&names::TRANSPORT_BYTES_IN, Count::BytesIn),
        (&names::TRANSPORT_BYTES_OUT, Count::BytesOut),
        (&names::TRANSPORT_READS, Count::Reads),
        (&names::TRANSPORT_WRITES, Count::Writes),
        (&names::SIP_PARSE_ERRORS, Count::ParseErrors),
    ] {
        page.counter(metric, &[], counters.get(count));
    }
    for sample in counters.samples() {
        let Some(which) = sample.label else { continue };
        match sample.name {
            "closed" => page.counter(
                &names::CONNECTIONS_CLOSED,
                &[(label::REASON, which)],
                sample.value,
            ),
            "limit_hits" => page.counter(&names::LIMIT_HITS, &[(label::LIMIT, which)], sample.value),
            "framing_errors" => page.counter(
                &names::SIP_FRAMING_ERRORS,
                &[(label::REASON, which)],
                sample.value,
            ),
            _ => {}
        }
    }
}

/// Conversations.
pub(crate) fn collect_immcu(page: &mut Page, now: &immcu::Snapshot) {
    for (kind, result, count) in &now.messages {
        page.counter(
            &names::IM_MESSAGES,
            &[(label::KIND, kind), (label::RESULT, result)],
            *count,
        );
    }
    for (event, count) in [
        ("duplicate", now.duplicates),
        ("retried", now.retries),
        ("not_owner", now.not_owner),
        ("rerouted", now.rerouted),
        ("lost_call", now.lost_calls),
        ("blocked", now.blocked),
        ("rules_unknown", now.rules_unknown),
    ] {
        page.counter(&names::IM_EVENTS, &[(label::REASON, event)], count);
    }
    page.counter(&names::IM_SIGNALS, &[(label::RESULT, "sent")], now.signals_sent);
    page.counter(
        &names::IM_SIGNALS,
        &[(label::RESULT, "conflated")],
        now.signals_conflated,
    );
    page.counter(
        &names::QUEUE_DROPPED,
        &[(label::QUEUE, "conversation")],
        now.queue_overflows,
    );
    page.counter(&names::ARCHIVE_GAPS, &[], now.archive_gaps);
    page.counter(&names::IM_SESSIONS_OPENED, &[], now.opens);
    page.gauge(&names::IM_CONVERSATIONS_ACTIVE, &[], now.conversations as f64);
    page.gauge(&names::IM_LEGS_ACTIVE, &[], now.legs as f64);
    page.gauge(&names::IM_RINGING, &[], now.ringing as f64);
    page.gauge(&names::IM_REMEMBERED, &[], now.remembered as f64);
}

/// Writes what the owner of presence counts.
pub(crate) fn collect_presence(page: &mut Page, now: &presence::Snapshot) {
    for (operation, result, count) in &now.operations {
        page.counter(
            &names::PRESENCE_OPERATIONS,
            &[(label::OPERATION, operation), (label::RESULT, result)],
            *count,
        );
    }
    for (event, count) in &now.events {
        page.counter(&names::PRESENCE_EVENTS, &[(label::EVENT, event)], *count);
    }
    page.gauge(&names::PRESENCE_PRESENTITIES_ACTIVE, &[], now.presentities as f64);
    page.gauge(&names::PRESENCE_FRONT_ENDS_ACTIVE, &[], now.front_ends as f64);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use telemetry::names::Kind;

    use super::*;

    #[test]
    fn a_member_shows_its_state_its_limits_and_its_connections() {
        let registry = Registry::new();
        let health = Arc::new(Health::new(Instant::now()));
        let transport = Transport::new(sip_transport::Limits::default()).unwrap();
        register(&registry, &health, &transport, None);
        health.set_state(State::Serving);
        let text = registry.render();
        for line in [
            "portico_pool_member_state{state=\"serving\"} 1",
            "portico_pool_member_state{state=\"draining\"} 0",
            "portico_connection_closed_total{reason=\"idle\"} 0",
            "portico_limit_hits_total{limit=\"connections_per_address\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_page_about_metrics_has_every_metric_with_its_type_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(path).unwrap();
        for metric in names::ALL {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let row = format!("| `{}` | {kind} | ", metric.name);
            assert!(
                page.contains(&row),
                "docs/metrics.md has no row that begins {row}"
            );
        }
        let rows = page
            .lines()
            .filter(|line| line.starts_with("| `portico_") || line.starts_with("| `process_"))
            .filter(|line| {
                [" | counter | ", " | gauge | ", " | histogram | "]
                    .iter()
                    .any(|kind| line.contains(kind))
            });
        assert_eq!(
            rows.count(),
            names::ALL.len(),
            "docs/metrics.md has rows of metrics that are not there"
        );
    }
}
