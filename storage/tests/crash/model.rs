//! Model: what one log has been told and has promised, and the check of what is left after a crash.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidemark_protocol::batch::{BatchHeader, RecordBatch};
use tidemark_protocol::types::{Offset, ProducerId};
use tidemark_storage::log::{Log, Piece};

/// Records of the workload are small.
const RECORDS_BYTES_MAX: usize = 1 << 20;

/// A batch in its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its header.
    pub header: BatchHeader,
    /// All of it.
    pub bytes: Bytes,
}

/// One log's history and promises.
#[derive(Debug, Default)]
pub struct Model {
    /// Everything appended and not cut, also what has since been compacted or removed by retention.
    pub batches: Vec<Placed>,
    /// Everything below was acknowledged as durable.
    pub acked_end: Offset,
    /// Start of the log as acknowledged.
    pub start_acked: Offset,
    /// Highest start the log had in memory.
    pub start_seen: Offset,
    /// A compaction may have rewritten what is below.
    pub compacted_to: Offset,
}

impl Model {
    /// A batch was appended.
    pub fn append(&mut self, header: BatchHeader, bytes: Bytes) {
        assert_eq!(header.base_offset, self.end(), "offsets have no gaps");
        self.batches.push(Placed { header, bytes });
    }

    /// End of the history.
    pub fn end(&self) -> Offset {
        self.batches.last().map_or(0, |b| b.header.next_offset())
    }

    /// The first end of a batch at or above `offset`.
    pub fn boundary_from(&self, offset: Offset) -> Offset {
        self.batches.iter().map(|b| b.header.next_offset()).find(|&end| end >= offset).unwrap_or(offset)
    }

    /// Forgets what lies at or above `end`.
    pub fn truncate(&mut self, end: Offset) {
        self.batches.retain(|b| b.header.next_offset() <= end);
    }

    /// Next sequence of a producer, as the history has it.
    pub fn next_sequence(&self, producer: ProducerId) -> i32 {
        let last = self.batches.iter().rev().find(|b| b.header.producer_id == producer);
        last.map_or(0, |b| b.header.last_sequence() + 1)
    }

    /// Compares the log as it is now with the history; after a crash, the history then ends where the log does.
    pub fn check(&mut self, log: &Log) {
        let (start, end) = (log.log_start(), log.log_end());
        assert!(start >= self.start_acked, "start went back from {} to {start}", self.start_acked);
        assert!(start <= self.start_seen, "start {start} was never set, at most {}", self.start_seen);
        assert!(end >= self.acked_end, "acknowledged up to {}, the log ends at {end}", self.acked_end);
        assert!(end <= self.end(), "the log ends at {end}, nothing was written beyond {}", self.end());
        assert!(log.durable_end() <= end, "durable end {} beyond the end {end}", log.durable_end());
        let is_boundary =
            end == 0 || end == start || self.batches.iter().any(|b| b.header.next_offset() == end);
        assert!(is_boundary, "the log ends at {end}, inside a batch");
        let found = read_all(log);
        self.check_exact(&found, start, end);
        self.check_compacted(&found, start);
        check_producers(&found);
        let reader = log.reader();
        for batch in &found {
            let offset = batch.header().base_offset.max(start);
            let epoch = batch.header().partition_leader_epoch;
            assert_eq!(reader.epoch_for(offset), Some(epoch), "epoch of offset {offset}");
        }
        self.truncate(end);
        self.start_seen = start;
    }

