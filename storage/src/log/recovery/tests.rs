//! The four classes of recovery, on real files and on a disk that loses power.

use std::path::Path;

use proptest::prelude::*;
use tidemark_protocol::batch::RecordBatch;

use super::*;
use crate::disk::{Disk, OsDisk, SimDisk};
use crate::log::tests::{EPOCH, Fixture, append, at, batch, flush, identity, placed, read_all};
use crate::log::{LogOptions, RoomPolicy, TailBudget};

/// Writes ten batches, flushed, and returns the mark; then five more that are not.
fn written(fixture: &Fixture) -> LogMark {
    let mut log = fixture.open(None);
    for _ in 0..10 {
        append(&mut log, 2);
    }
    let mark = flush(&mut log);
    for _ in 0..5 {
        append(&mut log, 2);
    }
    mark
}

fn flip(path: &Path, position: u64) {
    let file = OsDisk.open(path, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, position).unwrap(), 1);
    file.write_all_at(&[io::IoSlice::new(&[byte[0] ^ 0x40])], position).unwrap();
}

fn cut(path: &Path, len: u64) {
    OsDisk.open(path, OpenMode::ReadWrite).unwrap().set_len(len).unwrap();
}

#[test]
fn a_log_that_ends_at_its_mark_is_not_read() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mut log = fixture.open(None);
    for _ in 0..20 {
        append(&mut log, 2);
    }
    let mark = flush(&mut log);
    drop(log);
    let (mut log, recovery) = fixture.try_open(Some(mark)).unwrap();
    assert_eq!(recovery, Recovery::Intact { scanned: 0 });
    assert_eq!((log.log_end(), log.durable_end()), (40, 40));
    assert!(log.begin_flush().is_none());
    assert_eq!(fixture.scanned(), 0);
    assert_eq!(read_all(&log, 0).len(), 20);
    assert_eq!(append(&mut log, 1).base_offset, 40);
}

#[test]
fn what_was_written_after_the_mark_is_checked_and_kept_but_not_yet_durable() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1700);
    let mark = written(&fixture);
    let (mut log, recovery) = fixture.try_open(Some(mark)).unwrap();
    assert_eq!(recovery, Recovery::Intact { scanned: log.size_bytes() * 5 / 15 });
    assert_eq!((log.durable_end(), log.log_end()), (20, 30));
    assert_eq!(read_all(&log, 0).len(), 15);
    let flush = log.begin_flush().unwrap();
    assert!(!flush.files.is_empty() && !flush.dirs.is_empty());
    log.finish_flush(flush);
    assert_eq!(log.durable_end(), 30);
}

#[test]
fn without_a_mark_everything_is_checked() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    written(&fixture);
    let (log, recovery) = fixture.try_open(None).unwrap();
    assert_eq!(recovery, Recovery::Intact { scanned: log.size_bytes() });
    assert_eq!((log.durable_end(), log.log_end()), (0, 30));
    assert_eq!(log.epoch_end(EPOCH), (EPOCH, 30));
}

/// As [`written`], in a log that makes room for its appends.
fn written_with_room(fixture: &mut Fixture) -> LogMark {
    let room = RoomPolicy { from_bytes: 0, step_bytes: 10_000 };
    let options = LogOptions { room, ..LogOptions::default() };
    let disk = fixture.context.disk.clone();
    fixture.context = LogContext::new(disk, Arc::new(TailBudget::new(0)), Arc::default(), options);
    written(fixture)
}

#[test]
fn room_behind_the_last_batch_is_cut_and_no_damage() {
    let mut fixture = Fixture::new(0, |_| {});
    let mark = written_with_room(&mut fixture);
    let path = fixture.path(0, LOG);
    assert_eq!(OsDisk.file_len(&path).unwrap(), 10_000);
    let (log, recovery) = fixture.try_open(Some(mark)).unwrap();
    assert_eq!(recovery, Recovery::Intact { scanned: log.size_bytes() * 5 / 15 });
    assert_eq!((log.log_end(), read_all(&log, 0).len()), (30, 15));
    assert_eq!(OsDisk.file_len(&path).unwrap(), log.size_bytes());
    assert_eq!(fixture.context.metrics.torn_tails.get(), 0);
}

