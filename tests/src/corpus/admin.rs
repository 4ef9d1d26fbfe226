//! Requests that describe and change the cluster; the changing ones only validate.

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::alter_configs_request as alter;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use uuid::Uuid;

use super::{PARTITIONS, Requests, TOPIC, text, topic_name};

/// Kafka's numbers of config resources.
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
/// A topic that never exists.
const NOBODY: &str = "nobody";

pub fn api_versions(requests: &mut Requests) {
    let mut request = kafka::ApiVersionsRequest::default();
    if requests.since(3) {
        request.client_software_name = text("mutate");
        request.client_software_version = text("1.0");
    }
    requests.add(&request);
}

pub fn metadata(requests: &mut Requests) {
    let topic = |name| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let mut request = kafka::MetadataRequest::default().with_topics(Some(vec![topic(TOPIC), topic(NOBODY)]));
    // Before version 4 there is no such field and topics are created; the broker under test is told not to.
    request.allow_auto_topic_creation = !requests.since(4);
    requests.add(&request);
    if requests.since(8) {
        request.include_topic_authorized_operations = true;
    }
    request.topics = if requests.since(1) { None } else { Some(Vec::new()) };
    requests.add(&request);
    if requests.since(12) {
        let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(requests.topic_id);
        request.topics = Some(vec![by_id]);
        requests.add(&request);
    }
}

pub fn create_topics(requests: &mut Requests) {
    let config =
        |name, value| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let plain = CreatableTopic::default()
        .with_name(topic_name("created"))
        .with_num_partitions(3)
        .with_replication_factor(1)
        .with_configs(vec![config("retention.ms", "1000"), config("cleanup.policy", "compact,delete")]);
    let assignment = |index| {
        CreatableReplicaAssignment::default().with_partition_index(index).with_broker_ids(vec![1.into()])
    };
    let assigned = CreatableTopic::default()
        .with_name(topic_name("assigned"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment(0), assignment(1)]);
    let exists = plain.clone().with_name(topic_name(TOPIC)).with_configs(Vec::new());
    let base = kafka::CreateTopicsRequest::default().with_timeout_ms(100).with_validate_only(true);
    requests.add(&base.clone().with_topics(vec![plain.clone(), assigned]));
    requests.add(&base.clone().with_topics(vec![exists, plain.clone(), plain]));
}

pub fn delete_topics(requests: &mut Requests) {
    let mut request = kafka::DeleteTopicsRequest::default().with_timeout_ms(100);
    if requests.since(6) {
        let by_name = DeleteTopicState::default().with_name(Some(topic_name(NOBODY)));
        let by_id = DeleteTopicState::default().with_name(None).with_topic_id(Uuid::from_u128(9));
        request.topics = vec![by_name, by_id];
    } else {
        request.topic_names = vec![topic_name(NOBODY), topic_name("nobody-else")];
    }
    requests.add(&request);
}

pub fn create_partitions(requests: &mut Requests) {
    let topic = CreatePartitionsTopic::default().with_name(topic_name(TOPIC)).with_count(PARTITIONS + 1);
    let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![1.into()]);
    let assigned = topic.clone().with_assignments(Some(vec![assignment]));
    let base = kafka::CreatePartitionsRequest::default().with_timeout_ms(100).with_validate_only(true);
    for topic in [topic.with_assignments(None), assigned] {
        requests.add(&base.clone().with_topics(vec![topic]));
    }
}

pub fn describe_configs(requests: &mut Requests) {
    let resource = |kind, name| {
        DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name))
    };
    let some = resource(TOPIC_RESOURCE, TOPIC)
        .with_configuration_keys(Some(vec![text("retention.ms"), text("no.such")]));
    for resource in
        [some, resource(TOPIC_RESOURCE, TOPIC), resource(BROKER_RESOURCE, "1"), resource(BROKER_RESOURCE, "")]
    {
        let mut request = kafka::DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_synonyms(true);
        if requests.since(3) {
            request.include_documentation = true;
        }
        requests.add(&request);
    }
}

pub fn alter_configs(requests: &mut Requests) {
    let config =
        |name, value| alter::AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    for (kind, name) in [(TOPIC_RESOURCE, TOPIC), (BROKER_RESOURCE, "1")] {
        let resource = alter::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(vec![config("retention.ms", "86400000"), config("max.message.bytes", "1000012")]);
        requests.add(
            &kafka::AlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(true),
        );
    }
}

pub fn incremental_alter_configs(requests: &mut Requests) {
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    const APPEND: i8 = 2;
    const SUBTRACT: i8 = 3;
    let config = |name, operation, value| {
        incremental::AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(operation)
            .with_value(Some(text(value)))
    };
    let topic = vec![
        config("retention.ms", SET, "86400000"),
        config("segment.ms", DELETE, ""),
        config("cleanup.policy", APPEND, "compact"),
    ];
    let again = vec![config("cleanup.policy", SUBTRACT, "delete"), config("retention.ms", SET, "x")];
    let broker = vec![config("log.retention.ms", SET, "86400000")];
    for (kind, name, configs) in
        [(TOPIC_RESOURCE, TOPIC, topic), (TOPIC_RESOURCE, TOPIC, again), (BROKER_RESOURCE, "", broker)]
    {
        let resource = incremental::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(configs);
        requests.add(
            &kafka::IncrementalAlterConfigsRequest::default()
                .with_resources(vec![resource])
                .with_validate_only(true),
        );
    }
}

pub fn describe_cluster(requests: &mut Requests) {
    let mut request =
        kafka::DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    if requests.since(2) {
        request.include_fenced_brokers = true;
    }
    requests.add(&request);
}

pub fn describe_topic_partitions(requests: &mut Requests) {
    let topics = [TOPIC, NOBODY].map(|name| TopicRequest::default().with_name(topic_name(name)));
    let request = kafka::DescribeTopicPartitionsRequest::default()
        .with_topics(topics.to_vec())
        .with_response_partition_limit(10);
    requests.add(&request);
    let cursor = Cursor::default().with_topic_name(topic_name(TOPIC)).with_partition_index(1);
    requests.add(&request.with_cursor(Some(cursor)));
}

pub fn describe_acls(requests: &mut Requests) {
    let request = kafka::DescribeAclsRequest::default()
        .with_resource_type_filter(TOPIC_RESOURCE)
        .with_resource_name_filter(Some(text(TOPIC)))
        .with_pattern_type_filter(3)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    requests.add(&request);
}

pub fn create_acls(requests: &mut Requests) {
    let creation = AclCreation::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(TOPIC))
        .with_resource_pattern_type(3)
        .with_principal(text("User:a"))
        .with_host(text("*"))
        .with_operation(3)
        .with_permission_type(3);
    requests.add(&kafka::CreateAclsRequest::default().with_creations(vec![creation.clone(), creation]));
}

pub fn delete_acls(requests: &mut Requests) {
    let filter = DeleteAclsFilter::default()
        .with_resource_type_filter(TOPIC_RESOURCE)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(3)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    requests.add(&kafka::DeleteAclsRequest::default().with_filters(vec![filter.clone(), filter]));
}
