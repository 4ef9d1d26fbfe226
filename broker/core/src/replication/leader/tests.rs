use proptest::prelude::*;

use super::*;
use crate::replication::isr::{CommittedIsr, REPLICA_LAG_MAX};

/// So many seconds after the leader took over.
fn after(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(1_000 + seconds), wall_ms: 0 }
}

fn assignment(isr: &[BrokerId], min_insync_replicas: usize) -> Assignment {
    Assignment {
        leader: 1,
        leader_epoch: 5,
        partition_epoch: 7,
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        eligible: BTreeMap::from([(1, 11), (2, 12), (3, 13)]),
        min_insync_replicas,
        replica_lag_max: REPLICA_LAG_MAX,
        flush: FlushRule::Durable,
    }
}

fn alone(flush: FlushRule) -> Assignment {
    Assignment { replicas: vec![1], flush, ..assignment(&[1], 2) }
}

fn lead(assignment: Assignment, local: ReplicaProgress, high_watermark: Offset) -> LeaderState {
    LeaderState::new(assignment, local, high_watermark, after(0))
}

/// A fetch of broker 2 or 3 in the right epochs.
fn fetch(replica: BrokerId, progress: ReplicaProgress) -> ReplicaFetchState {
    ReplicaFetchState {
        leader_epoch: 5,
        broker_epoch: 10 + i64::from(replica),
        append_end: progress.append_end,
        durable_end: progress.durable_end,
        log_start: 0,
    }
}

fn fetches(state: &mut LeaderState, replica: BrokerId, progress: ReplicaProgress) -> Option<Offset> {
    state.on_replica_fetch(replica, fetch(replica, progress), after(0)).unwrap()
}

fn at(append_end: Offset, durable_end: Offset) -> ReplicaProgress {
    ReplicaProgress { append_end, durable_end }
}

#[test]
fn a_leader_alone_commits_what_is_durable_and_not_what_is_appended() {
    let mut state = lead(alone(FlushRule::Durable), at(0, 0), 0);
    assert_eq!(state.on_append(10), None);
    assert_eq!(state.high_watermark(), 0);
    assert_eq!(state.on_durable(7), Some(7));
    assert_eq!(state.on_durable(5), None, "durable ends do not go back");
    assert_eq!(state.on_durable(10), Some(10));
}

#[test]
fn an_async_topic_commits_what_is_appended() {
    let mut state = lead(alone(FlushRule::Appended), at(0, 0), 0);
    assert_eq!(state.on_append(10), Some(10));
    assert_eq!(state.on_durable(10), None);
}

#[test]
fn min_insync_replicas_is_limited_by_the_replication_factor() {
    let state = lead(alone(FlushRule::Durable), at(0, 0), 0);
    assert_eq!(state.required_isr(), 1);
    assert_eq!(state.check_isr(), Ok(()));
}

#[test]
fn the_slowest_member_of_the_isr_decides_and_outsiders_do_not() {
    let mut state = lead(assignment(&[1, 2], 2), at(0, 0), 0);
    state.on_append(10);
    assert_eq!(state.on_durable(10), None);
    assert_eq!(fetches(&mut state, 3, at(10, 10)), None, "3 is not in the ISR");
    assert_eq!(fetches(&mut state, 2, at(10, 4)), Some(4));
    assert_eq!(fetches(&mut state, 2, at(10, 10)), Some(10));
}

#[test]
fn an_append_of_a_follower_commits_nothing_before_its_sync() {
    let mut state = lead(assignment(&[1, 2], 2), at(0, 0), 0);
    state.on_append(10);
    state.on_durable(10);
    assert_eq!(fetches(&mut state, 2, at(10, 0)), None);
    let durable = ReplicaDurable { leader_epoch: 5, broker_epoch: 12, durable_end: 10 };
    assert_eq!(state.on_replica_durable(2, durable, after(0)), Some(10));
}

#[test]
fn a_sync_of_another_leader_epoch_or_incarnation_does_not_count() {
    let mut state = lead(assignment(&[1, 2], 2), at(0, 0), 0);
    state.on_append(10);
    state.on_durable(10);
    let durable = ReplicaDurable { leader_epoch: 5, broker_epoch: 12, durable_end: 10 };
    assert_eq!(state.on_replica_durable(2, durable, after(0)), None, "2 was not heard of in this epoch");
    fetches(&mut state, 2, at(10, 5));
    let older = ReplicaDurable { leader_epoch: 4, ..durable };
    assert_eq!(state.on_replica_durable(2, older, after(0)), None, "what 2 had in epoch 4 may have been cut");
    let other = ReplicaDurable { broker_epoch: 9, ..durable };
    assert_eq!(state.on_replica_durable(2, other, after(0)), None, "what 9 had may have been wiped");
    assert_eq!(state.on_replica_durable(9, durable, after(0)), None, "9 is no replica");
    assert_eq!(state.high_watermark(), 5);
}

