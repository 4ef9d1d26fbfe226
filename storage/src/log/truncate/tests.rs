//! Cuts and moved starts, with a crash at every point of a cut.

use std::path::{Path, PathBuf};

use super::*;
use crate::disk::{Disk, SimDisk};
use crate::log::tests::{EPOCH, Fixture, append, at, batch, flush, placed, read_all};

fn filled(fixture: &Fixture) -> Log {
    let mut log = fixture.open(None);
    for epoch in [1, 1, 2, 2, 3, 3, 3, 3, 5, 5] {
        log.append_as_leader(batch(2, 0, 100), epoch, at(0)).unwrap();
    }
    flush(&mut log);
    log
}

#[test]
fn a_cut_takes_the_whole_batch_and_everything_after() {
    for (asked, end) in [(20, 20), (19, 18), (18, 18), (7, 6), (1, 0), (0, 0)] {
        let fixture = Fixture::new(1 << 20, |c| c.segment_bytes = 700);
        let mut log = filled(&fixture);
        assert_eq!(log.truncate_to(asked).unwrap(), end);
        assert_eq!((log.log_end(), log.durable_end()), (end, end));
        let left: Vec<_> = (0..end / 2).map(|i| (2 * i, 2 * i + 2)).collect();
        assert_eq!(read_all(&log, 0), left);
        assert_eq!(append(&mut log, 3).base_offset, end);
        let mark = flush(&mut log);
        drop(log);
        let log = fixture.open(Some(mark));
        assert_eq!(read_all(&log, 0).len(), left.len() + 1);
    }
}

#[test]
fn a_cut_forgets_epochs_and_producers_above() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 700);
    let mut log = filled(&fixture);
    log.truncate_to(9).unwrap();
    assert_eq!(log.log_end(), 8);
    assert_eq!(log.latest_epoch(), Some(2));
    assert_eq!(log.epoch_end(2), (2, 8));
    let mark = log.mark(8);
    drop(log);
    let log = fixture.open(Some(mark));
    assert_eq!(log.latest_epoch(), Some(2));
}

#[test]
fn a_cut_voids_a_flush_that_was_under_way() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = filled(&fixture);
    append(&mut log, 2);
    let begun = log.begin_flush().unwrap();
    log.truncate_to(10).unwrap();
    append(&mut log, 7);
    log.finish_flush(begun);
    assert_eq!((log.durable_end(), log.log_end()), (10, 17));
    assert_eq!(flush(&mut log).durable_end, 17);
}

#[test]
fn offsets_outside_of_the_log_cannot_be_cut_or_trimmed_to() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = filled(&fixture);
    log.advance_log_start(5).unwrap();
    for asked in [4, 21] {
        let out_of_range =
            |r: TruncateError| matches!(r, TruncateError::OutOfRange { start: 5, end: 20, .. });
        assert!(out_of_range(log.truncate_to(asked).unwrap_err()));
        assert!(out_of_range(log.advance_log_start(asked).unwrap_err()));
    }
}

#[test]
fn a_cut_into_the_batch_that_holds_the_start_takes_the_start_along() {
    for has_start_file in [false, true] {
        let fixture = Fixture::new(0, |c| (c.segment_bytes, c.file_delete_delay_ms) = (700, 0));
        let mut log = filled(&fixture);
        log.advance_log_start(9).unwrap();
        flush(&mut log);
        if has_start_file {
            super::super::start::store(log.disk(), log.dir(), 9).unwrap();
        }
        let mark = log.mark_before_truncate(9, 20).unwrap();
        assert_eq!((mark.log_start, mark.durable_end, mark.high_watermark), (8, 8, 8));
        assert_eq!(log.truncate_to(9).unwrap(), 8);
        assert_eq!((log.log_start(), log.durable_end(), log.log_end()), (8, 8, 8));
        assert_eq!(log.latest_epoch(), None);
        assert_eq!(append(&mut log, 3).base_offset, 8);
        let mark = flush(&mut log);
        drop(log);
        let log = fixture.open(Some(mark));
        assert_eq!((log.log_start(), log.log_end()), (8, 11), "a start file of 9: {has_start_file}");
        assert_eq!(read_all(&log, 8), [(8, 11)]);
    }
}

