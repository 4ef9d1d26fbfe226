//! Metadata: key 3, versions 0–13.
//!
//! Versions differ most in how "all topics" is said: an empty list in version 0, null from version 1 on, where an empty
//! list means none. Topic ids are returned from version 10 on and may be asked for from version 12 on. A topic that is
//! asked for by name and missing is created when the client allows it and `auto.create.topics.enable` is set; the
//! answer then already carries it.

use std::sync::Arc;

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use tidemark_core::metadata::{ClusterImage, PartitionImage, TopicImage};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicId;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, operations, topics};

/// First version in which a topic may be asked for by id alone.
const TOPIC_IDS_FROM: i16 = 12;
/// First version that says whether topics may be created; before it they always may.
const AUTO_CREATE_FLAG_FROM: i16 = 4;

/// Answers with the brokers and the topics asked for.
pub async fn handle(ctx: Arc<Ctx>, context: RequestContext, request: MetadataRequest) -> MetadataResponse {
    let asked = match &request.topics {
        Some(topics) if !(topics.is_empty() && context.version == 0) => Some(topics.as_slice()),
        _ => None,
    };
    if let Some(asked) = asked {
        let by_id = asked.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil());
        if by_id && context.version < TOPIC_IDS_FROM {
            return refused(&ctx, &context, &request);
        }
        let may_create = context.version < AUTO_CREATE_FLAG_FROM || request.allow_auto_topic_creation;
        if may_create && ctx.settings().auto_create_topics {
            let names = asked.iter().filter_map(|topic| topic.name.as_ref());
            create_missing(&ctx, &context, names).await;
        }
    }
    let image = ctx.image();
    let operations = operations::if_asked(request.include_topic_authorized_operations, operations::TOPIC);
    let topics = match asked {
        None => image.topics_by_name().map(|topic| describe(&image, topic, operations)).collect(),
        Some(asked) => asked
            .iter()
            .map(|topic| match &topic.name {
                Some(name) => by_name(&image, name, operations),
                None => by_id(&image, TopicId(topic.topic_id), operations),
            })
            .collect(),
    };
    let cluster_operations =
        request.include_cluster_authorized_operations && (8..=10).contains(&context.version);
    cluster_part(&ctx, &image, &context)
        .with_topics(topics)
        .with_cluster_authorized_operations(operations::if_asked(cluster_operations, operations::CLUSTER))
}

async fn create_missing(ctx: &Arc<Ctx>, context: &RequestContext, names: impl Iterator<Item = &TopicName>) {
    let image = ctx.image();
    let missing: Vec<String> =
        names.filter(|name| image.topic(name).is_none()).map(|name| name.to_string()).collect();
    if !missing.is_empty() {
        topics::auto_create(ctx, missing, context.charge.as_deref()).await;
    }
}

fn cluster_part(ctx: &Ctx, image: &ClusterImage, context: &RequestContext) -> MetadataResponse {
    let brokers = image.brokers.values().filter(|broker| !broker.fenced);
    MetadataResponse::default()
        .with_brokers(
            brokers
                .filter_map(|broker| Some((broker, broker.endpoint(&context.listener.name)?)))
                .map(|(broker, endpoint)| {
                    MetadataResponseBroker::default()
                        .with_node_id(broker.id.into())
                        .with_host(text(&endpoint.host))
                        .with_port(endpoint.port.into())
                        .with_rack(broker.rack.as_deref().map(text))
                })
                .collect(),
        )
        .with_cluster_id(Some(text(&image.cluster_id)))
        .with_controller_id(ctx.node_id.into())
}

fn by_name(image: &ClusterImage, name: &TopicName, operations: i32) -> MetadataResponseTopic {
    match image.topic(name) {
        Some(topic) => describe(image, topic, operations),
        None => {
            let code = match tidemark_core::metadata::topic_name::check(name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            MetadataResponseTopic::default()
                .with_name(Some(name.clone()))
                .with_error_code(code.code())
                .with_topic_authorized_operations(operations::NOT_ASKED)
        }
    }
}

fn by_id(image: &ClusterImage, id: TopicId, operations: i32) -> MetadataResponseTopic {
    match image.topic_by_id(id) {
        Some(topic) => describe(image, topic, operations),
        None => MetadataResponseTopic::default()
            .with_topic_id(id.0)
            .with_error_code(ErrorCode::UnknownTopicId.code())
            .with_topic_authorized_operations(operations::NOT_ASKED),
    }
}

fn describe(image: &ClusterImage, topic: &TopicImage, operations: i32) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id.0)
        .with_is_internal(topics::is_internal(&topic.name))
        .with_partitions((0..).zip(&topic.partitions).map(|(index, p)| partition(image, index, p)).collect())
        .with_topic_authorized_operations(operations)
}

fn partition(image: &ClusterImage, index: i32, partition: &PartitionImage) -> MetadataResponsePartition {
    let code = if partition.leader < 0 { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
    MetadataResponsePartition::default()
        .with_error_code(code.code())
        .with_partition_index(index)
        .with_leader_id(partition.leader.into())
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(partition.replicas.iter().map(|id| (*id).into()).collect())
        .with_isr_nodes(partition.isr.iter().map(|id| (*id).into()).collect())
        .with_offline_replicas(topics::offline(image, &partition.replicas).map(Into::into).collect())
}

/// Ids in a version that cannot name topics by id: E42 for each topic asked.
fn refused(ctx: &Ctx, context: &RequestContext, request: &MetadataRequest) -> MetadataResponse {
    let topics = request.topics.iter().flatten().map(|topic| {
        MetadataResponseTopic::default()
            .with_name(Some(topic.name.clone().unwrap_or_default()))
            .with_topic_id(topic.topic_id)
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_topic_authorized_operations(operations::NOT_ASKED)
    });
    cluster_part(ctx, &ctx.image(), context)
        .with_topics(topics.collect())
        .with_cluster_authorized_operations(operations::NOT_ASKED)
}
