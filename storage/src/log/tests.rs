//! A log over the real disk: append, read, flush, time. The helpers also serve the tests of recovery and truncation.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use tidemark_protocol::batch::{
    BatchBuilder, BuilderOptions, Compression, PlacedBatch, RecordBatch, batches,
};
use tidemark_protocol::types::TopicId;
use uuid::Uuid;

use super::*;
use crate::disk::{OpenMode, OsDisk, read_exact_at};
use crate::segment::names::{LOG, base_offset};

pub(super) const EPOCH: LeaderEpoch = 3;

pub(super) fn at(ms: i64) -> Now {
    Now { mono: Duration::from_millis(ms.unsigned_abs()), wall_ms: 1_000_000 + ms }
}

pub(super) fn identity() -> TopicIdPartition {
    TopicIdPartition { topic_id: TopicId(Uuid::from_u128(0x1234_5678)), partition: 2 }
}

/// A log in a directory of its own, with a tail of `tail` bytes.
pub(super) struct Fixture {
    pub context: Arc<LogContext>,
    pub dir: PathBuf,
    pub config: Arc<LogConfig>,
    _temporary: Option<TempDir>,
}

impl Fixture {
    pub fn new(tail: usize, change: impl FnOnce(&mut LogConfig)) -> Self {
        let temporary = TempDir::new().unwrap();
        let root = temporary.path().to_owned();
        Fixture { _temporary: Some(temporary), ..Fixture::on(Arc::new(OsDisk), root, tail, change) }
    }

    pub fn on(disk: Arc<dyn Disk>, root: PathBuf, tail: usize, change: impl FnOnce(&mut LogConfig)) -> Self {
        let mut config = LogConfig { index_interval_bytes: 300, ..LogConfig::default() };
        change(&mut config);
        let context =
            LogContext::new(disk, Arc::new(TailBudget::new(tail)), Arc::default(), LogOptions::default());
        Fixture { context, dir: root.join("orders-2"), config: Arc::new(config), _temporary: None }
    }

    pub fn try_open(&self, mark: Option<LogMark>) -> Result<(Log, Recovery), OpenError> {
        Log::open(&self.context, self.dir.clone(), identity(), mark, self.config.clone(), at(0))
    }

    pub fn open(&self, mark: Option<LogMark>) -> Log {
        self.try_open(mark).unwrap().0
    }

    pub fn scanned(&self) -> u64 {
        self.context.metrics.recovery_scanned_bytes.get()
    }

    /// Names of the files in the log's directory that end with `suffix`, sorted.
    pub fn files(&self, suffix: &str) -> Vec<String> {
        let names = self.context.disk.read_dir(&self.dir).unwrap_or_default();
        let mut names: Vec<_> = names.into_iter().filter(|n| n.ends_with(suffix)).collect();
        names.sort();
        names
    }

    pub fn path(&self, base: Offset, suffix: &str) -> PathBuf {
        self.dir.join(crate::segment::names::file_name(base, suffix))
    }
}

/// A batch of `n` records with the given timestamps' start and a value of `bytes` bytes each.
pub(super) fn batch(n: i64, timestamp: i64, bytes: usize) -> RecordBatch {
    let value = vec![b'v'; bytes];
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    for i in 0..n {
        builder.append(i, timestamp + i, Some(b"key"), Some(&value), &[]);
    }
    builder.build()
}

fn producer_batch(sequence: i32, n: i64) -> RecordBatch {
    producer_batch_at(sequence, n, 50)
}

