//! [`Producer`]: a client that writes one batch at a time and sends it again until it is answered.
//!
//! An idempotent one sends the same batch with the same sequence; another one may leave it in the log twice.

use std::time::Duration;

use tidemark_broker::partition::{Acks, Append, AppendWait, ProduceError};
use tidemark_core::metadata::replication_rules::ReplicationRules;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, RecordBatch};
use tidemark_protocol::types::{BrokerId, Offset, TopicIdPartition};

use super::node::Waiting;
use super::world::{Event, Letter, World};

/// After so long without an answer it asks again.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What a produce comes to: the offset of the first record.
pub type Answer = Result<Offset, ProduceError>;

/// One client.
pub struct Producer {
    /// Its id at the brokers; unused without idempotence.
    pub producer_id: i64,
    /// Whether it numbers its batches.
    pub is_idempotent: bool,
    /// When it wants its answers.
    pub acks: Acks,
    /// Where it writes to.
    pub target: Option<TopicIdPartition>,
    /// Sequence of its next record.
    pub sequence: i32,
    /// What is not answered.
    pub under_way: Option<RecordBatch>,
    /// Counts attempts.
    pub attempt: u64,
    /// Batches answered.
    pub answered: u64,
}

impl World {
    /// The producers of this seed.
    pub fn hire(&mut self) {
        for at in 0..self.plan.producers {
            let is_impatient = self.plan.has_impatient && self.rng.percent(40);
            let acks = if is_impatient { Acks::Leader } else { Acks::All };
            let is_idempotent = !is_impatient && self.rng.percent(70);
            self.producers.push(Producer {
                producer_id: at as i64 + 1,
                is_idempotent,
                acks,
                target: None,
                sequence: 0,
                under_way: None,
                attempt: 0,
                answered: 0,
            });
            let delay = self.around_ms(500);
            self.after(delay, Event::Produce(at as usize));
        }
    }

    /// A producer may send something.
    pub fn produce(&mut self, at: usize) {
        if at >= self.producers.len() {
            return;
        }
        self.retarget(at);
        let delay = self.around_ms(self.plan.produce_every_ms);
        let Some(_) = self.producers[at].target else { return self.after(delay, Event::Produce(at)) };
        if self.producers[at].under_way.is_none() {
            let batch = self.batch(at);
            self.producers[at].under_way = Some(batch);
        }
        self.attempt(at);
    }

    /// A topic that is gone is written to no more; another one is looked for, as a new producer.
    fn retarget(&mut self, at: usize) {
        let image = self.quorum.newest().clone();
        let exists = |tp: &TopicIdPartition| image.partition_by_id(tp).is_some();
        if self.producers[at].target.as_ref().is_some_and(exists) {
            return;
        }
        let all: Vec<TopicIdPartition> = image
            .topics
            .values()
            .flat_map(|topic| {
                let indexes = 0..i32::try_from(topic.partitions.len()).expect("few partitions");
                indexes.map(|partition| TopicIdPartition { topic_id: topic.id, partition })
            })
            .collect();
        let target = self.pick(&all);
        let producer = &mut self.producers[at];
        producer.target = target;
        producer.under_way = None;
        producer.producer_id += 1_000;
        producer.sequence = 0;
    }

    fn batch(&mut self, at: usize) -> RecordBatch {
        let (records, len) = (1 + self.rng.below(3), self.rng.below(300));
        let unique = self.events;
        let producer = &mut self.producers[at];
        let mut options = BuilderOptions::default();
        if producer.is_idempotent {
            options.producer_id = producer.producer_id;
            options.producer_epoch = 0;
            options.base_sequence = producer.sequence;
        }
        producer.sequence += i32::try_from(records).expect("few");
        let mut builder = BatchBuilder::new(options);
        for record in 0..records {
            let value = format!("{at}/{unique}/{record} {}", "x".repeat(len as usize));
            builder.append(record as i64, 1_700_000_000_000, None, Some(value.as_bytes()), &[]);
        }
        builder.build()
    }

