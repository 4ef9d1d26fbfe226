//! Requests about leaders, replicas' places, the quorum, features and configurable
//! resources, and quotas.
//!
//! On one node none of them changes anything: elections are not needed, targets are the replicas there are, quotas are
//! only validated.

use kafka_protocol::messages::add_raft_voter_request::Listener;
use kafka_protocol::messages::alter_client_quotas_request as alter_quotas;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AddRaftVoterRequest, AlterClientQuotasRequest, AlterPartitionReassignmentsRequest,
    AlterReplicaLogDirsRequest, DescribeClientQuotasRequest, DescribeQuorumRequest, ElectLeadersRequest,
    ListConfigResourcesRequest, ListPartitionReassignmentsRequest, RemoveRaftVoterRequest,
    UnregisterBrokerRequest, UpdateFeaturesRequest,
};

use super::{Requests, TOPIC, text, topic_name};

pub(super) fn alter_replica_log_dirs(requests: &mut Requests) {
    let topic = AlterReplicaLogDirTopic::default().with_name(topic_name(TOPIC)).with_partitions(vec![0, 1]);
    let dir = AlterReplicaLogDir::default().with_path(text("/nowhere")).with_topics(vec![topic]);
    requests.add(&AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]));
    requests.add(&AlterReplicaLogDirsRequest::default());
}

pub(super) fn elect_leaders(requests: &mut Requests) {
    let topic = TopicPartitions::default().with_topic(topic_name(TOPIC)).with_partitions(vec![0, 1]);
    let request = ElectLeadersRequest::default().with_timeout_ms(100);
    requests.add(&request.clone().with_topic_partitions(Some(vec![topic])));
    requests.add(&request.with_topic_partitions(None));
}

pub(super) fn alter_partition_reassignments(requests: &mut Requests) {
    let partition = |index, replicas: Option<Vec<i32>>| {
        let replicas = replicas.map(|ids| ids.into_iter().map(Into::into).collect());
        ReassignablePartition::default().with_partition_index(index).with_replicas(replicas)
    };
    let topic = ReassignableTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition(0, Some(vec![1])), partition(1, None)]);
    requests
        .add(&AlterPartitionReassignmentsRequest::default().with_timeout_ms(100).with_topics(vec![topic]));
}

pub(super) fn list_partition_reassignments(requests: &mut Requests) {
    let topic = ListPartitionReassignmentsTopics::default()
        .with_name(topic_name(TOPIC))
        .with_partition_indexes(vec![0, 1]);
    requests.add(&ListPartitionReassignmentsRequest::default().with_topics(Some(vec![topic])));
    requests.add(&ListPartitionReassignmentsRequest::default().with_topics(None));
}

pub(super) fn describe_quorum(requests: &mut Requests) {
    let topic = TopicData::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![PartitionData::default()]);
    requests.add(&DescribeQuorumRequest::default().with_topics(vec![topic]));
}

pub(super) fn update_features(requests: &mut Requests) {
    let feature =
        FeatureUpdateKey::default().with_feature(text("metadata.version")).with_max_version_level(30);
    requests.add(&UpdateFeaturesRequest::default().with_feature_updates(vec![feature]));
}

pub(super) fn unregister_broker(requests: &mut Requests) {
    requests.add(&UnregisterBrokerRequest::default().with_broker_id(77.into()));
}

pub(super) fn add_raft_voter(requests: &mut Requests) {
    let listener = Listener::default().with_name(text("PLAINTEXT")).with_host(text("h")).with_port(9092);
    let request = AddRaftVoterRequest::default().with_cluster_id(None).with_voter_id(77).with_timeout_ms(100);
    requests.add(&request.clone().with_cluster_id(Some(text("another cluster"))));
    requests.add(&request.with_listeners(vec![listener]));
}

pub(super) fn remove_raft_voter(requests: &mut Requests) {
    let request = RemoveRaftVoterRequest::default().with_cluster_id(None).with_voter_id(77);
    requests.add(&request.clone().with_cluster_id(Some(text("another cluster"))));
    requests.add(&request);
}

pub(super) fn list_config_resources(requests: &mut Requests) {
    let request = ListConfigResourcesRequest::default();
    if requests.since(1) {
        requests.add(&request.clone().with_resource_types(vec![2, 16]));
    }
    requests.add(&request);
}

pub(super) fn describe_client_quotas(requests: &mut Requests) {
    let component = |kind, match_type, name: Option<&str>| {
        ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(match_type)
            .with_match(name.map(text))
    };
    let components = vec![component("user", 0, Some("nobody")), component("client-id", 1, None)];
    requests.add(&DescribeClientQuotasRequest::default().with_components(components).with_strict(true));
    requests.add(&DescribeClientQuotasRequest::default().with_components(vec![component("ip", 2, None)]));
}

pub(super) fn alter_client_quotas(requests: &mut Requests) {
    let entity = |kind, name: Option<&str>| {
        alter_quotas::EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
    };
    let op = |key, value, remove| {
        alter_quotas::OpData::default().with_key(text(key)).with_value(value).with_remove(remove)
    };
    let entry = alter_quotas::EntryData::default()
        .with_entity(vec![entity("user", Some("nobody")), entity("client-id", None)])
        .with_ops(vec![op("producer_byte_rate", 1e9, false), op("request_percentage", 0.0, true)]);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    requests.add(&request.with_validate_only(true));
}
