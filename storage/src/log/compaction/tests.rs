//! Compaction on segments made by hand, against a model that keeps a map of keys, and through crashes of the swap.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;
use tidemark_protocol::batch::control::{ControlType, EndTransactionMarker};
use tidemark_protocol::batch::{
    BatchBuilder, BatchHeader, BuilderOptions, Compression, RecordHeader, batches,
};

use super::*;
use crate::config::CleanupPolicy;
use crate::disk::{Disk, OpenMode, SimDisk, read_file};
use crate::metrics::LogMetrics;
use crate::segment::OpenFiles;
use crate::segment::names::{LOG, base_offset};

const HOUR: i64 = 3_600_000;
const START: TimestampMs = 1_000 * HOUR;
const MEMORY: usize = 1 << 20;

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

fn place_on(disk: SimDisk) -> Arc<Place> {
    let metrics = Arc::new(LogMetrics::default());
    Arc::new(Place {
        disk: Arc::new(disk),
        dir: dir(),
        open_files: Arc::new(OpenFiles::new(100, metrics.clone())),
        metrics,
        index_interval: AtomicU64::new(4096),
        preallocated_bytes: AtomicU64::new(0),
        room: crate::segment::RoomPolicy::default(),
    })
}

fn compact_config() -> LogConfig {
    LogConfig { cleanup: CleanupPolicy { delete: false, compact: true }, ..LogConfig::default() }
}

/// One log whose segments are all sealed, and the steps its writer would take.
struct Fixture {
    disk: SimDisk,
    place: Arc<Place>,
    sources: Vec<Source>,
    config: LogConfig,
    clean_end: Offset,
    producers: BTreeMap<ProducerId, LastBatch>,
    wall_ms: TimestampMs,
}

impl Fixture {
    fn new(segments: &[Vec<RecordBatch>]) -> Self {
        Self::on(SimDisk::new(1), segments)
    }

    fn on(disk: SimDisk, segments: &[Vec<RecordBatch>]) -> Self {
        disk.create_dir_all(&dir()).unwrap();
        let place = place_on(disk.clone());
        let mut sources = Vec::new();
        for batches in segments {
            let base = batches[0].header().base_offset;
            let bytes: Vec<u8> = batches.iter().flat_map(|b| b.bytes().to_vec()).collect();
            let file = disk.open(&place.path(base, LOG), OpenMode::Create).unwrap();
            file.write_all_at(&[IoSlice::new(&bytes)], 0).unwrap();
            let segment = Segment::new(place.clone(), base, bytes.len() as u64, true);
            let end = batches.last().unwrap().header().next_offset();
            sources.push(Source { segment, end, aborted: Vec::new() });
        }
        disk.sync_filesystem(&dir()).unwrap();
        Fixture {
            disk,
            place,
            sources,
            config: compact_config(),
            clean_end: 0,
            producers: BTreeMap::new(),
            wall_ms: START,
        }
    }

    fn job(&self) -> CompactionJob {
        CompactionJob {
            place: self.place.clone(),
            sources: self.sources.clone(),
            clean_end: self.clean_end,
            config: Arc::new(self.config.clone()),
            producers: self.producers.clone(),
            wall_ms: self.wall_ms,
            seed: (1, 2),
            cuts: 0,
        }
    }

    /// What the writer does with a result.
    fn apply(&mut self, compacted: &Compacted) -> io::Result<()> {
        compacted.commit(&self.disk, &dir())?;
        let replaced = |base: Offset| compacted.segments.iter().any(|s| s.replaces.contains(&base));
        for source in self.sources.iter().filter(|s| replaced(s.segment.base_offset())) {
            source.segment.retire()?;
        }
        compacted.finish(&self.disk, &dir())?;
        self.sources.retain(|s| !replaced(s.segment.base_offset()));
        for new in &compacted.segments {
            let segment = Segment::new(self.place.clone(), new.base_offset, new.size, true);
            self.sources.push(Source { segment, end: new.end_offset, aborted: Vec::new() });
        }
        self.sources.sort_by_key(|source| source.segment.base_offset());
        self.clean_end = compacted.clean_end;
        Ok(())
    }

