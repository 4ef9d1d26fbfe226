use proptest::prelude::*;

use super::*;

fn assignment(isr: &[BrokerId], min_insync_replicas: usize) -> Assignment {
    Assignment {
        leader: 1,
        leader_epoch: 5,
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        min_insync_replicas,
        flush: FlushRule::Durable,
    }
}

fn alone(flush: FlushRule) -> Assignment {
    Assignment { replicas: vec![1], isr: vec![1], flush, ..assignment(&[1], 2) }
}

fn at(append_end: Offset, durable_end: Offset) -> ReplicaProgress {
    ReplicaProgress { append_end, durable_end }
}

#[test]
fn a_leader_alone_commits_what_is_durable_and_not_what_is_appended() {
    let mut state = LeaderState::new(alone(FlushRule::Durable), at(0, 0), 0);
    assert_eq!(state.on_append(10), None);
    assert_eq!(state.high_watermark(), 0);
    assert_eq!(state.on_durable(7), Some(7));
    assert_eq!(state.on_durable(5), None, "durable ends do not go back");
    assert_eq!(state.on_durable(10), Some(10));
}

#[test]
fn an_async_topic_commits_what_is_appended() {
    let mut state = LeaderState::new(alone(FlushRule::Appended), at(0, 0), 0);
    assert_eq!(state.on_append(10), Some(10));
    assert_eq!(state.on_durable(10), None);
}

#[test]
fn min_insync_replicas_is_limited_by_the_replication_factor() {
    let state = LeaderState::new(alone(FlushRule::Durable), at(0, 0), 0);
    assert_eq!(state.required_isr(), 1);
    assert_eq!(state.check_isr(), Ok(()));
}

#[test]
fn the_slowest_member_of_the_isr_decides_and_outsiders_do_not() {
    let mut state = LeaderState::new(assignment(&[1, 2], 2), at(0, 0), 0);
    state.on_append(10);
    assert_eq!(state.on_durable(10), None);
    assert_eq!(state.on_replica_progress(3, at(10, 10)), None, "3 is not in the ISR");
    assert_eq!(state.on_replica_progress(2, at(10, 4)), Some(4));
    assert_eq!(state.on_replica_progress(9, at(10, 10)), None, "9 is no replica");
    assert_eq!(state.reassign(assignment(&[1, 2, 3], 2)), None, "3 has more than the high watermark");
    assert_eq!(state.on_replica_progress(2, at(10, 10)), Some(10));
}

#[test]
fn the_high_watermark_stands_still_while_the_isr_is_too_small() {
    let mut state = LeaderState::new(assignment(&[1], 2), at(0, 0), 0);
    state.on_append(10);
    assert_eq!(state.on_durable(10), None);
    assert_eq!(state.check_isr(), Err(NotEnoughReplicas { isr: 1, required: 2 }));
    assert_eq!(state.reassign(assignment(&[1], 1)), Some(10));
}

#[test]
fn an_existing_log_keeps_its_high_watermark_within_its_end() {
    assert_eq!(LeaderState::new(alone(FlushRule::Durable), at(20, 20), 15).high_watermark(), 20);
    assert_eq!(LeaderState::new(assignment(&[1, 2], 1), at(20, 20), 15).high_watermark(), 15);
    assert_eq!(LeaderState::new(assignment(&[1, 2], 1), at(20, 20), 25).high_watermark(), 20);
    assert_eq!(LeaderState::new(assignment(&[1, 2], 1), at(20, 20), 15).leader_epoch_start(), 20);
}

proptest! {
    /// Random news in any order: the offset chain of the file's head holds after each.
    #[test]
    fn the_high_watermark_never_goes_back_nor_passes_a_member(
        steps in prop::collection::vec((0u8..5, 0i64..50, 0i64..50), 1..60)
    ) {
        let mut state = LeaderState::new(assignment(&[1, 2, 3], 2), at(0, 0), 0);
        let mut isr = vec![1, 2, 3];
        let mut known = BTreeMap::from([(2, at(0, 0)), (3, at(0, 0))]);
        for (kind, a, b) in steps {
            let before = state.high_watermark();
            match kind {
                0 => { state.on_append(state.local().append_end + a); }
                1 => { state.on_durable(state.local().durable_end + b.min(state.local().append_end - state.local().durable_end)); }
                2 | 3 => {
                    let progress = at(a.max(b), a.min(b));
                    known.insert(i32::from(kind), progress);
                    state.on_replica_progress(i32::from(kind), progress);
                }
                _ => {
                    isr = match a % 4 { 0 => vec![1], 1 => vec![1, 2], 2 => vec![1, 3], _ => vec![1, 2, 3] };
                    state.reassign(assignment(&isr, 2));
                }
            }
            let now = state.high_watermark();
            prop_assert!(now >= before);
            prop_assert!(now <= state.local().append_end);
            if now > before {
                prop_assert!(isr.len() >= 2);
                prop_assert!(now <= state.local().durable_end);
                for follower in isr.iter().filter(|member| **member != 1) {
                    prop_assert!(now <= known[follower].durable_end);
                }
            }
        }
    }
}
