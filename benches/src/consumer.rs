//! One consumer of a broker's partitions, at the tail: fetches, walks the batch headers, throws the bytes away.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use tidemark_protocol::batch;

use crate::clock;
use crate::cluster::text;
use crate::connection::{self, Connection, LoadError};
use crate::counters::{self, Shared};
use crate::options::Plan;
use crate::prepared::STAMP_BYTES;

/// Version sent: the last one by topic name.
const FETCH_VERSION: i16 = 12;

/// A consumer, connected.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    connection: Connection,
    request: FetchRequest,
    stamp_at: Option<usize>,
}

impl Consumer {
    /// Connects to a broker to read `partitions` from their beginning. `stamp_at` is where batches tell when they were
    /// due.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn open(
        plan: &Plan,
        shared: Arc<Shared>,
        address: &str,
        partitions: &[i32],
        stamp_at: Option<usize>,
    ) -> Result<Self, LoadError> {
        let partitions = partitions
            .iter()
            .map(|&partition| {
                FetchPartition::default()
                    .with_partition(partition)
                    .with_current_leader_epoch(-1)
                    .with_last_fetched_epoch(-1)
                    .with_log_start_offset(-1)
                    .with_partition_max_bytes(plan.fetch_bytes)
            })
            .collect();
        let topic =
            FetchTopic::default().with_topic(TopicName(text(&plan.topic))).with_partitions(partitions);
        let request = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(plan.fetch_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(plan.fetch_bytes)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        Ok(Consumer { connection: Connection::open(address)?, shared, request, stamp_at })
    }

    /// Consumes until the run is stopped.
    pub fn run(mut self) {
        let mut latencies = counters::histogram();
        while !self.shared.is_stopped() {
            if let Err(error) = self.fetch(&mut latencies) {
                self.shared.fail(error);
            }
        }
        let mut all = self.shared.received_us.lock().expect("no holder panics");
        all.add(latencies).expect("the histograms have the same bounds");
    }

    fn fetch(&mut self, latencies: &mut hdrhistogram::Histogram<u64>) -> Result<(), LoadError> {
        self.connection.send(&connection::encode(FETCH_VERSION, &self.request)?)?;
        let frame = self.connection.receive()?;
        let now = clock::now();
        let response: FetchResponse = connection::decode(FETCH_VERSION, frame)?;
        LoadError::check("Fetch", response.error_code)?;
        let (mut count, mut len) = (0, 0);
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            LoadError::check("Fetch of a partition", data.error_code)?;
            let Some(records) = &data.records else { continue };
            for found in batch::batches(records) {
                let (header, range) = found.map_err(|error| LoadError::Protocol(error.to_string()))?;
                count += u64::from(header.records_count.unsigned_abs());
                len += range.len() as u64;
                let batch = &records[range];
                if let Some(due) = self.stamp_at.and_then(|at| batch.get(at..at + STAMP_BYTES)) {
                    let nanos = u64::from_be_bytes(due.try_into().expect("eight bytes were sliced"));
                    let due = self.shared.start + Duration::from_nanos(nanos);
                    if due >= self.shared.measured_from {
                        counters::record(latencies, due, now);
                    }
                }
                self.advance(data.partition_index, header.next_offset());
            }
        }
        if len > 0 {
            self.shared.consumed.add(count, len);
        }
        Ok(())
    }

    fn advance(&mut self, partition: i32, next_offset: i64) {
        let mut asked = self.request.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        if let Some(asked) = asked.find(|asked| asked.partition == partition) {
            asked.fetch_offset = next_offset;
        }
    }
}
