//! [`Load`]: one writer for each partition, that waits for each acknowledgement, and the times of them all.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ApiKey, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::Client;
use crate::librdkafka::PATIENCE;

/// Between two writes to a partition: a load that leaves the machine to the brokers.
const PAUSE: Duration = Duration::from_millis(5);
/// An answer this soon after a kill may still be of the dead: it was on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// When it was sent.
    pub sent: Instant,
    /// When its acknowledgement came.
    pub came: Instant,
    /// Its place in the log.
    pub offset: i64,
}

/// What the writers have seen.
#[derive(Default)]
struct Seen {
    acked: Mutex<Vec<Vec<Acked>>>,
    failed: Mutex<Vec<String>>,
    news: Notify,
}

/// Writers that run.
pub struct Load {
    seen: Arc<Seen>,
    stop: watch::Sender<bool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts a writer for each partition, all over one client. With `patience` it does not wait for an answer for as long as
    /// librdkafka does by default, a minute.
    pub fn start(bootstrap: &str, topic: &str, partitions: i32, patience: Option<Duration>) -> Load {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true").set("linger.ms", "0");
        if let Some(patience) = patience {
            config.set("socket.timeout.ms", patience.as_millis().to_string());
        }
        let producer: FutureProducer = config.create().expect("the settings of a producer are good");
        let seen = Arc::new(Seen::default());
        lock(&seen.acked).resize_with(usize::try_from(partitions).unwrap_or(0), Vec::new);
        let (stop, stopping) = watch::channel(false);
        let writers = (0..partitions).map(|partition| {
            tokio::spawn(write(
                producer.clone(),
                topic.to_owned(),
                partition,
                Arc::clone(&seen),
                stopping.clone(),
            ))
        });
        Load { writers: writers.collect(), seen, stop }
    }

    /// Returns once every partition has acknowledged a write that was sent after `since`.
    pub async fn is_acknowledged_since(&self, since: Instant) {
        let all: Vec<i32> = (0..).take(self.writers.len()).collect();
        for partition in all {
            self.first_after(partition, since).await;
        }
    }

    /// How long after `since` the slowest of these partitions took writes again.
    pub async fn outage(&self, partitions: &[i32], since: Instant) -> Duration {
        let mut longest = Duration::ZERO;
        for partition in partitions {
            longest = longest.max(self.first_after(*partition, since).await.came - since);
        }
        longest
    }

    /// The largest offset that was acknowledged.
    pub fn committed(&self, partition: i32) -> i64 {
        let acked = lock(&self.seen.acked);
        acked[partition as usize].iter().map(|acked| acked.offset).max().unwrap_or(-1)
    }

    /// The longest that a write took of those under way between these times.
    pub fn slowest(&self, from: Instant, to: Instant) -> Duration {
        let acked = lock(&self.seen.acked);
        let within = acked.iter().flatten().filter(|acked| acked.came >= from && acked.sent <= to);
        within.map(|acked| acked.came - acked.sent).max().unwrap_or_default()
    }

    /// How long each write took that was sent after `since`, sorted.
    pub fn latencies(&self, since: Instant) -> Vec<Duration> {
        let acked = lock(&self.seen.acked);
        let counted = acked.iter().flatten().filter(|acked| acked.sent > since);
        let mut all: Vec<Duration> = counted.map(|acked| acked.came - acked.sent).collect();
        all.sort_unstable();
        all
    }

    /// Stops the writers.
    ///
    /// # Errors
    /// A write that was refused.
    pub async fn finish(mut self) -> Result<(), String> {
        self.stop.send_replace(true);
        for writer in self.writers.drain(..) {
            writer.await.map_err(|error| error.to_string())?;
        }
        match lock(&self.seen.failed).first() {
            None => Ok(()),
            Some(why) => Err(format!("an error reached librdkafka's user: {why}")),
        }
    }

    async fn first_after(&self, partition: i32, since: Instant) -> Acked {
        loop {
            let news = self.seen.news.notified();
            let found = lock(&self.seen.acked)[partition as usize]
                .iter()
                .find(|acked| acked.sent > since || acked.came > since + ON_ITS_WAY)
                .copied();
            if let Some(found) = found {
                return found;
            }
            news.await;
        }
    }
}

async fn write(
    producer: FutureProducer,
    topic: String,
    partition: i32,
    seen: Arc<Seen>,
    stopping: watch::Receiver<bool>,
) {
    let payload = [b'x'; 100];
    while !*stopping.borrow() {
        let sent = Instant::now();
        let record = FutureRecord::<(), [u8]>::to(&topic).partition(partition).payload(&payload);
        match producer.send(record, PATIENCE).await {
            Ok(delivery) => {
                let acked = Acked { sent, came: Instant::now(), offset: delivery.offset };
                lock(&seen.acked)[partition as usize].push(acked);
            }
            Err((error, _)) => lock(&seen.failed).push(format!("partition {partition}: {error}")),
        }
        seen.news.notify_waiters();
        tokio::time::sleep(PAUSE).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody who asks one node for the end of a partition, over a connection that is open already.
pub struct Reader {
    client: Client,
    request: ListOffsetsRequest,
}

impl Reader {
    /// Connects.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn open(node: SocketAddr, topic: &str, partition: i32) -> Result<Reader, String> {
        let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let client = Client::connect(node).map_err(|error| error.to_string())?;
        Ok(Reader { client, request })
    }

    /// Asks.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn ask(&mut self) -> Result<(), String> {
        self.client.send(ApiKey::ListOffsets, 5, &self.request).map_err(|error| error.to_string())
    }

    /// The end it is told; `None` when the node says that it does not know.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn answer(mut self) -> Result<Option<i64>, String> {
        let answer: ListOffsetsResponse = self.client.receive(5).map_err(|error| error.to_string())?;
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        let partition = partition.ok_or("ListOffsets answered for no partition")?;
        Ok((partition.error_code == 0).then_some(partition.offset))
    }
}
