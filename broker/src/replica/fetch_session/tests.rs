use tidemark_core::metadata::PartitionImage;
use tidemark_core::replication::epochs::FetchPosition;

use super::*;
use crate::partition::append::Acks;
use crate::partition::testing::{ME, Rig, ask};

const FOLLOWER: BrokerId = 2;

/// What a follower with an empty log is answered in this leader epoch.
fn asks(
    rig: &mut Rig,
    session: &mut FetchSession,
    handle: &PartitionHandle,
    leader_epoch: LeaderEpoch,
) -> Vec<FetchAnswer> {
    asks_from(rig, session, handle, FetchPosition { leader_epoch, last_fetched_epoch: None, fetch_offset: 0 })
}

/// What a follower is answered at this position.
fn asks_from(
    rig: &mut Rig,
    session: &mut FetchSession,
    handle: &PartitionHandle,
    position: FetchPosition,
) -> Vec<FetchAnswer> {
    let view = ask(rig, handle.ready_view()).unwrap();
    let wanted = Wanted { id: handle.id(), position, durable_end: 0, log_start: 0 };
    let mut answer = Answer::new(1 << 20);
    session.begin(7, wanted, Ok((handle.clone(), view)), &mut answer);
    assert!(session.collect(&mut answer).is_none(), "nothing is in files");
    rig.settle();
    answer.message().head.partitions.iter().map(|found| found.answer).collect()
}

#[test]
fn each_leader_epoch_begins_with_an_answer() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    let mut led = PartitionImage::new(&[ME, FOLLOWER], &[ME, FOLLOWER]);
    let mut session = FetchSession::new(FOLLOWER, Subscription::new());
    for _ in 0..2 {
        (led.leader_epoch, led.partition_epoch) = (led.leader_epoch + 1, led.partition_epoch + 1);
        handle.assign(led.clone());
        rig.settle();
        let agreed = FetchAnswer::Records { range: None, high_watermark: 0, log_start: 0 };
        assert_eq!(asks(&mut rig, &mut session, &handle, led.leader_epoch), [agreed]);
        assert_eq!(asks(&mut rig, &mut session, &handle, led.leader_epoch), [], "it knows that already");
    }
}

#[test]
fn a_follower_that_knows_of_its_assignment_before_the_leader_asks_again() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    let mut led = PartitionImage::new(&[ME, 3], &[ME]);
    (led.leader_epoch, led.partition_epoch) = (1, 1);
    handle.assign(led.clone());
    rig.settle();
    let mut session = FetchSession::new(FOLLOWER, Subscription::new());
    let unknown = FetchAnswer::Error(ErrorCode::UnknownLeaderEpoch);
    assert_eq!(asks(&mut rig, &mut session, &handle, 1), [unknown]);
    (led.replicas, led.adding) = ([ME, 3, FOLLOWER].into(), [FOLLOWER].into());
    led.partition_epoch += 1;
    handle.assign(led);
    rig.settle();
    let agreed = FetchAnswer::Records { range: None, high_watermark: 0, log_start: 0 };
    assert_eq!(asks(&mut rig, &mut session, &handle, 1), [agreed]);
}

#[test]
fn marks_that_move_alone_wait_to_be_told() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[("min.insync.replicas", "1")]);
    let mut led = PartitionImage::new(&[ME, FOLLOWER], &[ME]);
    (led.leader_epoch, led.partition_epoch) = (1, 1);
    handle.assign(led);
    rig.settle();
    let mut session = FetchSession::new(FOLLOWER, Subscription::new());
    rig.append(&handle, Acks::Leader, "a").unwrap();
    let records = FetchAnswer::Records { range: Some((0, 1)), high_watermark: 1, log_start: 0 };
    assert_eq!(asks(&mut rig, &mut session, &handle, 1), [records]);
    let position = FetchPosition { leader_epoch: 1, last_fetched_epoch: Some(1), fetch_offset: 1 };
    assert_eq!(asks_from(&mut rig, &mut session, &handle, position), []);
    assert!(!session.is_behind());

    ask(&mut rig, handle.delete_records(Some(1))).unwrap();
    let mut answer = Answer::new(1 << 20);
    assert!(session.collect(&mut answer).is_none());
    assert!(answer.is_empty() && session.is_behind(), "there is nothing but a mark to say");
    session.tell_marks(&mut answer);
    let marks = FetchAnswer::Records { range: None, high_watermark: 1, log_start: 1 };
    assert_eq!(answer.message().head.partitions[0].answer, marks);
    assert!(!session.is_behind());
}
