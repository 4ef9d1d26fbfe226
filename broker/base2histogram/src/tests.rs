use super::*;

fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram {
    let mut histogram = Histogram::new();
    values.into_iter().for_each(|value| histogram.record(value));
    histogram
}

#[test]
fn every_value_is_in_a_bucket_that_begins_at_most_a_quarter_below_it() {
    let around = |power: u32| [(1 << power) - 1, 1 << power, (1 << power) + 1, 3 << (power.max(1) - 1)];
    for value in (0..64).flat_map(around).chain([u64::MAX]) {
        let first = first_of(bucket_of(value));
        assert!(first <= value && value - first <= value / 4, "{value} in a bucket from {first}");
    }
}

#[test]
fn buckets_follow_each_other_without_gaps() {
    for bucket in 0..=bucket_of(u64::MAX) {
        let first = first_of(bucket);
        assert_eq!(bucket_of(first), bucket);
        assert!(first == 0 || bucket_of(first - 1) == bucket - 1);
    }
}

#[test]
fn percentiles_count_from_the_smallest_value() {
    let stats = histogram((0..1000).map(|n| if n < 900 { 3 } else { 640 })).percentile_stats();
    assert_eq!((stats.samples, stats.p0_1, stats.p50, stats.p90), (1000, 3, 3, 3));
    assert_eq!((stats.p99, stats.p99_9), (640, 640));
}

#[test]
fn without_values_all_percentiles_are_zero_and_no_memory_is_held() {
    let empty = histogram([]);
    assert_eq!((empty.total(), empty.percentile(0.0), empty.percentile(1.0)), (0, 0, 0));
    assert_eq!(empty.counts.capacity(), 0);
}

#[test]
fn a_chart_has_a_line_for_each_histogram() {
    let chart = AsciiChart::new().add("one", histogram([5])).add("none", histogram([]));
    let text = chart.to_string();
    assert_eq!(text.lines().count(), 2);
    assert!(text.starts_with("one: samples 1: p0.1 5 "), "{text}");
}
