//! The page as messages for a collector.

use std::time::Duration;

use super::*;
use crate::Histogram;
use crate::names;

const START: u64 = 5;
const NOW: u64 = 9;

fn metrics(page: &Page) -> Vec<Metric> {
    let turn = Turn {
        started: START,
        now: NOW,
    };
    page.families().map(|family| turn.metric(family)).collect()
}

#[test]
fn a_counter_is_a_growing_sum_with_dotted_names() {
    let mut page = Page::new();
    page.counter(&names::IM_MESSAGES, &[("kind", "text"), ("result", "ok")], 7);
    let [metric] = &metrics(&page)[..] else {
        panic!("one metric")
    };
    assert_eq!(
        (metric.name.as_str(), metric.unit.as_str()),
        ("portico.im.messages", "{message}")
    );
    let Some(metric::Data::Sum(sum)) = &metric.data else {
        panic!("{metric:?}")
    };
    assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(7)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (START, NOW));
    let names: Vec<&str> = point.attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(names, ["portico.im.kind", "portico.result"]);
}

#[test]
fn what_adds_up_over_members_is_a_sum_and_the_rest_a_gauge() {
    let mut page = Page::new();
    page.gauge(&names::CONNECTIONS_ACTIVE, &[], 3.0);
    page.gauge(&names::TLS_CERTIFICATE_REMAINING, &[], -1.5);
    let metrics = metrics(&page);
    let Some(metric::Data::Sum(sum)) = &metrics[0].data else {
        panic!("{metrics:?}")
    };
    assert!(!sum.is_monotonic);
    let Some(metric::Data::Gauge(gauge)) = &metrics[1].data else {
        panic!("{metrics:?}")
    };
    assert_eq!(
        gauge.data_points[0].value,
        Some(number_data_point::Value::AsDouble(-1.5))
    );
}

#[test]
fn a_distribution_has_one_count_more_than_bounds() {
    let took = Histogram::new();
    took.observe(Duration::from_millis(3));
    took.observe(Duration::from_secs(60));
    let mut page = Page::new();
    page.histogram(&names::IM_DELIVERY_DURATION, &[], &took.snapshot());
    let metrics = metrics(&page);
    let Some(metric::Data::Histogram(histogram)) = &metrics[0].data else {
        panic!("{metrics:?}")
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (2, Some(60.003)));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!((point.bucket_counts[2], point.bucket_counts[13]), (1, 1));
}