#[test]
fn a_report_ahead_of_the_leader_counts_up_to_the_leaders_end() {
    let mut state = lead(assignment(&[1, 2], 2), at(10, 10), 0);
    assert_eq!(fetches(&mut state, 2, at(20, 20)), Some(10));
    state.on_append(15);
    assert_eq!(state.on_durable(15), None, "what 2 had beyond 10 was not this log");
}

#[test]
fn a_fetch_is_refused_in_another_leader_epoch_by_a_stranger_and_by_an_old_incarnation() {
    let mut state = lead(assignment(&[1, 2], 2), at(10, 10), 0);
    let mut refused = |replica, leader_epoch, broker_epoch| {
        let asked = ReplicaFetchState { leader_epoch, broker_epoch, ..fetch(2, at(10, 10)) };
        state.on_replica_fetch(replica, asked, after(0)).unwrap_err()
    };
    let older = refused(2, 4, 12);
    assert_eq!(older, FetchRefused::FencedLeaderEpoch { asked: 4, current: 5 });
    let newer = refused(2, 6, 12);
    assert_eq!(newer, FetchRefused::UnknownLeaderEpoch { asked: 6, current: 5 });
    let stranger = refused(9, 5, 12);
    assert_eq!(stranger, FetchRefused::NotAssigned { replica: 9 });
    let stale = refused(2, 5, 11);
    assert_eq!(stale, FetchRefused::StaleBrokerEpoch { replica: 2, asked: 11, known: 12 });
    let codes = [older, newer, stranger, stale].map(|refused| refused.code().code());
    assert_eq!(codes, [74, 75, 75, 6]);
    assert_eq!(state.high_watermark(), 0, "nothing of it was noted");
}

#[test]
fn an_incarnation_that_the_metadata_do_not_know_yet_outdates_the_one_before() {
    let mut state = lead(assignment(&[1, 2], 2), at(10, 10), 0);
    let newer = ReplicaFetchState { broker_epoch: 40, ..fetch(2, at(0, 0)) };
    assert_eq!(state.on_replica_fetch(2, newer, after(0)), Ok(None));
    let refused = state.on_replica_fetch(2, fetch(2, at(10, 10)), after(0));
    assert_eq!(refused, Err(FetchRefused::StaleBrokerEpoch { replica: 2, asked: 12, known: 40 }));
}

#[test]
fn the_high_watermark_waits_for_a_replica_that_keeps_up_and_may_join() {
    let mut state = lead(assignment(&[1, 2], 2), at(10, 10), 10);
    fetches(&mut state, 2, at(10, 10));
    fetches(&mut state, 3, at(10, 10));
    state.on_append(20);
    state.on_durable(20);
    assert_eq!(fetches(&mut state, 2, at(20, 20)), None, "3 was caught up a moment ago");
    assert_eq!(fetches(&mut state, 3, at(15, 15)), Some(15));
    let due = state.next_deadline().unwrap();
    assert_eq!(due, after(30).mono, "3 has its time");
    assert_eq!(state.on_tick(after(29)), None);
    assert_eq!(state.on_tick(after(30)), Some(20), "and then it is not waited for any longer");
    assert_eq!(state.next_deadline(), None);
}

#[test]
fn a_replica_that_may_not_join_is_not_waited_for() {
    let mut fenced = assignment(&[1, 2], 2);
    fenced.eligible.remove(&3);
    let mut state = lead(fenced, at(10, 10), 10);
    fetches(&mut state, 2, at(10, 10));
    fetches(&mut state, 3, at(10, 10));
    state.on_append(20);
    state.on_durable(20);
    assert_eq!(fetches(&mut state, 2, at(20, 20)), Some(20));
}

#[test]
fn a_partition_of_one_replica_proposes_nothing_and_has_no_deadline() {
    let mut state = lead(alone(FlushRule::Durable), at(0, 0), 0);
    state.on_append(10);
    assert_eq!(state.proposal(after(60)), None);
    assert_eq!(state.next_deadline(), None);
    assert_eq!(state.on_tick(after(60)), None);
}

#[test]
fn an_older_state_of_the_partition_says_nothing_of_the_isr_but_all_of_brokers_and_settings() {
    let mut state = lead(assignment(&[1, 2], 2), at(10, 10), 0);
    fetches(&mut state, 2, at(10, 10));
    fetches(&mut state, 3, at(10, 10));
    let proposal = state.proposal(after(0)).unwrap();
    let committed = CommittedIsr { leader_epoch: 5, partition_epoch: 8, isr: vec![1, 2, 3] };
    state.on_isr_answer(&proposal, Ok(committed), after(0));
    let mut older = assignment(&[1, 2], 1);
    older.eligible.clear();
    state.reassign(older);
    assert_eq!((state.partition_epoch(), state.isr()), (8, &[1, 2, 3][..]));
    assert_eq!(state.required_isr(), 1);
    let same = Assignment { partition_epoch: 8, ..assignment(&[1, 2, 3], 2) };
    state.reassign(same);
    assert_eq!((state.partition_epoch(), state.isr(), state.required_isr()), (8, &[1, 2, 3][..], 2));
}

