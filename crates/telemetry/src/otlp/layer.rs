//! Log lines as records for a collector.

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};

/// Turns events of `tracing` into records; a record knows the span that is current where the line is written.
pub(crate) type LogLayer = OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>;
