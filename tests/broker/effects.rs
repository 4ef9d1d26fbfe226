//! Topic configs in effect, those whose work is seen on the disk or in what the cleaner leaves: each beside a topic that
//! has another value, so that the config alone makes the difference. The tidy test lists which test shows which config.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bytes::Bytes;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, Compression};
use tidemark_tests::client::Client;

use crate::harness::{TestBroker, batch, eventually, log_start, produce, read_from, wall_ms};

const HOUR_MS: i64 = 3_600_000;

/// Paths of the files in partition 0 of `topic` whose names end with `suffix`.
#[allow(clippy::disallowed_methods, reason = "the log's files are looked at")]
fn files(broker: &TestBroker, topic: &str, suffix: &str) -> Vec<PathBuf> {
    let dir = std::fs::read_dir(broker.dir().join(format!("{topic}-0"))).unwrap();
    let paths = dir.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
}

#[allow(clippy::disallowed_methods, reason = "the log's files are looked at")]
fn metadata(path: &PathBuf) -> std::fs::Metadata {
    std::fs::metadata(path).unwrap()
}

/// One record, with a time of its own; no value is a tombstone.
fn record(timestamp: i64, key: &str, value: Option<&str>) -> Bytes {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, timestamp, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    builder.build().bytes().clone()
}

fn append(client: &mut Client, topic: &str, records: Bytes) -> i64 {
    let (code, offset) = produce(client, topic, records);
    assert_eq!(code, 0, "{topic}");
    offset
}

#[test]
fn the_index_has_an_entry_for_so_many_bytes_and_a_full_one_ends_the_segment() {
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("sparse", &[("index.interval.bytes", "1000000")]);
    client.create_topic("dense", 1, &[("index.interval.bytes", "0")]).unwrap();
    let full = [("index.interval.bytes", "0"), ("segment.index.bytes", "40")];
    client.create_topic("full", 1, &full).unwrap();
    for _ in 0..20 {
        for topic in ["sparse", "dense", "full"] {
            append(&mut client, topic, batch("x"));
        }
    }
    broker.stop();
    let index_bytes = |topic| files(&broker, topic, ".index").iter().map(|p| metadata(p).len()).sum::<u64>();
    let (sparse, dense) = (index_bytes("sparse"), index_bytes("dense"));
    assert!(dense >= sparse + 15 * 8, "an entry for each batch and one for all: {dense} and {sparse} bytes");
    assert_eq!(files(&broker, "dense", ".log").len(), 1);
    let segments = files(&broker, "full", ".log").len();
    assert!(segments >= 4, "an index of 40 bytes is soon full: {segments} segments");
}

#[test]
fn jitter_ends_segments_before_their_age() {
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("even", &[("segment.ms", "3600000")]);
    let configs = [("segment.ms", "3600000"), ("segment.jitter.ms", "3600000")];
    client.create_topic("jittered", 1, &configs).unwrap();
    let start = wall_ms() - 24 * HOUR_MS;
    for nth in 0..20 {
        for topic in ["even", "jittered"] {
            append(&mut client, topic, record(start + nth * HOUR_MS * 99 / 100, "k", Some("v")));
        }
    }
    broker.stop();
    let segments = |topic| files(&broker, topic, ".log").len();
    // The clock's own roll comes at most once a minute.
    assert!(segments("even") <= 12, "two records each: {}", segments("even"));
    assert!(segments("jittered") >= 16, "nearly one for each record: {}", segments("jittered"));
}

#[test]
fn a_preallocated_segment_has_its_room_at_once() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("plain", &[("segment.bytes", "4194304")]);
    let configs = [("segment.bytes", "4194304"), ("preallocate", "true")];
    client.create_topic("reserved", 1, &configs).unwrap();
    for topic in ["plain", "reserved"] {
        append(&mut client, topic, batch("x"));
    }
    let on_disk = |topic| metadata(&files(&broker, topic, ".log")[0]).blocks() * 512;
    assert!(on_disk("plain") < 1 << 20, "{} bytes", on_disk("plain"));
    assert!(on_disk("reserved") >= 4 << 20, "{} bytes", on_disk("reserved"));
    assert!(
        metadata(&files(&broker, "reserved", ".log")[0]).len() < 1000,
        "and no more length than it needs"
    );
}

