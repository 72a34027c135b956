//! The same metrics as a collector knows them: dotted names, units beside the name, attributes in a namespace.
//!
//! A name is turned by rule: `_total` and the unit go, underscores become dots. Where a rule cannot know that two words are
//! one, the table says it; a new metric needs no row unless it has such a word.

use std::borrow::Cow;

use super::{Kind, Metric};

/// Name on the page, dotted name, unit (UCUM; annotations in braces say what is counted).
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("portico_build_info", "portico.build.info", "1"),
    ("portico_pool_member_state", "portico.pool.member.state", "1"),
    (
        "portico_transport_read_bytes_total",
        "portico.transport.read",
        "By",
    ),
    (
        "portico_transport_written_bytes_total",
        "portico.transport.written",
        "By",
    ),
    (
        "portico_transport_reads_total",
        "portico.transport.reads",
        "{call}",
    ),
    (
        "portico_transport_writes_total",
        "portico.transport.writes",
        "{call}",
    ),
    (
        "portico_sip_duplicate_deliveries_total",
        "portico.sip.duplicate_deliveries",
        "{message}",
    ),
    (
        "portico_sip_parse_errors_total",
        "portico.sip.parse.errors",
        "{error}",
    ),
    (
        "portico_sip_framing_errors_total",
        "portico.sip.framing.errors",
        "{error}",
    ),
    (
        "portico_sip_transaction_timeouts_total",
        "portico.sip.transaction.timeouts",
        "{transaction}",
    ),
    ("portico_im_messages_total", "portico.im.messages", "{message}"),
    (
        "portico_im_remembered_messages",
        "portico.im.remembered",
        "{message}",
    ),
    ("portico_queue_dropped_total", "portico.queue.dropped", "{item}"),
    (
        "portico_log_lines_suppressed_total",
        "portico.log.suppressed",
        "{line}",
    ),
    ("process_resident_memory_bytes", "process.memory.usage", "By"),
    ("process_virtual_memory_bytes", "process.memory.virtual", "By"),
    ("process_cpu_seconds_total", "process.cpu.time", "s"),
    (
        "process_open_fds",
        "process.unix.file_descriptor.count",
        "{file_descriptor}",
    ),
    (
        "process_max_fds",
        "process.unix.file_descriptor.limit",
        "{file_descriptor}",
    ),
    ("process_threads", "process.thread.count", "{thread}"),
    ("process_start_time_seconds", "process.start.time", "s"),
];

/// Names of attributes that a label's own name does not give away.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("method", "portico.sip.method"),
    ("status_class", "portico.sip.status_class"),
    ("direction", "portico.sip.direction"),
    ("scheme", "portico.auth.scheme"),
    ("kind", "portico.im.kind"),
    ("queue", "portico.queue.name"),
    ("client", "portico.client.kind"),
    ("state", "portico.member.state"),
    ("certificate", "portico.certificate.role"),
];

impl Metric {
    /// The name a collector sees: `portico.im.messages`.
    pub fn dotted(&self) -> Cow<'static, str> {
        match exception(self.name) {
            Some((_, dotted, _)) => Cow::Borrowed(dotted),
            None => Cow::Owned(split(self.name).0.replace('_', ".")),
        }
    }

    /// The unit a collector sees: `s`, `By`, `{message}`; `1` where only the name says what is counted.
    pub fn unit(&self) -> &'static str {
        exception(self.name).map_or_else(|| split(self.name).1, |(_, _, unit)| unit)
    }

    /// Whether the numbers of all members add up to a meaningful one: open connections do, the age of a certificate does
    /// not. A collector keeps the first kind as a sum and the second as a gauge.
    pub fn adds_up(&self) -> bool {
        self.kind == Kind::Counter || self.name.ends_with("_active")
    }
}

fn exception(name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    EXCEPTIONS.iter().find(|(page, _, _)| *page == name).copied()
}

/// Name without unit and `_total`, and the unit.
fn split(name: &'static str) -> (&'static str, &'static str) {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match (name.strip_suffix("_seconds"), name.strip_suffix("_bytes")) {
        (Some(name), _) => (name, "s"),
        (_, Some(name)) => (name, "By"),
        _ => (name, "1"),
    }
}

/// The attribute a label becomes.
pub(crate) fn attribute(label: &str) -> Cow<'static, str> {
    match ATTRIBUTES.iter().find(|(known, _)| *known == label) {
        Some((_, attribute)) => Cow::Borrowed(attribute),
        None => Cow::Owned(format!("portico.{label}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{ALL, IM_DELIVERY_DURATION, IM_MESSAGES, TLS_CERTIFICATE_REMAINING};
    use super::*;

    #[test]
    fn dotted_names_are_in_a_namespace_without_unit_and_used_once() {
        let mut seen = HashSet::new();
        for metric in ALL {
            let name = metric.dotted();
            assert!(
                name.starts_with("portico.") || name.starts_with("process."),
                "{name} is in nobody's namespace"
            );
            for part in ["total", "seconds", "bytes"] {
                assert!(
                    !name.ends_with(part),
                    "{name} says what the unit or the type says"
                );
            }
            assert!(seen.insert(name.clone()), "{name} stands for two metrics");
        }
    }

    #[test]
    fn a_unit_leaves_the_name_and_stands_beside_it() {
        assert_eq!(IM_DELIVERY_DURATION.dotted(), "portico.im.delivery.duration");
        assert_eq!(IM_DELIVERY_DURATION.unit(), "s");
        assert_eq!(
            TLS_CERTIFICATE_REMAINING.dotted(),
            "portico.tls.certificate.remaining"
        );
        assert_eq!(
            (IM_MESSAGES.dotted().as_ref(), IM_MESSAGES.unit()),
            ("portico.im.messages", "{message}")
        );
    }

    #[test]
    fn every_exception_is_about_a_metric_there_is() {
        for (name, _, _) in EXCEPTIONS {
            assert!(ALL.iter().any(|metric| metric.name == *name), "{name}");
        }
    }

    #[test]
    fn a_label_becomes_an_attribute_in_our_namespace() {
        assert_eq!(attribute("method"), "portico.sip.method");
        assert_eq!(attribute("reason"), "portico.reason");
    }
}
