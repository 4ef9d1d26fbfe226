use std::path::Path;

use bytes::Bytes;
use tidemark_core::metadata::PartitionImage;
use tidemark_core::replication::epochs::FetchPosition;
use tidemark_core::replication::follower::FetchAnswer;
use tidemark_core::replication::replica::ReplicaFetchState;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};
use tidemark_storage::disk::Disk;

use super::*;
use crate::partition::testing::{
    ME, Rig, ask, batch_with, committed, config, keyed_batch, now_or_never, send, send_batch,
};
use crate::partition::{AppendWait, PartitionHandle};

fn complete(waits: &[AppendWait]) -> Vec<bool> {
    waits.iter().map(AppendWait::is_complete).collect()
}

#[test]
fn acks_one_leaves_before_the_sync_and_acks_all_after_it() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    let waits = [Acks::All, Acks::Leader, Acks::None, Acks::All].map(|acks| send(&handle, acks, "x"));
    rig.round();
    assert_eq!(complete(&waits), [false, true, true, false]);
    let view = handle.view().unwrap();
    assert_eq!((view.log_end, view.durable_end, view.high_watermark), (4, 0, 0));
    rig.round();
    assert_eq!(complete(&waits), [true; 4]);
    let view = handle.view().unwrap();
    assert_eq!((view.log_end, view.durable_end, view.high_watermark), (4, 4, 4));
    let offsets: Vec<_> = waits.map(|wait| now_or_never(wait.one()).unwrap().unwrap().base_offset).into();
    assert_eq!(offsets, [0, 1, 2, 3]);
}

#[test]
fn whoever_was_answered_can_read_what_it_wrote() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    for n in 0..5 {
        let appended = rig.append(&handle, Acks::All, &n.to_string()).unwrap();
        assert_eq!(appended.base_offset, n);
        assert_eq!(handle.view().unwrap().high_watermark, n + 1);
    }
    assert_eq!(committed(&handle.view().unwrap()), ["0", "1", "2", "3", "4"]);
}

#[test]
fn one_sync_commits_all_appends_of_a_round() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "opens the files").unwrap();
    let before = rig.directory.metrics().flushes.get();
    let waits: Vec<_> = (0..100).map(|_| send(&handle, Acks::All, "x")).collect();
    rig.settle();
    assert!(waits.iter().all(AppendWait::is_complete));
    assert_eq!(rig.directory.metrics().flushes.get() - before, 1);
}

#[test]
fn many_dirty_partitions_share_one_sync_of_the_file_system() {
    let mut rig = Rig::new();
    let handles: Vec<_> = (0..100).map(|index| rig.partition(index, &[])).collect();
    let waits: Vec<_> = handles.iter().map(|handle| send(handle, Acks::All, "x")).collect();
    rig.settle();
    assert!(waits.iter().all(AppendWait::is_complete));
    let metrics = rig.directory.metrics();
    assert_eq!((metrics.flushes.get(), metrics.filesystem_syncs.get()), (1, 1));
    let mut rig = rig.crash();
    for index in 0..100 {
        assert_eq!(read_all(&mut rig, index), ["x"]);
    }
}

#[test]
fn a_failed_sync_of_the_file_system_stops_the_directory_before_anybody_else_can_trust_one() {
    let mut rig = Rig::new();
    let handles: Vec<_> = (0..100).map(|index| rig.partition(index, &[])).collect();
    let send_all = || -> Vec<_> { handles.iter().map(|handle| send(handle, Acks::All, "x")).collect() };
    let waits = send_all();
    rig.settle();
    assert!(waits.iter().all(AppendWait::is_complete));
    let waits = send_all();
    rig.disk.fail_sync(1);
    rig.settle();
    for wait in waits {
        let refused = now_or_never(wait.one()).unwrap().unwrap_err();
        assert!(matches!(refused, ProduceError::Storage(_)), "{refused:?}");
    }
    assert!(handles.iter().all(|handle| committed(&handle.view().unwrap()) == ["x"]));
}

#[test]
fn acked_records_survive_a_crash_and_unacked_ones_may_not() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    for n in 0..10 {
        rig.append(&handle, Acks::All, &n.to_string()).unwrap();
    }
    let mut rig = rig.crash();
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(read_all(&mut rig, 0), expected);
}

