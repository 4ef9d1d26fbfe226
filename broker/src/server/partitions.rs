//! The partition that a request names: whether this node holds it, whether it leads, and who does otherwise.

use std::sync::Arc;

use tidemark_core::metadata::{ClusterImage, PartitionImage};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::fetch_response::NodeEndpoint;
use tidemark_protocol::types::{
    BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicIdPartition, TopicPartition,
};

use super::fetch_session::TopicRef;
use super::{Ctx, RequestContext, error};
use crate::partition::{PartitionHandle, PartitionView};

/// The replica of this node. Others hold what exists and is not here: whoever asks has to look again for its leader.
pub fn held(ctx: &Ctx, topic: &str, index: PartitionIndex) -> Result<PartitionHandle, ErrorCode> {
    ctx.replicas.partition(topic, index).ok_or_else(|| {
        elsewhere(
            ctx.image().partition(&TopicPartition::new(topic, index)),
            ErrorCode::UnknownTopicOrPartition,
        )
    })
}

/// As [`held`], by the identity of the topic.
pub fn held_by_id(ctx: &Ctx, topic_id: TopicId, index: PartitionIndex) -> Result<PartitionHandle, ErrorCode> {
    let id = TopicIdPartition { topic_id, partition: index };
    ctx.replicas.partition_by_id(id).ok_or_else(|| {
        let image = ctx.image();
        match image.topic_by_id(topic_id) {
            Some(topic) => elsewhere(topic.partition(index), ErrorCode::UnknownTopicOrPartition),
            None => ErrorCode::UnknownTopicId,
        }
    })
}

fn elsewhere(partition: Option<&PartitionImage>, unknown: ErrorCode) -> ErrorCode {
    if partition.is_some() { ErrorCode::NotLeaderOrFollower } else { unknown }
}

/// The newest view of a partition that this node leads. The epoch comes first: who has a newer one knows better than this
/// node that another leads. A node that was cut off for so long that another may lead is no leader.
pub async fn led(
    ctx: &Ctx,
    handle: &PartitionHandle,
    asked_epoch: LeaderEpoch,
) -> Result<Arc<PartitionView>, ErrorCode> {
    let view = handle.ready_view().await.map_err(|e| error::of_partition(&e))?;
    match check_epoch(asked_epoch, view.leader_epoch) {
        Some(code) => Err(code),
        None if !view.is_leader || !ctx.holds_lease() => Err(ErrorCode::NotLeaderOrFollower),
        None => Ok(view),
    }
}

/// E74 for a client that is behind, E75 for one that is ahead (KIP-320).
pub fn check_epoch(asked: LeaderEpoch, current: LeaderEpoch) -> Option<ErrorCode> {
    match asked {
        asked if asked < 0 => None,
        asked if asked < current => Some(ErrorCode::FencedLeaderEpoch),
        asked if asked > current => Some(ErrorCode::UnknownLeaderEpoch),
        _ => None,
    }
}

/// Who leads the partitions that must be asked for elsewhere, and where that is: gathered for one answer (KIP-951).
pub struct Leaders<'a> {
    ctx: &'a Ctx,
    listener: &'a str,
    image: Option<Arc<ClusterImage>>,
    endpoints: Vec<NodeEndpoint>,
}

impl<'a> Leaders<'a> {
    /// Of nothing yet, for an answer to this request.
    pub fn new(ctx: &'a Ctx, context: &'a RequestContext) -> Leaders<'a> {
        Leaders { ctx, listener: &context.listener.name, image: None, endpoints: Vec::new() }
    }

    /// Whether an error says that somebody else leads.
    pub fn has_moved(error: ErrorCode) -> bool {
        matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
    }

    /// The leader of a partition and its epoch, if the partition exists. Its address is among the endpoints then.
    pub fn of(&mut self, topic: &TopicRef, index: PartitionIndex) -> Option<(BrokerId, LeaderEpoch)> {
        let image = self.image.get_or_insert_with(|| self.ctx.image());
        let topic = match topic {
            TopicRef::Name(name) => image.topic(name),
            TopicRef::Id(id) => image.topic_by_id(*id),
        };
        let partition = topic?.partition(index)?;
        if !self.endpoints.iter().any(|known| known.node_id == partition.leader) {
            self.endpoints.extend(endpoint(image, partition.leader, self.listener));
        }
        Some((partition.leader, partition.leader_epoch))
    }

    /// Where they are reached.
    pub fn endpoints(&self) -> &[NodeEndpoint] {
        &self.endpoints
    }
}

/// Where a broker that serves clients is reached on a listener (KIP-951).
pub fn endpoint(image: &ClusterImage, broker: BrokerId, listener: &str) -> Option<NodeEndpoint> {
    let registration = image.brokers.get(&broker).filter(|broker| !broker.fenced)?;
    let endpoint = registration.endpoint(listener)?;
    Some(NodeEndpoint {
        node_id: broker,
        host: endpoint.host.clone(),
        port: endpoint.port.into(),
        rack: registration.rack.clone(),
    })
}
