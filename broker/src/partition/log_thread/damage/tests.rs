use std::path::Path;
use std::time::Duration;

use tidemark_storage::disk::Disk;

use super::*;
use crate::partition::testing::{ME, Rig, ask};
use crate::partition::{Acks, PartitionError, PartitionHandle};

const OTHER: BrokerId = 2;
/// After one the journal is written, after two it is synced.
const A_WHILE: Duration = Duration::from_secs(5);
const SEGMENT: &str = "/data/t-0/00000000000000000000.log";

/// A partition on two brokers.
fn image(leader: BrokerId, leader_epoch: i32, isr: &[BrokerId]) -> PartitionImage {
    let mut image = PartitionImage::new(&[ME, OTHER], isr);
    (image.leader, image.leader_epoch) = (leader, leader_epoch);
    image
}

fn assign(rig: &mut Rig, handle: &PartitionHandle, image: PartitionImage) {
    handle.assign(image);
    rig.settle();
}

fn reported(rig: &Rig) -> usize {
    rig.directory.outlet().damaged_now().len()
}

#[test]
fn a_damaged_log_is_dropped_only_when_nobody_counts_on_it_in_a_later_epoch() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "x").unwrap();
    assign(&mut rig, &handle, image(OTHER, 1, &[OTHER, ME]));
    handle.report_damage("a flipped bit".into());
    rig.settle();
    assert_eq!(reported(&rig), 1);
    let end = |handle: &PartitionHandle| handle.view().unwrap().log_end;
    for kept in [image(OTHER, 1, &[OTHER, ME]), image(OTHER, 1, &[OTHER]), image(-1, 2, &[OTHER])] {
        assign(&mut rig, &handle, kept.clone());
        assert_eq!(end(&handle), 1, "{kept:?}");
    }
    assign(&mut rig, &handle, image(OTHER, 3, &[OTHER]));
    assert_eq!(end(&handle), 0, "it is fetched again from the start");
}

#[test]
fn a_log_that_lost_durable_records_is_offline_until_it_can_be_fetched_again() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "x").unwrap();
    for _ in 0..2 {
        rig.advance(A_WHILE);
    }
    let mut rig = rig.crash();
    rig.disk.remove_file(Path::new(SEGMENT)).unwrap();
    let handle = rig.partition(0, &[]);
    assign(&mut rig, &handle, image(-1, 1, &[OTHER, ME]));
    assert!(matches!(ask(&mut rig, handle.ready_view()), Err(PartitionError::Storage(_))));
    assert_eq!(reported(&rig), 1);
    assign(&mut rig, &handle, image(OTHER, 2, &[OTHER]));
    assert_eq!(ask(&mut rig, handle.ready_view()).unwrap().log_end, 0);
}

#[test]
fn the_only_copy_stays_offline_and_is_not_reported() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "x").unwrap();
    for _ in 0..2 {
        rig.advance(A_WHILE);
    }
    let mut rig = rig.crash();
    rig.disk.remove_file(Path::new(SEGMENT)).unwrap();
    let handle = rig.partition(0, &[]);
    assert!(matches!(ask(&mut rig, handle.ready_view()), Err(PartitionError::Storage(_))));
    assert_eq!(reported(&rig), 0);
    assert!(rig.disk.exists(Path::new("/data/t-0")));
}