fn producer_batch_at(sequence: i32, n: i64, timestamp: i64) -> RecordBatch {
    let options = BuilderOptions {
        producer_id: 9,
        producer_epoch: 0,
        base_sequence: sequence,
        ..BuilderOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    for i in 0..n {
        builder.append(i, timestamp, None, Some(b"v"), &[]);
    }
    builder.build()
}

pub(super) fn append(log: &mut Log, n: i64) -> Appended {
    log.append_as_leader(batch(n, log.log_end() * 10, 100), EPOCH, at(1)).unwrap()
}

/// Syncs everything as a log thread does, and returns the mark it would journal.
pub(super) fn flush(log: &mut Log) -> LogMark {
    if let Some(flush) = log.begin_flush() {
        for file in &flush.files {
            file.sync_data().unwrap();
        }
        for dir in &flush.dirs {
            log.disk().sync_dir(dir).unwrap();
        }
        log.finish_flush(flush);
    }
    log.mark(log.durable_end())
}

pub(super) fn bytes_of(slice: &Slice) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in &slice.pieces {
        match piece {
            Piece::Memory(batch) => all.extend_from_slice(&batch.to_bytes()),
            Piece::File { file, position, len } => {
                let mut bytes = vec![0; *len];
                read_exact_at(&**file, &mut bytes, *position).unwrap();
                all.extend_from_slice(&bytes);
            }
        }
    }
    assert_eq!(all.len(), slice.bytes);
    all
}

/// Base offsets and ends of the batches from `from` on, read piece by piece.
pub(super) fn read_all(log: &Log, from: Offset) -> Vec<(Offset, Offset)> {
    let reader = log.reader();
    let mut found = Vec::new();
    let mut next = from;
    while next < reader.log_end() {
        let slice = reader.read(next, reader.log_end(), 1000, true).unwrap();
        assert!(slice.next_offset > next, "a read at {next} brings at least one batch");
        let bytes = bytes_of(&slice);
        for item in batches(&bytes) {
            let (header, range) = item.unwrap();
            RecordBatch::parse(Bytes::copy_from_slice(&bytes[range])).unwrap().verify_crc().unwrap();
            found.push((header.base_offset, header.next_offset()));
        }
        next = slice.next_offset;
    }
    found
}

#[test]
fn an_empty_log_has_nothing_on_disk() {
    let fixture = Fixture::new(1 << 20, |_| {});
    let (mut log, recovery) = fixture.try_open(None).unwrap();
    log.assign_epoch(EPOCH);
    assert_eq!(recovery, Recovery::Empty);
    assert_eq!((log.log_start(), log.log_end(), log.durable_end(), log.size_bytes()), (0, 0, 0, 0));
    assert!(log.begin_flush().is_none());
    assert_eq!(log.maintain(at(5), 0).next_due, None);
    assert_eq!(log.latest_epoch(), Some(EPOCH));
    assert_eq!(log.reader().read(0, 0, 1000, true).unwrap().bytes, 0);
    log.close();
    assert!(!fixture.dir.exists());
}

#[test]
fn appended_batches_get_their_place_and_come_back_from_memory_and_file() {
    for tail in [0, 1 << 20] {
        let fixture = Fixture::new(tail, |_| {});
        let mut log = fixture.open(None);
        let first = append(&mut log, 3);
        assert_eq!(
            (first.base_offset, first.last_offset, first.duplicate, first.log_append_time),
            (0, 2, false, -1)
        );
        assert_eq!(append(&mut log, 2).base_offset, 3);
        assert_eq!(log.log_end(), 5);
        assert_eq!(read_all(&log, 0), [(0, 3), (3, 5)]);
        // From within a batch the whole batch comes.
        assert_eq!(read_all(&log, 4), [(3, 5)]);
        let slice = log.reader().read(0, 5, 1 << 20, false).unwrap();
        assert_eq!(matches!(slice.pieces[0], Piece::Memory(_)), tail > 0);
        let bytes = bytes_of(&slice);
        let headers: Vec<_> = batches(&bytes).map(|item| item.unwrap().0).collect();
        assert!(headers.iter().all(|h| h.partition_leader_epoch == EPOCH));
    }
}