    fn run(&mut self) -> CompactionStats {
        let compacted = self.job().run(MEMORY, &AtomicBool::new(false)).unwrap();
        self.apply(&compacted).unwrap();
        compacted.stats
    }

    fn batches(&self) -> Vec<RecordBatch> {
        read_log(&self.disk).into_iter().flatten().collect()
    }
}

/// The batches of each segment on disk, by base offset.
fn read_log(disk: &SimDisk) -> Vec<Vec<RecordBatch>> {
    let mut bases: Vec<Offset> =
        disk.read_dir(&dir()).unwrap().iter().filter_map(|name| base_offset(name, LOG)).collect();
    bases.sort_unstable();
    bases.iter().map(|&base| read_segment(disk, &dir().join(format!("{base:020}.log")))).collect()
}

fn read_segment(disk: &SimDisk, path: &Path) -> Vec<RecordBatch> {
    let bytes = bytes::Bytes::from(read_file(disk, path, u64::MAX).unwrap());
    let mut found = Vec::new();
    for item in batches(&bytes) {
        let batch = RecordBatch::parse(bytes.slice(item.unwrap().1)).unwrap();
        batch.verify_crc().unwrap();
        found.push(batch);
    }
    assert_eq!(found.iter().map(RecordBatch::len).sum::<usize>(), bytes.len());
    found
}

type Rec<'a> = (Option<&'a str>, Option<&'a str>);

fn options(base_offset: Offset) -> BuilderOptions {
    BuilderOptions { base_offset, partition_leader_epoch: 4, ..BuilderOptions::default() }
}

/// A batch of records at consecutive offsets; record n has timestamp START + n.
fn batch_with(options: BuilderOptions, records: &[Rec<'_>]) -> RecordBatch {
    let mut builder = BatchBuilder::new(options);
    for (offset, (key, value)) in (options.base_offset..).zip(records) {
        let headers =
            [RecordHeader { key: b"h", value: Some(b"1") }, RecordHeader { key: b"h", value: None }];
        builder.append(offset, START + offset, key.map(str::as_bytes), value.map(str::as_bytes), &headers);
    }
    builder.build()
}

fn batch(base_offset: Offset, records: &[Rec<'_>]) -> RecordBatch {
    batch_with(options(base_offset), records)
}

/// What consumers see: (offset, timestamp, key, value).
type Seen = (Offset, TimestampMs, Option<String>, Option<String>);

fn seen(found: &[RecordBatch]) -> Vec<Seen> {
    let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8(b.to_vec()).unwrap());
    let mut all = Vec::new();
    for batch in found.iter().filter(|b| !b.header().is_control()) {
        for record in &batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            let headers: Vec<_> = record.headers.map(|h| (h.key, h.value)).collect();
            assert_eq!(headers, [(&b"h"[..], Some(&b"1"[..])), (&b"h"[..], None)]);
            all.push((record.offset, record.timestamp, text(record.key), text(record.value)));
        }
    }
    all
}

fn offsets(found: &[RecordBatch]) -> Vec<Offset> {
    seen(found).iter().map(|s| s.0).collect()
}

#[test]
fn newest_record_of_each_key_stays_where_it_was() {
    let mut log = Fixture::new(&[
        vec![
            batch(0, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]),
            batch(2, &[(Some("a"), Some("2"))]),
        ],
        vec![batch(3, &[(Some("c"), Some("1")), (Some("a"), Some("3"))])],
    ]);
    let stats = log.run();
    let text = |s: &str| Some(s.to_owned());
    let expected: Vec<Seen> = vec![
        (1, START + 1, text("b"), text("1")),
        (3, START + 3, text("c"), text("1")),
        (4, START + 4, text("a"), text("3")),
    ];
    assert_eq!(seen(&log.batches()), expected);
    assert_eq!((stats.keys, stats.records_read, stats.records_kept), (3, 5, 3));
    let headers: Vec<BatchHeader> = log.batches().iter().map(|b| *b.header()).collect();
    let places: Vec<_> =
        headers.iter().map(|h| (h.base_offset, h.last_offset(), h.partition_leader_epoch)).collect();
    assert_eq!(places, [(0, 1, 4), (3, 4, 4)], "batches keep their offsets, and an empty one goes");
    assert_eq!(log.clean_end, 5);
}