    fn attempt(&mut self, at: usize) {
        let Some(to) = self.leader_as_known(self.producers[at].target.expect("it has one")) else {
            let delay = self.around_ms(200);
            return self.after(delay, Event::Produce(at));
        };
        let producer = &mut self.producers[at];
        producer.attempt += 1;
        let (attempt, acks) = (producer.attempt, producer.acks);
        let (Some(id), Some(batch)) = (producer.target, producer.under_way.clone()) else { return };
        let sequence = batch.header().base_sequence;
        self.note(&format!("produce {at}.{attempt} to {to} {} sequence {sequence}", id.partition));
        let letter = Letter::Produce { to, producer: at, attempt, id, acks, batch };
        if self.rng.below(1000) >= self.plan.loss_permille {
            let delay = self.within_us(self.plan.delay_us);
            self.after(delay, Event::Deliver(letter));
        }
        self.after(PATIENCE, Event::GiveUp(at, attempt));
    }

    /// Who leads, as some broker tells a client: not always the newest.
    fn leader_as_known(&mut self, tp: TopicIdPartition) -> Option<BrokerId> {
        let up = self.ids(|node| node.is_up && node.replicas.is_some());
        let told_by = self.pick(&up)?;
        let image = self.quorum.image(self.nodes[&told_by].applied);
        let leader = image.partition_by_id(&tp).map(|partition| partition.leader);
        if self.rng.percent(3) { Some(told_by) } else { leader.filter(|leader| *leader > 0) }
    }

    /// A broker takes a batch.
    pub fn append(
        &mut self,
        to: BrokerId,
        producer: usize,
        attempt: u64,
        id: TopicIdPartition,
        acks: Acks,
        batch: RecordBatch,
    ) {
        let node = self.node(to);
        if !node.is_up {
            return;
        }
        let handle = node.replicas.as_ref().and_then(|replicas| replicas.partition(id));
        let Some(handle) = handle else {
            return self.answer_client(producer, attempt, Err(ProduceError::Closed));
        };
        let (wait, reply) = AppendWait::single();
        let crc = batch.header().crc;
        handle.append(Append { batch, acks, reply });
        let is_all = acks == Acks::All;
        node.waiting.push(Waiting { producer, attempt, id, crc, is_all, wait });
        self.wake(to, Duration::ZERO);
    }

    /// The answer goes to its client.
    pub fn answer_client(&mut self, producer: usize, attempt: u64, answer: Answer) {
        if self.rng.below(1000) >= self.plan.loss_permille {
            let delay = self.within_us(self.plan.delay_us);
            self.after(delay, Event::Deliver(Letter::Produced { producer, attempt, answer }));
        }
    }

    /// A client is answered; an answer to what it gave up finds nobody.
    pub fn produced(&mut self, at: usize, attempt: u64, answer: Answer) {
        let Some(producer) = self.producers.get_mut(at) else { return };
        if producer.attempt != attempt || producer.under_way.is_none() {
            return;
        }
        producer.attempt += 1;
        match answer {
            Ok(_) => {
                producer.under_way = None;
                producer.answered += 1;
            }
            Err(error) => self.saw(refusal(&error)),
        }
        let delay = self.around_ms(self.plan.produce_every_ms);
        self.after(delay, Event::Produce(at));
    }

    /// No answer in time: again.
    pub fn give_up(&mut self, at: usize, attempt: u64) {
        let waits = |producer: &Producer| producer.attempt == attempt && producer.under_way.is_some();
        if self.producers.get(at).is_some_and(waits) {
            self.saw("produce timed out");
            self.producers[at].attempt += 1;
            self.produce(at);
        }
    }

    /// The smallest minimum by which anybody may still answer for a partition.
    pub fn least_min_isr(&self, tp: TopicIdPartition) -> usize {
        let of = |applied: u64| {
            let image = self.quorum.image(applied);
            let topic = image.topic_by_id(tp.topic_id)?;
            let rules = ReplicationRules::of_cluster(image).with_overrides_of(image, &topic.name);
            Some(rules.min_isr(topic.partition(tp.partition)?.replication_factor()))
        };
        self.nodes.values().filter(|node| node.is_up).filter_map(|node| of(node.applied)).min().unwrap_or(1)
    }
}

fn refusal(error: &ProduceError) -> &'static str {
    match error {
        ProduceError::NotEnoughReplicas(_) => "too few in sync",
        ProduceError::NotEnoughReplicasAfterAppend(_) => "too few in sync after the append",
        ProduceError::NotLeader { .. } => "not the leader",
        ProduceError::DiskFull => "disk full",
        ProduceError::Storage(_) => "storage failed",
        _ => "refused otherwise",
    }
}
