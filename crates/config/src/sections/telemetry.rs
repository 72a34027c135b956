//! `[telemetry]`: logs, and what a collector gets.

use crate::raw::Raw;
use crate::reader::Reader;
use crate::value::{Value, quoted, text_of};

/// Logs, and what a collector gets.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// `telemetry.log` (`info`): a level, or levels by crate: `info,sip_transport=debug`.
    pub log: String,
    /// `telemetry.identities` (`false`): full addresses of users in log lines instead of keyed hashes.
    pub identities: bool,
    /// `telemetry.otlp_endpoint` (empty): the collector that gets traces, metrics and logs over OTLP (gRPC), such as
    /// `http://127.0.0.1:4317`. Without one, `OTEL_EXPORTER_OTLP_ENDPOINT` counts; without either nothing is sent.
    pub otlp_endpoint: Option<String>,
    /// `telemetry.sample_ratio` (`0.05`): the share of requests that are traced, from 0 to 1. `None`: not set, and
    /// `OTEL_TRACES_SAMPLER` counts.
    pub sample_ratio: Option<f64>,
}

impl Telemetry {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        Telemetry {
            log: reader.get("telemetry.log", "info".to_owned()),
            identities: reader.get("telemetry.identities", false),
            otlp_endpoint: reader.get("telemetry.otlp_endpoint", Endpoint(None)).0,
            sample_ratio: reader.get("telemetry.sample_ratio", Ratio(None)).0,
        }
    }
}

/// The URL of a collector; the empty text means none.
struct Endpoint(Option<String>);

impl Value for Endpoint {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let host = |text: &str| {
            let rest = text.strip_prefix("http://").or(text.strip_prefix("https://"));
            rest.is_some_and(|host| !host.trim_matches('/').is_empty())
        };
        match text_of(raw) {
            Some("") => Ok(Endpoint(None)),
            Some(text) if host(text) => Ok(Endpoint(Some(text.to_owned()))),
            _ => Err(
                "a URL such as \"http://127.0.0.1:4317\" or \"https://collector.example.com:4317\""
                    .to_owned(),
            ),
        }
    }

    fn show(&self) -> String {
        quoted(self.0.as_deref().unwrap_or_default())
    }
}

/// A share; not set is not the same as the default.
struct Ratio(Option<f64>);

impl Value for Ratio {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let number = match raw {
            Raw::Decimal(value) => Some(*value),
            Raw::Integer(0) => Some(0.0),
            Raw::Integer(1) => Some(1.0),
            Raw::Untyped(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Ratio(Some(ratio))),
            _ => Err("a number from 0 to 1 such as 0.05".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.0.unwrap_or(0.05).to_string()
    }
}
