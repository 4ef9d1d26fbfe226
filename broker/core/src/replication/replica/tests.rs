use super::*;

fn at(ms: u64) -> Now {
    Now { mono: Duration::from_millis(ms), wall_ms: 0 }
}

fn fetch(append_end: Offset, durable_end: Offset) -> ReplicaFetchState {
    ReplicaFetchState { leader_epoch: 1, broker_epoch: 7, append_end, durable_end, log_start: 3 }
}

/// When the follower was last caught up, in milliseconds.
fn caught_up(follower: &Follower) -> Option<u128> {
    follower.last_caught_up().map(|at| at.as_millis())
}

#[test]
fn a_member_of_the_isr_counts_as_caught_up_when_the_leader_begins_and_others_do_not() {
    assert_eq!(caught_up(&Follower::new(true, at(5).mono)), Some(5));
    assert_eq!(caught_up(&Follower::new(false, at(5).mono)), None);
}

#[test]
fn a_fetch_at_the_leaders_end_is_caught_up_now() {
    let mut follower = Follower::new(false, at(0).mono);
    follower.on_fetch(&fetch(10, 10), 10, FlushRule::Durable, at(20));
    assert_eq!(caught_up(&follower), Some(20));
    assert_eq!((follower.last_fetch(), follower.log_start()), (Some(at(20).mono), 3));
}

#[test]
fn a_fetch_that_reaches_the_leaders_end_of_the_fetch_before_was_caught_up_then() {
    let mut follower = Follower::new(false, at(0).mono);
    follower.on_fetch(&fetch(10, 10), 20, FlushRule::Appended, at(1));
    assert_eq!(caught_up(&follower), None);
    follower.on_fetch(&fetch(20, 10), 30, FlushRule::Appended, at(2));
    assert_eq!(caught_up(&follower), Some(1));
    follower.on_fetch(&fetch(30, 10), 40, FlushRule::Appended, at(3));
    assert_eq!(caught_up(&follower), Some(2));
}

#[test]
fn a_sync_that_takes_several_fetches_is_caught_up_as_of_its_beginning() {
    let mut follower = Follower::new(false, at(0).mono);
    for ms in 1..=5 {
        let end = 10 * ms as Offset;
        follower.on_fetch(&fetch(end, 0), end + 10, FlushRule::Durable, at(ms));
    }
    let durable = ReplicaDurable { leader_epoch: 1, broker_epoch: 7, durable_end: 50 };
    assert!(follower.on_durable(&durable, 60, FlushRule::Durable, at(6)));
    assert_eq!(caught_up(&follower), Some(1), "it has what the leader had at 1 ms, and more");
}

#[test]
fn a_follower_whose_disk_stands_still_falls_behind_though_it_appends() {
    let mut follower = Follower::new(true, at(0).mono);
    for ms in 1..=5 {
        let end = 10 * ms as Offset;
        follower.on_fetch(&fetch(end, 0), end, FlushRule::Durable, at(ms));
    }
    assert_eq!(caught_up(&follower), Some(0));
}

#[test]
fn a_sync_may_be_told_before_the_append() {
    let mut follower = Follower::new(false, at(0).mono);
    follower.on_fetch(&fetch(10, 10), 20, FlushRule::Durable, at(1));
    let durable = ReplicaDurable { leader_epoch: 1, broker_epoch: 7, durable_end: 15 };
    follower.on_durable(&durable, 20, FlushRule::Durable, at(2));
    assert_eq!(follower.progress(), ReplicaProgress { append_end: 15, durable_end: 15 });
}

#[test]
fn a_sync_that_overtakes_the_fetches_before_it_stays_told() {
    let mut follower = Follower::new(false, at(0).mono);
    follower.on_fetch(&fetch(10, 10), 20, FlushRule::Durable, at(1));
    let durable = ReplicaDurable { leader_epoch: 1, broker_epoch: 7, durable_end: 15 };
    follower.on_durable(&durable, 20, FlushRule::Durable, at(2));
    for late in [12, 15] {
        follower.on_fetch(&fetch(late, 10), 20, FlushRule::Durable, at(3));
        assert_eq!(follower.progress(), ReplicaProgress { append_end: 15, durable_end: 15 });
    }
}

#[test]
fn a_log_that_begins_anew_takes_back_what_was_told() {
    let told = || {
        let mut follower = Follower::new(false, at(0).mono);
        follower.on_fetch(&fetch(10, 10), 20, FlushRule::Durable, at(1));
        let durable = ReplicaDurable { leader_epoch: 1, broker_epoch: 7, durable_end: 15 };
        follower.on_durable(&durable, 20, FlushRule::Durable, at(2));
        follower
    };
    let mut restarted = told();
    restarted.on_fetch(&fetch(4, 4), 20, FlushRule::Durable, at(3));
    assert_eq!(restarted.progress(), ReplicaProgress { append_end: 4, durable_end: 4 });
    let mut reborn = told();
    let other_life = ReplicaFetchState { broker_epoch: 8, ..fetch(12, 11) };
    reborn.on_fetch(&other_life, 20, FlushRule::Durable, at(3));
    assert_eq!(reborn.progress(), ReplicaProgress { append_end: 12, durable_end: 11 });
}

#[test]
fn a_fetch_may_say_less_than_the_one_before() {
    let mut follower = Follower::new(false, at(0).mono);
    follower.on_fetch(&fetch(10, 10), 20, FlushRule::Durable, at(1));
    follower.on_fetch(&fetch(4, 2), 20, FlushRule::Durable, at(2));
    assert_eq!(follower.progress(), ReplicaProgress { append_end: 4, durable_end: 2 });
}
