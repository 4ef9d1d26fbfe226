use super::*;
use crate::partition::testing::{Rig, now_or_never};

fn place(handle: &PartitionHandle, fetch_offset: Offset, pause: Option<ErrorCode>) -> FollowerPlace {
    let position = FetchPosition { leader_epoch: 3, last_fetched_epoch: None, fetch_offset };
    FollowerPlace {
        leader: Some(2),
        position: Some(position),
        durable_end: fetch_offset,
        pause,
        ..FollowerPlace::gone(handle.clone())
    }
}

/// The pause that is heard of after `told`, in this order, at once.
fn heard(told: &[(Offset, Option<ErrorCode>)]) -> Option<ErrorCode> {
    let handle = Rig::new().partition(0, &[]);
    let outlet = Outlet::default();
    for (fetch_offset, pause) in told {
        outlet.tell_place(place(&handle, *fetch_offset, *pause));
    }
    now_or_never(outlet.places()).expect("there are places")[&handle.id()].pause
}

#[test]
fn a_pause_is_heard_of_though_a_sync_ends_right_after_it() {
    let pause = Some(ErrorCode::NotLeaderOrFollower);
    assert_eq!(heard(&[(5, pause), (5, None)]), pause);
}

#[test]
fn a_follower_that_moved_on_needs_no_pause() {
    assert_eq!(heard(&[(5, Some(ErrorCode::NotLeaderOrFollower)), (6, None)]), None);
}
