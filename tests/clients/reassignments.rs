//! Replicas on the move between three brokers, asked for and watched at any of them.

use std::time::Duration;

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_partition_reassignments_response::OngoingPartitionReassignment;
use kafka_protocol::protocol::StrBytes;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::producer::FutureRecord;
use tidemark_tests::client::Client;
use tidemark_tests::cluster::Cluster;
use tidemark_tests::librdkafka::{PATIENCE, produce_numbers};
use tokio::task::block_in_place;
use tokio::time::Instant;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn topic_name() -> kafka::TopicName {
    kafka::TopicName(text("t"))
}

/// Moves partition 0 of `t`, or brings it back: top-level code and the partition's.
fn reassign(cluster: &Cluster, node: i32, version: i16, target: Option<&[i32]>) -> (i16, i16) {
    let replicas = target.map(|ids| ids.iter().map(|id| kafka::BrokerId(*id)).collect());
    let topic = ReassignableTopic::default()
        .with_name(topic_name())
        .with_partitions(vec![ReassignablePartition::default().with_replicas(replicas)]);
    let request = kafka::AlterPartitionReassignmentsRequest::default()
        .with_timeout_ms(10_000)
        .with_allow_replication_factor_change(false)
        .with_topics(vec![topic]);
    let mut client = Client::connect(cluster.address(node)).unwrap();
    let request = if version == 0 { request.with_allow_replication_factor_change(true) } else { request };
    let answer: kafka::AlterPartitionReassignmentsResponse =
        client.call(ApiKey::AlterPartitionReassignments, version, &request).unwrap();
    (answer.error_code, answer.responses[0].partitions[0].error_code)
}

/// What moves of `t`, as a node tells.
fn moving(cluster: &Cluster, node: i32) -> Option<OngoingPartitionReassignment> {
    let mut client = Client::connect(cluster.address(node)).unwrap();
    let request = kafka::ListPartitionReassignmentsRequest::default().with_topics(None);
    let answer: kafka::ListPartitionReassignmentsResponse =
        client.call(ApiKey::ListPartitionReassignments, 0, &request).unwrap();
    let topic = answer.topics.into_iter().find(|topic| topic.name == topic_name())?;
    topic.partitions.into_iter().next()
}

/// Leader, replicas and ISR of partition 0 of `t`.
fn partition(cluster: &Cluster, node: i32) -> (i32, Vec<i32>, Vec<i32>) {
    let mut client = Client::connect(cluster.address(node)).unwrap();
    let request = kafka::MetadataRequest::default().with_topics(None);
    let answer: kafka::MetadataResponse = client.call(ApiKey::Metadata, 4, &request).unwrap();
    let topic = answer.topics.iter().find(|topic| topic.name.as_ref() == Some(&topic_name())).unwrap();
    let ids = |ids: &[kafka::BrokerId]| ids.iter().map(|id| id.0).collect();
    let found = &topic.partitions[0];
    (found.leader_id.0, ids(&found.replica_nodes), ids(&found.isr_nodes))
}

fn set_config(cluster: &Cluster, kind: i8, name: &str, configs: &[(&str, &str)]) {
    let configs = configs
        .iter()
        .map(|(key, value)| AlterableConfig::default().with_name(text(key)).with_value(Some(text(value))));
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    let request = kafka::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let mut client = Client::connect(cluster.address(1)).unwrap();
    let answer: kafka::IncrementalAlterConfigsResponse =
        client.call(ApiKey::IncrementalAlterConfigs, 1, &request).unwrap();
    assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0].error_message);
}

/// Throttles both sides of every partition of `t` to so many bytes a second.
fn throttle(cluster: &Cluster, rate: &str) {
    let (leader, follower) = ("leader.replication.throttled", "follower.replication.throttled");
    let both = |what: &str| [format!("{leader}.{what}"), format!("{follower}.{what}")];
    let [of_leader, of_follower] = both("rate");
    set_config(cluster, BROKER, "", &[(&of_leader, rate), (&of_follower, rate)]);
    let [of_leader, of_follower] = both("replicas");
    set_config(cluster, TOPIC, "t", &[(&of_leader, "*"), (&of_follower, "*")]);
}

