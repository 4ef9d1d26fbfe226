use super::*;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_sync_of_the_file_system_is_slow_only_if_side_by_side_were_faster() {
    assert!(!is_slow(2, ms(20)));
    assert!(is_slow(2, ms(21)));
    // A thousand new logs: three files and two directories each.
    assert!(!is_slow(5000, ms(5000)));
    assert!(is_slow(5000, ms(5001)));
}

fn queue(waiting: u32, in_flight: usize) -> FlushQueue {
    FlushQueue { waiting: (0..waiting).collect(), in_flight, ..FlushQueue::default() }
}

/// The plan of a thread that only the patient use, a day after its start.
fn plan(waiting: u32, in_flight: usize, inputs: usize) -> Plan {
    queue(waiting, in_flight).plan(inputs, true, ms(86_400_000))
}

#[test]
fn one_file_is_synced_by_itself_and_more_by_one_sync_of_the_file_system() {
    assert_eq!(plan(0, 0, 1), Plan::Wait);
    assert_eq!(plan(1, 0, 1), Plan::One(Where::LogThread));
    assert_eq!(plan(2, 0, 2), Plan::Filesystem(Where::LogThread));
    assert_eq!(plan(100, 0, 2), Plan::Filesystem(Where::LogThread));
}

#[test]
fn what_comes_during_a_sync_shares_the_next() {
    assert_eq!(plan(1, 1, 1), Plan::Wait);
    assert_eq!(plan(100, 5, 1), Plan::Wait);
}

#[test]
fn a_large_round_leaves_the_thread_free_for_the_next() {
    assert_eq!(plan(1, 0, INLINE_INPUTS_MAX + 1), Plan::One(Where::Pool));
    assert_eq!(plan(2, 0, INLINE_INPUTS_MAX + 1), Plan::Filesystem(Where::Pool));
}

#[test]
fn those_who_do_not_wait_for_the_disk_are_not_held_up_by_it() {
    let mut queue = queue(2, 1);
    queue.on_append(false, ms(1000));
    let plan = |queue: &FlushQueue, now| queue.plan(1, true, now);
    assert_eq!(plan(&queue, ms(1999)), Plan::One(Where::Pool), "side by side");
    assert_eq!(plan(&queue, ms(2000)), Plan::Wait);
    queue.waiting.extend(2..=SYNC_FILESYSTEM_ABOVE as u32);
    assert_eq!(plan(&queue, ms(1999)), Plan::Wait, "so many are better together all the same");
}

#[test]
fn after_a_slow_sync_of_the_file_system_files_are_synced_side_by_side_for_ever_longer() {
    let mut queue = queue(2, 0);
    queue.on_filesystem_sync(2, ms(500), ms(0));
    assert_eq!(queue.plan(1, true, ms(9_999)), Plan::One(Where::Pool));
    assert_eq!(queue.plan(1, true, ms(10_000)), Plan::Filesystem(Where::LogThread));
    queue.on_filesystem_sync(2, ms(500), ms(10_000));
    assert_eq!(queue.plan(1, true, ms(29_999)), Plan::One(Where::Pool));
    queue.on_filesystem_sync(2, ms(1), ms(30_000));
    queue.on_filesystem_sync(2, ms(500), ms(40_000));
    assert_eq!(queue.plan(1, true, ms(50_000)), Plan::Filesystem(Where::LogThread), "a fast one is forgiven");
}

#[test]
fn side_by_side_has_a_bound() {
    let mut queue = queue(2, SYNC_SIDE_BY_SIDE - 1);
    assert_eq!(queue.plan(1, false, ms(5000)), Plan::One(Where::Pool));
    queue.in_flight += 1;
    assert_eq!(queue.plan(1, false, ms(5000)), Plan::Wait);
}

#[test]
fn where_syncs_of_the_file_system_cannot_be_relied_upon_there_are_none() {
    assert_eq!(queue(100, 0).plan(100, false, ms(5000)), Plan::One(Where::Pool));
}
