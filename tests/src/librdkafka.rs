//! librdkafka through the rdkafka crate: what the tests that use it have in common.

use std::ops::Range;
use std::time::Duration;

use futures_util::future::try_join_all;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};

/// How long any one call of a client may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The next `count` records of a consumer.
pub async fn receive<C>(consumer: &StreamConsumer<C>, count: usize) -> Result<Vec<OwnedMessage>, KafkaError>
where
    C: rdkafka::consumer::ConsumerContext + 'static,
{
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        let next = tokio::time::timeout(PATIENCE, consumer.recv());
        let record = next.await.unwrap_or_else(|_| panic!("{} of {count} records came", records.len()))?;
        records.push(record.detach());
    }
    Ok(records)
}

/// The values of records as numbers.
pub fn numbers(records: &[OwnedMessage]) -> Vec<i32> {
    let text =
        |record: &OwnedMessage| String::from_utf8(record.payload().expect("a value").to_vec()).expect("text");
    records.iter().map(|record| text(record).parse().expect("a number")).collect()
}

/// Admin calls end in time.
pub fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// Produces numbers as text, spread over the partitions in turn; returns once all are acknowledged.
pub async fn produce_numbers(producer: &FutureProducer, topic: &str, values: Range<i32>, partitions: i32) {
    let values: Vec<(i32, String)> = values.map(|i| (i % partitions, i.to_string())).collect();
    let sends = values.iter().map(|(partition, value)| {
        producer.send(FutureRecord::<(), _>::to(topic).partition(*partition).payload(value), PATIENCE)
    });
    try_join_all(sends).await.expect("all are acknowledged");
}
