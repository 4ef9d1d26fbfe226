use tidemark_protocol::types::Now;

use super::*;
use crate::replication::assignment::Assignment;
use crate::replication::leader::LeaderState;
use crate::replication::replica::{ReplicaFetchState, ReplicaProgress};

/// A conversation: broker 1 leads epoch 5 with 10 records, all durable, of which `high_watermark` are committed.
struct Talk {
    leader: LeaderState,
    /// Since the leader took over.
    at: Duration,
}

fn assignment(isr: &[BrokerId]) -> Assignment {
    Assignment {
        leader: 1,
        leader_epoch: 5,
        partition_epoch: 7,
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        eligible: BTreeMap::from([(1, 11), (2, 12), (3, 13)]),
        min_insync_replicas: 1,
        replica_lag_max: REPLICA_LAG_MAX,
        flush: FlushRule::Durable,
    }
}

impl Talk {
    fn new(assignment: Assignment, high_watermark: Offset) -> Talk {
        let at = Duration::from_secs(1_000);
        let local = ReplicaProgress { append_end: 10, durable_end: 10 };
        let leader = LeaderState::new(assignment, local, high_watermark, Now { mono: at, wall_ms: 0 });
        Talk { leader, at }
    }

    fn now(&self) -> Now {
        Now { mono: self.at, wall_ms: 0 }
    }

    fn wait(&mut self, time: Duration) -> &mut Talk {
        self.at += time;
        let now = self.now();
        self.leader.on_tick(now);
        self
    }

    fn append(&mut self, end: Offset) {
        self.leader.on_append(end);
        self.leader.on_durable(end);
    }

    fn fetch_as(&mut self, replica: BrokerId, broker_epoch: i64, append_end: Offset, durable_end: Offset) {
        let fetch =
            ReplicaFetchState { leader_epoch: 5, broker_epoch, append_end, durable_end, log_start: 0 };
        let now = self.now();
        self.leader.on_replica_fetch(replica, fetch, now).unwrap();
    }

    fn fetch(&mut self, replica: BrokerId, end: Offset) -> &mut Talk {
        self.fetch_as(replica, 10 + i64::from(replica), end, end);
        self
    }

    fn proposal(&mut self) -> Option<IsrProposal> {
        let now = self.now();
        self.leader.proposal(now)
    }

    /// The members that are proposed.
    fn proposed(&mut self) -> Option<Vec<BrokerId>> {
        Some(self.proposal()?.isr.iter().map(|(member, _)| *member).collect())
    }

    fn answer(&mut self, proposal: &IsrProposal, answer: IsrAnswer) -> &mut Talk {
        let now = self.now();
        self.leader.on_isr_answer(proposal, answer, now);
        self
    }
}

fn committed(partition_epoch: i32, isr: &[BrokerId]) -> IsrAnswer {
    Ok(CommittedIsr { leader_epoch: 5, partition_epoch, isr: isr.to_vec() })
}

#[test]
fn a_replica_joins_when_it_has_what_the_leader_took_over() {
    let mut talk = Talk::new(assignment(&[1, 2]), 4);
    talk.fetch(2, 10);
    assert_eq!(talk.fetch(3, 9).proposed(), None);
    let proposal = talk.fetch(3, 10).proposal().unwrap();
    let isr = vec![(1, 11), (2, 12), (3, 13)];
    assert_eq!(proposal, IsrProposal { leader_epoch: 5, partition_epoch: 7, isr });
    talk.answer(&proposal, committed(8, &[1, 2, 3]));
    assert_eq!((talk.leader.isr(), talk.leader.partition_epoch()), (&[1, 2, 3][..], 8));
}

#[test]
fn the_high_watermark_alone_does_not_let_a_replica_join() {
    // The ISR's other member has not been heard of, so the high watermark is one of an earlier leader.
    let mut talk = Talk::new(assignment(&[1, 2]), 4);
    assert_eq!(talk.fetch(3, 6).proposed(), None);
}

#[test]
fn what_a_replica_has_not_flushed_does_not_let_it_join() {
    let mut talk = Talk::new(assignment(&[1, 2]), 4);
    talk.fetch(2, 10).fetch_as(3, 13, 10, 9);
    assert_eq!(talk.proposed(), None);
}