#[test]
fn the_bytes_in_the_file_are_the_producers_behind_the_patched_prefix() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    append(&mut log, 1);
    let sent = batch(4, 77, 500);
    log.append_as_leader(sent.clone(), EPOCH, at(0)).unwrap();
    let file = OsDisk.open(&fixture.path(0, LOG), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(log.size_bytes()).unwrap()];
    read_exact_at(&*file, &mut bytes, 0).unwrap();
    let stored = &bytes[bytes.len() - sent.len()..];
    assert_eq!(stored[16..], sent.bytes()[16..]);
    assert_eq!(stored[..8], 1i64.to_be_bytes());
    assert_eq!(stored[12..16], EPOCH.to_be_bytes());
}

#[test]
fn the_first_batch_comes_whole_only_if_at_least_one_is_asked_for() {
    for tail in [0, 1 << 20] {
        let fixture = Fixture::new(tail, |_| {});
        let mut log = fixture.open(None);
        append(&mut log, 3);
        append(&mut log, 3);
        let reader = log.reader();
        assert_eq!(reader.read(0, 6, 10, false).unwrap().bytes, 0);
        let one = reader.read(0, 6, 10, true).unwrap();
        assert_eq!(one.next_offset, 3);
        assert_eq!(reader.read(0, 6, one.bytes, false).unwrap().next_offset, 3);
        assert_eq!(reader.read(0, 6, 2 * one.bytes, false).unwrap().next_offset, 6);
        // A batch that reaches beyond the bound is not shown, not even part of it.
        assert_eq!(reader.read(3, 5, 1 << 20, true).unwrap().bytes, 0);
        assert_eq!(reader.read(0, 5, 1 << 20, true).unwrap().next_offset, 3);
    }
}

#[test]
fn offsets_outside_of_the_log_are_refused_with_its_bounds() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    append(&mut log, 5);
    log.advance_log_start(2).unwrap();
    for asked in [0, 1, 6] {
        let error = log.reader().read(asked, 5, 100, true).unwrap_err();
        assert!(matches!(error, ReadError::OffsetOutOfRange { start: 2, end: 5, .. }), "{error}");
    }
    assert_eq!(log.reader().read(5, 5, 100, true).unwrap().bytes, 0);
}

#[test]
fn a_snapshot_does_not_see_what_comes_later() {
    let fixture = Fixture::new(1 << 20, |_| {});
    let mut log = fixture.open(None);
    append(&mut log, 5);
    let reader = log.reader();
    append(&mut log, 5);
    assert_eq!(reader.log_end(), 5);
    assert_eq!(reader.read(0, 10, 1 << 20, true).unwrap().next_offset, 5);
    assert_eq!(reader.read(5, 10, 1 << 20, true).unwrap().bytes, 0);
}

#[test]
fn a_retried_batch_is_answered_with_its_first_place() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    let first = log.append_as_leader(producer_batch(0, 3), EPOCH, at(0)).unwrap();
    log.append_as_leader(producer_batch(3, 3), EPOCH, at(0)).unwrap();
    let size = log.size_bytes();
    let again = log.append_as_leader(producer_batch(0, 3), EPOCH, at(0)).unwrap();
    assert_eq!(
        (again.base_offset, again.last_offset, again.duplicate),
        (first.base_offset, first.last_offset, true)
    );
    let gap = log.append_as_leader(producer_batch(9, 3), EPOCH, at(0)).unwrap_err();
    assert!(
        matches!(gap, AppendError::OutOfOrderSequence { producer_id: 9, offset: 6, found: 9, expected: 6 }),
        "{gap}"
    );
    assert_eq!((log.log_end(), log.size_bytes()), (6, size));
    assert_eq!(log.producers(at(0)).len(), 1);
    assert_eq!(log.producers(at(0))[0].last_sequence, 5);
}