#[test]
fn codec_survives_and_so_does_an_untouched_batch_byte_for_byte() {
    let packed = BuilderOptions { compression: Compression::Zstd, ..options(0) };
    let first = batch_with(packed, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
    let second = batch_with(BuilderOptions { base_offset: 2, ..packed }, &[(Some("a"), Some("2"))]);
    let mut log = Fixture::new(&[vec![first, second.clone()]]);
    log.run();
    let found = log.batches();
    assert_eq!(found[0].header().compression(), Compression::Zstd);
    assert_eq!(offsets(&found), [1, 2]);
    assert_eq!(found[1].bytes(), second.bytes());
}

#[test]
fn records_without_a_key_go() {
    let mut log = Fixture::new(&[vec![batch(0, &[(None, Some("1")), (Some("a"), Some("1"))])]]);
    assert_eq!(log.run().records_without_key, 1);
    assert_eq!(offsets(&log.batches()), [1]);
}

#[test]
fn a_tombstone_stays_for_its_time_and_keeps_its_timestamp() {
    let mut log = Fixture::new(&[
        vec![batch(0, &[(Some("a"), Some("1")), (Some("b"), Some("1"))])],
        vec![batch(2, &[(Some("a"), None), (Some("c"), Some("1"))])],
    ]);
    log.config.delete_retention_ms = HOUR;
    log.run();
    let found = log.batches();
    assert_eq!(offsets(&found), [1, 2, 3]);
    assert_eq!(found[1].header().delete_horizon(), Some(START + HOUR));
    assert_eq!(seen(&found)[1].1, START + 2, "the horizon is no timestamp");
    assert_eq!(found[0].header().delete_horizon(), None);
    // Before the horizon a second run changes nothing, after it the tombstone goes.
    log.clean_end = 0;
    log.wall_ms = START + HOUR - 1;
    log.run();
    assert_eq!(offsets(&log.batches()), [1, 2, 3]);
    log.clean_end = 0;
    log.wall_ms = START + HOUR;
    log.run();
    assert_eq!(offsets(&log.batches()), [1, 3]);
}

#[test]
fn last_sequence_of_a_producer_stays_as_a_bare_header() {
    let idempotent = |base, sequence| BuilderOptions {
        producer_id: 7,
        producer_epoch: 2,
        base_sequence: sequence,
        ..options(base)
    };
    let mut log = Fixture::new(&[
        vec![
            batch_with(idempotent(0, 0), &[(Some("a"), Some("1"))]),
            batch_with(idempotent(1, 1), &[(Some("a"), Some("2")), (Some("a"), Some("3"))]),
        ],
        vec![batch(3, &[(Some("a"), Some("4"))])],
    ]);
    log.producers.insert(7, LastBatch { last_data_offset: Some(2), epoch: 2 });
    log.run();
    let found = log.batches();
    let kept = found[0].header();
    assert_eq!((found.len(), kept.records_count, kept.base_offset, kept.last_offset()), (2, 0, 1, 2));
    assert_eq!((kept.producer_id, kept.producer_epoch, kept.last_sequence()), (7, 2, 2));
    assert_eq!(kept.max_timestamp, START + 2);
    log.producers.clear();
    log.clean_end = 0;
    log.run();
    assert_eq!(log.batches().len(), 1, "a forgotten producer's goes");
}

#[test]
fn segments_still_join_when_their_last_batch_is_emptied() {
    let mut log = Fixture::new(&[
        vec![batch(0, &[(Some("x"), Some("1"))]), batch(1, &[(Some("a"), Some("1"))])],
        vec![batch(2, &[(Some("a"), Some("2"))])],
    ]);
    log.config.segment_bytes = 1;
    log.run();
    let found = read_log(&log.disk);
    let ends: Vec<Offset> = found.iter().map(|s| s.last().unwrap().header().next_offset()).collect();
    assert_eq!(ends, [2, 3]);
    assert_eq!(found[0][1].header().records_count, 0);
}

#[test]
fn small_segments_are_joined_up_to_the_segment_size() {
    let segments: Vec<_> = (0..6)
        .map(|i| vec![batch(i, &[(Some(["a", "b", "c", "d", "e", "f"][i as usize]), Some("1"))])])
        .collect();
    let size = segments[0][0].len() as u64;
    let mut log = Fixture::new(&segments);
    log.config.segment_bytes = 3 * size + 1;
    log.run();
    let counts: Vec<usize> = read_log(&log.disk).iter().map(Vec::len).collect();
    assert_eq!(counts, [3, 3]);
}

#[test]
fn a_segment_that_needs_nothing_is_left_alone() {
    let log = Fixture::new(&[vec![batch(0, &[(Some("a"), Some("1"))])]]);
    let compacted = log.job().run(MEMORY, &AtomicBool::new(false)).unwrap();
    assert_eq!((compacted.segments.len(), compacted.clean_end), (0, 1));
    assert_eq!(log.disk.read_dir(&dir()).unwrap().len(), 1, "nothing is left behind");
}

#[test]
fn keys_beyond_the_memory_are_left_for_the_next_run() {
    let names: Vec<String> = (0..100).map(|i| format!("k{}", i % 50)).collect();
    let records: Vec<Rec<'_>> = names.iter().map(|k| (Some(k.as_str()), Some("v"))).collect();
    let mut log = Fixture::new(&[vec![batch(0, &records[..70])], vec![batch(70, &records[70..])]]);
    let mut runs = 0;
    while log.clean_end < 100 {
        let before = log.clean_end;
        // Room for 18 keys.
        let compacted =
            log.job().run(20 * super::super::offset_map::SLOT_LEN, &AtomicBool::new(false)).unwrap();
        log.apply(&compacted).unwrap();
        assert!(log.clean_end > before);
        runs += 1;
    }
    assert!((3..8).contains(&runs), "{runs}");
    assert_eq!(offsets(&log.batches()), (50..100).collect::<Vec<_>>());
}

#[test]
fn cancelled_and_damaged_runs_change_nothing() {
    let log = Fixture::new(&[vec![batch(0, &[(Some("a"), Some("1")), (Some("a"), Some("2"))])]]);
    let before = log.batches();
    let cancelled = log.job().run(MEMORY, &AtomicBool::new(true));
    assert!(matches!(cancelled, Err(CompactionError::Cancelled)));
    log.disk.flip(&log.place.path(0, LOG), 8 * 70).unwrap();
    let damaged = log.job().run(MEMORY, &AtomicBool::new(false));
    assert!(matches!(damaged, Err(CompactionError::Damaged { segment_base: 0, position: 0, .. })));
    log.disk.flip(&log.place.path(0, LOG), 8 * 70).unwrap();
    assert_eq!(log.batches().len(), before.len());
}

#[test]
fn a_full_disk_stops_the_run_and_leaves_the_log() {
    let mut log = Fixture::new(&[vec![batch(0, &[(Some("a"), Some("1")), (Some("a"), Some("2"))])]]);
    log.disk.set_capacity(log.disk.used() + 20);
    let error = log.job().run(MEMORY, &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(&error, CompactionError::Io(e) if crate::disk::is_disk_full(e)));
    assert_eq!(offsets(&log.batches()), [0, 1]);
    log.disk.set_capacity(u64::MAX);
    log.run();
    assert_eq!(offsets(&log.batches()), [1]);
}

#[test]
fn readers_of_a_replaced_segment_go_on() {
    let mut log = Fixture::new(&[vec![batch(0, &[(Some("a"), Some("1")), (Some("a"), Some("2"))])]]);
    let old = log.sources[0].segment.clone();
    log.run();
    let file = old.file().unwrap();
    let mut bytes = vec![0; usize::try_from(old.size()).unwrap()];
    crate::disk::read_exact_at(&*file, &mut bytes, 0).unwrap();
    assert_eq!(batches(&bytes).next().unwrap().unwrap().0.records_count, 2);
}

fn transactional(base: Offset, producer_id: ProducerId) -> BuilderOptions {
    BuilderOptions { producer_id, producer_epoch: 0, base_sequence: 0, transactional: true, ..options(base) }
}

fn marker(base: Offset, producer_id: ProducerId, control_type: ControlType) -> RecordBatch {
    EndTransactionMarker { control_type, coordinator_epoch: 1 }.batch(base, START, producer_id, 0)
}

#[test]
fn aborted_records_go_at_once_and_their_marker_after_its_time() {
    let mut log = Fixture::new(&[
        vec![
            batch(0, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]),
            batch_with(transactional(2, 7), &[(Some("a"), Some("aborted"))]),
            batch_with(transactional(3, 8), &[(Some("b"), Some("committed"))]),
            marker(4, 7, ControlType::Abort),
            marker(5, 8, ControlType::Commit),
        ],
        vec![batch(6, &[(Some("z"), Some("1"))])],
    ]);
    log.config.delete_retention_ms = HOUR;
    let aborted =
        AbortedTransaction { producer_id: 7, first_offset: 2, last_offset: 4, last_stable_offset: 5 };
    log.sources[0].aborted.push(aborted);
    let compacted = log.job().run(MEMORY, &AtomicBool::new(false)).unwrap();
    assert!(compacted.segments[0].has_aborted, "a batch of it was still there when its marker was passed");
    log.apply(&compacted).unwrap();
    assert_eq!(offsets(&log.batches()), [0, 3, 6]);
    let markers = |log: &Fixture| -> Vec<Offset> {
        log.batches()
            .iter()
            .map(|b| *b.header())
            .filter(BatchHeader::is_control)
            .map(|h| h.base_offset)
            .collect()
    };
    assert_eq!(markers(&log), [4, 5]);
    // Now nothing of the aborted one is left: its marker's time starts to run. The committed one has its record.
    log.sources[0].aborted.push(aborted);
    log.clean_end = 0;
    log.run();
    assert_eq!(markers(&log), [4, 5]);
    log.clean_end = 0;
    log.wall_ms += HOUR;
    log.run();
    assert_eq!(markers(&log), [5]);
}