/// A topic of one partition on node 1, with so many records of 64 KiB.
async fn with_records(cluster: &Cluster, count: usize) {
    cluster.create(NewTopic::new("t", 1, TopicReplication::Variable(&[&[1]]))).await;
    let (producer, value) = (cluster.producer(), vec![7; 64 << 10]);
    for _ in 0..count {
        let record = FutureRecord::<(), _>::to("t").partition(0).payload(&value);
        producer.send(record, PATIENCE).await.expect("acknowledged");
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !block_in_place(&holds) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reassignment_takes_the_time_that_its_throttle_gives_it() {
    const BYTES_PER_SECOND: usize = 2 << 20;
    const RECORDS: usize = 128;
    let cluster = Cluster::start().await;
    with_records(&cluster, RECORDS).await;
    block_in_place(|| throttle(&cluster, &BYTES_PER_SECOND.to_string()));
    let begun = Instant::now();
    block_in_place(|| assert_eq!(reassign(&cluster, 3, 1, Some(&[2])), (0, 0)));
    until("the partition has moved", || partition(&cluster, 3) == (2, vec![2], vec![2])).await;
    // A second's worth passes at once, and the last answer may be larger than what is left.
    let throttled = RECORDS * (64 << 10) - BYTES_PER_SECOND - (1 << 20);
    let least = Duration::from_secs_f64(throttled as f64 / BYTES_PER_SECOND as f64);
    assert!(begun.elapsed() >= least, "{:?} is less than {least:?}", begun.elapsed());
    until("nothing moves", || (1..=3).all(|node| moving(&cluster, node).is_none())).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reassignment_is_seen_by_all_and_taken_back_by_any() {
    const INVALID_REPLICATION_FACTOR: i16 = 38;
    const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
    const NO_REASSIGNMENT_IN_PROGRESS: i16 = 85;
    let cluster = Cluster::start().await;
    with_records(&cluster, 64).await;
    block_in_place(|| {
        // So slow that it is under way for as long as this looks.
        throttle(&cluster, "1000");
        assert_eq!(reassign(&cluster, 1, 1, Some(&[2, 3])), (0, INVALID_REPLICATION_FACTOR));
        assert_eq!(reassign(&cluster, 2, 1, Some(&[9])), (0, INVALID_REPLICA_ASSIGNMENT));
        assert_eq!(reassign(&cluster, 3, 1, None), (0, NO_REASSIGNMENT_IN_PROGRESS));
        assert_eq!(reassign(&cluster, 2, 0, Some(&[2, 3])), (0, 0), "version 0 may change the number");
    });
    until("all see what moves", || {
        (1..=3).all(|node| {
            moving(&cluster, node).is_some_and(|moving| {
                let ids = |ids: &[kafka::BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
                (ids(&moving.replicas), ids(&moving.adding_replicas), ids(&moving.removing_replicas))
                    == (vec![2, 3, 1], vec![2, 3], vec![1])
            })
        })
    })
    .await;
    produce_numbers(&cluster.producer(), "t", 0..10, 1).await;
    block_in_place(|| {
        assert_eq!(partition(&cluster, 1).0, 1, "it is served meanwhile");
        assert_eq!(reassign(&cluster, 3, 1, None), (0, 0));
    });
    until("it is as before", || {
        (1..=3).all(|node| {
            partition(&cluster, node) == (1, vec![1], vec![1]) && moving(&cluster, node).is_none()
        })
    })
    .await;
    cluster.stop().await;
}

/// Elects a leader of partition 0 of `t`: its code.
fn elect(cluster: &Cluster, node: i32, version: i16, unclean: bool) -> i16 {
    let topic = TopicPartitions::default().with_topic(topic_name()).with_partitions(vec![0]);
    let request = kafka::ElectLeadersRequest::default()
        .with_election_type(i8::from(unclean))
        .with_topic_partitions(Some(vec![topic]))
        .with_timeout_ms(10_000);
    let mut client = Client::connect(cluster.address(node)).unwrap();
    let answer: kafka::ElectLeadersResponse = client.call(ApiKey::ElectLeaders, version, &request).unwrap();
    assert_eq!(answer.error_code, 0);
    answer.replica_election_results[0].partition_result[0].error_code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_elected_at_any_node_preferred_ones_and_at_last_any() {
    const ELECTION_NOT_NEEDED: i16 = 84;
    const PREFERRED_LEADER_NOT_AVAILABLE: i16 = 80;
    let mut cluster = Cluster::start().await;
    cluster.create(NewTopic::new("t", 1, TopicReplication::Variable(&[&[1, 2]]))).await;
    let producer = cluster.producer();
    produce_numbers(&producer, "t", 0..10, 1).await;
    block_in_place(|| assert_eq!(elect(&cluster, 3, 0, false), ELECTION_NOT_NEEDED));
    cluster.stop_node(1).await;
    block_in_place(|| {
        assert_eq!(partition(&cluster, 3), (2, vec![1, 2], vec![2]));
        assert_eq!(elect(&cluster, 3, 2, false), PREFERRED_LEADER_NOT_AVAILABLE);
        assert_eq!(elect(&cluster, 3, 1, true), ELECTION_NOT_NEEDED);
    });
    cluster.start_node(1).await;
    until("both are in sync", || partition(&cluster, 3).2.len() == 2).await;
    block_in_place(|| assert_eq!(elect(&cluster, 3, 1, false), 0));
    until("the preferred one leads", || (1..=3).all(|node| partition(&cluster, node).0 == 1)).await;
    cluster.stop().await;
}