#[test]
fn producers_are_known_again_after_a_crash_and_after_a_clean_stop() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 400);
    let mut log = fixture.open(None);
    for i in 0..8 {
        log.append_as_leader(producer_batch(3 * i, 3), EPOCH, at(0)).unwrap();
    }
    let mark = flush(&mut log);
    let known = log.producers(at(0));
    drop(log);
    let mut log = fixture.open(Some(mark));
    assert_eq!(log.producers(at(0)), known);
    assert!(log.append_as_leader(producer_batch(21, 3), EPOCH, at(0)).unwrap().duplicate);
    log.close();
    drop(log);
    assert!(fixture.files(".snapshot").contains(&"00000000000000000024.snapshot".to_owned()));
    let mut log = fixture.open(Some(mark));
    assert_eq!(log.producers(at(0)), known);
}

#[test]
fn a_restart_neither_forgets_a_producer_early_nor_keeps_it_for_ever() {
    const DAY_MS: i64 = 86_400_000;
    // The producer's clock is years behind, or years ahead.
    for timestamp in [50, 1000 * DAY_MS] {
        for is_clean in [false, true] {
            let fixture = Fixture::new(0, |_| {});
            let mut log = fixture.open(None);
            log.append_as_leader(producer_batch_at(0, 3, timestamp), EPOCH, at(9 * DAY_MS)).unwrap();
            let mark = flush(&mut log);
            if is_clean {
                log.close();
            }
            drop(log);
            let mut log = fixture.open(Some(mark));
            log.maintain(at(9 * DAY_MS + 5), 3);
            let retry = log.append_as_leader(producer_batch_at(0, 3, timestamp), EPOCH, at(9 * DAY_MS + 5));
            assert!(retry.unwrap().duplicate, "timestamp {timestamp}");
            log.maintain(at(9 * DAY_MS + 10), 3);
            assert_eq!(log.producers(at(9 * DAY_MS + 10)).len(), 1, "timestamp {timestamp}");
            assert_eq!(
                log.producers(at(10 * DAY_MS + 5)).len(),
                1,
                "only time that passes in the log counts"
            );
            log.maintain(at(10 * DAY_MS + 5), 3);
            assert_eq!(log.producers(at(10 * DAY_MS + 5)).len(), 0, "timestamp {timestamp}");
        }
    }
}

#[test]
fn a_producer_that_expired_while_nobody_looked_is_not_loaded() {
    const DAY_MS: i64 = 86_400_000;
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    log.append_as_leader(producer_batch(0, 3), EPOCH, at(0)).unwrap();
    let mark = flush(&mut log);
    log.close();
    drop(log);
    let mut log = fixture.open(Some(mark));
    assert_eq!(log.producers(at(2 * DAY_MS)), []);
}

#[test]
fn segments_roll_by_size_and_offsets_go_on() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mut log = fixture.open(None);
    for _ in 0..20 {
        append(&mut log, 2);
    }
    assert_eq!(log.log_end(), 40);
    let bases: Vec<_> = fixture.files(LOG).iter().filter_map(|n| base_offset(n, LOG)).collect();
    assert!(bases.len() > 3);
    for base in &bases[..bases.len() - 1] {
        let size = OsDisk.file_len(&fixture.path(*base, LOG)).unwrap();
        assert!(size <= 1000 && size > 500);
    }
    assert_eq!(read_all(&log, 0), (0..20).map(|i| (2 * i, 2 * i + 2)).collect::<Vec<_>>());
    let too_large = log.append_as_leader(batch(1, 0, 1000), EPOCH, at(0)).unwrap_err();
    assert!(matches!(too_large, AppendError::BatchTooLarge { max: 1000, .. }));
}

#[test]
fn segments_roll_by_record_time_and_by_index_size() {
    let fixture = Fixture::new(0, |c| c.segment_ms = 1000);
    let mut log = fixture.open(None);
    for timestamp in [0, 999, 1000, 1001, 2001, 2002] {
        log.append_as_leader(batch(1, timestamp, 10), EPOCH, at(0)).unwrap();
    }
    // 1001 − 0 is above the limit, 2002 − 1001 again.
    assert_eq!(
        fixture.files(LOG),
        ["00000000000000000000.log", "00000000000000000003.log", "00000000000000000005.log"]
    );

    let fixture = Fixture::new(0, |c| (c.segment_index_bytes, c.index_interval_bytes) = (24, 0));
    let mut log = fixture.open(None);
    for _ in 0..7 {
        append(&mut log, 1);
    }
    assert!(fixture.files(LOG).len() > 1);
    assert_eq!(read_all(&log, 0).len(), 7);
}

