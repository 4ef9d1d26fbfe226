//! A client that changes metadata while data flows: topics come, grow and go, configs change, replicas move.
//!
//! It remembers what was acknowledged, so that the run can ask in the end whether it is there (C22).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use tokio::time::{Instant, sleep_until};

use super::Ground;
use crate::chaos::history::{Kind, Op};
use crate::chaos::wire;
use crate::rng::Rng;

/// Between two changes, milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 300..1_500;
/// How long a change may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Topics at a time.
const TOPICS_MAX: usize = 12;
/// The most partitions of such a topic.
const PARTITIONS_MAX: usize = 8;
/// The config that changes.
const CONFIG: &str = "max.message.bytes";

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there with at least so many partitions.
    Exists(usize),
    /// It is not there.
    Gone,
    /// A change was not answered, and may have taken place.
    Unknown,
}

/// What is known of the topics this client made, by their names.
pub type Fates = BTreeMap<String, Fate>;

/// Changes one thing after another.
pub(super) async fn churn(ground: Arc<Ground>) {
    let mut rng = ground.rng();
    let mut number = 0;
    while !ground.is_stopped() {
        let until = Instant::now() + Ground::life(&mut rng);
        let admin: AdminClient<DefaultClientContext> = ground.client().create().expect("good settings");
        let one = One { process: ground.recorder.process(), ground: Arc::clone(&ground), admin };
        while Instant::now() < until && !ground.is_stopped() {
            let next = Instant::now() + Duration::from_millis(rng.between(PAUSE_MS.start, PAUSE_MS.end));
            one.change(&mut rng, &mut number).await;
            let mut stop = ground.stop.subscribe();
            tokio::select! {
                // Whoever tells outlives its clients.
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep_until(next) => {}
            }
        }
        // It ends whatever happens in it.
        let _ = tokio::task::spawn_blocking(move || drop(one)).await;
    }
}

struct One {
    ground: Arc<Ground>,
    process: u32,
    admin: AdminClient<DefaultClientContext>,
}

impl One {
    async fn change(&self, rng: &mut Rng, number: &mut u64) {
        let there = self.there();
        match rng.below(10) {
            0..=2 if there.len() < TOPICS_MAX => {
                *number += 1;
                self.create(&format!("churn-{}-{number}", self.process), rng.between(1, 4) as usize).await;
            }
            3 if !there.is_empty() => self.delete(&rng.pick(&there).0).await,
            4 | 5 if !there.is_empty() => {
                let (name, partitions) = rng.pick(&there);
                if *partitions < PARTITIONS_MAX {
                    self.grow(name, partitions + 1).await;
                }
            }
            6 => self.configure(&rng.pick(&self.ground.topics).name, rng.between(1 << 20, 2 << 20)).await,
            _ => self.reassign(rng).await,
        }
    }

    /// Topics that are there for certain, with their partitions.
    fn there(&self) -> Vec<(String, usize)> {
        let fates = self.ground.fates.lock().unwrap_or_else(PoisonError::into_inner);
        let there = |(name, fate): (&String, &Fate)| match fate {
            Fate::Exists(partitions) => Some((name.clone(), *partitions)),
            Fate::Gone | Fate::Unknown => None,
        };
        fates.iter().filter_map(there).collect()
    }

    fn set(&self, name: &str, fate: Fate) {
        let mut fates = self.ground.fates.lock().unwrap_or_else(PoisonError::into_inner);
        fates.insert(name.to_owned(), fate);
    }

    async fn create(&self, name: &str, partitions: usize) {
        self.set(name, Fate::Unknown);
        let count = i32::try_from(partitions).expect("a small number");
        let topic = NewTopic::new(name, count, TopicReplication::Fixed(3));
        let done = self
            .answered(format!("create {name} {partitions}"), self.admin.create_topics([&topic], &options()));
        if done.await {
            self.set(name, Fate::Exists(partitions));
        }
    }

    async fn delete(&self, name: &str) {
        self.set(name, Fate::Unknown);
        let names = [name];
        if self.answered(format!("delete {name}"), self.admin.delete_topics(&names, &options())).await {
            self.set(name, Fate::Gone);
        }
    }

    async fn grow(&self, name: &str, partitions: usize) {
        let grown = NewPartitions::new(name, partitions);
        let done = self.answered(
            format!("grow {name} {partitions}"),
            self.admin.create_partitions([&grown], &options()),
        );
        if done.await {
            self.set(name, Fate::Exists(partitions));
        }
    }