#[test]
fn an_aborted_record_does_not_displace_an_older_one() {
    let mut log = Fixture::new(&[vec![
        batch(0, &[(Some("a"), Some("1"))]),
        batch_with(transactional(1, 7), &[(Some("a"), Some("aborted"))]),
        marker(2, 7, ControlType::Abort),
        batch_with(transactional(3, 7), &[(Some("b"), Some("the next transaction commits"))]),
        marker(4, 7, ControlType::Commit),
    ]]);
    log.sources[0].aborted.push(AbortedTransaction {
        producer_id: 7,
        first_offset: 1,
        last_offset: 2,
        last_stable_offset: 3,
    });
    log.run();
    assert_eq!(offsets(&log.batches()), [0, 3]);
}

/// Facts of segments of ten offsets: (bytes, hours since first and newest record), the last one active.
fn facts(list: &[(u64, i64)]) -> Vec<SegmentFacts> {
    (0..)
        .zip(list)
        .map(|(i, &(size_bytes, hours))| SegmentFacts {
            base_offset: 10 * i,
            end_offset: 10 * i + 10,
            size_bytes,
            first_timestamp: START - hours * HOUR,
            largest_timestamp: START - hours * HOUR,
        })
        .collect()
}

#[test]
fn plan_takes_sealed_segments_below_the_limit() {
    let list = facts(&[(10, 9), (10, 8), (10, 7), (10, 0)]);
    let config = compact_config();
    let wanted =
        |clean_end, limit| plan(&list, &config, clean_end, limit, START).map(|p| (p.segments, p.clean_end));
    assert_eq!(wanted(0, 40), Some((3, 0)));
    assert_eq!(wanted(0, 29), Some((2, 0)), "not above the limit");
    assert_eq!(wanted(0, 9), None);
    assert_eq!(wanted(10, 40), Some((3, 10)), "two thirds are dirty");
    assert_eq!(wanted(20, 40), None, "one third");
    assert_eq!(wanted(30, 40), None, "nothing");
    assert_eq!(wanted(99, 40), Some((3, 0)), "a clean end beyond the log is none");
    let delete_only = LogConfig::default();
    assert_eq!(plan(&list, &delete_only, 0, 40, START), None);
    assert_eq!(plan(&[], &config, 0, 40, START), None);
}

