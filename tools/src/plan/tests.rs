//! Placements, and what plans make of them.

use super::*;

fn nodes(racks: &[(BrokerId, &str)]) -> Nodes {
    racks.iter().map(|(id, rack)| (*id, (!rack.is_empty()).then(|| (*rack).to_owned()))).collect()
}

fn placement(partitions: &[&[BrokerId]]) -> Placement {
    (0..)
        .zip(partitions)
        .map(|(index, replicas)| (TopicPartition::new("t", index), replicas.to_vec()))
        .collect()
}

fn after(now: &Placement, plan: &Placement) -> Placement {
    let mut all = now.clone();
    all.extend(plan.clone());
    all
}

fn spread(counts: impl Iterator<Item = usize>) -> usize {
    let counts: Vec<usize> = counts.collect();
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

#[test]
fn a_new_broker_gets_its_share_and_the_rest_stays() {
    let now = placement(&[&[1, 2, 3][..]; 8]);
    let nodes = nodes(&[(1, ""), (2, ""), (3, ""), (4, "")]);
    let plan = even(&nodes, &now);
    let then = after(&now, &plan);
    assert_eq!(spread(counts(&nodes, &then).into_values()), 0, "24 replicas on 4 brokers");
    let moved = then.iter().filter(|(tp, replicas)| replicas.contains(&4) && !now[*tp].contains(&4)).count();
    assert_eq!(moved, 6, "no more than its share moves");
    let firsts = nodes.keys().map(|id| then.values().filter(|replicas| replicas[0] == *id).count());
    assert_eq!(spread(firsts), 0, "eight leaders on four brokers");
    assert!(even(&nodes, &then).is_empty(), "it is even now");
}

#[test]
fn racks_do_not_become_fewer() {
    let now = placement(&[&[1, 2], &[1, 2], &[1, 2], &[1, 2]]);
    let nodes = nodes(&[(1, "a"), (2, "b"), (3, "b")]);
    let then = after(&now, &even(&nodes, &now));
    for replicas in then.values() {
        assert_eq!(racks(&nodes, replicas).collect::<BTreeSet<_>>().len(), 2, "{replicas:?}");
    }
    assert_eq!(counts(&nodes, &then)[&3], 2, "it shares its rack's half");
}

#[test]
fn a_broker_is_emptied_in_place() {
    let now = placement(&[&[1, 2], &[2, 1], &[2, 3]]);
    let nodes = nodes(&[(1, ""), (2, ""), (3, "")]);
    let wish = Wish { off: BTreeSet::from([1]), ..Wish::default() };
    let plan = towards(&nodes, &now, &wish).unwrap();
    assert_eq!(plan.values().cloned().collect::<Vec<_>>(), [vec![3, 2], vec![2, 3]]);
    let wish = Wish { off: BTreeSet::from([1, 3]), ..Wish::default() };
    let error = towards(&nodes, &now, &wish).unwrap_err();
    assert_eq!(error, TooFew { partition: "t-0".to_owned(), wanted: 2, found: 1 });
}

#[test]
fn replicas_are_added_in_new_racks_and_taken_from_the_end() {
    let now = placement(&[&[1, 2]]);
    let nodes = nodes(&[(1, "a"), (2, "b"), (3, "b"), (4, "c")]);
    let more = Wish { replicas: Some(3), ..Wish::default() };
    assert_eq!(towards(&nodes, &now, &more).unwrap(), placement(&[&[1, 2, 4]]));
    let fewer = Wish { replicas: Some(1), ..Wish::default() };
    assert_eq!(towards(&nodes, &now, &fewer).unwrap(), placement(&[&[1]]));
    let same = Wish { to: BTreeSet::from([1, 2]), ..Wish::default() };
    assert!(towards(&nodes, &now, &same).unwrap().is_empty());
}