#[test]
fn a_replica_below_the_high_watermark_does_not_join() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    talk.append(20);
    talk.fetch(2, 20);
    assert_eq!(talk.leader.high_watermark(), 20);
    assert_eq!(talk.fetch(3, 15).proposed(), None);
    assert_eq!(talk.fetch(3, 20).proposed(), Some(vec![1, 2, 3]));
}

#[test]
fn only_the_incarnation_that_the_metadata_call_fit_joins() {
    for (known, fetched) in [(Some(13), 13), (Some(12), 13), (Some(13), 14), (None, 13), (None, -1)] {
        let mut assigned = assignment(&[1, 2]);
        assigned.eligible.remove(&3);
        assigned.eligible.extend(known.map(|epoch| (3, epoch)));
        let mut talk = Talk::new(assigned, 10);
        talk.fetch(2, 10).fetch_as(3, fetched, 10, 10);
        let joins = talk.proposed().is_some();
        assert_eq!(joins, known == Some(fetched), "known {known:?}, fetched with {fetched}");
    }
}

#[test]
fn a_proposed_member_counts_before_it_is_committed() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    talk.fetch(2, 10).fetch(3, 10).proposal().unwrap();
    assert_eq!(talk.leader.maximal_isr(), [1, 2, 3]);
    talk.append(20);
    talk.fetch(2, 20).wait(REPLICA_LAG_MAX * 2);
    assert_eq!(talk.leader.high_watermark(), 10, "the controller may have elected 3");
}

#[test]
fn a_member_that_falls_behind_leaves_after_the_lag_and_counts_until_that_is_committed() {
    let mut talk = Talk::new(assignment(&[1, 2, 3]), 10);
    talk.fetch(2, 10).fetch(3, 10);
    talk.append(20);
    talk.wait(Duration::from_secs(10)).fetch(2, 20);
    let due = talk.leader.next_deadline().unwrap();
    assert_eq!(due, Duration::from_secs(1_000) + REPLICA_LAG_MAX);
    assert_eq!(talk.wait(Duration::from_secs(19)).proposed(), None);
    let proposal = talk.wait(Duration::from_secs(1)).proposal().unwrap();
    assert_eq!(proposal.isr, [(1, 11), (2, 12)]);
    assert_eq!((talk.leader.maximal_isr(), talk.leader.high_watermark()), (vec![1, 2, 3], 10));
    talk.answer(&proposal, committed(8, &[1, 2]));
    assert_eq!(talk.leader.high_watermark(), 20);
}

#[test]
fn a_member_that_was_never_heard_of_gets_the_lag_as_its_time() {
    let mut talk = Talk::new(assignment(&[1, 2]), 4);
    assert_eq!(talk.leader.next_deadline(), Some(Duration::from_secs(1_000) + REPLICA_LAG_MAX));
    assert_eq!(talk.wait(REPLICA_LAG_MAX).proposed(), Some(vec![1]));
}

#[test]
fn a_member_with_everything_stays_however_long_it_is_silent() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    talk.fetch(2, 10);
    assert_eq!(talk.leader.next_deadline(), None);
    assert_eq!(talk.wait(REPLICA_LAG_MAX * 10).proposed(), None);
}

#[test]
fn a_member_that_lost_what_is_committed_leaves_at_once() {
    let mut talk = Talk::new(assignment(&[1, 2, 3]), 10);
    talk.fetch(2, 10).fetch(3, 10);
    assert_eq!(talk.fetch(3, 4).proposed(), Some(vec![1, 2]));
}

#[test]
fn one_change_is_in_flight_at_a_time_and_a_shrink_goes_first() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    talk.wait(REPLICA_LAG_MAX).fetch(3, 10);
    let shrink = talk.proposal().unwrap();
    assert_eq!(shrink.isr, [(1, 11)]);
    assert_eq!(talk.proposed(), None);
    talk.answer(&shrink, committed(8, &[1]));
    assert_eq!(talk.proposed(), Some(vec![1, 3]));
}

