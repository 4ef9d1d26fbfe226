//! Clients that ask for offsets: one commits ever larger ones, one reads what is committed, one asks for the ends of partitions.
//!
//! librdkafka's calls for these wait, so each client has a thread.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Ground;
use crate::chaos::history::{Kind, Op};

/// The group with one writer.
const GROUP: &str = "register";
/// Between two questions of a client.
const PAUSE: Duration = Duration::from_millis(250);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A client asks so often before another takes its place.
const QUESTIONS: u64 = 120;

/// Asks something of a random partition again and again, each time with the next number, and with a new client from time to time.
fn again(ground: &Ground, mut ask: impl FnMut(&BaseConsumer, u32, &str, i32, i64)) {
    let mut rng = ground.rng();
    let mut number = 0;
    while !ground.is_stopped() {
        let process = ground.recorder.process();
        let consumer: BaseConsumer = ground.consumer(GROUP).create().expect("good settings");
        for _ in 0..QUESTIONS {
            if ground.is_stopped() {
                break;
            }
            number += 1;
            let topic = rng.pick(&ground.topics);
            let partition = i32::try_from(rng.below(topic.partitions as u64)).expect("a small number");
            ask(&consumer, process, &topic.name, partition, number);
            // Nothing is assigned, so nothing comes; this is the pause.
            let _ = consumer.poll(PAUSE);
        }
    }
}

fn one(topic: &str, partition: i32, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset).expect("a list");
    list
}

/// Commits ever larger offsets.
pub(super) fn commit(ground: &Ground) {
    again(ground, |consumer, process, topic, partition, number| {
        let key = format!("{topic}/{partition}");
        let op = Op::Commit { group: GROUP.to_owned(), key, offset: number };
        let id = ground.recorder.begin(process, op.clone());
        let answer = consumer.commit(&one(topic, partition, Offset::Offset(number)), CommitMode::Sync);
        let (kind, why) =
            answer.map_or_else(|error| (Kind::Info, Some(error.to_string())), |()| (Kind::Ok, None));
        ground.recorder.end(process, id, kind, op, why);
    });
}

/// Reads what is committed.
pub(super) fn fetch_committed(ground: &Ground) {
    again(ground, |consumer, process, topic, partition, _| {
        let op =
            |offset| Op::FetchOffset { group: GROUP.to_owned(), key: format!("{topic}/{partition}"), offset };
        let id = ground.recorder.begin(process, op(None));
        let answer = consumer.committed_offsets(one(topic, partition, Offset::Invalid), ANSWER_MAX);
        let answer = answer.and_then(|list| {
            let element = list.find_partition(topic, partition).expect("what was asked for is answered");
            element.error().map(|()| element.offset())
        });
        match answer {
            Ok(Offset::Offset(offset)) => ground.recorder.end(process, id, Kind::Ok, op(Some(offset)), None),
            Ok(_) => ground.recorder.end(process, id, Kind::Ok, op(None), None),
            Err(error) => ground.recorder.end(process, id, Kind::Info, op(None), Some(error.to_string())),
        }
    });
}

/// Asks for the ends of partitions.
pub(super) fn list(ground: &Ground) {
    again(ground, |consumer, process, topic, partition, _| {
        let op = |offset| Op::ListLatest { key: format!("{topic}/{partition}"), offset };
        let id = ground.recorder.begin(process, op(None));
        match consumer.fetch_watermarks(topic, partition, ANSWER_MAX) {
            Ok((_, end)) => ground.recorder.end(process, id, Kind::Ok, op(Some(end)), None),
            Err(error) => ground.recorder.end(process, id, Kind::Info, op(None), Some(error.to_string())),
        }
    });
}
