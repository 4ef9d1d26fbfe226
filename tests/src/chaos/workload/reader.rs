//! Readers: some choose partitions and offsets themselves, some are members of a group; one reads everything at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::{Instant, timeout_at};

use super::{Ground, Topic};
use crate::chaos::history::{Key, Kind, Op};

/// Records of one line of the history.
const BATCH_MAX: usize = 200;
/// How long records are gathered for one line.
const GATHER: Duration = Duration::from_millis(200);
/// How far before the newest record it knows a new reader begins.
const REREAD: i64 = 300;
/// Between two commits of a member.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long everything may take to be read at the end.
const READ_ALL_MAX: Duration = Duration::from_secs(120);
/// How long a question for the ends of a partition may take.
const ENDS_MAX: Duration = Duration::from_secs(10);

/// Counts rebalances, which happen inside of calls that return records.
struct Rebalances(AtomicU64);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What was read and is not in the history yet.
struct Gathered<'a> {
    ground: &'a Ground,
    process: u32,
    records: BTreeMap<Key, Vec<(i64, u64)>>,
    last: bool,
}

impl Gathered<'_> {
    fn add(&mut self, record: &BorrowedMessage<'_>) {
        let text = record.payload().and_then(|payload| std::str::from_utf8(payload).ok());
        let key = format!("{}/{}", record.topic(), record.partition());
        match text.and_then(|text| text.parse().ok()) {
            Some(value) => self.records.entry(key).or_default().push((record.offset(), value)),
            None => {
                let text = format!("{key} has {:?} at {}", record.payload(), record.offset());
                self.ground.recorder.found("C3 phantom", text);
            }
        }
    }

    fn len(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    fn write(&mut self) {
        for (key, records) in std::mem::take(&mut self.records) {
            let op = Op::Poll { key, records, last: self.last };
            self.ground.recorder.note(self.process, Kind::Ok, op);
        }
    }
}

/// One reader after another, each from where it likes.
pub(super) async fn assigned(ground: Arc<Ground>, topic: Topic) {
    let mut rng = ground.rng();
    // Where each partition was read to, by those before.
    let mut known: BTreeMap<i32, i64> = BTreeMap::new();
    while !ground.is_stopped() {
        let until = Instant::now() + Ground::life(&mut rng);
        let process = ground.recorder.process();
        let mut config = ground.consumer("assigned");
        let consumer: StreamConsumer =
            config.set("auto.offset.reset", "error").create().expect("good settings");
        let mut list = TopicPartitionList::new();
        for partition in 0..topic.partitions {
            let begin = known.get(&partition).map_or(0, |offset| (offset - REREAD).max(0));
            list.add_partition_offset(&topic.name, partition, Offset::Offset(begin)).expect("a list");
        }
        consumer.assign(&list).expect("a consumer can be assigned");
        let mut gathered = Gathered { ground: &ground, process, records: BTreeMap::new(), last: false };
        while Instant::now() < until && !ground.is_stopped() {
            gather(&consumer, &mut gathered, |record| {
                known.insert(record.partition(), record.offset());
            })
            .await;
            gathered.write();
        }
        end(consumer).await;
    }
}

/// Reads for a little while.
async fn gather(
    consumer: &StreamConsumer,
    gathered: &mut Gathered<'_>,
    mut each: impl FnMut(&BorrowedMessage<'_>),
) {
    let enough = Instant::now() + GATHER;
    while gathered.len() < BATCH_MAX {
        match timeout_at(enough, consumer.recv()).await {
            Ok(Ok(record)) => {
                gathered.add(&record);
                each(&record);
            }
            Ok(Err(error)) => {
                judge(gathered, &error);
                return;
            }
            Err(_) => return,
        }
    }
}

/// A reader that is told that its offset does not exist has read something that is gone.
fn judge(gathered: &Gathered<'_>, error: &KafkaError) {
    use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    if matches!(error, KafkaError::MessageConsumption(AutoOffsetReset | OffsetOutOfRange)) {
        let text = format!("process {} read what is not there any more: {error}", gathered.process);
        gathered.ground.recorder.found("C4 lost", text);
    }
}

/// Consumers wait for the network when they end.
async fn end<C: ConsumerContext + 'static>(consumer: StreamConsumer<C>) {
    // It ends whatever happens in it.
    let _ = tokio::task::spawn_blocking(move || drop(consumer)).await;
}