#[test]
fn plan_respects_the_lags() {
    let list = facts(&[(90, 9), (10, 8), (10, 1), (10, 0)]);
    let young = LogConfig { min_compaction_lag_ms: 2 * HOUR, ..compact_config() };
    assert_eq!(plan(&list, &young, 0, 40, START).unwrap().segments, 2);
    let lazy = compact_config();
    assert_eq!(plan(&list, &lazy, 10, 40, START), None);
    let overdue = LogConfig { max_compaction_lag_ms: 7 * HOUR, ..compact_config() };
    assert_eq!(plan(&list, &overdue, 10, 40, START).unwrap().segments, 3);
    let not_yet = LogConfig { max_compaction_lag_ms: 9 * HOUR, ..compact_config() };
    assert_eq!(plan(&list, &not_yet, 10, 40, START), None);
}

/// Runs and applies a compaction whose power fails at the nth change, then recovers with a second failure at the mth.
fn crash_in_swap(seed: u64, nth: u64, mth: u64) -> bool {
    let segments = [
        vec![
            batch(0, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]),
            batch(2, &[(Some("a"), Some("2"))]),
        ],
        vec![batch(3, &[(Some("c"), Some("1")), (Some("a"), Some("3"))])],
        vec![batch(5, &[(Some("b"), Some("2")), (Some("d"), Some("3"))])],
    ];
    let mut log = Fixture::on(SimDisk::new(seed), &segments);
    log.config.segment_bytes = 250;
    let old = read_log(&log.disk).len();
    log.disk.power_off_at(nth);
    let compacted = log.job().run(MEMORY, &AtomicBool::new(false));
    let committed = compacted.is_ok_and(|compacted| {
        let committed = compacted.commit(&log.disk, &dir()).is_ok();
        let _ = log.apply(&compacted);
        committed
    });
    let finished = !log.disk.is_off();
    let recovered = |disk: &SimDisk| -> io::Result<()> {
        let names = disk.read_dir(&dir())?;
        swap::recover(disk, &dir(), &names).map(|_| ())
    };
    let disk = log.disk.crash();
    disk.power_off_at(mth);
    let _ = recovered(&disk);
    let disk = disk.crash();
    recovered(&disk).unwrap();
    let found = read_log(&disk);
    let all: Vec<RecordBatch> = found.iter().flatten().cloned().collect();
    let is_old = offsets(&all) == (0..7).collect::<Vec<_>>() && found.len() == old;
    let is_new = offsets(&all) == [3, 4, 5, 6];
    let context = format!("seed {seed}, power off at {nth} and {mth}: {:?}", offsets(&all));
    assert!(is_old || is_new, "{context}");
    assert!(is_new || !committed, "{context}");
    let clean_end = swap::load_clean_end(&disk, &dir()).unwrap();
    assert!(clean_end == 0 || is_new, "{context}: the clean end says more than is so");
    let leftovers = disk.read_dir(&dir()).unwrap();
    assert!(
        leftovers.iter().all(|name| !name.contains("cleaned") && !name.contains("swap")),
        "{leftovers:?}"
    );
    finished
}