#[test]
fn room_left_in_a_sealed_segment_does_not_end_the_log() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mark = written(&fixture);
    // As a power loss leaves it that forgot the cut but not the segments after it.
    let segments = fixture.files(".log");
    let path = fixture.dir.join(&segments[segments.len() - 2]);
    let size = OsDisk.file_len(&path).unwrap();
    cut(&path, size + 5000);
    let (log, recovery) = fixture.try_open(Some(mark)).unwrap();
    assert!(matches!(recovery, Recovery::Intact { .. }), "{recovery:?}");
    assert_eq!((log.log_end(), read_all(&log, 0).len()), (30, 15));
    assert_eq!(OsDisk.file_len(&path).unwrap(), size);
}

#[test]
fn zeros_in_place_of_proven_batches_are_damage() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    written(&fixture);
    let path = fixture.path(0, LOG);
    let size = OsDisk.file_len(&path).unwrap();
    cut(&path, size / 2);
    cut(&path, size);
    // Read as a whole, because no mark is known; the sealed segments are proven all the same.
    assert!(matches!(fixture.try_open(None), Err(OpenError::Corrupt { .. })));
}

#[test]
fn a_closed_and_a_quiet_log_give_their_room_back() {
    let mut fixture = Fixture::new(0, |_| {});
    written_with_room(&mut fixture);
    let path = fixture.path(0, LOG);
    let mut log = fixture.open(None);
    append(&mut log, 1);
    flush(&mut log);
    assert_eq!(OsDisk.file_len(&path).unwrap(), 10_000);
    log.maintain(at(10_000), log.log_end());
    assert_eq!(OsDisk.file_len(&path).unwrap(), log.size_bytes(), "quiet");
    append(&mut log, 1);
    flush(&mut log);
    assert_eq!(OsDisk.file_len(&path).unwrap(), 10_000);
    log.close();
    assert_eq!(OsDisk.file_len(&path).unwrap(), log.size_bytes(), "closed");
}

#[test]
fn a_sealed_segment_has_no_room() {
    let mut fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    written_with_room(&mut fixture);
    let log = fixture.open(None);
    let on_disk: u64 =
        fixture.files(".log").iter().map(|f| OsDisk.file_len(&fixture.dir.join(f)).unwrap()).sum();
    assert!(log.segment_count() > 2);
    assert_eq!(on_disk, log.size_bytes());
}

#[test]
fn a_torn_tail_after_the_mark_is_cut() {
    for segment_bytes in [1 << 20, 1000] {
        let fixture = Fixture::new(0, |c| c.segment_bytes = segment_bytes);
        let mark = written(&fixture);
        let (base, position) = if segment_bytes == 1000 { (24, 0) } else { (0, mark.segment_position + 300) };
        assert!(fixture.path(base, LOG).exists());
        flip(&fixture.path(base, LOG), position + 70);
        let (mut log, recovery) = fixture.try_open(Some(mark)).unwrap();
        let Recovery::Torn { truncated_to, truncated_bytes, .. } = recovery else { panic!("{recovery:?}") };
        assert!((20..30).contains(&truncated_to));
        assert!(truncated_bytes > 0);
        assert_eq!(log.log_end(), truncated_to);
        assert_eq!(append(&mut log, 2).base_offset, truncated_to);
        let mark = flush(&mut log);
        drop(log);
        let (log, recovery) = fixture.try_open(Some(mark)).unwrap();
        assert_eq!(recovery, Recovery::Intact { scanned: 0 });
        assert_eq!(read_all(&log, 0).last(), Some(&(truncated_to, truncated_to + 2)));
        assert_eq!(fixture.context.metrics.torn_tails.get(), 1);
    }
}