#[test]
fn a_failed_sync_stops_the_directory_and_reads_go_on() {
    let mut rig = Rig::new();
    let (a, b) = (rig.partition(0, &[]), rig.partition(1, &[]));
    for handle in [&a, &b] {
        rig.append(handle, Acks::All, "before").unwrap();
    }
    rig.disk.fail_sync(1);
    let refused = rig.append(&a, Acks::All, "lost").unwrap_err();
    assert!(matches!(refused, ProduceError::Storage(_)), "{refused:?}");
    for handle in [&a, &b] {
        let refused = rig.append(handle, Acks::Leader, "later").unwrap_err();
        assert!(matches!(refused, ProduceError::Storage(_)), "{refused:?}");
        let view = handle.view().unwrap();
        assert!(view.failed.is_some());
        assert_eq!(committed(&view), ["before"], "what failed to be synced is not shown");
    }
    assert!(rig.directory.watch_failure().borrow().is_some());
}

#[test]
fn a_failed_write_stops_the_directory() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "before").unwrap();
    rig.disk.fail_write(1);
    let refused = rig.append(&handle, Acks::All, "lost").unwrap_err();
    assert!(matches!(refused, ProduceError::Storage(_)), "{refused:?}");
    assert!(rig.directory.watch_failure().borrow().is_some());
    assert_eq!(committed(&handle.view().unwrap()), ["before"]);
}

#[test]
fn a_full_disk_refuses_only_what_does_not_fit_and_recovers_without_a_restart() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "before").unwrap();
    rig.advance(Duration::from_secs(5));
    rig.disk.set_capacity(rig.disk.used() + 200);
    assert_eq!(rig.append(&handle, Acks::All, &"x".repeat(1000)), Err(ProduceError::DiskFull));
    assert_eq!(rig.append(&handle, Acks::Leader, &"x".repeat(1000)), Err(ProduceError::DiskFull));
    assert_eq!(rig.directory.metrics().disk_full_refusals.get(), 2);
    assert!(rig.directory.watch_failure().borrow().is_none());
    rig.disk.set_capacity(u64::MAX);
    let appended = rig.append(&handle, Acks::All, "after").unwrap();
    assert_eq!(appended.base_offset, 1);
    assert_eq!(committed(&handle.view().unwrap()), ["before", "after"]);
}

#[test]
fn a_full_disk_does_not_stop_the_journal_for_ever() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    for n in 0..3 {
        rig.append(&handle, Acks::All, &n.to_string()).unwrap();
    }
    rig.advance(Duration::from_secs(5));
    rig.disk.set_capacity(rig.disk.used());
    let refused = delete_records(&mut rig, &handle, Some(1)).unwrap_err();
    assert!(matches!(refused, PartitionError::Storage(_)), "{refused:?}");
    assert!(rig.directory.watch_failure().borrow().is_none());
    rig.disk.set_capacity(u64::MAX);
    assert_eq!(delete_records(&mut rig, &handle, Some(2)), Ok(2));
    let mut rig = rig.crash();
    assert_eq!(read_all(&mut rig, 0), ["2"]);
}

#[test]
fn deleted_records_stay_deleted_after_a_crash() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    for n in 0..10 {
        rig.append(&handle, Acks::All, &n.to_string()).unwrap();
    }
    assert_eq!(delete_records(&mut rig, &handle, Some(4)), Ok(4));
    assert_eq!(delete_records(&mut rig, &handle, Some(2)), Ok(4), "the start never goes back");
    assert_eq!(
        delete_records(&mut rig, &handle, Some(11)),
        Err(PartitionError::OffsetOutOfRange { asked: 11, start: 0, end: 10 })
    );
    assert_eq!(handle.view().unwrap().log_start, 4);
    let mut rig = rig.crash();
    assert_eq!(read_all(&mut rig, 0), ["4", "5", "6", "7", "8", "9"]);
    let handle = rig.partition(0, &[]);
    assert_eq!(delete_records(&mut rig, &handle, None), Ok(10));
    let mut rig = rig.crash();
    assert_eq!(read_all(&mut rig, 0), [""; 0]);
}