#[test]
fn an_idle_segment_rolls_when_its_time_comes() {
    let fixture = Fixture::new(0, |c| c.segment_ms = 1000);
    let mut log = fixture.open(None);
    log.append_as_leader(batch(1, at(0).wall_ms, 10), EPOCH, at(0)).unwrap();
    let mark = flush(&mut log);
    assert!(!log.maintain(at(500), 1).rolled);
    let done = log.maintain(at(1500), 1);
    assert!(done.rolled);
    assert!(!log.maintain(at(9000), 1).rolled, "an empty segment does not roll");
    assert_eq!(fixture.files(LOG).len(), 2);
    // The roll is not journaled yet; neither is a mark after it lost.
    drop(log);
    assert_eq!(fixture.open(Some(mark)).log_end(), 1);
    let mut log = fixture.open(Some(mark));
    let mark = flush(&mut log);
    assert_eq!(mark.segment_base, 1);
    drop(log);
    let (log, recovery) = fixture.try_open(Some(mark)).unwrap();
    assert_eq!((log.log_end(), recovery), (1, Recovery::Intact { scanned: 0 }));
}

#[test]
fn a_flush_covers_what_was_written_when_it_began() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    append(&mut log, 2);
    let first = log.begin_flush().unwrap();
    assert_eq!(first.end, 2);
    assert_eq!(first.dirs.len(), 2, "a new partition syncs its directory and the one above");
    append(&mut log, 2);
    assert_eq!(log.durable_end(), 0);
    log.finish_flush(first);
    assert_eq!((log.durable_end(), log.log_end()), (2, 4));
    let second = log.begin_flush().unwrap();
    assert!(second.dirs.is_empty());
    assert_eq!(second.files.len(), 1);
    log.finish_flush(second);
    assert_eq!(log.durable_end(), 4);
    assert!(log.begin_flush().is_none());
}

#[test]
fn a_failed_log_refuses_appends_and_still_reads() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    append(&mut log, 2);
    log.fail("sync: I/O error".into());
    let refused = log.append_as_leader(batch(1, 0, 1), EPOCH, at(0)).unwrap_err();
    assert!(matches!(refused, AppendError::Failed(why) if why.contains("I/O error")));
    assert!(log.begin_flush().is_none());
    assert_eq!(log.failure(), Some("sync: I/O error"));
    assert_eq!(read_all(&log, 0), [(0, 2)]);
}

#[test]
fn a_follower_takes_batches_as_they_are_and_refuses_others() {
    let fixture = Fixture::new(0, |c| c.segment_bytes = 1000);
    let mut leader = fixture.open(None);
    for _ in 0..12 {
        append(&mut leader, 2);
    }
    let slice = leader.reader().read(0, 24, 1 << 20, true).unwrap();
    let bytes = bytes_of(&slice);

    let other = Fixture::new(1 << 20, |c| c.segment_bytes = 1500);
    let mut follower = other.open(None);
    // The last batch is cut off, as at the end of a fetch response.
    let cut = Bytes::from(bytes.clone()).slice(..bytes.len() - 5);
    assert_eq!(follower.append_as_follower(cut, at(0)).unwrap(), 22);
    assert_eq!(follower.latest_epoch(), Some(EPOCH));
    assert_eq!(read_all(&follower, 0), read_all(&leader, 0)[..11]);
    assert!(other.files(LOG).len() > 1);

    let again = follower.append_as_follower(Bytes::from(bytes.clone()), at(0));
    assert!(matches!(again, Err(AppendError::Corrupt(_))), "offsets do not go back");
    let mut flipped = bytes[bytes.len() - slice.bytes / 12..].to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let flipped = follower.append_as_follower(Bytes::from(flipped), at(0));
    assert!(matches!(flipped, Err(AppendError::Corrupt(why)) if why.contains("crc")));
    assert_eq!(follower.log_end(), 22);
}

