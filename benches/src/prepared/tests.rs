use clap::Parser;
use tidemark_protocol::batch::BatchHeader;

use super::*;
use crate::options::Cli;

fn plan(arguments: &[&str]) -> Plan {
    Cli::parse_from([&["load"], arguments].concat()).mode.plan(1)
}

fn sent(prepared: &mut Prepared, id: i32, due: u64) -> RecordBatch {
    let (at, len) = (prepared.batch_at, prepared.batch_len);
    let frame = prepared.next(id, due);
    assert_eq!(frame[8..12], id.to_be_bytes());
    let batch = RecordBatch::parse(Bytes::copy_from_slice(&frame[at..at + len])).unwrap();
    batch.verify_crc().unwrap();
    batch
}

#[test]
fn a_batch_holds_as_many_records_as_fit() {
    let payload = Payload::new(&plan(&["produce"]), (-1, -1));
    assert_eq!(payload.records, 15);
    assert!((15_000..=16_384).contains(&payload.len()));
    assert_eq!(Payload::new(&plan(&["small"]), (-1, -1)).records, 1);
}

#[test]
fn a_stamp_is_the_front_of_the_first_value() {
    let plan = plan(&["e2e"]);
    let payload = Payload::new(&plan, (-1, -1));
    let mut prepared = payload.prepare(&plan, 3, true).unwrap();
    for due in [0, 1, u64::MAX] {
        let batch = sent(&mut prepared, 7, due);
        let records = batch.records(0).unwrap();
        let value = records.iter().next().unwrap().unwrap().value.unwrap();
        assert_eq!(value[..STAMP_BYTES], due.to_be_bytes());
        assert_eq!(value.len(), plan.record_bytes);
    }
}

#[test]
fn sequences_count_records() {
    let plan = plan(&["produce", "--idempotent", "--codec", "zstd"]);
    let payload = Payload::new(&plan, (99, 2));
    let mut prepared = payload.prepare(&plan, 0, false).unwrap();
    let sequences: Vec<i32> = (0..3)
        .map(|id| *sent(&mut prepared, id, 0).header())
        .map(|h: BatchHeader| {
            assert_eq!((h.producer_id, h.producer_epoch), (99, 2));
            h.base_sequence
        })
        .collect();
    assert_eq!(sequences, [0, 15, 30]);
}
