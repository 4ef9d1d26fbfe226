//! Whether partitions take writes: one small batch to each, acks=all, again and again until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};

use crate::clock;
use crate::cluster::text;
use crate::connection::{LoadError, decode, encode};
use crate::lines::Lines;
use crate::look::{Look, look};
use crate::prepared::PRODUCE_VERSION;

/// Most partitions of one request.
const PARTITIONS_PER_REQUEST: usize = 500;
/// Time limit of a request.
const TIMEOUT_MS: i32 = 10_000;
/// After a round in which nothing could be sent, or nothing was taken.
const PAUSE: Duration = Duration::from_millis(20);
const VALUE: &[u8] = b"a record that is there before and after";

/// Who is to take what.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Nodes that can be asked where leaders are.
    pub ask: &'a [String],
    /// The topic.
    pub topic: &'a str,
    /// Partitions that are to take a write.
    pub partitions: Vec<i32>,
    /// A node whose acknowledgements do not count: it is on its way out.
    pub not_from: Option<i32>,
}

/// Writes until every partition has taken a batch; returns when the last one had.
///
/// # Errors
/// When `patience` is over, with what went wrong last.
pub fn until_taken(wanted: &Wanted<'_>, patience: Duration) -> Result<Instant, LoadError> {
    let deadline = clock::now() + patience;
    let mut left: BTreeSet<i32> = wanted.partitions.iter().copied().collect();
    let mut lines = Lines::default();
    for node in wanted.ask.iter().cycle() {
        let before = left.len();
        let tried = lines
            .with(node, |connection| look(connection, wanted.topic))
            .and_then(|look| write(&mut lines, wanted, &look, &mut left));
        if left.is_empty() {
            return Ok(clock::now());
        }
        if clock::now() > deadline {
            let left = left.len();
            let why = tried.err().map_or_else(String::new, |error| format!(": {error}"));
            return Err(LoadError::Protocol(format!("{left} partitions take no writes{why}")));
        }
        if tried.is_err() {
            // Answers may be on their way to whom nobody listens any more.
            lines = Lines::default();
        }
        if left.len() == before {
            clock::sleep(PAUSE);
        }
    }
    Err(LoadError::Protocol("there is nobody to ask".to_owned()))
}

/// One batch to each of those that are left and have a leader. All leaders are asked before the first answer is read.
fn write(
    lines: &mut Lines,
    wanted: &Wanted<'_>,
    look: &Look,
    left: &mut BTreeSet<i32>,
) -> Result<(), LoadError> {
    let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for partition in left.iter() {
        let Some((leader, _)) = look.partitions.get(partition) else { continue };
        if Some(*leader) != wanted.not_from {
            by_leader.entry(*leader).or_default().push(*partition);
        }
    }
    let mut asked = Vec::new();
    for (leader, partitions) in &by_leader {
        let Some(address) = look.brokers.get(leader) else { continue };
        for chunk in partitions.chunks(PARTITIONS_PER_REQUEST) {
            let frame = encode(PRODUCE_VERSION, &request(wanted.topic, chunk))?;
            lines.with(address, |connection| connection.send(&frame))?;
            asked.push(address);
        }
    }
    let mut refused = Ok(());
    for address in asked {
        let frame = lines.with(address, |connection| connection.receive())?;
        let response: ProduceResponse = decode(PRODUCE_VERSION, frame)?;
        for partition in response.responses.iter().flat_map(|topic| &topic.partition_responses) {
            match LoadError::check("Produce", partition.error_code) {
                Ok(()) => {
                    left.remove(&partition.index);
                }
                Err(error) => refused = Err(error),
            }
        }
    }
    refused
}

fn request(topic: &str, partitions: &[i32]) -> ProduceRequest {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, clock::wall_ms(), None, Some(VALUE), &[]);
    let records = builder.build().bytes().clone();
    let data = partitions
        .iter()
        .map(|&p| PartitionProduceData::default().with_index(p).with_records(Some(records.clone())))
        .collect();
    let topic = TopicProduceData::default().with_name(TopicName(text(topic))).with_partition_data(data);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(TIMEOUT_MS).with_topic_data(vec![topic])
}