#[test]
fn an_asynchronous_topic_commits_without_a_sync_and_flushes_by_its_own_rules() {
    let mut rig = Rig::new();
    let overrides = [("tidemark.flush", "async"), ("flush.messages", "3"), ("flush.ms", "2000")];
    let handle = rig.partition(0, &overrides);
    rig.append(&handle, Acks::All, "a").unwrap();
    rig.append(&handle, Acks::All, "b").unwrap();
    let view = handle.view().unwrap();
    assert_eq!((view.high_watermark, view.durable_end), (2, 0));
    assert_eq!(rig.directory.metrics().flushes.get(), 0);
    rig.append(&handle, Acks::All, "c").unwrap();
    assert_eq!(rig.directory.metrics().flushes.get(), 1, "flush.messages");
    rig.append(&handle, Acks::All, "d").unwrap();
    rig.advance(Duration::from_millis(1_999));
    assert_eq!(rig.directory.metrics().flushes.get(), 1);
    rig.advance(Duration::from_millis(1));
    assert_eq!(rig.directory.metrics().flushes.get(), 2, "flush.ms");
    let mut rig = rig.crash();
    assert_eq!(read_all(&mut rig, 0), ["a", "b", "c", "d"]);
}

#[test]
fn a_topic_made_synchronous_flushes_what_it_has() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[("tidemark.flush", "async")]);
    rig.append(&handle, Acks::All, "a").unwrap();
    handle.configure(&config(&[]));
    rig.settle();
    assert_eq!(handle.view().unwrap().durable_end, 1);
    rig.append(&handle, Acks::All, "b").unwrap();
    assert_eq!(handle.view().unwrap().durable_end, 2);
}

#[test]
fn a_duplicate_is_answered_with_its_first_offset_once_that_is_committed() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    let options =
        BuilderOptions { producer_id: 9, producer_epoch: 0, base_sequence: 0, ..BuilderOptions::default() };
    // More than a round that syncs before it is over.
    let waits: Vec<_> =
        (0..20).map(|_| send_batch(&handle, Acks::All, batch_with(options, "once"))).collect();
    rig.round();
    assert_eq!(complete(&waits), [false; 20], "the original is not committed yet");
    rig.settle();
    for (n, wait) in waits.into_iter().enumerate() {
        let appended = now_or_never(wait.one()).unwrap().unwrap();
        assert_eq!((appended.base_offset, appended.duplicate), (0, n > 0));
    }
    assert_eq!(committed(&handle.view().unwrap()), ["once"]);
    let late = send_batch(&handle, Acks::All, batch_with(options, "once"));
    rig.settle();
    assert!(now_or_never(late.one()).unwrap().unwrap().duplicate);
}

#[test]
fn a_sequence_gap_refuses_that_batch_only() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    let batch = |base_sequence| {
        batch_with(
            BuilderOptions { producer_id: 9, producer_epoch: 0, base_sequence, ..BuilderOptions::default() },
            "x",
        )
    };
    let waits = [0, 2, 1].map(|sequence| send_batch(&handle, Acks::All, batch(sequence)));
    rig.settle();
    let [first, gap, second] = waits.map(|wait| now_or_never(wait.one()).unwrap());
    assert_eq!(first.unwrap().base_offset, 0);
    assert!(matches!(gap, Err(ProduceError::OutOfOrderSequence { found: 2, .. })), "{gap:?}");
    assert_eq!(second.unwrap().base_offset, 1);
}

#[test]
fn too_small_an_isr_refuses_acks_all_and_commits_nothing() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[("min.insync.replicas", "2")]);
    let mut image = PartitionImage::new(&[ME, 2, 3], &[ME]);
    handle.assign(image.clone());
    let refused = rig.append(&handle, Acks::All, "refused").unwrap_err();
    assert!(matches!(refused, ProduceError::NotEnoughReplicas(_)), "{refused:?}");
    rig.append(&handle, Acks::Leader, "written").unwrap();
    assert_eq!(handle.view().unwrap().high_watermark, 0, "acks=1 data stays invisible meanwhile");
    image.leader = 2;
    image.leader_epoch = 1;
    handle.assign(image);
    let refused = rig.append(&handle, Acks::Leader, "elsewhere").unwrap_err();
    assert_eq!(refused, ProduceError::NotLeader { leader: 2, leader_epoch: 1 });
    assert!(!handle.view().unwrap().is_leader);
}

#[test]
fn waiting_producers_are_told_when_the_leadership_goes() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    handle.assign(PartitionImage::new(&[ME, 2], &[ME, 2]));
    let wait = send(&handle, Acks::All, "waits for 2");
    rig.settle();
    assert!(!wait.is_complete());
    let mut image = PartitionImage::new(&[2, ME], &[2]);
    image.leader_epoch = 1;
    handle.assign(image);
    rig.settle();
    let answer = now_or_never(wait.one()).unwrap();
    assert_eq!(answer, Err(ProduceError::NotLeader { leader: 2, leader_epoch: 1 }));
}