#[test]
fn a_crash_within_such_a_cut_leaves_a_start_that_is_no_later_than_the_end() {
    let mut nth = 1;
    let cut = |log: &mut Log| log.truncate_to(9).map(|_| ());
    let mark_of = |log: &mut Log| {
        log.advance_log_start(9).unwrap();
        super::super::start::store(log.disk(), log.dir(), 9).unwrap();
        log.mark_before_truncate(9, 20).unwrap()
    };
    while let Some(mut log) = crashed(nth, mark_of, cut) {
        assert!(log.log_start() <= log.log_end(), "crash at change {nth}");
        log.truncate_to(log.log_start()).unwrap();
        assert_eq!((log.log_start(), log.log_end()), (8, 8), "crash at change {nth}");
        assert_eq!(append(&mut log, 2).base_offset, 8);
        nth += 1;
    }
    assert!(nth > 5, "the cut has several steps");
}

#[test]
fn a_moved_start_is_kept_by_the_mark_and_frees_whole_segments() {
    let fixture = Fixture::new(0, |c| (c.segment_bytes, c.file_delete_delay_ms) = (700, 1000));
    let mut log = filled(&fixture);
    log.advance_log_start(9).unwrap();
    let mark = flush(&mut log);
    assert_eq!(mark.log_start, 9);
    let done = log.maintain(at(0), 20);
    assert_eq!(done.removed_segments, 2);
    assert!(!done.log_start_moved, "the start lies within a segment");
    assert_eq!(log.log_start(), 9);
    assert_eq!(read_all(&log, 9)[0], (8, 10));
    assert_eq!(fixture.files(".log.deleted").len(), 2);
    log.maintain(at(1001), 20);
    assert_eq!(fixture.files(".deleted").len(), 0);
    drop(log);
    let log = fixture.open(Some(mark));
    assert_eq!((log.log_start(), log.log_end()), (9, 20));
    assert_eq!(log.epoch_end(1), (1, 9));
    assert_eq!(log.reader().epoch_for(9), Some(3));
}

#[test]
fn a_log_starts_anew_beyond_its_end() {
    let fixture = Fixture::new(1 << 20, |c| c.segment_bytes = 700);
    let mut log = filled(&fixture);
    log.truncate_fully_and_start_at(500).unwrap();
    assert_eq!((log.log_start(), log.log_end(), log.durable_end()), (500, 500, 500));
    assert_eq!(log.mark(500), Log::mark_before_restart(500));
    assert_eq!(append(&mut log, 2).base_offset, 500);
    let mark = flush(&mut log);
    drop(log);
    assert_eq!(read_all(&fixture.open(Some(mark)), 500), [(500, 502)]);
}

/// Runs `change` on a flushed log with the power failing at the `nth` write or sync, opens what is left with the mark that
/// was journaled before, and returns it; `None` when the change came through.
fn crashed(
    nth: u64,
    mark_of: impl Fn(&mut Log) -> LogMark,
    change: impl Fn(&mut Log) -> Result<(), TruncateError>,
) -> Option<Log> {
    let disk = SimDisk::new(nth);
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let on = |disk: &SimDisk| {
        Fixture::on(std::sync::Arc::new(disk.clone()), PathBuf::from("/data"), 0, |c| c.segment_bytes = 700)
    };
    let fixture = on(&disk);
    let mut log = filled(&fixture);
    let mark = mark_of(&mut log);
    disk.power_off_at(nth);
    if change(&mut log).is_ok() && !disk.is_off() {
        return None;
    }
    let disk = disk.crash();
    Some(on(&disk).open(Some(mark)))
}

#[test]
fn a_crash_within_a_cut_leaves_a_prefix_that_can_be_cut_again() {
    let mut nth = 1;
    while let Some(mut log) =
        crashed(nth, |log| log.mark_before_truncate(7, 20).unwrap(), |log| log.truncate_to(7).map(|_| ()))
    {
        let found = placed(&log);
        let expected = (3..=10).contains(&found.len());
        assert!(expected, "{} batches after a crash at change {nth}", found.len());
        assert!(found.iter().enumerate().all(|(i, b)| b.base_offset() == 2 * i64::try_from(i).unwrap()));
        assert_eq!(log.truncate_to(7.min(log.log_end())).unwrap(), 6);
        assert_eq!(log.append_as_leader(batch(1, 0, 10), EPOCH + 4, at(0)).unwrap().base_offset, 6);
        nth += 1;
    }
    assert!(nth > 5, "the cut has several steps");
}

#[test]
fn a_crash_within_a_restart_leaves_the_new_start() {
    let mut nth = 1;
    while let Some(mut log) =
        crashed(nth, |_| Log::mark_before_restart(500), |log| log.truncate_fully_and_start_at(500))
    {
        assert_eq!((log.log_start(), log.log_end()), (500, 500), "crash at change {nth}");
        assert_eq!(append(&mut log, 1).base_offset, 500);
        nth += 1;
    }
    assert!(nth > 5, "the restart has several steps");
}