#[test]
fn a_half_written_batch_at_the_end_is_cut() {
    for missing in [1, 100, 190] {
        let fixture = Fixture::new(0, |_| {});
        let mark = written(&fixture);
        let len = OsDisk.file_len(&fixture.path(0, LOG)).unwrap();
        cut(&fixture.path(0, LOG), len - missing);
        let (log, recovery) = fixture.try_open(Some(mark)).unwrap();
        assert!(matches!(recovery, Recovery::Torn { truncated_to: 28, .. }), "{recovery:?}");
        assert_eq!(log.log_end(), 28);
        // As if the power had failed before the cut was synced.
        drop(log);
        cut(&fixture.path(0, LOG), len - missing);
        let (log, recovery) = fixture.try_open(Some(mark)).unwrap();
        assert!(matches!(recovery, Recovery::Intact { .. }), "{recovery:?}");
        assert_eq!(log.log_end(), 28);
    }
}

#[test]
fn damage_below_the_mark_is_never_cut_away() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mark = written(&fixture);
    let files: Vec<_> = fixture.files(LOG);
    let path = fixture.path(mark.segment_base, LOG);
    let before = OsDisk.file_len(&path).unwrap();
    cut(&path, mark.segment_position - 1);
    for _ in 0..2 {
        let refused = fixture.try_open(Some(mark)).unwrap_err();
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
    }
    assert_eq!(fixture.files(LOG), files, "nothing was removed");
    assert_eq!(OsDisk.file_len(&path).unwrap(), mark.segment_position - 1);
    assert!(before >= mark.segment_position);
}

#[test]
fn a_lost_segment_or_directory_below_the_mark_is_refused() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mark = written(&fixture);
    for base in [24, mark.segment_base] {
        OsDisk.remove_file(&fixture.path(base, LOG)).unwrap();
    }
    assert!(matches!(fixture.try_open(Some(mark)), Err(OpenError::Corrupt { .. })));
    OsDisk.remove_dir_all(&fixture.dir).unwrap();
    let refused = fixture.try_open(Some(mark));
    assert!(matches!(refused, Err(OpenError::Corrupt { offset: 0, .. })));
}

#[test]
fn without_a_mark_a_bad_end_is_torn_and_anything_else_corrupt() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    written(&fixture);
    let last = *fixture.files(LOG).last().map(|n| base_offset(n, LOG).unwrap()).iter().next().unwrap();
    flip(&fixture.path(last, LOG), 100);
    let (log, recovery) = fixture.try_open(None).unwrap();
    assert!(matches!(recovery, Recovery::Torn { .. }));
    assert_eq!(log.log_end(), last);
    drop(log);
    flip(&fixture.path(0, LOG), 100);
    let refused = fixture.try_open(None).unwrap_err();
    assert!(
        matches!(refused, OpenError::Corrupt { segment_base: 0, position: 0, offset: 0, .. }),
        "{refused}"
    );
}

#[test]
fn a_lost_epoch_file_is_rebuilt_from_the_batches() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mut log = fixture.open(None);
    for epoch in [1, 1, 2, 5, 5, 5, 9, 9, 9, 9] {
        log.append_as_leader(batch(2, 0, 100), epoch, at(0)).unwrap();
    }
    let mark = flush(&mut log);
    let known: Vec<_> = (0..10).map(|e| log.epoch_end(e)).collect();
    drop(log);
    for damage in [false, true] {
        let path = fixture.dir.join(crate::epoch::FILE_NAME);
        if damage {
            flip(&path, 20)
        } else {
            OsDisk.remove_file(&path).unwrap()
        }
        let mut log = fixture.open(Some(mark));
        assert_eq!((0..10).map(|e| log.epoch_end(e)).collect::<Vec<_>>(), known);
        flush(&mut log);
        assert!(OsDisk.exists(&path));
    }
}

