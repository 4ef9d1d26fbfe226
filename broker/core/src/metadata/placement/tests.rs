//! Replicas spread over brokers and racks, and the same question has the same answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::metadata::image::BrokerRegistration;

fn brokers(racks: &[Option<&str>]) -> ClusterImage {
    let mut image = ClusterImage::new("tidal");
    for (id, rack) in (1..).zip(racks) {
        let broker = BrokerRegistration {
            id,
            epoch: 0,
            incarnation: Uuid::nil(),
            rack: rack.map(str::to_owned),
            endpoints: Vec::new(),
            directories: Vec::new(),
            fenced: false,
            in_controlled_shutdown: false,
            is_suspect: false,
            statics: BTreeMap::new(),
        };
        image.brokers.insert(id, Arc::new(broker));
    }
    image
}

proptest! {
    #[test]
    fn replicas_are_distinct_and_leaders_even(
        count in 1..9_usize, factor in 1..5_usize, partitions in 1..60_usize, first in 0..50_usize, seed: u64
    ) {
        let image = brokers(&vec![None; count]);
        match place(&image, first, partitions, factor, seed) {
            Err(error) => {
                prop_assert!(factor > count);
                let expected = PlacementError::TooFewBrokers { replication_factor: factor, registered: count };
                prop_assert_eq!(error, expected);
            }
            Ok(placement) => {
                prop_assert_eq!(placement.len(), partitions);
                let mut leads = BTreeMap::new();
                for replicas in &placement {
                    prop_assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor);
                    *leads.entry(replicas[0]).or_insert(0_usize) += 1;
                }
                let most = leads.values().max().unwrap();
                prop_assert!(*most <= partitions.div_ceil(count));
                prop_assert_eq!(place(&image, first, partitions, factor, seed).unwrap(), placement);
            }
        }
    }

    #[test]
    fn every_partition_spans_as_many_racks_as_it_can(
        racks in prop::collection::vec(0..3_usize, 3..9), factor in 1..4_usize, seed: u64
    ) {
        let names = ["a", "b", "c"];
        let of: Vec<Option<&str>> = racks.iter().map(|rack| Some(names[*rack])).collect();
        let image = brokers(&of);
        let present = of.iter().collect::<BTreeSet<_>>().len();
        for replicas in place(&image, 0, 20, factor, seed).unwrap() {
            let spanned: BTreeSet<_> = replicas.iter().map(|id| of[usize::try_from(*id).unwrap() - 1]).collect();
            prop_assert_eq!(spanned.len(), factor.min(present));
        }
    }
}

#[test]
fn the_followers_of_one_leader_are_on_many_brokers() {
    let image = brokers(&[None; 5]);
    let placement = place(&image, 0, 40, 2, 0).unwrap();
    let followers: BTreeSet<i32> = placement.iter().filter(|r| r[0] == 1).map(|r| r[1]).collect();
    assert_eq!(followers, BTreeSet::from([2, 3, 4, 5]));
}

#[test]
fn growth_goes_on_where_the_topic_ended() {
    let image = brokers(&[None; 4]);
    let whole = place(&image, 0, 10, 2, 3).unwrap();
    let parts = [place(&image, 0, 6, 2, 3).unwrap(), place(&image, 6, 4, 2, 3).unwrap()].concat();
    assert_eq!(whole, parts);
}

#[test]
fn nothing_is_placed_without_brokers() {
    let error = place(&ClusterImage::new("tidal"), 0, 1, 1, 0).unwrap_err();
    assert_eq!(error, PlacementError::TooFewBrokers { replication_factor: 1, registered: 0 });
    assert!(place(&brokers(&[None]), 0, 1, 0, 0).is_err());
}

fn change(image: &mut ClusterImage, id: BrokerId, fenced: bool, stopping: bool) {
    let mut broker = (*image.brokers[&id]).clone();
    (broker.fenced, broker.in_controlled_shutdown) = (fenced, stopping);
    image.brokers.insert(id, Arc::new(broker));
}

#[test]
fn a_fenced_broker_gets_replicas_only_where_the_others_do_not_suffice_and_never_leads() {
    let mut image = brokers(&[None; 3]);
    change(&mut image, 2, true, false);
    for replicas in place(&image, 0, 6, 2, 1).unwrap() {
        assert!(!replicas.contains(&2));
    }
    for replicas in place(&image, 0, 6, 3, 1).unwrap() {
        assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(replicas[2], 2);
    }
}

#[test]
fn a_stopping_broker_gets_no_replicas_until_it_has_stopped() {
    let mut image = brokers(&[None; 3]);
    change(&mut image, 2, false, true);
    assert!(place(&image, 0, 1, 3, 0).is_err());
    change(&mut image, 2, true, true);
    assert_eq!(place(&image, 0, 1, 3, 0).unwrap()[0][2], 2);
}

#[test]
fn nothing_is_placed_where_nobody_can_lead() {
    let mut image = brokers(&[None; 2]);
    for id in [1, 2] {
        change(&mut image, id, true, false);
    }
    assert_eq!(place(&image, 0, 1, 1, 0).unwrap_err(), PlacementError::AllFenced);
}
