//! Who should vote: a quorum of one until there are three nodes, then three of them.
//!
//! Pure. A quorum never lives at an even number: losing one of two stops it, as losing one of one does, and is twice as
//! likely. Nobody is taken out unless a newer member stands for the same node, whose disk was replaced, or another node
//! takes the place of one that leaves the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::quorum::{Members, RaftId};

/// The voters to have instead of those there are, if others would be better. `caught_up` are members that have the whole
/// log but for the last moment; `leaving` are brokers that leave the cluster; `target` is how many voters there should be
/// where there are nodes enough.
pub fn better_voters(
    members: &Members,
    caught_up: &BTreeSet<RaftId>,
    leaving: &BTreeSet<i32>,
    target: usize,
) -> Option<BTreeSet<RaftId>> {
    let mut voters: BTreeMap<i32, RaftId> =
        members.voters.iter().map(|(id, voter)| (voter.broker_id, *id)).collect();
    let candidates: Vec<(i32, RaftId)> = members
        .learners
        .iter()
        .filter(|(id, learner)| learner.may_vote && caught_up.contains(id))
        .map(|(id, learner)| (learner.broker_id, *id))
        .collect();
    for (broker, id) in &candidates {
        // Ids only grow: the larger one is the node as it is now.
        if voters.get(broker).is_some_and(|old| old < id) {
            voters.insert(*broker, *id);
        }
    }
    let stays = |broker: &i32| !leaving.contains(broker);
    let newcomers: Vec<_> =
        candidates.iter().filter(|(broker, _)| !voters.contains_key(broker) && stays(broker)).collect();
    let mut newcomers = newcomers.into_iter();
    // A voter that is to be one no more stays until somebody takes its place.
    let leavers = members.voters.values().filter(|voter| !voter.may_vote || !stays(&voter.broker_id));
    let leavers: Vec<i32> = leavers.map(|voter| voter.broker_id).collect();
    for (broker, (newcomer, id)) in leavers.iter().zip(newcomers.by_ref()) {
        voters.remove(broker);
        voters.insert(*newcomer, *id);
    }
    let room = target.saturating_sub(voters.len()).min(newcomers.len());
    // In pairs, so that their number stays odd.
    for (broker, id) in newcomers.take(room - room % 2) {
        voters.insert(*broker, *id);
    }
    let wanted: BTreeSet<RaftId> = voters.into_values().collect();
    (!wanted.iter().eq(members.voters.keys())).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::super::quorum::Voter;
    use super::*;

    fn members(voters: &[(RaftId, i32)], learners: &[(RaftId, i32)]) -> Members {
        let all = |list: &[(RaftId, i32)]| {
            let voter = |broker_id| Voter { broker_id, may_vote: true, ..Voter::default() };
            list.iter().map(|(id, broker)| (*id, voter(*broker))).collect()
        };
        Members { voters: all(voters), learners: all(learners) }
    }

    fn wanted(members: &Members, caught_up: &[RaftId]) -> Option<Vec<RaftId>> {
        let caught_up = caught_up.iter().copied().collect();
        better_voters(members, &caught_up, &BTreeSet::new(), 3).map(|wanted| wanted.into_iter().collect())
    }

    #[test]
    fn one_voter_becomes_three_when_two_others_have_caught_up() {
        let two = members(&[(1, 1)], &[(5, 2)]);
        assert_eq!(wanted(&two, &[5]), None, "two voters are worse than one");
        let three = members(&[(1, 1)], &[(5, 2), (9, 3)]);
        assert_eq!(wanted(&three, &[5]), None, "the other one has not caught up");
        assert_eq!(wanted(&three, &[5, 9]), Some(vec![1, 5, 9]));
    }

    #[test]
    fn there_are_no_more_voters_than_asked_for() {
        assert_eq!(wanted(&members(&[(1, 1), (5, 2), (9, 3)], &[(12, 4)]), &[12]), None);
        assert_eq!(wanted(&members(&[(1, 1)], &[(5, 2), (9, 3), (12, 4)]), &[5, 9, 12]), Some(vec![1, 5, 9]));
    }

    #[test]
    fn a_node_that_comes_back_with_an_empty_disk_takes_its_old_place() {
        let replaced = members(&[(1, 1), (5, 2), (9, 3)], &[(20, 2)]);
        assert_eq!(wanted(&replaced, &[]), None, "not before it has the log");
        assert_eq!(wanted(&replaced, &[20]), Some(vec![1, 9, 20]));
    }

    #[test]
    fn who_is_only_a_broker_never_votes() {
        let mut four = members(&[(1, 1)], &[(5, 2), (9, 3), (12, 4)]);
        four.learners.get_mut(&5).expect("a learner").may_vote = false;
        assert_eq!(wanted(&four, &[5, 9, 12]), Some(vec![1, 9, 12]));
    }

    #[test]
    fn a_voter_that_becomes_only_a_broker_leaves_when_another_takes_its_place() {
        let mut three = members(&[(1, 1), (5, 2), (9, 3)], &[(12, 4)]);
        three.voters.get_mut(&5).expect("a voter").may_vote = false;
        assert_eq!(wanted(&three, &[]), None, "two voters would be worse");
        assert_eq!(wanted(&three, &[12]), Some(vec![1, 9, 12]));
    }

    #[test]
    fn another_node_takes_the_place_of_one_that_leaves() {
        let four = members(&[(1, 1), (5, 2), (9, 3)], &[(12, 4)]);
        let wanted = |caught_up: &[RaftId], leaving: &[i32]| {
            let (caught_up, leaving) =
                (caught_up.iter().copied().collect(), leaving.iter().copied().collect());
            better_voters(&four, &caught_up, &leaving, 3).map(|wanted| wanted.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(wanted(&[12], &[2]), Some(vec![1, 9, 12]));
        assert_eq!(wanted(&[], &[2]), None, "nobody could");
        assert_eq!(wanted(&[12], &[2, 4]), None, "it leaves too");
        assert_eq!(wanted(&[12], &[4]), None, "it does not vote");
        let two = members(&[(1, 1)], &[(5, 2)]);
        let leaving = BTreeSet::from([1]);
        assert_eq!(better_voters(&two, &BTreeSet::from([5]), &leaving, 3), Some(BTreeSet::from([5])));
    }

    #[test]
    fn what_is_as_it_should_be_stays() {
        assert_eq!(wanted(&members(&[(1, 1)], &[]), &[]), None);
        assert_eq!(wanted(&members(&[(1, 1), (5, 2), (9, 3)], &[]), &[]), None);
    }
}