#[test]
fn epochs_end_where_the_next_begins() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    log.append_as_leader(batch(3, 0, 1), 1, at(0)).unwrap();
    log.append_as_leader(batch(3, 0, 1), 4, at(0)).unwrap();
    log.assign_epoch(6);
    assert_eq!([1, 2, 4, 6, 7].map(|e| log.epoch_end(e)), [(1, 3), (1, 3), (4, 6), (6, 6), (-1, -1)]);
    let reader = log.reader();
    assert_eq!([0, 2, 3, 5].map(|o| reader.epoch_for(o)), [Some(1), Some(1), Some(4), Some(4)]);
    let mark = flush(&mut log);
    drop(log);
    // The epoch without a batch is not stored; the controller will assign a newer one anyway.
    let log = fixture.open(Some(mark));
    assert_eq!([1, 4].map(|e| log.epoch_end(e)), [(1, 3), (4, 6)]);
}

#[test]
fn the_metadata_file_is_kafkas_and_another_topics_directory_is_refused() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    append(&mut log, 1);
    flush(&mut log);
    let text = crate::disk::read_file(&OsDisk, &fixture.dir.join("partition.metadata"), 1000).unwrap();
    let expected = format!("version: 0\ntopic_id: {}\n", identity().topic_id);
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    drop(log);
    let other = TopicIdPartition { topic_id: TopicId(Uuid::from_u128(99)), partition: 2 };
    let refused =
        Log::open(&fixture.context, fixture.dir.clone(), other, None, fixture.config.clone(), at(0));
    assert!(matches!(refused, Err(OpenError::WrongTopic { .. })));
}

#[test]
fn a_deleted_log_leaves_a_directory_to_be_removed() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    append(&mut log, 1);
    let reader = log.reader();
    let held = reader.read(0, 1, 1000, true).unwrap();
    let left = log.delete("abc").unwrap().unwrap();
    assert!(left.ends_with("orders-2.abc-delete"));
    assert!(left.exists() && !fixture.dir.exists());
    assert_eq!(batches(&bytes_of(&held)).count(), 1);
    assert!(fixture.open(None).delete("abd").unwrap().is_none());
}

#[test]
fn the_tail_budget_holds_for_all_logs_together() {
    let fixture = Fixture::new(4000, |_| {});
    let mut log = fixture.open(None);
    let other = Fixture {
        dir: fixture.dir.with_file_name("orders-3"),
        context: fixture.context.clone(),
        config: fixture.config.clone(),
        _temporary: None,
    };
    let mut second = other.open(None);
    for _ in 0..30 {
        append(&mut log, 2);
        append(&mut second, 2);
        assert!(fixture.context.tail.used() <= 4000);
    }
    assert!(fixture.context.tail.used() > 2000);
    assert_eq!(read_all(&log, 0).len(), 30);
    assert_eq!(read_all(&second, 0).len(), 30);
    // A minute later nobody follows these batches any more.
    log.maintain(at(61_002), 60);
    second.maintain(at(61_002), 60);
    assert_eq!(fixture.context.tail.used(), 0);
}

