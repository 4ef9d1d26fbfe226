use super::super::Acks;
use super::super::testing::{Rig, now_or_never, send};
use super::*;

fn is_awake(waiter: &FetchWaiter) -> bool {
    now_or_never(waiter.woken()).is_some()
}

#[test]
fn a_waiter_of_two_partitions_wakes_exactly_once() {
    let mut rig = Rig::new();
    let (a, b) = (rig.partition(0, &[]), rig.partition(1, &[]));
    for handle in [&a, &b] {
        rig.append(handle, Acks::All, "first").unwrap();
    }
    let mut waiter = FetchWaiter::new();
    waiter.register(&a, &a.view().unwrap());
    waiter.register(&b, &b.view().unwrap());
    assert!(!is_awake(&waiter));
    rig.append(&a, Acks::All, "news").unwrap();
    rig.append(&b, Acks::All, "more news").unwrap();
    assert!(is_awake(&waiter));
    assert!(!is_awake(&waiter), "woken once for both");
    assert_eq!((a.waiter_count(), b.waiter_count()), (0, 0), "whoever woke it forgot it");
}

#[test]
fn news_between_looking_and_registering_is_not_lost() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "first").unwrap();
    let seen = handle.view().unwrap();
    rig.append(&handle, Acks::All, "between").unwrap();
    let mut waiter = FetchWaiter::new();
    waiter.register(&handle, &seen);
    assert!(is_awake(&waiter));
}

#[test]
fn appends_that_are_not_committed_wake_nobody() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "first").unwrap();
    let mut waiter = FetchWaiter::new();
    waiter.register(&handle, &handle.view().unwrap());
    // Enough inputs in the round that the sync goes to the pool and comes back with the next round.
    let waits: Vec<_> = (0..5).map(|_| send(&handle, Acks::Leader, "x")).collect();
    rig.round();
    assert!(waits.iter().all(|wait| wait.is_complete()));
    assert!(!is_awake(&waiter));
    rig.settle();
    assert!(is_awake(&waiter));
}

#[test]
fn a_fetch_that_ends_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    rig.append(&handle, Acks::All, "first").unwrap();
    let mut waiter = FetchWaiter::new();
    let mut other = FetchWaiter::new();
    waiter.register(&handle, &handle.view().unwrap());
    other.register(&handle, &handle.view().unwrap());
    drop(waiter);
    assert_eq!(handle.waiter_count(), 1);
    other.reset();
    assert_eq!(handle.waiter_count(), 0);
}
