//! Every metric this server has, by the name a scraper sees.
//!
//! The names follow the house's naming table: `portico.` namespace, dots written as underscores, unit and `_total` added
//! as the Prometheus text format wants them. [`Metric::dotted`] and [`Metric::unit`] are the same for a collector.

mod dotted;

pub(crate) use dotted::attribute;

/// What a metric measures, and so which type the page declares for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows, until the process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution in fixed buckets.
    Histogram,
}

/// One metric: name, type and meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metric {
    /// Name on the page, unit and `_total` included.
    pub name: &'static str,
    /// Type on the page.
    pub kind: Kind,
    /// One line for the reader of the page.
    pub help: &'static str,
}

impl Metric {
    /// A number that only grows.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Metric {
            name,
            kind: Kind::Counter,
            help,
        }
    }

    /// A number that goes up and down.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Metric {
            name,
            kind: Kind::Gauge,
            help,
        }
    }

    /// A distribution.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Metric {
            name,
            kind: Kind::Histogram,
            help,
        }
    }
}

/// Declares the constants and, so that a test can look at all of them, the list.
macro_rules! metrics {
    ($($(#[$doc:meta])* $ident:ident = $kind:ident($name:literal, $help:literal);)*) => {
        $(
            #[doc = $help]
            $(#[$doc])*
            pub const $ident: Metric = Metric::$kind($name, $help);
        )*
        /// All metrics of ours, in the order of this file.
        pub const ALL: &[Metric] = &[$($ident),*];
    };
}

metrics! {
    BUILD_INFO = gauge("portico_build_info", "Always 1; the labels say what runs.");
    MEMBER_STATE = gauge("portico_pool_member_state", "1 for the state this member is in, 0 for the others.");

    POOL_MEMBERS = gauge("portico_pool_members", "Live members of the pool, as this one knows it.");
    LEASE_AGE = gauge("portico_lease_age_seconds", "Time since the start of the last successful renewal of this member's lease.");
    OWNERSHIP_VALIDITY = gauge("portico_ownership_validity", "1 for the state what this member owns is in, 0 for the others.");
    PARTITIONS = gauge("portico_partitions", "Partitions this member owns, by keys and state.");
    PARTITION_OPERATIONS = counter("portico_partition_operations_total", "Partitions that came to or left this member, by keys and operation.");
    LEASE_OPERATIONS = counter("portico_lease_operations_total", "Calls to the store of leases, by operation and result.");
    STORE_HISTORY_LOSSES = counter("portico_store_history_losses_total", "Times the shared store had lost what was written.");
    FENCED_TIME = counter("portico_fenced_seconds_total", "Time in which this member had to refuse because its lease was not renewed.");

    CONNECTIONS_ACTIVE = gauge("portico_connection_active", "Open client connections, by listener.");
    CONNECTIONS_ACCEPTED = counter("portico_connection_accepted_total", "Client connections accepted.");
    CONNECTIONS_CLOSED = counter("portico_connection_closed_total", "Client connections closed, by reason.");
    TLS_HANDSHAKES = counter("portico_tls_handshake_total", "TLS handshakes that finished.");
    TLS_HANDSHAKES_FAILED = counter("portico_tls_handshake_failed_total", "TLS handshakes that did not finish.");
    TLS_CERTIFICATE_REMAINING = gauge(
        "portico_tls_certificate_remaining_seconds",
        "Seconds until the certificate in use expires; negative once it has."
    );
    TRANSPORT_BYTES_IN = counter("portico_transport_read_bytes_total", "Bytes read from client sockets.");
    TRANSPORT_BYTES_OUT = counter("portico_transport_written_bytes_total", "Bytes written to client sockets.");
    TRANSPORT_READS = counter("portico_transport_reads_total", "System calls that read from a client socket.");
    TRANSPORT_WRITES = counter("portico_transport_writes_total", "System calls that wrote to a client socket.");
    LIMIT_HITS = counter("portico_limit_hits_total", "Refusals because a limit was reached, by limit.");

    SIP_REQUESTS = counter("portico_sip_requests_total", "SIP requests, by method and direction.");
    SIP_RESPONSES = counter("portico_sip_responses_total", "SIP responses, by status class and direction.");
    SIP_REQUEST_DURATION = histogram(
        "portico_sip_request_duration_seconds",
        "Time from a request of a signed-in client to its final response, by method; of an INVITE it includes the ringing."
    );
    SIP_PARSE_ERRORS = counter("portico_sip_parse_errors_total", "Messages refused because they could not be read.");
    SIP_FRAMING_ERRORS = counter(
        "portico_sip_framing_errors_total",
        "Streams given up because the end of a message was in doubt, by reason."
    );
    SIP_REFUSALS = counter("portico_sip_refusals_total", "Requests refused before any role saw them, by reason.");
    SIP_DUPLICATE_DELIVERIES = counter(
        "portico_sip_duplicate_deliveries_total",
        "Messages an endpoint already had, answered with the recorded outcome."
    );
    HEALTH_PROBES = counter("portico_health_probes_total", "OPTIONS requests answered without a sign-in.");
    SIP_TRANSACTION_TIMEOUTS = counter(
        "portico_sip_transaction_timeouts_total",
        "Requests of ours that a client did not answer in time."
    );

    PRESENCE_SUBSCRIPTIONS_ACTIVE = gauge("portico_presence_subscription_active", "Presence subscriptions of clients, by event.");
    PRESENCE_SUBSCRIPTIONS = counter("portico_presence_subscriptions_total", "Presence subscriptions that began, by event.");
    PRESENCE_SUBSCRIPTIONS_REFUSED = counter("portico_presence_subscriptions_refused_total", "SUBSCRIBE requests refused, by reason.");
    PRESENCE_FOLLOWED = gauge("portico_presence_followed", "Users whose presence this front end follows.");
    PRESENCE_NOTIFICATIONS = counter("portico_presence_notifications_total", "NOTIFY requests to clients, by event and result.");
    PRESENCE_CONFLATED = counter("portico_presence_conflated_total", "States that gave way to newer ones before a client was told.");
    PRESENCE_PUBLISHES = counter("portico_presence_publishes_total", "PUBLISH requests, by result.");
    PRESENCE_SERVICES = counter("portico_presence_services_total", "SERVICE requests, by operation and result.");
    PRESENCE_WATCHERS_EXCEEDED = counter("portico_presence_watchers_exceeded_total", "Members of lists without a state because too many watch them.");

    AUTH_ATTEMPTS = counter("portico_auth_attempts_total", "Proofs of identity, by result.");
    REGISTRATIONS_ACTIVE = gauge("portico_registration_active", "Endpoints signed in, by kind of client.");
    REGISTRATION_OPERATIONS = counter("portico_registration_operations_total", "Changes of bindings, by operation.");
    LOOKUPS = counter("portico_registrar_lookups_total", "Lookups of users, by result.");
    SEARCHES = counter("portico_registrar_searches_total", "Searches for people, by result.");
    AUDIT_SUPPRESSED = counter("portico_audit_suppressed_total", "Audit entries that were not written, by reason.");
    USERS_ACTIVE = gauge("portico_user_active", "Users with at least one endpoint signed in.");

    IM_MESSAGES = counter("portico_im_messages_total", "Instant messages that are over, by kind and result.");
    IM_DELIVERY_DURATION = histogram(
        "portico_im_delivery_duration_seconds",
        "Time from sending a message to an endpoint to its answer."
    );
    IM_CONVERSATIONS_ACTIVE = gauge("portico_im_conversation_active", "Conversations in memory.");
    IM_LEGS_ACTIVE = gauge("portico_im_leg_active", "Established legs of sessions; a session of two has two.");
    IM_RINGING = gauge("portico_im_ringing", "Sides of conversations that ring.");
    IM_SESSIONS_OPENED = counter("portico_im_sessions_total", "Sessions asked for.");
    IM_REMEMBERED = gauge("portico_im_remembered_messages", "Message ids remembered to answer repetitions.");
    IM_EVENTS = counter("portico_im_events_total", "What is unusual on the way of a message, by reason.");
    IM_SIGNALS = counter("portico_im_signals_total", "Typing indications, by result.");
    PRESENCE_OPERATIONS = counter(
        "portico_presence_operations_total",
        "Requests that change publications, access levels or contact lists, by operation and result."
    );
    PRESENCE_EVENTS = counter("portico_presence_events_total", "What happens around presence, by event.");
    PRESENCE_PRESENTITIES_ACTIVE = gauge("portico_presence_presentity_active", "Presentities in memory.");
    PRESENCE_FRONT_ENDS_ACTIVE = gauge(
        "portico_presence_front_end_active",
        "Streams of news of presence that are open."
    );
    ARCHIVE_GAPS = counter("portico_archive_gaps_total", "Records the archive did not take.");

    REDIS_COMMANDS = counter("portico_redis_commands_total", "Commands to the shared store of the pool, by result.");
    REDIS_COMMAND_DURATION = histogram(
        "portico_redis_command_duration_seconds",
        "Time to an answer of the shared store, of commands that were answered."
    );
    REDIS_CONNECTS = counter("portico_redis_connects_total", "Connections made to the shared store.");
    REDIS_BREAKER_OPEN = gauge(
        "portico_redis_breaker_open",
        "1 while commands to the shared store are refused because so many had failed."
    );
    BINDINGS_DIRTY = gauge(
        "portico_bindings_dirty",
        "Users whose newest bindings the shared store may not have."
    );

    RPC_ITEMS = counter(
        "portico_rpc_items_total",
        "Items sent on the streams between front ends and owners."
    );
    RPC_BATCHES = counter(
        "portico_rpc_batches_total",
        "Batches those items were sent in, by the number of items."
    );
    RPC_EVENTS = counter(
        "portico_rpc_events_total",
        "What happened on those streams: items sent again, refused, not understood; streams made and broken."
    );
    RPC_REFUSED = counter(
        "portico_rpc_refused_total",
        "Connections and calls of other members that were refused or cut off, by reason."
    );
    RPC_CACHE = counter(
        "portico_rpc_cache_total",
        "Questions to a registrar in another process: answered from memory, asked, and what made memory forget."
    );

    QUEUE_DROPPED = counter("portico_queue_dropped_total", "Items refused because a queue was full, by queue.");

    TELEMETRY_EXPORTED = counter("portico_telemetry_exported_total", "Items a collector took, by signal.");
    TELEMETRY_FAILED = counter("portico_telemetry_failed_total", "Items a collector did not take, by signal.");
    TELEMETRY_DROPPED = counter(
        "portico_telemetry_dropped_total",
        "Items not kept for a collector because its queue was full, by signal."
    );

    LOG_LINES_SUPPRESSED = counter(
        "portico_log_lines_suppressed_total",
        "Log lines not written because their connection had written its share."
    );

    PROCESS_RESIDENT_MEMORY = gauge("process_resident_memory_bytes", "Memory the process holds in RAM.");
    PROCESS_VIRTUAL_MEMORY = gauge("process_virtual_memory_bytes", "Address space the process has mapped.");
    PROCESS_CPU = counter("process_cpu_seconds_total", "User and system time used.");
    PROCESS_OPEN_FDS = gauge("process_open_fds", "Open file descriptors.");
    PROCESS_MAX_FDS = gauge("process_max_fds", "Limit of open file descriptors.");
    PROCESS_THREADS = gauge("process_threads", "Threads of the process.");
    PROCESS_START_TIME = gauge("process_start_time_seconds", "Unix time at which the process started.");
}

/// Names of the labels, so that a panel that joins two metrics finds the same word in both.
pub mod label {
    /// Name of a listener: `sip_tls`, `sip_tcp`.
    pub const LISTENER: &str = "listener";
    /// Why something ended or was refused; a closed set per metric.
    pub const REASON: &str = "reason";
    /// Event package of a subscription, `presence_list` for lists.
    pub const EVENT: &str = "event";
    /// SIP method in capitals, `other` for those the grammar does not name.
    pub const METHOD: &str = "method";
    /// `2xx`, `4xx`...
    pub const STATUS_CLASS: &str = "status_class";
    /// `in` or `out`, seen from this server.
    pub const DIRECTION: &str = "direction";
    /// Authentication scheme.
    pub const SCHEME: &str = "scheme";
    /// How it ended: `ok` or a reason.
    pub const RESULT: &str = "result";
    /// What was done to a binding.
    pub const OPERATION: &str = "operation";
    /// Kind of message: `text`, `receipt`.
    pub const KIND: &str = "kind";
    /// Which limit.
    pub const LIMIT: &str = "limit";
    /// Which internal queue.
    pub const QUEUE: &str = "queue";
    /// Kind of client: `simple`, `lync`.
    pub const CLIENT: &str = "client";
    /// State of a member: `starting`, `serving`, `draining`, `drained`.
    pub const STATE: &str = "state";
    /// Which partitioned keys: `users`, `conversations`.
    pub const KEYS: &str = "keys";
    /// A range of sizes.
    pub const SIZE: &str = "size";
    /// Which certificate: `sip`.
    pub const CERTIFICATE: &str = "certificate";
    /// What travels on a stream between members: `conversations`, `presence`.
    pub const STREAM: &str = "stream";
    /// What is sent to a collector: `traces`, `metrics`, `logs`.
    pub const SIGNAL: &str = "signal";
}

/// Names of the fields of log lines.
pub mod field {
    /// Name of a listener.
    pub const LISTENER: &str = "listener";
    /// Number of a client connection.
    pub const CONNECTION: &str = "connection";
    /// Address of the peer.
    pub const PEER: &str = "peer";
    /// A user, as [`crate::user`] prints it.
    pub const USER: &str = "user";
    /// Call-ID.
    pub const CALL_ID: &str = "call_id";
    /// Role that speaks.
    pub const ROLE: &str = "role";
    /// Name of this member.
    pub const MEMBER: &str = "member";
    /// What went wrong.
    pub const ERROR: &str = "error";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_used_once() {
        let mut seen = HashSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} is declared twice", metric.name);
        }
    }

    #[test]
    fn names_follow_the_text_format_and_say_their_type() {
        for metric in ALL {
            assert!(
                metric.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{} has a character a scraper does not take",
                metric.name
            );
            assert!(
                metric.name.starts_with("portico_") || metric.name.starts_with("process_"),
                "{} is in nobody's namespace",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}: counters, and only they, end in _total",
                metric.name
            );
            assert!(!metric.help.contains('\n'), "{}: help is one line", metric.name);
        }
    }
}