#[test]
fn files_of_dropped_segments_stay_as_long_as_they_are_told() {
    let broker = TestBroker::start(&[]);
    let configs = |delay| {
        [("internal.segment.bytes", "1000"), ("retention.bytes", "2000"), ("file.delete.delay.ms", delay)]
    };
    let mut client = broker.client_with_topic("late", &configs("3600000"));
    client.create_topic("soon", 1, &configs("1")).unwrap();
    for _ in 0..20 {
        for topic in ["late", "soon"] {
            append(&mut client, topic, batch(&"x".repeat(400)));
        }
    }
    for topic in ["late", "soon"] {
        eventually("segments are dropped", || log_start(&mut client, topic) > 10);
    }
    eventually("files are gone", || files(&broker, "soon", ".deleted").is_empty());
    assert!(files(&broker, "late", ".log.deleted").len() >= 5);
}

/// A compacted topic of small segments with twenty values of one key.
fn fill_compacted(client: &mut Client, topic: &str, configs: &[(&str, &str)]) {
    let shared =
        [("cleanup.policy", "compact"), ("internal.segment.bytes", "1000"), ("file.delete.delay.ms", "0")];
    client.create_topic(topic, 1, &[&shared[..], configs].concat()).unwrap();
    for nth in 0..20 {
        append(client, topic, record(wall_ms(), "k", Some(&format!("{nth}{}", "v".repeat(300)))));
    }
}

#[test]
fn compaction_comes_when_it_is_worth_it_when_it_must_and_not_too_early() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    let eager = ("min.cleanable.dirty.ratio", "0.01");
    let never = ("min.cleanable.dirty.ratio", "1");
    fill_compacted(&mut client, "lazy", &[never]);
    fill_compacted(&mut client, "young", &[eager, ("min.compaction.lag.ms", "3600000")]);
    fill_compacted(&mut client, "overdue", &[never, ("max.compaction.lag.ms", "1")]);
    fill_compacted(&mut client, "eager", &[eager]);
    let mut left = |topic| read_from(&mut client, topic, 0).0.len();
    for topic in ["overdue", "eager"] {
        eventually("old values go", || left(topic) < 10);
    }
    for topic in ["lazy", "young"] {
        assert_eq!(left(topic), 20, "{topic}");
    }
}

#[test]
fn tombstones_stay_as_long_as_they_are_told() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    let eager = ("min.cleanable.dirty.ratio", "0.01");
    let mut tombstones = Vec::new();
    for (topic, retention) in [("kept", "3600000"), ("dropped", "0")] {
        fill_compacted(&mut client, topic, &[eager, ("delete.retention.ms", retention)]);
        tombstones.push(append(&mut client, topic, record(wall_ms(), "k", None)));
    }
    let mut has_tombstone = |topic: &str, offset| {
        // Something new each time, so that there is something to compact.
        append(&mut client, topic, record(wall_ms(), "other", Some(&"v".repeat(300))));
        read_from(&mut client, topic, 0).0.iter().any(|read| read.offset == offset)
    };
    eventually("a tombstone goes after its time", || {
        let kept = has_tombstone("kept", tombstones[0]);
        assert!(kept, "and not before");
        !has_tombstone("dropped", tombstones[1])
    });
}

#[test]
fn the_level_of_a_codec_is_the_one_batches_are_packed_with() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    // Words in no order: what a better search finds is worth something.
    let mut state = 7_u32;
    let words: Vec<String> = (0..20_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("word{} ", (state >> 16) % 997)
        })
        .collect();
    let value = words.concat();
    for (codec, compression, low, high) in [
        ("gzip", Compression::Gzip, "1", "9"),
        ("lz4", Compression::Lz4, "9", "17"),
        ("zstd", Compression::Zstd, "-50", "19"),
    ] {
        let mut packed = |level: &str| {
            let topic = format!("{codec}{level}");
            let key = format!("compression.{codec}.level");
            client.create_topic(&topic, 1, &[("compression.type", codec), (&key, level)]).unwrap();
            append(&mut client, &topic, batch(&value));
            let header = read_from(&mut client, &topic, 0).1[0];
            assert_eq!(header.compression(), compression);
            header.batch_length
        };
        let (loose, tight) = (packed(low), packed(high));
        assert!(tight < loose * 9 / 10, "{codec}: {loose} bytes at level {low}, {tight} at {high}");
    }
}