#[test]
fn epochs_that_begin_above_the_start_of_the_log_are_rebuilt_from_the_batches() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mut log = fixture.open(None);
    for epoch in [1, 1, 2, 5, 5] {
        log.append_as_leader(batch(2, 0, 100), epoch, at(0)).unwrap();
    }
    let mark = flush(&mut log);
    // The start moves, and the epochs are stored with it, but the crash comes before the mark is.
    log.advance_log_start(6).unwrap();
    log.append_as_leader(batch(2, 0, 100), 9, at(0)).unwrap();
    flush(&mut log);
    drop(log);
    let log = fixture.open(Some(mark));
    assert_eq!(log.log_start(), 0);
    let epochs: Vec<_> = (0..12).map(|offset| log.epoch_for(offset)).collect();
    assert_eq!(epochs, [1, 1, 1, 1, 2, 2, 5, 5, 5, 5, 9, 9].map(Some));
}

#[test]
fn a_damaged_or_missing_index_is_rebuilt() {
    let fixture = Fixture::new(0, |c| (c.segment_bytes, c.index_interval_bytes) = (4000, 200));
    let mut log = fixture.open(None);
    for _ in 0..60 {
        append(&mut log, 2);
    }
    let mark = flush(&mut log);
    log.close();
    drop(log);
    let expected: Vec<_> = (0..60).map(|i| (2 * i, 2 * i + 2)).collect();
    let indexes = fixture.files("index");
    assert!(indexes.len() >= 6);
    for (i, name) in indexes.iter().enumerate() {
        let path = fixture.dir.join(name);
        if i % 2 == 0 { flip(&path, 70) } else { cut(&path, 30) }
    }
    let log = fixture.open(Some(mark));
    for from in 0..120 {
        let skipped = usize::try_from(from / 2).unwrap();
        assert_eq!(read_all(&log, from), expected[skipped..]);
    }
    assert!(fixture.context.metrics.rebuilt_indexes.get() > 0);
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let fixture = Fixture::new(0, |_| {});
    let mark = written(&fixture);
    for name in ["00000000000000000000.log.deleted", "00000000000000000000.log.cleaned", "x.tmp"] {
        OsDisk.open(&fixture.dir.join(name), OpenMode::Create).unwrap();
    }
    fixture.open(Some(mark));
    for suffix in [".deleted", ".cleaned", ".tmp"] {
        assert_eq!(fixture.files(suffix), Vec::<String>::new());
    }
}

#[test]
fn a_snapshot_of_lost_records_is_not_used() {
    let fixture = Fixture::new(0, |_| {});
    let mark = written(&fixture);
    let stale = crate::producer::ProducerStateManager::new();
    stale.take_snapshot(&OsDisk, &fixture.dir, 33, crate::checkpoint::Durability::Relaxed).unwrap();
    fixture.open(Some(mark));
    assert_eq!(fixture.files(".snapshot"), Vec::<String>::new());
}

/// One life of a log on a simulated disk: what was appended, and up to where it was durable.
struct Life {
    batches: Vec<RecordBatch>,
    durable: usize,
    mark: Option<LogMark>,
}

fn live(disk: &SimDisk, life: &mut Life, steps: &[(u8, i64)], segment_bytes: u64) {
    let fixture = on(disk, segment_bytes);
    let Ok((mut log, _)) = fixture.try_open(life.mark) else { return };
    for (what, n) in steps {
        match what {
            0..=6 => {
                let sent = batch(*n, 5, 80);
                if log.append_as_leader(sent.clone(), EPOCH, at(1)).is_err() {
                    return;
                }
                life.batches.push(sent);
            }
            7 => {
                let Some(flush) = log.begin_flush() else { continue };
                let files = flush.files.iter().try_for_each(|f| f.sync_data());
                if files.and_then(|()| flush.dirs.iter().try_for_each(|d| disk.sync_dir(d))).is_err() {
                    return;
                }
                log.finish_flush(flush);
                life.durable = life.batches.len();
                // The journal lags behind: every second mark does not get there.
                if n % 2 == 0 {
                    life.mark = Some(log.mark(log.durable_end()));
                }
            }
            _ => {
                log.maintain(at(70_000 * n), log.durable_end());
            }
        }
    }
}

