use std::thread;

use super::super::append::{Acks, AppendWait};
use super::super::testing::{batch, now_or_never};
use super::*;

#[test]
fn a_sleeping_receiver_wakes_for_an_input() {
    let inbox = Arc::new(Inbox::default());
    let sender = Arc::clone(&inbox);
    let sending = thread::spawn(move || sender.send(Input::Stop));
    let mut queue = VecDeque::new();
    while queue.is_empty() {
        inbox.receive(&mut queue, 10, None);
    }
    assert!(matches!(queue.pop_front(), Some(Input::Stop)));
    sending.join().unwrap();
}

#[test]
fn inputs_come_in_the_order_they_were_sent_and_all_at_once() {
    let inbox = Inbox::default();
    let mut queue = VecDeque::new();
    inbox.receive(&mut queue, 10, Some(Duration::ZERO));
    assert!(queue.is_empty());
    inbox.send(Input::Stop);
    inbox.send(Input::DirectoryFailed);
    inbox.receive(&mut queue, 10, None);
    inbox.send(Input::Stop);
    inbox.receive(&mut queue, 10, None);
    let kinds: Vec<_> = queue.iter().map(|input| matches!(input, Input::Stop)).collect();
    assert_eq!(kinds, [true, false, true]);
}

#[test]
fn a_closed_inbox_answers_appends_and_lets_only_finished_syncs_in() {
    let inbox = Inbox::default();
    inbox.send(Input::Stop);
    assert_eq!(inbox.refuse().len(), 1);
    let (wait, reply) = AppendWait::single();
    inbox.send_append(0, Append { batch: batch("a"), acks: Acks::All, reply });
    assert_eq!(now_or_never(wait.one()), Some(Err(ProduceError::Closed)));
    inbox.send(Input::DirectoryFailed);
    inbox.send(Input::Flushed { flushes: Vec::new(), took: Duration::ZERO });
    let mut queue = VecDeque::new();
    inbox.receive(&mut queue, 10, Some(Duration::ZERO));
    assert_eq!(queue.len(), 1);
}

#[test]
fn appends_beyond_the_bound_are_refused_and_the_bound_is_free_again_after_a_round() {
    let inbox = Inbox::default();
    let batch = batch("a");
    let send = || {
        let (wait, reply) = AppendWait::single();
        inbox.send_append(0, Append { batch: batch.clone(), acks: Acks::All, reply });
        wait
    };
    let waits: Vec<_> = (0..INBOX_APPENDS_MAX).map(|_| send()).collect();
    assert_eq!(now_or_never(send().one()), Some(Err(ProduceError::Overloaded)));
    assert!(waits.iter().all(|wait| !wait.is_complete()));
    let mut queue = VecDeque::new();
    inbox.receive(&mut queue, 10, None);
    assert!(!send().is_complete());
}

#[test]
fn finished_syncs_overtake_and_a_full_thread_takes_nothing_else() {
    let finished = || Input::Flushed { flushes: Vec::new(), took: Duration::ZERO };
    let inbox = Inbox::default();
    let mut queue = VecDeque::from([Input::Stop, Input::Stop]);
    inbox.send(Input::DirectoryFailed);
    inbox.send(finished());
    inbox.receive(&mut queue, 2, None);
    assert_eq!(queue.len(), 3);
    assert!(matches!(queue.pop_front(), Some(Input::Flushed { .. })));
    inbox.receive(&mut queue, 3, None);
    assert!(matches!(queue.pop_back(), Some(Input::DirectoryFailed)));
}
