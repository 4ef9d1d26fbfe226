//! What the run asks brokers directly, past all proxies: how they see the cluster.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, BrokerId,
    MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::client::Client;

/// A partition as a broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// -1 without one.
    pub leader: i32,
    /// Epoch of the leader.
    pub leader_epoch: i32,
    /// In the order of preference.
    pub replicas: Vec<i32>,
    /// Those in sync, sorted.
    pub isr: Vec<i32>,
}

/// All partitions as one broker sees them, by `topic/index`.
pub type View = BTreeMap<String, Placed>;

/// Asks a broker for all topics.
///
/// # Errors
/// Those of the connection, and topics that are answered with an error.
pub fn view(address: SocketAddr) -> io::Result<View> {
    let mut client = Client::connect(address)?;
    let request = MetadataRequest::default().with_topics(None);
    let answer: MetadataResponse = client.call(ApiKey::Metadata, 9, &request)?;
    let mut view = View::new();
    for topic in answer.topics {
        let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
        for partition in topic.partitions {
            let ids = |ids: Vec<BrokerId>| ids.into_iter().map(|id| id.0).collect::<Vec<_>>();
            let mut isr = ids(partition.isr_nodes);
            isr.sort_unstable();
            let placed = Placed {
                leader: partition.leader_id.0,
                leader_epoch: partition.leader_epoch,
                replicas: ids(partition.replica_nodes),
                isr,
            };
            view.insert(format!("{name}/{}", partition.partition_index), placed);
        }
    }
    Ok(view)
}

/// How long a broker may take to begin a reassignment.
const REASSIGN_MS: i32 = 10_000;

/// Asks for other replicas of a partition.
///
/// # Errors
/// Those of the connection, and a refusal.
pub fn reassign(address: SocketAddr, topic: &str, partition: i32, replicas: &[i32]) -> io::Result<()> {
    let mut client = Client::connect(address)?;
    let wanted = ReassignablePartition::default()
        .with_partition_index(partition)
        .with_replicas(Some(replicas.iter().map(|id| BrokerId(*id)).collect()));
    let topic = ReassignableTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(vec![wanted]);
    let request =
        AlterPartitionReassignmentsRequest::default().with_timeout_ms(REASSIGN_MS).with_topics(vec![topic]);
    let answer: AlterPartitionReassignmentsResponse =
        client.call(ApiKey::AlterPartitionReassignments, 0, &request)?;
    let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
    match (answer.error_code, partition.map(|partition| partition.error_code)) {
        (0, Some(0)) => Ok(()),
        codes => Err(io::Error::other(format!("refused with {codes:?}"))),
    }
}

/// What of a view is not whole: partitions without a leader, or with replicas that are not in sync.
pub fn broken(view: &View) -> Vec<String> {
    let wrong =
        view.iter().filter(|(_, placed)| placed.leader < 0 || placed.isr.len() < placed.replicas.len());
    wrong.map(|(key, placed)| format!("{key}: leader {} in sync {:?}", placed.leader, placed.isr)).collect()
}
