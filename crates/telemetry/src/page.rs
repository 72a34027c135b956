//! The page a scraper reads: Prometheus text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::histogram::HistogramSnapshot;
use crate::names::{Kind, Metric};

/// The samples of one scrape, grouped by metric as the format demands, however the collectors were ordered.
#[derive(Default, Debug)]
pub struct Page {
    families: BTreeMap<&'static str, Family>,
}

/// All samples of one metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) metric: Metric,
    pub(crate) samples: Vec<Sample>,
}

/// One number or distribution with its labels.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) reading: Reading,
}

#[derive(Debug)]
pub(crate) enum Reading {
    Number(f64),
    Distribution(HistogramSnapshot),
}

impl Page {
    /// Value of the Content-Type header this page is served with.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// An empty page.
    pub fn new() -> Self {
        Page::default()
    }

    /// Adds a sample of a counter. Labels are name and value; the value may hold anything, it is escaped.
    pub fn counter(&mut self, metric: &Metric, labels: &[(&str, &str)], value: u64) {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        self.sample(metric, labels, value as f64);
    }

    /// Adds a sample of a counter that counts fractions: seconds of CPU time.
    pub fn counter_seconds(&mut self, metric: &Metric, labels: &[(&str, &str)], seconds: f64) {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        self.sample(metric, labels, seconds);
    }

    /// Adds a sample of a gauge.
    pub fn gauge(&mut self, metric: &Metric, labels: &[(&str, &str)], value: f64) {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        self.sample(metric, labels, value);
    }

    /// Adds a distribution: its cumulative buckets, sum and count.
    pub fn histogram(&mut self, metric: &Metric, labels: &[(&str, &str)], snapshot: &HistogramSnapshot) {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.name);
        self.add(metric, labels, Reading::Distribution(snapshot.clone()));
    }

    /// The whole page.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for family in self.families.values() {
            let metric = family.metric;
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            push(
                &mut out,
                format_args!("# HELP {} {}\n", metric.name, escape_help(metric.help)),
            );
            push(&mut out, format_args!("# TYPE {} {kind}\n", metric.name));
            for sample in &family.samples {
                match &sample.reading {
                    Reading::Number(value) => line(&mut out, metric.name, "", &sample.labels, None, *value),
                    Reading::Distribution(snapshot) => {
                        distribution(&mut out, metric.name, &sample.labels, snapshot);
                    }
                }
            }
        }
        out
    }

    /// The samples, metric by metric.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Family> {
        self.families.values()
    }

    fn sample(&mut self, metric: &Metric, labels: &[(&str, &str)], value: f64) {
        self.add(metric, labels, Reading::Number(value));
    }

    fn add(&mut self, metric: &Metric, labels: &[(&str, &str)], reading: Reading) {
        let family = self.families.entry(metric.name).or_insert_with(|| Family {
            metric: *metric,
            samples: Vec::new(),
        });
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        family.samples.push(Sample {
            labels: labels.iter().map(own).collect(),
            reading,
        });
    }
}

fn distribution(out: &mut String, name: &str, labels: &[(String, String)], snapshot: &HistogramSnapshot) {
    for (bound, cumulative) in snapshot.cumulative() {
        line(out, name, "_bucket", labels, Some(bound), cumulative as f64);
    }
    line(out, name, "_sum", labels, None, snapshot.sum_seconds());
    line(out, name, "_count", labels, None, snapshot.count() as f64);
}

/// One line of the page; `bound` is the bucket it is about.
fn line(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(String, String)],
    bound: Option<f64>,
    value: f64,
) {
    out.push_str(name);
    out.push_str(suffix);
    let mut before = '{';
    for (name, value) in labels {
        out.push(before);
        out.push_str(name);
        out.push_str("=\"");
        escape_label(out, value);
        out.push('"');
        before = ',';
    }
    if let Some(bound) = bound {
        out.push(before);
        out.push_str("le=\"");
        push_number(out, bound);
        out.push('"');
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    out.push(' ');
    push_number(out, value);
    out.push('\n');
}

/// Writing to a `String` has no way to fail.
fn push(out: &mut String, args: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(args);
}

/// The format spells the special values in its own way.
fn push_number(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        push(out, format_args!("{value}"));
    }
}

fn escape_label(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Histogram;

    const HITS: Metric = Metric::counter("portico_test_hits_total", "Hits with a \\ in the help.");
    const LEVEL: Metric = Metric::gauge("portico_test_level", "Level.");
    const TOOK: Metric = Metric::histogram("portico_test_took_seconds", "Took.");

    #[test]
    fn samples_of_one_metric_stand_together_under_one_head() {
        let mut page = Page::new();
        page.counter(&HITS, &[("limit", "a")], 1);
        page.gauge(&LEVEL, &[], -2.5);
        page.counter(&HITS, &[("limit", "b")], 2);
        assert_eq!(
            page.render(),
            "# HELP portico_test_hits_total Hits with a \\\\ in the help.\n\
             # TYPE portico_test_hits_total counter\n\
             portico_test_hits_total{limit=\"a\"} 1\n\
             portico_test_hits_total{limit=\"b\"} 2\n\
             # HELP portico_test_level Level.\n\
             # TYPE portico_test_level gauge\n\
             portico_test_level -2.5\n"
        );
    }

    #[test]
    fn a_label_value_cannot_end_its_own_quotes_or_line() {
        let mut page = Page::new();
        page.gauge(&LEVEL, &[("x", "a\"} 1\nb\\")], 0.0);
        let text = page.render();
        assert!(
            text.ends_with("portico_test_level{x=\"a\\\"} 1\\nb\\\\\"} 0\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_infinity() {
        let took = Histogram::new();
        took.observe(Duration::from_millis(3));
        took.observe(Duration::from_secs(60));
        let mut page = Page::new();
        page.histogram(&TOOK, &[("method", "MESSAGE")], &took.snapshot());
        let text = page.render();
        assert!(
            text.contains("_bucket{method=\"MESSAGE\",le=\"0.002\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("_bucket{method=\"MESSAGE\",le=\"0.005\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("_bucket{method=\"MESSAGE\",le=\"10\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("_bucket{method=\"MESSAGE\",le=\"+Inf\"} 2\n"),
            "{text}"
        );
        assert!(text.contains("_sum{method=\"MESSAGE\"} 60.003\n"), "{text}");
        assert!(text.contains("_count{method=\"MESSAGE\"} 2\n"), "{text}");
    }

    #[test]
    fn special_numbers_are_spelled_as_the_format_wants() {
        let mut page = Page::new();
        page.gauge(&LEVEL, &[("n", "1")], f64::INFINITY);
        page.gauge(&LEVEL, &[("n", "2")], f64::NEG_INFINITY);
        page.gauge(&LEVEL, &[("n", "3")], f64::NAN);
        let text = page.render();
        assert!(
            text.contains("\"1\"} +Inf\n") && text.contains("\"2\"} -Inf\n") && text.contains("\"3\"} NaN\n")
        );
    }
}