    /// Where compaction has not been: byte for byte, all of it, in order.
    fn check_exact(&self, found: &[RecordBatch], start: Offset, end: Offset) {
        let in_question = |h: &BatchHeader| {
            h.base_offset >= self.compacted_to && h.next_offset() > start && h.next_offset() <= end
        };
        let expected: Vec<&Placed> = self.batches.iter().filter(|b| in_question(&b.header)).collect();
        let found: Vec<&RecordBatch> =
            found.iter().filter(|b| b.header().base_offset >= self.compacted_to).collect();
        let bases = |headers: &mut dyn Iterator<Item = &BatchHeader>| -> Vec<Offset> {
            headers.map(|h| h.base_offset).collect()
        };
        let expected_bases = bases(&mut expected.iter().map(|b| &b.header));
        let found_bases = bases(&mut found.iter().map(|b| b.header()));
        assert_eq!(found_bases, expected_bases, "batches in {start}..{end}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(
                found.bytes(),
                &expected.bytes,
                "bytes of the batch at {}",
                expected.header.base_offset
            );
        }
    }

    /// Where it may have been: nothing but what was written, and the newest of each key.
    fn check_compacted(&self, found: &[RecordBatch], start: Offset) {
        let below = |h: &BatchHeader| h.base_offset < self.compacted_to;
        let written: BTreeMap<Offset, Rec> =
            self.batches.iter().filter(|b| below(&b.header)).flat_map(|b| records(&b.bytes)).collect();
        let kept: BTreeMap<Offset, Rec> =
            found.iter().filter(|b| below(b.header())).flat_map(|b| records(b.bytes())).collect();
        for (offset, record) in &kept {
            assert_eq!(written.get(offset), Some(record), "record at {offset}");
        }
        let mut newest = BTreeMap::new();
        for (offset, record) in &written {
            newest.insert(record.key.clone(), (*offset, record.value.is_some()));
        }
        for (key, (offset, has_value)) in newest {
            let must_be_there = has_value && offset >= start;
            assert!(
                !must_be_there || kept.contains_key(&offset),
                "newest record of {key:?} at {offset} is gone"
            );
        }
    }
}

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rec {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: i64,
}

fn records(bytes: &Bytes) -> Vec<(Offset, Rec)> {
    let batch = RecordBatch::parse(bytes.clone()).unwrap();
    let set = batch.records(RECORDS_BYTES_MAX).unwrap();
    let copy = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    set.iter()
        .map(|record| record.unwrap())
        .map(|r| (r.offset, Rec { key: copy(r.key), value: copy(r.value), timestamp: r.timestamp }))
        .collect()
}

/// Each sequence of a producer is there once, and they rise.
fn check_producers(found: &[RecordBatch]) {
    let mut seen = BTreeSet::new();
    let mut last = BTreeMap::new();
    for header in found.iter().map(|b| b.header()).filter(|h| h.has_producer()) {
        let key = (header.producer_id, header.base_sequence);
        assert!(seen.insert(key), "sequence {} of producer {} is there twice", key.1, key.0);
        let before = last.insert(header.producer_id, header.base_sequence);
        assert!(before < Some(header.base_sequence), "sequences of producer {} are out of order", key.0);
    }
}

/// Every batch from the start to the end of a log, checksums verified.
pub fn read_all(log: &Log) -> Vec<RecordBatch> {
    let reader = log.reader();
    let (mut next, end) = (log.log_start(), log.log_end());
    let mut found: Vec<RecordBatch> = Vec::new();
    while next < end {
        let slice =
            reader.read(next, end, 3000, true).unwrap_or_else(|e| panic!("read at {next} of {end}: {e}"));
        if slice.pieces.is_empty() {
            // What is left of a compacted log's end may hold no batch.
            assert!(slice.next_offset > next || slice.bytes == 0);
            break;
        }
        for piece in slice.pieces {
            found.extend(batches_of(piece));
        }
        assert!(slice.next_offset > next, "a read of batches gets on");
        next = slice.next_offset;
    }
    for batch in &found {
        batch.verify_crc().unwrap();
    }
    found
}

fn batches_of(piece: Piece) -> Vec<RecordBatch> {
    let bytes = match piece {
        Piece::Memory(batch) => batch.to_bytes(),
        Piece::File { file, position, len } => {
            let mut bytes = vec![0; len];
            tidemark_storage::disk::read_exact_at(&*file, &mut bytes, position).unwrap();
            Bytes::from(bytes)
        }
    };
    let found = tidemark_protocol::batch::batches(&bytes);
    found.map(|item| RecordBatch::parse(bytes.slice(item.unwrap().1)).unwrap()).collect()
}
