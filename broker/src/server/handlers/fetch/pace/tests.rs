use super::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A pace after one second of answers of `bytes` each `every`, and the time of the last one.
fn after_a_second(bytes: usize, every: Duration, with_room: bool) -> (FetchPace, Duration) {
    let (pace, mut now) = (FetchPace::default(), Duration::from_secs(100));
    for _ in 0..Duration::from_secs(1).div_duration_f64(every) as usize {
        now += every;
        pace.answered(now, bytes, with_room);
    }
    (pace, now)
}

const MICRO: Duration = Duration::from_micros(1);

#[test]
fn a_consumer_of_a_fast_log_is_held_until_a_millisecond_after_its_last_answer() {
    let (pace, last) = after_a_second(32 * KIB, 500 * MICRO, true);
    assert_eq!(pace.hold(last), PACE);
    assert_eq!(pace.hold(last + 300 * MICRO), 700 * MICRO);
    assert_eq!(pace.hold(last + PACE), Duration::ZERO);
}

#[test]
fn a_held_consumer_stays_held_while_the_log_is_fast() {
    // 64 KiB each two milliseconds, the slowest the pace makes of it, are 32 MiB a second still.
    let (pace, last) = after_a_second(64 * KIB, 2 * PACE, true);
    assert_eq!(pace.hold(last), PACE);
}

#[test]
fn a_slow_log_is_answered_at_once() {
    let (pace, last) = after_a_second(KIB, 500 * MICRO, true);
    assert_eq!(pace.hold(last), Duration::ZERO);
}

#[test]
fn a_consumer_that_is_behind_is_answered_at_once() {
    let (pace, last) = after_a_second(MIB, 500 * MICRO, true);
    assert_eq!(pace.hold(last), Duration::ZERO);
}

#[test]
fn a_consumer_whose_limit_is_what_it_gets_is_answered_at_once() {
    let (pace, last) = after_a_second(32 * KIB, 500 * MICRO, false);
    assert_eq!(pace.hold(last), Duration::ZERO);
}

#[test]
fn a_pause_ends_the_pacing() {
    let (pace, last) = after_a_second(32 * KIB, 500 * MICRO, true);
    let later = last + Duration::from_secs(1);
    pace.answered(later, 32 * KIB, true);
    assert_eq!(pace.hold(later), Duration::ZERO);
}

#[test]
fn the_first_answer_starts_no_pacing() {
    let pace = FetchPace::default();
    assert_eq!(pace.hold(Duration::ZERO), Duration::ZERO);
    pace.answered(Duration::from_secs(3600), 128 * KIB, true);
    assert_eq!(pace.hold(Duration::from_secs(3600)), Duration::ZERO);
}

#[test]
fn an_answer_without_records_tells_nothing() {
    let (pace, last) = after_a_second(32 * KIB, 500 * MICRO, true);
    pace.answered(last + 500 * MICRO, 0, true);
    assert_eq!(pace.hold(last + 500 * MICRO), 500 * MICRO);
}
