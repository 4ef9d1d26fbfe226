//! One producing connection: a thread that sends when batches are due, a thread that reads the answers in order.
//!
//! At a rate, batch `i` is due at `start + i / rate`, and its latency counts from then, whenever it could really be
//! sent: a slow answer delays the measure of all that wait behind it (no coordinated omission). Without a rate the
//! loop is closed and latency counts from sending.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

use kafka_protocol::messages::ProduceResponse;

use crate::clock;
use crate::cluster;
use crate::connection::{self, Connection, LoadError};
use crate::counters::{self, Shared};
use crate::options::Plan;
use crate::prepared::{PRODUCE_VERSION, Payload, Prepared};

/// One producer, connected and prepared.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    connection: Connection,
    requests: Vec<Prepared>,
    records: u64,
    bytes: u64,
    acks: i16,
    pipeline: usize,
    pace: Option<Pace>,
}

/// When batches are due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    first: Instant,
    interval: Duration,
}

/// A request on its way: its id, and when it was due.
type Sent = (i32, Instant);

impl Producer {
    /// Connects producer `index` of `count` to the leader of its partitions.
    ///
    /// # Errors
    /// Those of the connection and of InitProducerId.
    pub fn open(
        plan: &Plan,
        shared: Arc<Shared>,
        (index, count): (usize, usize),
        (address, partitions): &(String, Vec<i32>),
    ) -> Result<Self, LoadError> {
        let mut connection = Connection::open(address)?;
        let producer = if plan.idempotent { cluster::producer_id(&mut connection)? } else { (-1, -1) };
        let payload = Payload::new(plan, producer);
        let requests = partitions
            .iter()
            .map(|&partition| payload.prepare(plan, partition, plan.consumers > 0))
            .collect::<Result<Vec<_>, _>>()?;
        let pace = (plan.rate > 0.0).then(|| {
            let seconds = f64::from(payload.records) / plan.rate;
            // Producers start staggered, so that together they are even.
            let first = shared.start + Duration::from_secs_f64(seconds * index as f64);
            Pace { first, interval: Duration::from_secs_f64(seconds * count as f64) }
        });
        Ok(Producer {
            records: payload.records as u64,
            bytes: payload.len() as u64,
            acks: plan.acks,
            pipeline: plan.pipeline,
            shared,
            connection,
            requests,
            pace,
        })
    }

    /// Produces until the run is stopped and everything sent is answered.
    pub fn run(mut self) {
        let (slots_taken, slots) = mpsc::sync_channel(self.pipeline);
        let (sent, answered) = mpsc::channel();
        let reader = self.connection.split();
        let (records, bytes) = (self.records, self.bytes);
        let shared = Arc::clone(&self.shared);
        let reading = reader.map(|connection| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || read_answers(connection, &shared, &answered, &slots, records, bytes))
        });
        match reading {
            Ok(reading) => {
                if let Err(error) = self.send(&slots_taken, &sent) {
                    shared.fail(error);
                }
                drop(sent);
                reading.join().expect("the reading thread does not panic");
            }
            Err(error) => shared.fail(error),
        }
    }

    fn send(&mut self, slots: &SyncSender<()>, sent: &mpsc::Sender<Sent>) -> Result<(), LoadError> {
        for (round, id) in (0u32..).zip((0..=i32::MAX).cycle()) {
            if self.shared.is_stopped() {
                break;
            }
            let scheduled = self.pace.map(|pace| pace.first + pace.interval * round);
            if let Some(at) = scheduled {
                clock::sleep_until(at);
            }
            // Taken back by the reader with each answer; the channel is closed when it has failed.
            if self.acks != 0 && slots.send(()).is_err() {
                break;
            }
            let due = scheduled.unwrap_or_else(clock::now);
            let nanos = u64::try_from((due - self.shared.start).as_nanos()).unwrap_or(u64::MAX);
            let turn = round as usize % self.requests.len();
            let frame = self.requests[turn].next(id, nanos);
            if self.acks == 0 {
                self.connection.send(frame)?;
                self.shared.produced.add(self.records, self.bytes);
            } else {
                // Told first: the answer may be here before `send` returns. Fails only if the reader has failed.
                let _ = sent.send((id, due));
                self.connection.send(frame)?;
            }
        }
        Ok(())
    }
}

/// Reads answers in the order of the requests until no more are outstanding.
fn read_answers(
    mut connection: Connection,
    shared: &Shared,
    sent: &Receiver<Sent>,
    slots: &Receiver<()>,
    records: u64,
    bytes: u64,
) {
    let mut latencies = counters::histogram();
    while let Ok((id, due)) = sent.recv() {
        if let Err(error) = read_answer(&mut connection, id) {
            shared.fail(error);
            connection.shut();
            break;
        }
        let now = clock::now();
        shared.produced.add(records, bytes);
        if due >= shared.measured_from && !shared.is_stopped() {
            counters::record(&mut latencies, due, now);
        }
        slots.recv().expect("a slot was taken for each request");
    }
    let mut all = shared.acknowledged_us.lock().expect("no holder panics");
    all.add(latencies).expect("the histograms have the same bounds");
}

fn read_answer(connection: &mut Connection, id: i32) -> Result<(), LoadError> {
    let frame = connection.receive()?;
    if connection::correlation_id(&frame) != Some(id) {
        return Err(LoadError::Protocol(format!("the answer is not that of request {id}")));
    }
    let response: ProduceResponse = connection::decode(PRODUCE_VERSION, frame)?;
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.try_for_each(|partition| LoadError::check("Produce", partition.error_code))
}