#[test]
fn a_replica_that_leaves_and_comes_back_begins_anew() {
    let mut state = lead(assignment(&[1, 2], 2), at(10, 10), 0);
    fetches(&mut state, 3, at(10, 10));
    let without = Assignment { partition_epoch: 8, replicas: vec![1, 2], ..assignment(&[1, 2], 2) };
    state.reassign(without);
    assert_eq!(state.followers().map(|(id, _)| id).collect::<Vec<_>>(), [2]);
    state.reassign(Assignment { partition_epoch: 9, ..assignment(&[1, 2], 2) });
    let (_, third) = state.followers().last().unwrap();
    assert_eq!((third.progress(), third.broker_epoch()), (at(0, 0), None));
}

#[test]
fn after_a_failover_the_high_watermark_is_settled_once_it_covers_what_was_taken_over() {
    // 1 led epoch 1 with 12 records, 2 has 10 of them and 3 has 8; 2 leads epoch 2 now and knows of 8.
    let second = Assignment {
        leader: 2,
        leader_epoch: 2,
        eligible: BTreeMap::from([(2, 12), (3, 13)]),
        ..assignment(&[2, 3], 2)
    };
    let mut state = lead(second, at(10, 10), 8);
    assert!(!state.is_high_watermark_settled(), "ListOffsets answers OFFSET_NOT_AVAILABLE");
    let third = |ends| ReplicaFetchState { leader_epoch: 2, ..fetch(3, ends) };
    assert_eq!(state.on_replica_fetch(3, third(at(8, 8)), after(1)), Ok(None));
    assert_eq!(state.on_replica_fetch(3, third(at(10, 8)), after(1)), Ok(None));
    assert_eq!(state.on_replica_fetch(3, third(at(10, 10)), after(1)), Ok(Some(10)));
    assert!(state.is_high_watermark_settled());
}

#[test]
fn the_high_watermark_stands_still_while_the_isr_is_too_small() {
    let mut state = lead(assignment(&[1], 2), at(0, 0), 0);
    state.on_append(10);
    assert_eq!(state.on_durable(10), None);
    assert_eq!(state.check_isr(), Err(NotEnoughReplicas { isr: 1, required: 2 }));
    assert_eq!(
        state.reassign(assignment(&[1], 1)),
        Some(10),
        "the configuration needs no new partition epoch"
    );
}

#[test]
fn an_existing_log_keeps_its_high_watermark_within_its_end() {
    assert_eq!(lead(alone(FlushRule::Durable), at(20, 20), 15).high_watermark(), 20);
    assert_eq!(lead(assignment(&[1, 2], 1), at(20, 20), 15).high_watermark(), 15);
    assert_eq!(lead(assignment(&[1, 2], 1), at(20, 20), 25).high_watermark(), 20);
    assert_eq!(lead(assignment(&[1, 2], 1), at(20, 20), 15).leader_epoch_start(), 20);
}

proptest! {
    /// Random news in any order: the offset chain of the file's head holds after each.
    #[test]
    fn the_high_watermark_never_goes_back_nor_passes_a_member(
        steps in prop::collection::vec((0u8..6, 0i64..50, 0i64..50), 1..60)
    ) {
        let mut state = lead(assignment(&[1, 2, 3], 2), at(0, 0), 0);
        let mut partition_epoch = 7;
        for (seconds, (kind, a, b)) in (0..).zip(steps) {
            let before = state.high_watermark();
            let local = state.local();
            match kind {
                0 => { state.on_append(local.append_end + a); }
                1 => { state.on_durable(local.durable_end + b.min(local.append_end - local.durable_end)); }
                2 | 3 => {
                    let replica = i32::from(kind);
                    let news = fetch(replica, at(a.max(b), a.min(b)));
                    state.on_replica_fetch(replica, news, after(seconds)).unwrap();
                }
                4 => {
                    if let Some(proposal) = state.proposal(after(seconds)) && a % 2 == 0 {
                        partition_epoch += 1;
                        let isr = proposal.isr.iter().map(|(member, _)| *member).collect();
                        let committed = CommittedIsr { leader_epoch: 5, partition_epoch, isr };
                        state.on_isr_answer(&proposal, Ok(committed), after(seconds));
                    }
                }
                _ => {
                    let isr: &[BrokerId] =
                        match a % 4 { 0 => &[1], 1 => &[1, 2], 2 => &[1, 3], _ => &[1, 2, 3] };
                    partition_epoch += 1;
                    state.reassign(Assignment { partition_epoch, ..assignment(isr, 2) });
                }
            }
            let now = state.high_watermark();
            prop_assert!(now >= before);
            prop_assert!(now <= state.local().append_end);
            if now > before {
                prop_assert!(state.isr().len() >= 2);
                prop_assert!(now <= state.local().durable_end);
                for (id, follower) in state.followers() {
                    prop_assert!(!state.maximal_isr().contains(&id) || now <= follower.progress().durable_end);
                }
            }
        }
    }
}
