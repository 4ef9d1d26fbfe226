use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::disk::OsDisk;

fn partition(n: i32) -> TopicIdPartition {
    TopicIdPartition { topic_id: TopicId(Uuid::from_u128(7)), partition: n }
}

fn mark(n: i64) -> LogMark {
    LogMark {
        log_start: n,
        durable_end: n + 9,
        segment_base: n,
        segment_position: 100,
        high_watermark: n + 8,
    }
}

fn open(dir: &TempDir) -> (Journal, BTreeMap<TopicIdPartition, LogMark>) {
    Journal::open(Arc::new(OsDisk), dir.path(), 0).unwrap()
}

#[test]
fn written_marks_come_back_and_forgotten_ones_do_not() {
    let dir = TempDir::new().unwrap();
    let (mut journal, found) = open(&dir);
    assert!(found.is_empty());
    journal.note(partition(1), mark(1));
    journal.note(partition(2), mark(2));
    journal.write().unwrap();
    journal.note(partition(1), mark(30));
    journal.forget(partition(2));
    journal.note(partition(3), mark(3));
    journal.write().unwrap();
    journal.note(partition(4), mark(4));
    drop(journal);
    let (_, found) = open(&dir);
    assert_eq!(found, BTreeMap::from([(partition(1), mark(30)), (partition(3), mark(3))]));
}

#[test]
fn journals_of_other_threads_are_apart() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.note(partition(1), mark(1));
    journal.write().unwrap();
    let (_, other) = Journal::open(Arc::new(OsDisk), dir.path(), 1).unwrap();
    assert!(other.is_empty());
}

#[test]
fn rotation_keeps_every_mark_and_bounds_the_file() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    for round in 0..3000i64 {
        for n in 0..40 {
            journal.note(partition(n), mark(round * 100 + i64::from(n)));
        }
        journal.write().unwrap();
    }
    assert!(journal.generation > 1);
    assert!(journal.file().len().unwrap() <= ROTATE_BYTES_MIN + 8192);
    drop(journal);
    let (_, found) = open(&dir);
    assert_eq!(found.len(), 40);
    assert_eq!(found[&partition(39)], mark(2999 * 100 + 39));
}

#[test]
fn a_lost_newest_file_falls_back_to_the_one_before() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.note(partition(1), mark(1));
    journal.write().unwrap();
    // The next opening starts generation 2; it is torn within its first frame.
    let (next, _) = open(&dir);
    next.file().set_len(30).unwrap();
    drop(next);
    let (_, found) = open(&dir);
    assert_eq!(found, BTreeMap::from([(partition(1), mark(1))]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_torn_or_flipped_journal_yields_a_state_it_once_had(
        rounds in prop::collection::vec(prop::collection::vec((0..6i32, 0..1000i64), 1..5), 1..8),
        at: prop::sample::Index,
        flip: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let (mut journal, _) = open(&dir);
        let mut states = vec![BTreeMap::new()];
        for round in &rounds {
            for (n, m) in round {
                journal.note(partition(*n), mark(*m));
            }
            journal.write().unwrap();
            states.push(journal.marks.clone());
        }
        let file = journal.file();
        let len = file.len().unwrap();
        let at = at.index(usize::try_from(len).unwrap()) as u64;
        if flip {
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            file.write_all_at(&[IoSlice::new(&[byte[0] ^ 4])], at).unwrap();
        } else {
            file.set_len(at).unwrap();
        }
        let (_, found) = open(&dir);
        prop_assert!(states.contains(&found));
    }
}