#[test]
fn a_crash_during_the_swap_leaves_all_old_or_all_new() {
    for seed in 0..40 {
        let mut nth = 1;
        while !crash_in_swap(seed, nth, 1 + seed % 9) {
            nth += 1;
        }
        assert!(nth > 12, "the power failed at every step on the way: {nth}");
    }
}

#[derive(Clone, Debug)]
struct RandomBatch {
    records: Vec<(Option<u8>, bool)>,
    producer: bool,
    packed: bool,
    starts_segment: bool,
}

fn random_batches() -> impl Strategy<Value = Vec<RandomBatch>> {
    let key = prop_oneof![1 => Just(None), 12 => (0..12u8).prop_map(Some)];
    let record = (key, prop::bool::weighted(0.8));
    let batch =
        (prop::collection::vec(record, 1..6), any::<bool>(), any::<bool>(), prop::bool::weighted(0.3));
    let batch = batch.prop_map(|(records, producer, packed, starts_segment)| RandomBatch {
        records,
        producer,
        packed,
        starts_segment,
    });
    prop::collection::vec(batch, 1..25)
}

fn build(random: &[RandomBatch]) -> Vec<Vec<RecordBatch>> {
    let mut segments: Vec<Vec<RecordBatch>> = Vec::new();
    let (mut offset, mut sequence) = (0, 0);
    for batch in random {
        let mut options = options(offset);
        if batch.packed {
            options.compression = Compression::Lz4;
        }
        if batch.producer {
            options =
                BuilderOptions { producer_id: 3, producer_epoch: 0, base_sequence: sequence, ..options };
            sequence += i32::try_from(batch.records.len()).unwrap();
        }
        let texts: Vec<_> =
            batch.records.iter().map(|(key, value)| (key.map(|k| format!("k{k}")), value)).collect();
        let records: Vec<Rec<'_>> =
            texts.iter().map(|(key, value)| (key.as_deref(), value.then_some("some value"))).collect();
        let built = batch_with(options, &records);
        offset = built.header().next_offset();
        match segments.last_mut() {
            Some(segment) if !batch.starts_segment => segment.push(built),
            _ => segments.push(vec![built]),
        }
    }
    segments
}

