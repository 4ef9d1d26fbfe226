//! A sync is in the first bucket that is not below it, and in all after that.

use super::*;

#[test]
fn buckets_are_cumulative_and_bounds_belong_to_them() {
    let times = SyncTimes::default();
    for micros in [0, 100, 101, 10_000_000, 10_000_001] {
        times.observe(micros);
    }
    let cumulative = times.cumulative();
    assert_eq!(cumulative[..2], [(0.0001, 2), (0.00025, 3)]);
    assert_eq!(cumulative.last(), Some(&(10.0, 4)));
    assert_eq!(times.count(), 5, "the longest is above all bounds");
    assert!((times.seconds() - 20.000_202).abs() < 1e-9);
}