#[test]
fn a_proposal_refused_for_sure_is_rolled_back_and_not_made_again_at_once() {
    for code in [ErrorCode::IneligibleReplica, ErrorCode::OperationNotAttempted] {
        let mut talk = Talk::new(assignment(&[1, 2]), 10);
        let proposal = talk.fetch(2, 10).fetch(3, 10).proposal().unwrap();
        talk.answer(&proposal, Err(code));
        assert_eq!(talk.leader.maximal_isr(), [1, 2]);
        assert_eq!(talk.proposed(), None, "{code}");
        let due = talk.leader.next_deadline().unwrap();
        assert_eq!(due, talk.at + PROPOSAL_PAUSE);
        assert_eq!(talk.wait(PROPOSAL_PAUSE).proposal(), Some(proposal));
    }
}

#[test]
fn an_outdated_proposal_counts_until_the_metadata_override_it() {
    for code in [
        ErrorCode::FencedLeaderEpoch,
        ErrorCode::InvalidUpdateVersion,
        ErrorCode::InvalidRequest,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
        ErrorCode::NewLeaderElected,
    ] {
        let mut talk = Talk::new(assignment(&[1, 2]), 10);
        let proposal = talk.fetch(2, 10).fetch(3, 10).proposal().unwrap();
        talk.answer(&proposal, Err(code)).wait(REPLICA_LAG_MAX);
        assert_eq!((talk.proposed(), talk.leader.maximal_isr()), (None, vec![1, 2, 3]), "{code}");
        assert_eq!(talk.leader.next_deadline(), None, "time alone changes nothing");
        talk.leader.reassign(Assignment { partition_epoch: 8, ..assignment(&[1, 2]) });
        assert_eq!(talk.leader.maximal_isr(), [1, 2]);
    }
}

#[test]
fn a_proposal_of_unknown_fate_is_sent_again_after_a_pause() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    let proposal = talk.fetch(2, 10).fetch(3, 10).proposal().unwrap();
    talk.answer(&proposal, Err(ErrorCode::RequestTimedOut));
    assert_eq!((talk.proposed(), talk.leader.maximal_isr()), (None, vec![1, 2, 3]));
    assert_eq!(talk.leader.next_deadline(), Some(talk.at + PROPOSAL_PAUSE));
    assert_eq!(talk.wait(PROPOSAL_PAUSE).proposal(), Some(proposal.clone()));
    talk.answer(&proposal, Err(ErrorCode::NotController));
    assert_eq!(talk.wait(PROPOSAL_PAUSE).proposal(), Some(proposal));
}

#[test]
fn an_answer_to_anything_but_the_pending_proposal_is_ignored() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    let proposal = talk.fetch(2, 10).fetch(3, 10).proposal().unwrap();
    talk.leader.reassign(Assignment { partition_epoch: 9, ..assignment(&[1]) });
    talk.answer(&proposal, committed(8, &[1, 2, 3]));
    assert_eq!((talk.leader.isr(), talk.leader.partition_epoch()), (&[1][..], 9));
}

#[test]
fn metadata_as_old_as_the_proposals_base_leave_it_pending() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    talk.fetch(2, 10).fetch(3, 10).proposal().unwrap();
    talk.leader.reassign(assignment(&[1, 2]));
    assert_eq!(talk.leader.maximal_isr(), [1, 2, 3]);
    assert_eq!(talk.proposed(), None);
}

#[test]
fn nothing_is_proposed_that_names_a_fenced_member() {
    let mut assigned = assignment(&[1, 2]);
    assigned.eligible.remove(&2);
    let mut talk = Talk::new(assigned, 10);
    assert_eq!(talk.fetch(3, 10).proposed(), None);
}

#[test]
fn a_commit_that_changed_nothing_lets_the_leader_think_again() {
    let mut talk = Talk::new(assignment(&[1, 2]), 10);
    let proposal = talk.fetch(2, 10).fetch(3, 10).proposal().unwrap();
    talk.answer(&proposal, committed(7, &[1, 2]));
    assert_eq!(talk.leader.maximal_isr(), [1, 2]);
    assert!(talk.wait(PROPOSAL_PAUSE).proposal().is_some());
}