/// What a reader of the whole log knows: the newest record of each key, tombstones counting as absence.
fn view(records: &[Seen]) -> BTreeMap<String, Offset> {
    let mut view = BTreeMap::new();
    for (offset, _, key, value) in records {
        if let Some(key) = key {
            view.insert(key.clone(), *offset);
            if value.is_none() {
                view.remove(key);
            }
        }
    }
    view
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn compaction_keeps_what_the_model_keeps(
        random in random_batches(),
        slots in 16..40usize,
        segment_bytes in 100..2000u64,
        horizon_passes: bool,
    ) {
        let segments = build(&random);
        let all: Vec<RecordBatch> = segments.iter().flatten().cloned().collect();
        let before = seen(&all);
        let end = all.last().unwrap().header().next_offset();
        let mut log = Fixture::new(&segments);
        log.config.segment_bytes = segment_bytes;
        let last = all.iter().rev().find(|b| b.header().has_producer()).map(|b| *b.header());
        if let Some(last) = last {
            log.producers.insert(3, LastBatch { last_data_offset: Some(last.last_offset()), epoch: 0 });
        }
        while log.clean_end < end {
            let compacted =
                log.job().run(slots * super::super::offset_map::SLOT_LEN, &AtomicBool::new(false)).unwrap();
            log.apply(&compacted).unwrap();
            prop_assert_eq!(view(&seen(&log.batches())), view(&before), "at any time a reader knows the same");
        }
        if horizon_passes {
            log.wall_ms += 2 * log.config.delete_retention_ms;
        }
        log.clean_end = 0;
        log.run();
        // The model: the newest of each key, tombstones only until their time is over.
        let mut newest: BTreeMap<&String, &Seen> = BTreeMap::new();
        for record in &before {
            if let Some(key) = &record.2 {
                newest.insert(key, record);
            }
        }
        let mut expected: Vec<Seen> =
            newest.into_values().filter(|r| r.3.is_some() || !horizon_passes).cloned().collect();
        expected.sort();
        let after = log.batches();
        prop_assert_eq!(seen(&after), expected);
        prop_assert_eq!(after.last().unwrap().header().next_offset(), end);
        // Every batch is one of the old ones, and the producer's last is among them.
        for batch in &after {
            let header = batch.header();
            let old = all.iter().find(|b| b.header().base_offset == header.base_offset).unwrap().header();
            prop_assert_eq!(header.last_offset(), old.last_offset());
            prop_assert_eq!((header.producer_id, header.last_sequence()), (old.producer_id, old.last_sequence()));
        }
        if let Some(last) = last {
            prop_assert!(after.iter().any(|b| b.header().last_offset() == last.last_offset()));
        }
        for pair in read_log(&log.disk).windows(2) {
            let end = pair[0].last().unwrap().header().next_offset();
            prop_assert!(end <= pair[1][0].header().base_offset);
        }
    }
}