    async fn configure(&self, name: &str, bytes: u64) {
        let value = bytes.to_string();
        let all: Vec<(&str, &str)> = vec![
            (CONFIG, &value),
            // This call replaces all configs of the topic.
            ("segment.bytes", "1048576"),
            ("retention.ms", "-1"),
            ("message.timestamp.after.max.ms", "9223372036854775807"),
            ("min.insync.replicas", "2"),
        ];
        let config =
            all.into_iter().fold(AlterConfig::new(ResourceSpecifier::Topic(name)), |config, (key, value)| {
                config.set(key, value)
            });
        let what = format!("{name} {CONFIG}={bytes}");
        let id = self.begin(&what);
        let answer = self.admin.alter_configs([&config], &options()).await;
        let wrong = match answer {
            Ok(results) => {
                results.into_iter().find_map(|result| result.err().map(|(_, code)| code.to_string()))
            }
            Err(error) => Some(error.to_string()),
        };
        self.end(id, what, wrong);
    }

    /// Asks for replicas in another order, or for two of three.
    async fn reassign(&self, rng: &mut Rng) {
        let topic = rng.pick(&self.ground.topics);
        let partition = i32::try_from(rng.below(topic.partitions as u64)).expect("a small number");
        let mut replicas: Vec<i32> = (1..=3).collect();
        for last in (1..replicas.len()).rev() {
            replicas.swap(last, rng.below(last as u64 + 1) as usize);
        }
        if rng.percent(30) {
            replicas.pop();
        }
        let what = format!("reassign {}/{partition} to {replicas:?}", topic.name);
        let id = self.begin(&what);
        let address = self.ground.any_address(rng);
        let name = topic.name.clone();
        let asked = tokio::task::spawn_blocking(move || wire::reassign(address, &name, partition, &replicas));
        let wrong = asked.await.expect("a question does not panic").err().map(|error| error.to_string());
        self.end(id, what, wrong);
    }

    fn begin(&self, what: &str) -> u64 {
        self.ground.recorder.begin(self.process, Op::Admin { what: what.to_owned() })
    }

    fn end(&self, id: u64, what: String, wrong: Option<String>) {
        let kind = if wrong.is_none() { Kind::Ok } else { Kind::Info };
        self.ground.recorder.end(self.process, id, kind, Op::Admin { what }, wrong);
    }

    /// Waits for an answer for one topic; whether it says yes.
    async fn answered(
        &self,
        what: String,
        answer: impl Future<Output = Result<Vec<TopicResult>, KafkaError>>,
    ) -> bool {
        let id = self.begin(&what);
        let wrong = match answer.await {
            Ok(mut results) => match results.pop() {
                Some(Ok(_)) => None,
                Some(Err((_, code))) => Some(code.to_string()),
                None => Some("no answer for it".to_owned()),
            },
            Err(error) => Some(error.to_string()),
        };
        let is_done = wrong.is_none();
        self.end(id, what, wrong);
        is_done
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_MAX)).operation_timeout(Some(ANSWER_MAX))
}

/// What of this a view of the cluster belies.
pub fn belied(fates: &Fates, view: &wire::View) -> Vec<String> {
    let count = |name: &str| {
        view.keys().filter(|key| key.rsplit_once('/').is_some_and(|(topic, _)| topic == name)).count()
    };
    let wrong = fates.iter().filter_map(|(name, fate)| match (fate, count(name)) {
        (Fate::Exists(partitions), seen) if seen < *partitions => {
            Some(format!("{name} has {seen} partitions; {partitions} were acknowledged"))
        }
        (Fate::Gone, seen) if seen > 0 => Some(format!("{name} is there; its end was acknowledged")),
        _ => None,
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_and_is_not_so_is_seen() {
        let placed = wire::Placed { leader: 1, leader_epoch: 0, replicas: vec![1], isr: vec![1] };
        let view: wire::View = ["a/0", "a/1", "b/0"].map(|key| (key.to_owned(), placed.clone())).into();
        let belied = |name: &str, fate| belied(&Fates::from([(name.to_owned(), fate)]), &view).len();
        assert_eq!(belied("a", Fate::Exists(2)), 0);
        assert_eq!(belied("a", Fate::Exists(3)), 1);
        assert_eq!(belied("b", Fate::Gone), 1);
        assert_eq!(belied("b", Fate::Unknown), 0);
        assert_eq!(belied("c", Fate::Gone), 0);
    }
}
