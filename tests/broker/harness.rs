//! A broker of this process: its disk, its settings, its restarts; and the requests that most tests need.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::protocol::StrBytes;
use tempfile::TempDir;
use tidemark_broker::broker::{Broker, StartError};
use tidemark_broker::clock::Clock;
use tidemark_broker::config::{Layers, NodeConfig};
use tidemark_protocol::batch::{BatchBuilder, BatchHeader, BuilderOptions, RecordBatch, batches};
use tidemark_storage::disk::{Disk, OsDisk};
use tidemark_tests::client::Client;
use tokio::runtime::Runtime;

/// How long something that happens by itself may take.
const EVENTUALLY: Duration = Duration::from_secs(20);
/// Time between two looks at what happens by itself.
const LOOK_TIME: Duration = Duration::from_millis(20);
/// Most a batch may grow to when it is opened.
const RECORDS_BYTES_MAX: usize = 64 << 20;

/// A broker with its threads; stops cleanly when told to, at once when dropped.
pub struct TestBroker {
    runtime: Runtime,
    broker: Option<Broker>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    settings: Vec<String>,
    _temporary: Option<TempDir>,
}

impl TestBroker {
    /// A broker on a directory of its own.
    pub fn start(settings: &[&str]) -> TestBroker {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("data");
        let mut broker = TestBroker::new(Arc::new(OsDisk), &dir, settings);
        broker._temporary = Some(temporary);
        broker
    }

    /// A broker on `dir` of `disk`.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, settings: &[&str]) -> TestBroker {
        TestBroker::try_new(disk, dir, settings).unwrap()
    }

    /// A broker on `dir` of `disk`, or why it does not start.
    pub fn try_new(disk: Arc<dyn Disk>, dir: &Path, settings: &[&str]) -> Result<TestBroker, StartError> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let started =
            runtime.block_on(Broker::start(&config(dir, &settings), Arc::clone(&disk), Clock::system()));
        match started {
            Ok(broker) => Ok(TestBroker {
                runtime,
                broker: Some(broker),
                disk,
                dir: dir.to_owned(),
                settings,
                _temporary: None,
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Where its data is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        let broker = self.broker.as_ref().expect("the broker runs");
        Client::connect(broker.addresses().listeners[0].1).unwrap()
    }

    /// A connection and a topic of one partition.
    pub fn client_with_topic(&self, topic: &str, configs: &[(&str, &str)]) -> Client {
        let mut client = self.client();
        client.create_topic(topic, 1, configs).unwrap();
        client
    }

    /// Stops cleanly and starts again on the same directory.
    pub fn restart(&mut self) {
        self.stop();
        let config = config(&self.dir, &self.settings);
        let started = Broker::start(&config, Arc::clone(&self.disk), Clock::system());
        self.broker = Some(self.runtime.block_on(started).unwrap());
    }

    /// Stops cleanly.
    pub fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop());
        }
    }
}

fn config(dir: &Path, settings: &[String]) -> NodeConfig {
    let mut layers = Layers::default();
    layers.add_set("listener.PLAINTEXT.bind=127.0.0.1:0");
    layers.add_set("admin.bind=off");
    layers.add_set("peer.bind=off");
    layers.add_set("kafka.auto.create.topics.enable=false");
    layers.add_set("kafka.offsets.topic.num.partitions=1");
    layers.add_set("kafka.offsets.topic.replication.factor=1");
    layers.add_set("kafka.group.initial.rebalance.delay.ms=0");
    layers.add_set("kafka.log.retention.check.interval.ms=50");
    layers.add_set("kafka.log.cleaner.backoff.ms=50");
    layers.add_set(&format!("node.data_dir={}", dir.display()));
    settings.iter().for_each(|setting| layers.add_set(setting));
    NodeConfig::from_layers(&layers).unwrap()
}

/// Waits for what happens by itself.
#[allow(clippy::disallowed_methods, reason = "a real broker's upkeep is waited for in real time")]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < EVENTUALLY, "after {EVENTUALLY:?} still not: {what}");
        std::thread::sleep(LOOK_TIME);
    }
}

