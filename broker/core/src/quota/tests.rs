//! Rests are as long as Kafka's, and what is over is forgotten.

use super::*;

const START: Duration = Duration::from_secs(100);

fn window() -> QuotaWindow {
    QuotaWindow::new(11, 1)
}

fn after(seconds: f64) -> Duration {
    START + Duration::from_secs_f64(seconds)
}

#[test]
fn a_first_burst_counts_over_the_window_not_over_its_moment() {
    let mut rate = WindowedRate::new(window());
    rate.record(1000.0, START);
    assert_eq!(rate.rate(START), 100.0, "1000 units in 10 seconds");
    assert_eq!(rate.rest(100.0, START), Duration::ZERO);
    assert_eq!(window().allowance(100.0), 1000.0);
}

#[test]
fn who_is_over_the_quota_rests_until_the_mean_is_down_to_it() {
    let mut rate = WindowedRate::new(window());
    rate.record(2000.0, START);
    assert_eq!(rate.rest(100.0, START), Duration::from_secs(10));
    assert!(rate.rest(100.0, after(10.5)) < Duration::from_secs(10), "time passes");
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let mut rate = WindowedRate::new(window());
    rate.record(2000.0, START);
    assert!(!rate.is_idle(after(10.999)));
    assert!(rate.is_idle(after(11.0)));
    assert_eq!(rate.rest(100.0, after(11.0)), Duration::ZERO);
}

#[test]
fn what_was_taken_back_was_never_used() {
    let mut rate = WindowedRate::new(window());
    rate.record(2000.0, START);
    rate.record(-2000.0, START);
    assert_eq!(rate.rate(START), 0.0);
    assert!(rate.is_idle(START));
}

#[test]
fn a_steady_rate_at_the_quota_never_rests() {
    let mut rate = WindowedRate::new(window());
    for tenth in 0..600 {
        let now = after(f64::from(tenth) / 10.0);
        // A tenth of a second's share, less what the sample in the making holds too much.
        rate.record(9.9, now);
        assert_eq!(rate.rest(100.0, now), Duration::ZERO, "tenth {tenth}");
    }
}

#[test]
fn who_rests_as_told_stays_at_the_quota() {
    let mut rate = WindowedRate::new(window());
    let (mut now, mut used) = (START, 0.0);
    while now < after(300.0) {
        rate.record(500.0, now);
        used += 500.0;
        now += rate.rest(100.0, now) + Duration::from_millis(1);
    }
    let mean = used / (now - START).as_secs_f64();
    assert!((90.0..=105.0).contains(&mean), "{mean}");
}

#[test]
fn a_window_of_one_sample_divides_by_that_sample() {
    let mut rate = WindowedRate::new(QuotaWindow::new(1, 2));
    rate.record(10.0, START);
    assert_eq!(rate.rate(START), 5.0);
}

#[test]
fn a_rest_has_an_end() {
    let mut rate = WindowedRate::new(window());
    rate.record(1e18, START);
    assert_eq!(rate.rest(1e-9, START), REST_TIME_MAX);
    let mut bucket = TokenBucket::new(window());
    bucket.spend(1e300, 1e-9, START);
    assert_eq!(bucket.rest(1e-9, START), REST_TIME_MAX);
}

#[test]
fn a_bucket_is_full_at_first_and_owes_what_was_spent_too_much() {
    let mut bucket = TokenBucket::new(window());
    assert!(bucket.is_full(1.0, START));
    bucket.spend(8.0, 1.0, START);
    bucket.spend(3.0, 1.0, START);
    assert_eq!(bucket.rest(1.0, START), Duration::ZERO, "eleven seconds of tokens were there");
    bucket.spend(2.0, 1.0, START);
    assert_eq!(bucket.rest(1.0, START), Duration::from_secs(2));
    assert_eq!(bucket.rest(1.0, after(1.5)), Duration::from_millis(500));
    assert!(!bucket.is_full(1.0, after(12.9)));
    assert!(bucket.is_full(1.0, after(13.0)));
}
