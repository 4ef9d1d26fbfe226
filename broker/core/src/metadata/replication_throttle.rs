//! [`ReplicationThrottle`]: how fast replicas that are not in sync may be filled (KIP-73), without a clock.
//!
//! A broker has one for what it sends as a leader and one for what it fetches as a follower. The rate is the broker's, the
//! replicas are listed topic by topic. Replicas in sync are never held up, and unlike in Kafka do not use up the rate: a
//! reassignment goes on however much is produced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicId, TopicIdPartition};

use super::config_def::list_parts;
use super::image::{ClusterImage, ConfigResource};
use crate::quota::{QuotaWindow, TokenBucket};

/// A rate of zero lets nothing through; whoever is held looks again so often.
const ZERO_RATE_REST: Duration = Duration::from_secs(1);

/// Which side of a fetch is throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottledSide {
    /// `leader.replication.throttled.*`: what is sent.
    Leader,
    /// `follower.replication.throttled.*`: what is fetched.
    Follower,
}

impl ThrottledSide {
    fn replicas_key(self) -> &'static str {
        match self {
            ThrottledSide::Leader => "leader.replication.throttled.replicas",
            ThrottledSide::Follower => "follower.replication.throttled.replicas",
        }
    }
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Throttled {
    All,
    Listed(BTreeSet<PartitionIndex>),
}

/// One side's throttle.
#[derive(Clone, Debug)]
pub struct ReplicationThrottle {
    /// Bytes a second.
    rate: i64,
    topics: BTreeMap<TopicId, Throttled>,
    bucket: TokenBucket,
}

impl Default for ReplicationThrottle {
    /// Nothing is throttled.
    fn default() -> Self {
        let a_second = QuotaWindow::new(1, 1);
        ReplicationThrottle { rate: i64::MAX, topics: BTreeMap::new(), bucket: TokenBucket::new(a_second) }
    }
}

impl ReplicationThrottle {
    /// Takes over what the configuration of topics says of broker `me`, and its rate in bytes a second.
    pub fn configure(&mut self, image: &ClusterImage, me: BrokerId, side: ThrottledSide, rate: i64) {
        let key = side.replicas_key();
        let of_topic = |(resource, overrides): (&ConfigResource, &super::image::ConfigMap)| {
            let ConfigResource::Topic(name) = resource else { return None };
            let throttled = listed(overrides.get(key)?, me)?;
            Some((image.topic(name)?.id, throttled))
        };
        self.topics = image.configs.iter().filter_map(of_topic).collect();
        self.rate = rate;
    }

    /// Whether nothing is throttled.
    pub fn is_idle(&self) -> bool {
        self.topics.is_empty() || self.rate == i64::MAX
    }

    /// How long a replica of this partition that is not in sync has to wait for more; zero if it need not.
    pub fn rest(&self, id: TopicIdPartition, now: Duration) -> Duration {
        match self.rate {
            _ if !self.covers(id) => Duration::ZERO,
            ..=0 => ZERO_RATE_REST,
            rate => self.bucket.rest(rate as f64, now),
        }
    }

    /// So many bytes of records went to a replica of this partition that is not in sync.
    pub fn spend(&mut self, id: TopicIdPartition, bytes: usize, now: Duration) {
        if self.covers(id) && self.rate > 0 {
            self.bucket.spend(bytes as f64, self.rate as f64, now);
        }
    }

    fn covers(&self, id: TopicIdPartition) -> bool {
        match self.topics.get(&id.topic_id) {
            None => false,
            Some(_) if self.rate == i64::MAX => false,
            Some(Throttled::All) => true,
            Some(Throttled::Listed(partitions)) => partitions.contains(&id.partition),
        }
    }
}

/// The partitions that a list of `partition:broker` throttles on this broker.
fn listed(value: &str, me: BrokerId) -> Option<Throttled> {
    if value.trim() == "*" {
        return Some(Throttled::All);
    }
    let of_me = |part: &str| {
        let (partition, broker) = part.split_once(':')?;
        (broker.trim().parse() == Ok(me)).then(|| partition.trim().parse().ok())?
    };
    let partitions: BTreeSet<PartitionIndex> = list_parts(value).into_iter().filter_map(of_me).collect();
    (!partitions.is_empty()).then_some(Throttled::Listed(partitions))
}

#[cfg(test)]
mod tests;
