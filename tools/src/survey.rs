//! [`Survey`]: a look at the whole cluster, from which status, health and the verbs on brokers are told.
//!
//! Asked of one broker where one knows all, of each where only it knows. A broker that does not answer is part of what is
//! found, not a failure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidemark_protocol::types::BrokerId;

use crate::client::cluster::{Broker, LogDir, Quorum, QuorumMember, Reassignment};
use crate::client::error::ClientError;
use crate::client::metadata::{Partition, Topic};
use crate::client::{Client, To};

/// Entries that a voter may lack and still count as present: it fetches them within a moment.
const VOTER_LAG_MAX: i64 = 1000;

/// What was found.
pub struct Survey {
    /// Identity of the cluster.
    pub cluster_id: String,
    /// Brokers that registered, by id.
    pub brokers: BTreeMap<BrokerId, Broker>,
    /// Brokers that hold replicas or vote and that the cluster does not list: they are down.
    pub missing: BTreeSet<BrokerId>,
    /// The metadata quorum, as its leader knows it; why not, if it is not told.
    pub quorum: Result<Quorum, ClientError>,
    /// Topics by name.
    pub topics: BTreeMap<String, Topic>,
    /// `min.insync.replicas` by topic.
    pub min_isr: BTreeMap<String, usize>,
    /// Data directories by broker, of those that were asked.
    pub dirs: BTreeMap<BrokerId, Result<Vec<LogDir>, ClientError>>,
    /// Reassignments under way.
    pub reassignments: Vec<Reassignment>,
    /// What is asked of brokers beyond Kafka's APIs, from the admin port, where there is one.
    pub asked: BTreeMap<BrokerId, Asked>,
}

/// What the admin port tells of a broker.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// It hands over to stop.
    pub stopping: bool,
    /// It is drained.
    pub drained: bool,
    /// It is to leave the cluster.
    pub leaves: bool,
    /// Replicas it held when it was asked to leave.
    pub replicas_at_start: i64,
    /// Replicas on their way to others.
    pub replicas_moving: i64,
}

impl Survey {
    /// Looks at everything.
    pub async fn take(client: &Client) -> Result<Survey, ClientError> {
        let mut survey = Survey::of_metadata(client).await?;
        for id in survey.serving() {
            survey.dirs.insert(id, client.log_dirs(id).await);
        }
        Ok(survey)
    }

    /// Looks at everything but disks.
    pub async fn of_metadata(client: &Client) -> Result<Survey, ClientError> {
        let cluster = client.describe_cluster().await?;
        let topics = client.metadata(None, false).await?.topics;
        let names: Vec<String> = topics.keys().cloned().collect();
        let quorum = quorum(client).await;
        let replicas = topics.values().flat_map(|topic| topic.partitions.values()).flat_map(|p| &p.replicas);
        let voters = quorum.iter().flat_map(|quorum| &quorum.voters).map(|voter| &voter.id);
        let known = |id: &&BrokerId| !cluster.brokers.contains_key(id);
        let missing = replicas.chain(voters).filter(known).copied().collect();
        Ok(Survey {
            cluster_id: cluster.id,
            brokers: cluster.brokers,
            missing,
            quorum,
            min_isr: client.min_isr(&names).await?,
            topics,
            dirs: BTreeMap::new(),
            reassignments: client.reassignments().await?,
            asked: asked(client).await,
        })
    }

    /// Brokers that serve.
    pub fn serving(&self) -> Vec<BrokerId> {
        self.brokers.values().filter(|broker| !broker.fenced).map(|broker| broker.id).collect()
    }

    /// Whether this broker is registered or at least known of.
    pub fn knows(&self, id: BrokerId) -> bool {
        self.brokers.contains_key(&id) || self.missing.contains(&id)
    }

