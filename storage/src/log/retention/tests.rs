use super::*;
use crate::config::CleanupPolicy;

const HOUR: i64 = 3_600_000;
const NOW: TimestampMs = 1000 * HOUR;

/// Segments of ten offsets: (bytes, hours since the newest record).
fn segments(list: &[(u64, i64)]) -> Vec<SegmentFacts> {
    (0..)
        .zip(list)
        .map(|(i, &(size_bytes, hours))| SegmentFacts {
            base_offset: 10 * i,
            end_offset: 10 * i + 10,
            size_bytes,
            first_timestamp: -1,
            largest_timestamp: if hours < 0 { -1 } else { NOW - hours * HOUR },
        })
        .collect()
}

fn config(retention_ms: i64, retention_bytes: i64) -> LogConfig {
    LogConfig { retention_ms, retention_bytes, ..LogConfig::default() }
}

fn run(list: &[(u64, i64)], config: &LogConfig, log_start: Offset, high_watermark: Offset) -> Removal {
    removable(&segments(list), config, log_start, high_watermark, NOW)
}

fn none(log_start: Offset) -> Removal {
    Removal { reasons: vec![], roll_first: false, log_start }
}

#[test]
fn old_segments_go_by_their_newest_record() {
    let removal = run(&[(5, 9), (5, 8), (5, 3), (5, 0)], &config(7 * HOUR, -1), 0, 40);
    assert_eq!(removal, Removal { reasons: vec![Reason::Time; 2], roll_first: false, log_start: 20 });
}

#[test]
fn exactly_the_limit_is_not_too_old() {
    assert_eq!(run(&[(5, 7), (5, 0)], &config(7 * HOUR, -1), 0, 20), none(0));
}

#[test]
fn a_young_segment_protects_older_ones_behind_it() {
    assert_eq!(run(&[(5, 1), (5, 9), (5, 0)], &config(7 * HOUR, -1), 0, 30), none(0));
}

#[test]
fn an_expired_active_segment_is_rolled_first() {
    let removal = run(&[(5, 9), (5, 8)], &config(7 * HOUR, -1), 0, 20);
    assert_eq!(removal, Removal { reasons: vec![Reason::Time; 2], roll_first: true, log_start: 20 });
}

#[test]
fn an_empty_active_segment_stays() {
    let mut facts = segments(&[(5, 9), (0, -1)]);
    facts[1].end_offset = 10;
    let removal = removable(&facts, &config(7 * HOUR, -1), 0, 10, NOW);
    assert_eq!(removal, Removal { reasons: vec![Reason::Time], roll_first: false, log_start: 10 });
}

#[test]
fn nothing_at_or_above_the_high_watermark_goes() {
    let removal = run(&[(5, 9), (5, 9), (5, 9)], &config(7 * HOUR, -1), 0, 19);
    assert_eq!((removal.reasons.len(), removal.log_start), (1, 10));
}

#[test]
fn size_leaves_at_least_the_limit() {
    let list = [(100, 0), (100, 0), (100, 0), (50, 0)];
    assert_eq!(run(&list, &config(-1, 200), 0, 40).reasons, [Reason::Size], "350 − 100 ≥ 200, − 200 is not");
    assert_eq!(run(&list, &config(-1, 150), 0, 40).reasons, [Reason::Size; 2]);
    assert_eq!(run(&list, &config(-1, 350), 0, 40), none(0));
    let removal = run(&list, &config(-1, 0), 0, 40);
    assert!(removal.roll_first && removal.log_start == 40);
}

#[test]
fn below_the_start_goes_whatever_the_policy() {
    let mut keep = config(7 * HOUR, 0);
    for compact in [false, true] {
        keep.cleanup = CleanupPolicy { delete: false, compact };
        let removal = run(&[(5, 9), (5, 9), (5, 9)], &keep, 25, 30);
        assert_eq!(removal, Removal { reasons: vec![Reason::LogStart; 2], roll_first: false, log_start: 25 });
    }
    let removal = run(&[(5, 0), (5, 0)], &keep, 20, 20);
    assert_eq!(removal.reasons, [Reason::LogStart], "the active segment stays even when all of it is below");
}

#[test]
fn start_size_and_time_work_one_after_another() {
    let list = [(10, 1), (10, 9), (10, 9), (10, 0)];
    let removal = run(&list, &config(7 * HOUR, 25), 10, 40);
    // The first is below the start; of the 30 bytes left none may go by size; two are too old.
    assert_eq!(removal.reasons, [Reason::LogStart, Reason::Time, Reason::Time]);
    assert_eq!(removal.log_start, 30);
}

#[test]
fn without_timestamps_the_next_segment_tells_the_age() {
    let removal = run(&[(5, -1), (5, 9), (5, -1), (5, 0)], &config(7 * HOUR, -1), 0, 40);
    assert_eq!(removal.reasons.len(), 2);
    assert_eq!(run(&[(5, -1), (5, -1)], &config(7 * HOUR, -1), 0, 20), none(0), "nobody knows: they stay");
}

#[test]
fn an_empty_log_keeps_still() {
    assert_eq!(removable(&[], &config(0, 0), 7, 7, NOW), none(7));
}