#[test]
fn an_idle_log_lets_go_of_everything_and_goes_on() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    log.append_as_leader(producer_batch(0, 3), EPOCH, at(0)).unwrap();
    flush(&mut log);
    let due = log.maintain(at(10), 3).next_due.unwrap();
    assert!(due <= Duration::from_secs(61));
    log.maintain(at(61_000), 3);
    assert!(!log.active().is_busy() && log.producers.is_none());
    assert_eq!(read_all(&log, 0), [(0, 3)]);
    assert!(log.append_as_leader(producer_batch(0, 3), EPOCH, at(70_000)).unwrap().duplicate);
    log.append_as_leader(producer_batch(3, 3), EPOCH, at(70_000)).unwrap();
    assert_eq!(read_all(&log, 0), [(0, 3), (3, 6)]);
    assert_eq!(fixture.context.metrics.rebuilt_indexes.get(), 0, "the saved index served");
}

mod time;

/// What a plain walk over all batches says, for comparison.
pub(super) fn placed(log: &Log) -> Vec<PlacedBatch> {
    let reader = log.reader();
    let (mut next, mut all) = (reader.log_start(), Vec::new());
    while next < reader.log_end() {
        let slice = reader.read(next, reader.log_end(), 1 << 30, true).unwrap();
        assert!(slice.next_offset > next, "nothing at {next} of {:?}", reader.segments);
        let bytes = Bytes::from(bytes_of(&slice));
        for item in batches(&bytes) {
            all.push(RecordBatch::parse(bytes.slice(item.unwrap().1)).unwrap().placed());
        }
        next = slice.next_offset;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Random batches, segment sizes and index steps; every read compared with a filter over the list of batches.
    #[test]
    fn every_read_equals_a_linear_search(
        sizes in prop::collection::vec((1i64..6, 1usize..400), 1..40),
        segment_bytes in 700u64..5000,
        interval in 0u64..1500,
        tail in prop_oneof![Just(0usize), Just(3000)],
        reads in prop::collection::vec((0i64..200, 0i64..200, 0usize..4000, any::<bool>()), 20),
    ) {
        let fixture = Fixture::new(tail, |c| (c.segment_bytes, c.index_interval_bytes) = (segment_bytes, interval));
        let mut log = fixture.open(None);
        let mut list: BTreeMap<Offset, (Offset, usize)> = BTreeMap::new();
        for (n, bytes) in sizes {
            let sent = batch(n, 0, bytes.min(100));
            let len = sent.len();
            let placed = log.append_as_leader(sent, EPOCH, at(0)).unwrap();
            list.insert(placed.base_offset, (placed.last_offset + 1, len));
        }
        let reader = log.reader();
        for (from, up_to, max_bytes, at_least_one) in reads {
            let Ok(slice) = reader.read(from, up_to, max_bytes, at_least_one) else {
                prop_assert!(from > log.log_end());
                continue;
            };
            let mut expected = Vec::new();
            let mut left = max_bytes;
            for (&base, &(end, len)) in list.iter().filter(|(_, (end, _))| *end > from) {
                let is_first = at_least_one && expected.is_empty();
                if from >= up_to || end > up_to || (len > left && !is_first) {
                    break;
                }
                left = left.saturating_sub(len);
                expected.push((base, end));
            }
            let bytes = bytes_of(&slice);
            let found: Vec<_> =
                batches(&bytes).map(|item| item.unwrap().0).map(|h| (h.base_offset, h.next_offset())).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(slice.next_offset, expected.last().map_or(from, |e| e.1));
        }
    }
}

#[test]
fn an_unused_codec_name_is_no_reason_to_unpack() {
    // A compressed batch goes through the log as it came: its payload need not even be valid.
    let mut sent = batch(2, 5, 100).bytes().to_vec();
    sent[22] |= 4;
    let crc = tidemark_protocol::batch::header::checksum(&sent);
    sent[17..21].copy_from_slice(&crc.to_be_bytes());
    let sent = RecordBatch::parse(Bytes::from(sent)).unwrap();
    assert_eq!(sent.header().compression(), Compression::Zstd);
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    log.append_as_leader(sent.clone(), EPOCH, at(0)).unwrap();
    assert_eq!(bytes_of(&log.reader().read(0, 2, 1 << 20, true).unwrap())[16..], sent.bytes()[16..]);
}
