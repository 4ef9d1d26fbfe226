use super::super::append::AppendWait;
use super::super::testing::now_or_never;
use super::*;

fn at(last_offset: Offset) -> Appended {
    Appended { base_offset: last_offset, last_offset, log_append_time: -1, log_start: 0, duplicate: false }
}

fn committed() -> Result<(), ProduceError> {
    Ok(())
}

#[test]
fn acks_leave_when_the_high_watermark_has_passed_them() {
    let mut pending = PendingAcks::default();
    let waits: Vec<_> = (0..3)
        .map(|offset| {
            let (wait, reply) = AppendWait::single();
            pending.on_commit(at(offset), reply);
            wait
        })
        .collect();
    pending.release(2, 0, committed);
    let complete: Vec<_> = waits.iter().map(AppendWait::is_complete).collect();
    assert_eq!(complete, [true, true, false]);
    pending.release(3, 7, committed);
    let answers: Vec<_> = waits.into_iter().map(|wait| now_or_never(wait.one()).unwrap().unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer.log_start).collect::<Vec<_>>(), [0, 0, 7]);
    assert!(pending.is_empty());
}

#[test]
fn a_duplicate_waits_for_its_original_not_for_the_newest() {
    let mut pending = PendingAcks::default();
    let (newest, reply) = AppendWait::single();
    pending.on_commit(at(9), reply);
    let (duplicate, reply) = AppendWait::single();
    pending.on_commit(at(4), reply);
    pending.release(5, 0, committed);
    assert!(duplicate.is_complete() && !newest.is_complete());
}

#[test]
fn an_isr_that_shrank_is_told_after_the_append() {
    let mut pending = PendingAcks::default();
    let (wait, reply) = AppendWait::single();
    pending.on_commit(at(0), reply);
    let (leader, reply) = AppendWait::single();
    pending.on_publish(at(0), reply);
    pending.release(1, 0, || Err(ProduceError::DiskFull));
    assert_eq!(now_or_never(wait.one()), Some(Err(ProduceError::DiskFull)));
    assert_eq!(now_or_never(leader.one()), Some(Ok(at(0))), "acks=1 does not ask for the ISR");
}

#[test]
fn failing_answers_everything() {
    let mut pending = PendingAcks::default();
    let (first, reply) = AppendWait::single();
    pending.on_commit(at(0), reply);
    let (second, reply) = AppendWait::single();
    pending.on_publish(at(1), reply);
    pending.fail(&ProduceError::Closed);
    assert_eq!(now_or_never(first.one()), Some(Err(ProduceError::Closed)));
    assert_eq!(now_or_never(second.one()), Some(Err(ProduceError::Closed)));
}
