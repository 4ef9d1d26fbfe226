//! Producers: each writes ever larger values into all partitions of a topic, with acks=all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer, PurgeConfig};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::{Ground, Topic};
use crate::chaos::history::{Key, Kind, Op};

/// Records of a partition that wait for their answer; more are not made.
const WAITING_MAX: usize = 200;
/// How long the last answers are waited for at the end.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(30);

/// One producer after another, until all is stopped.
pub(super) async fn live(ground: Arc<Ground>, topic: Topic, rate: u64) {
    let mut rng = ground.rng();
    let mut stop = ground.stop.subscribe();
    while !ground.is_stopped() {
        let until = Instant::now() + Ground::life(&mut rng);
        let mut one = One::new(&ground, &topic);
        let tick = Duration::from_millis(1000 * topic.partitions as u64 / rate.max(1));
        let mut ticks = interval(tick.max(Duration::from_millis(5)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let in_order = loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break true,
                () = sleep_until(until) => break false,
                _ = ticks.tick() => one.send_everywhere(),
            }
        };
        one.end(in_order).await;
    }
}

/// A producer from its start to its end.
struct One {
    ground: Arc<Ground>,
    topic: Topic,
    process: u32,
    producer: FutureProducer,
    next: u64,
    waiting: Vec<(Key, Arc<AtomicUsize>)>,
    answers: JoinSet<()>,
}

impl One {
    fn new(ground: &Arc<Ground>, topic: &Topic) -> One {
        let mut config = ground.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", topic.idempotent.to_string())
            .set("max.in.flight.requests.per.connection", if topic.idempotent { "5" } else { "1" })
            .set("request.timeout.ms", "3000")
            // An idempotent producer that gives a record up begins a new epoch and sends what is under way again under new
            // sequences, which no broker can tell from new records; so it never gives up.
            .set("message.timeout.ms", if topic.idempotent { "0" } else { "20000" })
            .set("linger.ms", "5");
        let producer = config.create().expect("the settings of a producer are good");
        let key = |partition| (format!("{}/{partition}", topic.name), Arc::default());
        One {
            ground: Arc::clone(ground),
            topic: topic.clone(),
            process: ground.recorder.process(),
            producer,
            next: 0,
            waiting: (0..topic.partitions).map(key).collect(),
            answers: JoinSet::new(),
        }
    }

    fn send_everywhere(&mut self) {
        self.next += 1;
        let value = u64::from(self.process) << 32 | self.next;
        let payload = value.to_string();
        for partition in 0..self.topic.partitions {
            let (key, waiting) = &self.waiting[partition as usize];
            if waiting.load(Ordering::Relaxed) >= WAITING_MAX {
                continue;
            }
            let op = Op::Send { key: key.clone(), value, offset: None, idempotent: self.topic.idempotent };
            let begun = self.ground.recorder.now();
            let id = self.ground.recorder.begin(self.process, op.clone());
            let record = FutureRecord::<(), _>::to(&self.topic.name).partition(partition).payload(&payload);
            match self.producer.send_result(record) {
                Ok(delivery) => {
                    waiting.fetch_add(1, Ordering::Relaxed);
                    let (ground, process) = (Arc::clone(&self.ground), self.process);
                    let answer = Answer { ground, process, id, op, begun, waiting: Arc::clone(waiting) };
                    self.answers.spawn(answer.receive(delivery));
                }
                Err((error, _)) => {
                    self.ground.recorder.end(self.process, id, Kind::Fail, op, Some(error.to_string()));
                }
            }
        }
        while self.answers.join_next().now_or_never().flatten().is_some() {}
    }

    /// Ends: in order, with all answers; or in the middle, with none that is still to come.
    async fn end(mut self, in_order: bool) {
        if in_order {
            let all = async { while self.answers.join_next().await.is_some() {} };
            // What is left then has an end nobody knows.
            let _ = timeout(LAST_ANSWERS_MAX, all).await;
        }
        let producer = self.producer;
        let ended = tokio::task::spawn_blocking(move || {
            producer.purge(PurgeConfig::default().queue().inflight());
            drop(producer);
        });
        // The answers of what was purged come while it ends.
        let _ = tokio::join!(ended, async { while self.answers.join_next().await.is_some() {} });
    }
}

/// An answer that is waited for.
struct Answer {
    ground: Arc<Ground>,
    process: u32,
    id: u64,
    op: Op,
    begun: Duration,
    waiting: Arc<AtomicUsize>,
}

impl Answer {
    async fn receive(self, delivery: DeliveryFuture) {
        let (kind, why, at) = match delivery.await {
            Ok(Ok(delivery)) => (Kind::Ok, None, Some(delivery.offset).filter(|offset| *offset >= 0)),
            Ok(Err((error, _))) => (Kind::Info, Some(error.to_string()), None),
            Err(_) => (Kind::Info, Some("the producer ended".to_owned()), None),
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Op::Send { key, value, idempotent, .. } = self.op else { return };
        if kind == Kind::Ok {
            self.ground.serve(&key, self.begun);
        }
        let op = Op::Send { key, value, offset: at, idempotent };
        self.ground.recorder.end(self.process, self.id, kind, op, why);
    }
}
