use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;
use crate::partition::testing::now_or_never;

fn appended(base_offset: Offset) -> Appended {
    Appended { base_offset, last_offset: base_offset, log_append_time: -1, log_start: 0, duplicate: false }
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_request_wakes_once_when_its_last_partition_answered() {
    let (mut wait, replies) = AppendWait::new(3);
    let mut replies: Vec<_> = replies.collect();
    let counter = Arc::new(CountingWaker::default());
    let waker = Arc::clone(&counter).into();
    assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
    replies.pop().unwrap().send(Ok(appended(2)));
    replies.remove(0).send(Err(ProduceError::DiskFull));
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    assert!(!wait.is_complete());
    replies.pop().unwrap().send(Ok(appended(1)));
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    let results = wait.into_results();
    assert_eq!(
        results,
        [Some(Err(ProduceError::DiskFull)), Some(Ok(appended(1))), Some(Ok(appended(2)))],
        "answers come in the order of the replies"
    );
}

#[test]
fn a_dropped_reply_answers_closed() {
    let (wait, reply) = AppendWait::single();
    drop(reply);
    assert_eq!(now_or_never(wait.one()), Some(Err(ProduceError::Closed)));
}

#[test]
fn whoever_stops_waiting_gets_what_came_and_later_answers_are_dropped() {
    let (wait, replies) = AppendWait::new(2);
    let mut replies: Vec<_> = replies.collect();
    replies.remove(1).send(Ok(appended(5)));
    assert_eq!(wait.into_results(), [None, Some(Ok(appended(5)))]);
    replies.remove(0).send(Ok(appended(6)));
}

#[test]
fn a_request_without_partitions_is_complete() {
    let (wait, replies) = AppendWait::new(0);
    assert_eq!(replies.count(), 0);
    assert_eq!(now_or_never(wait), Some(()));
}