#[test]
fn a_deleted_partition_answers_closed_and_its_files_go_after_the_delay() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[("file.delete.delay.ms", "1000")]);
    rig.append(&handle, Acks::All, "x").unwrap();
    let removal = handle.remove();
    rig.settle();
    assert!(now_or_never(removal.done()).is_some());
    assert!(handle.view().is_none());
    assert_eq!(rig.append(&handle, Acks::All, "late"), Err(ProduceError::Closed));
    let names = entries_of(&rig);
    assert!(
        names.len() == 1 && names[0].starts_with("t-0.") && names[0].ends_with(DELETED_SUFFIX),
        "{names:?}"
    );
    rig.clock.advance(Duration::from_secs(1));
    rig.settle();
    assert!(entries_of(&rig).is_empty());
}

#[test]
fn a_new_topic_of_the_same_name_starts_empty() {
    let mut rig = Rig::new();
    let old = rig.partition(0, &[]);
    rig.append(&old, Acks::All, "old").unwrap();
    let _ = old.remove();
    rig.settle();
    let new = rig.partition_of(2, 0, &[]);
    assert_eq!(rig.append(&new, Acks::All, "new").unwrap().base_offset, 0);
    assert_eq!(committed(&new.view().unwrap()), ["new"]);
}

#[test]
fn files_of_a_deleted_topic_of_the_same_name_are_put_aside() {
    let mut rig = Rig::new();
    let old = rig.partition(0, &[]);
    rig.append(&old, Acks::All, "old").unwrap();
    let mut rig = rig.crash();
    let new = rig.partition_of(2, 0, &[]);
    assert_eq!(rig.append(&new, Acks::All, "new").unwrap().base_offset, 0);
    assert_eq!(committed(&new.view().unwrap()), ["new"]);
}

#[test]
fn a_flush_command_answers_when_everything_is_durable() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[("tidemark.flush", "async")]);
    rig.append(&handle, Acks::All, "x").unwrap();
    assert_eq!(handle.view().unwrap().durable_end, 0);
    assert_eq!(ask(&mut rig, handle.flush()), Ok(()));
    assert_eq!(handle.view().unwrap().durable_end, 1);
    assert_eq!(ask(&mut rig, handle.flush()), Ok(()), "nothing to flush is flushed at once");
}

#[test]
fn a_stop_flushes_and_the_next_start_reads_nothing_again() {
    let mut rig = Rig::new();
    let handles: Vec<_> = (0..50).map(|index| rig.partition(index, &[("tidemark.flush", "async")])).collect();
    for handle in &handles {
        rig.append(handle, Acks::All, "x").unwrap();
    }
    let late = send(&handles[0], Acks::All, "after the stop");
    let disk = rig.disk.clone();
    assert!(rig.stop());
    assert_eq!(now_or_never(late.one()), Some(Err(ProduceError::Closed)));
    let mut rig = Rig::over(disk.crash());
    for index in 0..50 {
        assert_eq!(read_all(&mut rig, index), ["x"]);
    }
}

#[test]
fn retention_deletes_without_anybody_asking() {
    let mut rig = Rig::new();
    let overrides =
        [("retention.bytes", "2000"), ("segment.bytes", "1048576"), ("internal.segment.bytes", "1000")];
    let handle = rig.partition(0, &overrides);
    for _ in 0..20 {
        rig.append(&handle, Acks::All, &"x".repeat(500)).unwrap();
    }
    rig.advance(Duration::from_secs(2));
    let view = handle.view().unwrap();
    assert!(view.log_start > 10, "retention left everything from {}", view.log_start);
    assert_eq!(view.log_end, 20);
}