/// One member of the topic's group after another.
pub(super) async fn member(ground: Arc<Ground>, topic: Topic) {
    let mut rng = ground.rng();
    while !ground.is_stopped() {
        let until = Instant::now() + Ground::life(&mut rng);
        let process = ground.recorder.process();
        let mut config = ground.consumer("members");
        let consumer: StreamConsumer<Rebalances> = config
            .set("auto.offset.reset", "earliest")
            .create_with_context(Rebalances(AtomicU64::new(0)))
            .expect("good settings");
        consumer.subscribe(&[&topic.name]).expect("a consumer can subscribe");
        let mut gathered = Gathered { ground: &ground, process, records: BTreeMap::new(), last: false };
        let (mut seen, mut written, mut committed) = (0, Instant::now(), Instant::now());
        while Instant::now() < until && !ground.is_stopped() {
            let received = timeout_at(written + GATHER, consumer.recv()).await;
            let rebalances = consumer.context().0.load(Ordering::SeqCst);
            if rebalances != seen {
                seen = rebalances;
                gathered.write();
                ground.recorder.note(process, Kind::Info, Op::Assign);
            }
            if let Ok(Ok(record)) = received {
                gathered.add(&record);
            }
            if gathered.len() >= BATCH_MAX || written.elapsed() >= GATHER {
                gathered.write();
                written = Instant::now();
            }
            if committed.elapsed() >= COMMIT_EVERY {
                // What is not committed is read again by whoever comes next.
                let _ = consumer.commit_consumer_state(CommitMode::Async);
                committed = Instant::now();
            }
        }
        gathered.write();
        end(consumer).await;
    }
}

/// Reads all of a topic from its beginning to its end as it is now.
pub async fn read_all(ground: &Ground, topic: &Topic) {
    let process = ground.recorder.process();
    let mut config = ground.consumer("all");
    let consumer: StreamConsumer = config.set("auto.offset.reset", "error").create().expect("good settings");
    let consumer = Arc::new(consumer);
    let mut left: BTreeMap<i32, i64> = BTreeMap::new();
    let mut list = TopicPartitionList::new();
    for partition in 0..topic.partitions {
        let (asked, name) = (Arc::clone(&consumer), topic.name.clone());
        let ends = tokio::task::spawn_blocking(move || asked.fetch_watermarks(&name, partition, ENDS_MAX));
        match ends.await.expect("a question does not panic") {
            Ok((_, end)) => {
                left.insert(partition, end);
                list.add_partition_offset(&topic.name, partition, Offset::Beginning).expect("a list");
            }
            Err(error) => ground
                .recorder
                .found("C23 liveness", format!("{}/{partition} has no end: {error}", topic.name)),
        }
    }
    let ends = left.clone();
    left.retain(|_, end| *end > 0);
    consumer.assign(&list).expect("a consumer can be assigned");
    let mut gathered = Gathered { ground, process, records: BTreeMap::new(), last: true };
    let until = Instant::now() + READ_ALL_MAX;
    while !left.is_empty() && Instant::now() < until {
        gather(&consumer, &mut gathered, |record| {
            if left.get(&record.partition()).is_some_and(|end| record.offset() + 1 >= *end) {
                left.remove(&record.partition());
            }
        })
        .await;
        gathered.write();
    }
    for (partition, end) in ends {
        let key = format!("{}/{partition}", topic.name);
        if left.contains_key(&partition) {
            ground.recorder.found("C23 liveness", format!("{key} could not be read to its end {end}"));
        }
        ground.recorder.note(process, Kind::Ok, Op::ReadAll { key, end });
    }
    if let Some(consumer) = Arc::into_inner(consumer) {
        end(consumer).await;
    }
}
