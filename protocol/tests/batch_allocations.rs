//! The hot path of a produce: validating a batch allocates nothing, whether it is walked or only checked by its header.
//!
//! An allocator that counts per thread stands in for the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use tidemark_protocol::batch::{
    AppendRules, BatchBuilder, BuilderOptions, Compression, RecordHeader, TimestampType, TopicCompression,
    validate,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// Safety: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn validating_a_batch_allocates_nothing() {
    let rules = AppendRules {
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: 1_000_000,
        timestamp_after_max_ms: 1_000_000,
        compacted: true,
        compression: TopicCompression::Producer,
    };
    let lenient = AppendRules { compacted: false, timestamp_before_max_ms: i64::MAX, ..rules.clone() };
    for (compression, rules) in [(Compression::None, rules), (Compression::Zstd, lenient)] {
        let mut builder = BatchBuilder::new(BuilderOptions { compression, ..BuilderOptions::default() });
        for offset in 0..100 {
            let header = RecordHeader { key: b"trace", value: Some(b"0123456789") };
            builder.append(offset, 5_000 + offset, Some(b"key"), Some(&[7; 120]), &[header, header]);
        }
        let bytes = builder.build().bytes().clone();
        // The first copy of a buffer made from a Vec sets up its reference count.
        let frame: Bytes = bytes.clone();
        let before = ALLOCATIONS.get();
        let validated = validate(frame, &rules, 9, 6_000);
        let allocations = ALLOCATIONS.get() - before;
        assert_eq!(validated.expect("the batch is good").batch.bytes(), &bytes);
        assert_eq!(allocations, 0, "{compression:?}");
    }
}