fn on(disk: &SimDisk, segment_bytes: u64) -> Fixture {
    Fixture::on(Arc::new(disk.clone()), PathBuf::from("/data"), 0, |c| {
        (c.segment_bytes, c.index_interval_bytes) = (segment_bytes, 100);
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    /// Appends, flushes and a power failure at any change or sync, recovery itself included: every batch that was durable
    /// is there byte for byte, what follows is a prefix of what was sent, and the log goes on.
    #[test]
    fn what_was_durable_survives_power_failures(
        seed: u64,
        lives in prop::collection::vec((prop::collection::vec((0u8..9, 1i64..4), 1..25), 1u64..120), 1..5),
        segment_bytes in 500u64..3000,
    ) {
        let mut disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let mut life = Life { batches: Vec::new(), durable: 0, mark: Some(LogMark::default()) };
        for (steps, power_off_at) in &lives {
            disk.power_off_at(*power_off_at);
            live(&disk, &mut life, steps, segment_bytes);
            disk = disk.crash();
            let fixture = on(&disk, segment_bytes);
            let opened = fixture.try_open(life.mark);
            prop_assert!(opened.is_ok(), "{:?}", opened.err());
            let (mut log, _) = opened.unwrap();
            let found = placed(&log);
            prop_assert!(found.len() >= life.durable, "{} of {} durable batches", found.len(), life.durable);
            prop_assert!(found.len() <= life.batches.len());
            for (found, sent) in found.iter().zip(&life.batches) {
                prop_assert_eq!(&found.to_bytes()[16..], &sent.bytes()[16..]);
            }
            life.batches.truncate(found.len());
            let mark = flush(&mut log);
            life.durable = found.len();
            life.mark = Some(mark);
        }
    }
}

#[test]
fn opening_creates_nothing() {
    let disk = SimDisk::new(1);
    let fixture = on(&disk, 1000);
    fixture.open(None);
    let again = LogContext::new(
        Arc::new(disk.clone()),
        Arc::new(TailBudget::new(0)),
        Arc::default(),
        LogOptions { producer_expiration_ms: 1, ..LogOptions::default() },
    );
    Log::open(&again, PathBuf::from("/data/other-0"), identity(), None, Arc::default(), at(0)).unwrap();
    assert_eq!(disk.changes_made(), 0);
}

#[test]
fn without_a_mark_a_gap_is_corrupt_unless_nothing_follows_or_compaction_made_it() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    written(&fixture);
    let bases: Vec<_> = fixture.files(LOG).iter().map(|n| base_offset(n, LOG).unwrap()).collect();
    let path = fixture.path(bases[1], LOG);
    let len = OsDisk.file_len(&path).unwrap();
    cut(&path, len - batch(2, 0, 100).len() as u64);
    let refused = fixture.try_open(None).unwrap_err();
    assert!(matches!(refused, OpenError::Corrupt { offset, .. } if offset == bases[2] - 2), "{refused}");

    let mut compacted = (*fixture.config).clone();
    compacted.cleanup.compact = true;
    let opened =
        Log::open(&fixture.context, fixture.dir.clone(), identity(), None, Arc::new(compacted), at(0));
    assert_eq!(opened.unwrap().0.log_end(), 30);

    for base in &bases[2..] {
        cut(&fixture.path(*base, LOG), 0);
    }
    let (log, recovery) = fixture.try_open(None).unwrap();
    assert!(matches!(recovery, Recovery::Torn { .. }));
    assert_eq!(log.log_end(), bases[2] - 2);
}

#[test]
fn an_old_mark_into_a_segment_that_was_compacted_since_cuts_nothing() {
    let fixture = Fixture::new(0, |c| (c.segment_bytes, c.cleanup.compact) = (1000, true));
    let mut log = fixture.open(None);
    append(&mut log, 2);
    let old = flush(&mut log);
    for _ in 0..9 {
        append(&mut log, 2);
    }
    flush(&mut log);
    drop(log);
    // The first segment as compaction could leave it: its first batch is gone, the others moved up.
    let bytes = crate::disk::read_file(&OsDisk, &fixture.path(0, LOG), 1 << 20).unwrap();
    let first = batch(2, 0, 100).len();
    let file = OsDisk.open(&fixture.path(0, LOG), OpenMode::ReadWrite).unwrap();
    file.set_len((bytes.len() - first) as u64).unwrap();
    file.write_all_at(&[io::IoSlice::new(&bytes[first..])], 0).unwrap();
    let (log, recovery) = fixture.try_open(Some(old)).unwrap();
    assert!(matches!(recovery, Recovery::Intact { .. }), "{recovery:?}");
    assert_eq!(log.log_end(), 20);
    assert_eq!(read_all(&log, 0).len(), 9);
}

/// A log on a simulated disk whose last flush failed, and the mark from before it.
fn after_a_failed_flush(seed: u64) -> (SimDisk, LogMark) {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut log = sim_fixture(&disk).open(None);
    log.append_as_leader(batch(1, 0, 3000), EPOCH, at(0)).unwrap();
    let mark = flush(&mut log);
    for _ in 0..10 {
        log.append_as_leader(batch(1, 0, 3000), EPOCH + 1, at(0)).unwrap();
    }
    let begun = log.begin_flush().unwrap();
    disk.fail_sync(1 + seed % begun.files.len() as u64);
    assert!(begun.files.iter().any(|file| file.sync_data().is_err()));
    (disk.restart(), mark)
}

fn sim_fixture(disk: &SimDisk) -> Fixture {
    Fixture::on(std::sync::Arc::new(disk.clone()), PathBuf::from("/data"), 0, |c| c.segment_bytes = 12_000)
}

#[test]
fn what_a_failed_flush_left_in_memory_only_is_written_anew_before_it_counts() {
    for seed in 0..20 {
        for has_mark in [true, false] {
            let (disk, mark) = after_a_failed_flush(seed);
            let mut log = sim_fixture(&disk).open(has_mark.then_some(mark));
            assert_eq!(log.log_end(), 11, "a restarted process reads everything");
            let mark = flush(&mut log);
            assert_eq!(mark.durable_end, 11);
            drop(log);
            let disk = disk.crash();
            let log = sim_fixture(&disk).open(Some(mark));
            assert_eq!((log.log_end(), log.latest_epoch()), (11, Some(EPOCH + 1)), "seed {seed}");
            assert_eq!(read_all(&log, 0).len(), 11, "seed {seed}");
        }
    }
}

#[test]
fn a_start_that_only_memory_knows_is_written_anew_before_segments_go() {
    for seed in 0..20 {
        let (disk, mark) = after_a_failed_flush(seed);
        let mut log = sim_fixture(&disk).open(Some(mark));
        let mark = flush(&mut log);
        start::store(log.disk(), log.dir(), 0).unwrap();
        disk.fail_sync(1);
        assert!(start::store(log.disk(), log.dir(), 9).is_err());
        drop(log);
        let disk = disk.restart();
        let log = sim_fixture(&disk).open(Some(mark));
        assert_eq!(log.log_start(), 9);
        drop(log);
        let disk = disk.crash();
        let log = sim_fixture(&disk).open(Some(mark));
        assert_eq!((log.log_start(), log.log_end()), (9, 11), "seed {seed}");
    }
}

#[test]
fn what_a_failed_cut_took_away_does_not_come_back_behind_what_is_written_next() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let mut log = sim_fixture(&disk).open(None);
        for _ in 0..8 {
            log.append_as_leader(batch(1, 0, 3000), EPOCH, at(0)).unwrap();
        }
        flush(&mut log);
        let mark = log.mark_before_truncate(5, 5).unwrap();
        disk.fail_sync(1 + seed % 3);
        let _ = log.truncate_to(5);
        drop(log);
        let disk = disk.restart();
        let mut log = sim_fixture(&disk).open(Some(mark));
        assert_eq!(log.log_end(), 5);
        log.append_as_leader(batch(1, 0, 3000), EPOCH, at(0)).unwrap();
        let mark = flush(&mut log);
        drop(log);
        let disk = disk.crash();
        let log = sim_fixture(&disk).open(Some(mark));
        assert_eq!(log.log_end(), 6, "seed {seed}");
        assert_eq!(read_all(&log, 0).len(), 6);
    }
}
