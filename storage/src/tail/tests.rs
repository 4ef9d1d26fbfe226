use bytes::Bytes;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};

use super::*;

fn placed(offset: Offset, n: i64) -> PlacedBatch {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    for i in 0..n {
        builder.append(i, 0, None, Some(&Bytes::from_static(&[7; 50])), &[]);
    }
    builder.build().place(offset, 0)
}

fn tail(max: usize) -> (Tail, Arc<TailBudget>) {
    let budget = Arc::new(TailBudget::new(max));
    (Tail::new(budget.clone()), budget)
}

fn bases(batches: Option<Vec<PlacedBatch>>) -> Option<Vec<Offset>> {
    batches.map(|batches| batches.iter().map(PlacedBatch::base_offset).collect())
}

#[test]
fn reads_begin_with_the_batch_that_holds_the_offset_and_end_below_the_bound() {
    let (tail, _) = tail(1 << 20);
    for offset in [10, 13, 16] {
        tail.push(placed(offset, 3), Duration::ZERO);
    }
    assert_eq!(bases(tail.read(9, 19, 1 << 20, true)), None);
    assert_eq!(bases(tail.read(11, 19, 1 << 20, true)), Some(vec![10, 13, 16]));
    assert_eq!(bases(tail.read(13, 18, 1 << 20, true)), Some(vec![13]));
    assert_eq!(bases(tail.read(13, 15, 1 << 20, true)), Some(vec![]));
    assert_eq!(bases(tail.read(19, 30, 1 << 20, true)), None);
    assert_eq!(bases(tail.read(13, 19, 1, true)), Some(vec![13]));
    assert_eq!(bases(tail.read(13, 19, 1, false)), Some(vec![]));
}

#[test]
fn the_oldest_goes_when_the_budget_is_used_up() {
    let cost = placed(0, 3).len() + BATCH_OVERHEAD;
    let (tail, budget) = tail(3 * cost);
    for i in 0..5 {
        tail.push(placed(3 * i, 3), Duration::ZERO);
        assert!(budget.used() <= 3 * cost);
    }
    assert_eq!(tail.start(), Some(6));
    drop(tail);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_gap_empties_the_tail_before() {
    let (tail, budget) = tail(1 << 20);
    tail.push(placed(0, 3), Duration::ZERO);
    tail.push(placed(5, 3), Duration::ZERO);
    assert_eq!(tail.start(), Some(5));
    assert_eq!(budget.used(), placed(5, 3).len() + BATCH_OVERHEAD);
}

#[test]
fn old_batches_and_cut_ones_go() {
    let (tail, budget) = tail(1 << 20);
    for i in 0..4 {
        tail.push(placed(3 * i, 3), Duration::from_secs(i.unsigned_abs() * 10));
    }
    assert_eq!(tail.expire(Duration::from_secs(59)), Some(AGE_MAX));
    assert_eq!(tail.expire(Duration::from_secs(70)), Some(Duration::from_secs(80)));
    assert_eq!(tail.start(), Some(6));
    tail.truncate(10);
    assert_eq!(bases(tail.read(6, 100, 1 << 20, true)), Some(vec![6]));
    assert_eq!(tail.expire(Duration::from_secs(500)), None);
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_advanced_tail_keeps_what_ends_above() {
    let (tail, budget) = tail(1 << 20);
    (0..3).for_each(|i| tail.push(placed(3 * i, 3), Duration::ZERO));
    tail.advance(4);
    assert_eq!(tail.start(), Some(3), "the batch that holds 4 stays");
    tail.advance(9);
    assert_eq!((tail.start(), budget.used()), (None, 0));
}

#[test]
fn without_a_budget_nothing_is_kept() {
    let (tail, budget) = tail(0);
    tail.push(placed(0, 3), Duration::ZERO);
    assert_eq!((tail.start(), budget.used()), (None, 0));
}
