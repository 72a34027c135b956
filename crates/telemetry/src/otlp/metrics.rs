//! The page of metrics as a collector wants it: cumulative numbers, pushed periodically.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::Attributes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::time::MissedTickBehavior;

use super::LAST;
use super::connection::Connection;
use super::outcome::{Outcomes, Signal};
use crate::histogram::{HistogramSnapshot, LATENCY_BUCKETS};
use crate::names::{self, Kind};
use crate::page::{Family, Reading, Sample};
use crate::{Page, Registry};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Sends pages.
#[derive(Debug)]
pub(super) struct Pusher {
    connection: Connection,
    resource: Resource,
    interval: Duration,
    outcomes: Arc<Outcomes>,
    /// Since when the counters count.
    started: u64,
}

impl Pusher {
    pub(super) fn new(
        connection: Connection,
        resource: &opentelemetry_sdk::Resource,
        interval: Duration,
        outcomes: Arc<Outcomes>,
        started: SystemTime,
    ) -> Self {
        let attributes = resource
            .iter()
            .map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
        Pusher {
            connection,
            resource: Resource {
                attributes: Attributes::from(attributes).0,
                ..Resource::default()
            },
            interval,
            outcomes,
            started: nanos(started),
        }
    }

    pub(super) async fn run(&self, registry: &Registry, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once, and there is nothing to tell yet.
        ticks.tick().await;
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = &mut stop => break,
                () = self.push(registry) => {}
            }
        }
        // A collector that does not answer now does not hold the stop up.
        if tokio::time::timeout(LAST, self.push(registry)).await.is_err() {
            tracing::warn!("the collector did not take the last numbers in time");
        }
    }

    async fn push(&self, registry: &Registry) {
        let request = self.request(&registry.page(), nanos(SystemTime::now()));
        let points = points(&request);
        let mut client = MetricsServiceClient::new(self.connection.channel());
        let result = client.export(self.connection.call(request)).await;
        // The text of a refusal may repeat what was sent, tokens included: the code says enough.
        let problem = result.as_ref().err().map(tonic::Status::code);
        let problem = problem.as_ref().map(|code| code as &dyn std::fmt::Display);
        self.outcomes.sent(Signal::Metrics, points, problem);
    }

    fn request(&self, page: &Page, now: u64) -> ExportMetricsServiceRequest {
        let turn = Turn {
            started: self.started,
            now,
        };
        let metrics = page.families().map(|family| turn.metric(family)).collect();
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: "portico".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        }
    }
}

/// The times of one push, in nanoseconds of Unix time.
#[derive(Clone, Copy)]
struct Turn {
    started: u64,
    now: u64,
}

impl Turn {
    fn metric(self, family: &Family) -> Metric {
        let about = &family.metric;
        let data = match about.kind {
            Kind::Histogram => metric::Data::Histogram(Histogram {
                data_points: family.samples.iter().filter_map(|s| self.spread(s)).collect(),
                aggregation_temporality: CUMULATIVE,
            }),
            Kind::Gauge if !about.adds_up() => metric::Data::Gauge(Gauge {
                data_points: self.numbers(family),
            }),
            Kind::Counter | Kind::Gauge => metric::Data::Sum(Sum {
                data_points: self.numbers(family),
                aggregation_temporality: CUMULATIVE,
                is_monotonic: about.kind == Kind::Counter,
            }),
        };
        Metric {
            name: about.dotted().into_owned(),
            description: about.help.to_owned(),
            unit: about.unit().to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn numbers(self, family: &Family) -> Vec<NumberDataPoint> {
        let point = |sample: &Sample| match sample.reading {
            Reading::Number(value) => Some(NumberDataPoint {
                attributes: attributes(sample),
                start_time_unix_nano: self.started,
                time_unix_nano: self.now,
                value: Some(number(value)),
                ..NumberDataPoint::default()
            }),
            Reading::Distribution(_) => None,
        };
        family.samples.iter().filter_map(point).collect()
    }

    fn spread(self, sample: &Sample) -> Option<HistogramDataPoint> {
        let Reading::Distribution(snapshot) = &sample.reading else {
            return None;
        };
        let snapshot: &HistogramSnapshot = snapshot;
        Some(HistogramDataPoint {
            attributes: attributes(sample),
            start_time_unix_nano: self.started,
            time_unix_nano: self.now,
            count: snapshot.count(),
            sum: Some(snapshot.sum_seconds()),
            bucket_counts: snapshot.counts().to_vec(),
            explicit_bounds: LATENCY_BUCKETS.to_vec(),
            ..HistogramDataPoint::default()
        })
    }
}

/// Counts are whole numbers, and a collector may tell them apart from fractions.
fn number(value: f64) -> number_data_point::Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return number_data_point::Value::AsInt(value as i64);
    }
    number_data_point::Value::AsDouble(value)
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    let pairs = sample.labels.iter();
    pairs
        .map(|(label, value)| KeyValue {
            key: names::attribute(label).into_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::StringValue(value.clone())),
            }),
            ..KeyValue::default()
        })
        .collect()
}

fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let resources = request.resource_metrics.iter();
    let metrics = resources
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    metrics
        .map(|metric| match &metric.data {
            Some(metric::Data::Sum(sum)) => sum.data_points.len() as u64,
            Some(metric::Data::Gauge(gauge)) => gauge.data_points.len() as u64,
            Some(metric::Data::Histogram(histogram)) => histogram.data_points.len() as u64,
            _ => 0,
        })
        .sum()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