#[test]
fn a_compacted_topic_keeps_the_last_record_of_each_key_without_anybody_asking() {
    let mut rig = Rig::new();
    let overrides = [
        ("cleanup.policy", "compact"),
        ("internal.segment.bytes", "1000"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    let handle = rig.partition(0, &overrides);
    for n in 0..40 {
        let wait =
            send_batch(&handle, Acks::All, keyed_batch(&format!("key {}", n % 2), &"x".repeat(100 + n)));
        rig.settle();
        assert!(wait.is_complete());
    }
    let before = handle.view().unwrap();
    // Beyond `log.cleaner.backoff.ms`, in steps as the clock would.
    for _ in 0..20 {
        rig.advance(Duration::from_secs(1));
    }
    assert_eq!(rig.directory.metrics().compactions.get(), 1);
    // Until memory has let go of the recent batches, readers get them from there.
    rig.advance(Duration::from_secs(600));
    let after = handle.view().unwrap();
    assert!(after.size_bytes < before.size_bytes / 2, "{} of {} bytes", after.size_bytes, before.size_bytes);
    let values = committed(&after);
    assert!(values.len() < 20, "{} records are left", values.len());
    assert_eq!(values.iter().map(String::len).max(), Some(139), "the last record stays");
    assert_eq!((after.log_start, after.high_watermark), (0, 40));
    assert_eq!(committed(&before).len(), 40, "older readers go on with the old segments");
}

#[test]
fn producers_are_described() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    let options =
        BuilderOptions { producer_id: 9, producer_epoch: 3, base_sequence: 0, ..BuilderOptions::default() };
    let wait = send_batch(&handle, Acks::All, batch_with(options, "x"));
    rig.settle();
    assert!(wait.is_complete());
    let producers = ask(&mut rig, handle.describe_producers()).unwrap();
    assert_eq!(producers.len(), 1);
    assert_eq!((producers[0].producer_id, producers[0].producer_epoch), (9, 3));
}

fn delete_records(
    rig: &mut Rig,
    handle: &PartitionHandle,
    before: Option<i64>,
) -> Result<i64, PartitionError> {
    ask(rig, handle.delete_records(before))
}

fn read_all(rig: &mut Rig, index: i32) -> Vec<String> {
    let handle = rig.partition(index, &[]);
    committed(&ask(rig, handle.ready_view()).unwrap())
}

fn entries_of(rig: &Rig) -> Vec<String> {
    let mut names = rig.disk.read_dir(Path::new("/data")).unwrap();
    names.retain(|name| name.starts_with("t-"));
    names
}

#[test]
fn a_follower_takes_a_leaders_log_that_starts_in_the_middle_of_a_batch() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    let mut image = PartitionImage::new(&[2, 1], &[2]);
    image.leader_epoch = 1;
    handle.assign(image);
    rig.settle();
    let answer = |asked, answer, records| {
        handle.replicate(replicate::Replication::Answered(replicate::Replicated { asked, answer, records }));
    };
    let at = |fetch_offset| FetchPosition { leader_epoch: 1, last_fetched_epoch: None, fetch_offset };
    answer(at(0), FetchAnswer::OutOfRange { log_start: 90, log_end: 92 }, Bytes::new());
    rig.settle();
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    for (delta, value) in [b"a", b"b", b"c"].into_iter().enumerate() {
        builder.append(delta as i64, 0, None, Some(value), &[]);
    }
    let records = builder.build().place(89, 1).to_bytes();
    let range = Some((90, 92));
    answer(at(90), FetchAnswer::Records { range, high_watermark: 92, log_start: 90 }, records);
    rig.settle();
    let view = handle.view().unwrap();
    assert_eq!((view.log_start, view.log_end, view.durable_end), (90, 92, 92));
    assert_eq!(committed(&view), ["b", "c"]);
}

#[test]
fn a_lower_minimum_commits_nothing_for_a_leader_that_is_deposed_in_the_same_image() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[("min.insync.replicas", "3")]);
    let mut image = PartitionImage::new(&[ME, 2, 3], &[ME, 2]);
    handle.assign(image.clone());
    let _wait = send(&handle, Acks::All, "x");
    let one = send(&handle, Acks::Leader, "y");
    rig.settle();
    assert!(one.is_complete());
    let (leader_epoch, broker_epoch) = (image.leader_epoch, 1);
    let fetch = ReplicaFetchState { leader_epoch, broker_epoch, append_end: 1, durable_end: 1, log_start: 0 };
    handle.replicate(replicate::Replication::Fetched { replica: 2, fetch });
    rig.settle();
    // Broker 3 was elected while three had to be in sync: two may commit only after that.
    (image.leader, image.leader_epoch, image.partition_epoch) =
        (3, image.leader_epoch + 1, image.partition_epoch + 1);
    image.isr = [3].into();
    handle.assign_configured(image, &config(&[("min.insync.replicas", "2")]));
    rig.settle();
    assert_eq!(handle.view().unwrap().high_watermark, 0);
}