/// A string for a request.
pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// Milliseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "records carry real time")]
pub fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// A batch of records with these keys and values, stamped now.
pub fn batch_of(options: BuilderOptions, records: &[(Option<&str>, &str)]) -> Bytes {
    let now = wall_ms();
    let mut builder = BatchBuilder::new(options);
    for (nth, (key, value)) in records.iter().enumerate() {
        builder.append(nth as i64, now, key.map(str::as_bytes), Some(value.as_bytes()), &[]);
    }
    builder.build().bytes().clone()
}

/// A batch of one record without a key.
pub fn batch(value: &str) -> Bytes {
    batch_of(BuilderOptions::default(), &[(None, value)])
}

/// A batch of one record of an idempotent producer.
pub fn sequenced(producer: (i64, i16), sequence: i32, value: &str) -> Bytes {
    let options = BuilderOptions {
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: sequence,
        ..BuilderOptions::default()
    };
    batch_of(options, &[(None, value)])
}

/// A produce request for partitions of one topic.
pub fn produce_request(topic: &str, acks: i16, partitions: Vec<(i32, Bytes)>) -> kafka::ProduceRequest {
    let data = partitions
        .into_iter()
        .map(|(index, records)| PartitionProduceData::default().with_index(index).with_records(Some(records)))
        .collect();
    let topic =
        TopicProduceData::default().with_name(kafka::TopicName(text(topic))).with_partition_data(data);
    kafka::ProduceRequest::default().with_acks(acks).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

/// Produces and gives the whole answer, partition by partition.
pub fn produce_all(client: &mut Client, request: &kafka::ProduceRequest) -> Vec<PartitionProduceResponse> {
    let answer: kafka::ProduceResponse = client.call(kafka::ApiKey::Produce, 9, request).unwrap();
    answer.responses.into_iter().flat_map(|topic| topic.partition_responses).collect()
}

/// Produces one batch to partition 0 with acks=all: error code and base offset.
pub fn produce(client: &mut Client, topic: &str, records: Bytes) -> (i16, i64) {
    let answer = produce_all(client, &produce_request(topic, -1, vec![(0, records)]));
    (answer[0].error_code, answer[0].base_offset)
}

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<String>,
    pub value: String,
}

/// Everything in partition 0 from `offset` to its end, with the headers of its batches.
pub fn read_from(client: &mut Client, topic: &str, offset: i64) -> (Vec<Read>, Vec<BatchHeader>) {
    let (mut records, mut headers, mut next) = (Vec::new(), Vec::new(), offset);
    loop {
        let (code, high_watermark, bytes) = client.fetch(topic, 0, next, 0).unwrap();
        assert_eq!(code, 0, "fetch at {next}");
        for item in batches(&bytes) {
            let (header, range) = item.unwrap();
            let batch = RecordBatch::parse(bytes.slice(range)).unwrap();
            batch.verify_crc().unwrap();
            for record in batch.records(RECORDS_BYTES_MAX).unwrap().iter() {
                let record = record.unwrap();
                let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                if record.offset >= next {
                    records.push(Read {
                        offset: record.offset,
                        timestamp: record.timestamp,
                        key: record.key.map(lossy),
                        value: record.value.map(lossy).unwrap_or_default(),
                    });
                }
            }
            headers.push(header);
            next = next.max(header.next_offset());
        }
        if next >= high_watermark {
            return (records, headers);
        }
        assert!(!bytes.is_empty(), "nothing at {next} below {high_watermark}");
    }
}

/// The values of partition 0 from `offset` on.
pub fn values_from(client: &mut Client, topic: &str, offset: i64) -> Vec<String> {
    read_from(client, topic, offset).0.into_iter().map(|record| record.value).collect()
}

/// The first offset of partition 0.
pub fn log_start(client: &mut Client, topic: &str) -> i64 {
    use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    const EARLIEST: i64 = -2;
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(EARLIEST);
    let topic =
        ListOffsetsTopic::default().with_name(kafka::TopicName(text(topic))).with_partitions(vec![partition]);
    let request = kafka::ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer: kafka::ListOffsetsResponse = client.call(kafka::ApiKey::ListOffsets, 5, &request).unwrap();
    answer.topics[0].partitions[0].offset
}