    /// In a word, what a broker does.
    pub fn state_of(&self, id: BrokerId) -> &'static str {
        let asked = self.asked.get(&id).cloned().unwrap_or_default();
        match self.brokers.get(&id) {
            None => "down",
            Some(broker) if broker.fenced && asked.leaves => "down, leaving",
            Some(broker) if broker.fenced => "down",
            Some(_) if self.is_silent(id) => "silent",
            Some(_) if asked.stopping => "stopping",
            Some(_) if asked.leaves && self.replicas_of(id) == 0 => "empty, to be stopped",
            Some(_) if asked.leaves => "leaving",
            Some(_) if asked.drained => "drained",
            Some(_) => "up",
        }
    }

    /// All partitions with the name and index of each.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, i32, &Partition)> {
        self.topics.iter().flat_map(|(name, topic)| {
            topic.partitions.iter().map(move |(index, partition)| (name.as_str(), *index, partition))
        })
    }

    /// Replicas assigned to a broker.
    pub fn replicas_of(&self, id: BrokerId) -> usize {
        self.partitions().filter(|(_, _, partition)| partition.replicas.contains(&id)).count()
    }

    /// Partitions a broker leads.
    pub fn leaders_of(&self, id: BrokerId) -> usize {
        self.partitions().filter(|(_, _, partition)| partition.leader == id).count()
    }

    /// Partitions that prefer a broker as leader.
    pub fn preferred_of(&self, id: BrokerId) -> usize {
        self.partitions().filter(|(_, _, partition)| partition.replicas.first() == Some(&id)).count()
    }

    /// How many replicas of a partition must be in sync for writes with acks=all.
    pub fn min_isr_of(&self, topic: &str, partition: &Partition) -> usize {
        self.min_isr.get(topic).copied().unwrap_or(1).min(partition.replicas.len()).max(1)
    }

    /// Names of partitions for which this holds.
    pub fn named(&self, holds: impl Fn(&str, &Partition) -> bool) -> Vec<String> {
        let partitions = self.partitions().filter(|(topic, _, partition)| holds(topic, partition));
        partitions.map(|(topic, index, _)| format!("{topic}-{index}")).collect()
    }

    /// Whether a broker that should serve does not answer: it may have died a moment ago. Known only of those that were asked.
    pub fn is_silent(&self, id: BrokerId) -> bool {
        let Some(Err(error)) = self.dirs.get(&id) else { return false };
        matches!(
            error,
            ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::TimedOut { .. }
        )
    }

    /// Whether a voter takes part in decisions: its broker serves, and its log is near the end where that is told.
    pub fn votes_now(&self, quorum: &Quorum, voter: &QuorumMember) -> bool {
        let serves = self.brokers.get(&voter.id).map(|broker| !broker.fenced);
        let is_near =
            voter.log_end_offset < 0 || quorum.high_watermark - voter.log_end_offset <= VOTER_LAG_MAX;
        // A controller that is no broker is not listed: it counts by its log alone.
        match serves {
            Some(serves) => serves && is_near && !self.is_silent(voter.id),
            None => voter.log_end_offset >= 0 && is_near && voter.last_fetch_ms > 0,
        }
    }
}

/// As its leader knows it, since only that one knows how far the others are.
async fn quorum(client: &Client) -> Result<Quorum, ClientError> {
    let quorum = client.describe_quorum(To::Any).await?;
    if client.brokers().contains_key(&quorum.leader)
        && let Ok(known) = client.describe_quorum(To::Broker(quorum.leader)).await
    {
        return Ok(known);
    }
    Ok(quorum)
}

/// Kafka has no admin port, and one that cannot be reached must not hide the rest.
async fn asked(client: &Client) -> BTreeMap<BrokerId, Asked> {
    let Ok(answer) = client.admin("GET", "/api/v1/brokers").await else { return BTreeMap::new() };
    answer["brokers"].as_array().into_iter().flatten().filter_map(asked_of).collect()
}

/// One broker of the admin port's answer.
pub fn asked_of(value: &Value) -> Option<(BrokerId, Asked)> {
    let id = BrokerId::try_from(value["id"].as_i64()?).ok()?;
    let drain = &value["drain"];
    let asked = Asked {
        stopping: value["stopping"].as_bool().unwrap_or(false),
        drained: drain.is_object(),
        leaves: drain["leaves"].as_bool().unwrap_or(false),
        replicas_at_start: drain["replicas_at_start"].as_i64().unwrap_or(0),
        replicas_moving: drain["replicas_moving"].as_i64().unwrap_or(0),
    };
    Some((id, asked))
}

/// `a-0, a-1, a-2 and 7 more`.
pub fn some_of(names: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown = names.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
