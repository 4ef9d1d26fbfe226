//! The quorum as tools see it: any node tells how far each voter is.

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::PartitionData as Described;
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::Consumer;
use tidemark_tests::client::Client;
use tidemark_tests::cluster::Cluster;
use tidemark_tests::librdkafka::PATIENCE;

/// The quorum as one node describes it.
fn describe(cluster: &Cluster, node: i32) -> Described {
    let topic = TopicData::default()
        .with_topic_name(kafka::TopicName(StrBytes::from_static_str("__cluster_metadata")))
        .with_partitions(vec![PartitionData::default()]);
    let request = kafka::DescribeQuorumRequest::default().with_topics(vec![topic]);
    let mut client = Client::connect(cluster.address(node)).unwrap();
    let answer: kafka::DescribeQuorumResponse = client.call(ApiKey::DescribeQuorum, 2, &request).unwrap();
    answer.topics[0].partitions[0].clone()
}

fn is_whole(quorum: &Described) -> bool {
    quorum.current_voters.len() == 3
        && quorum.current_voters.iter().all(|voter| {
            voter.log_end_offset == quorum.high_watermark
                && voter.last_fetch_timestamp > 0
                && voter.last_caught_up_timestamp > 0
                && !voter.replica_directory_id.is_nil()
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_how_far_the_voters_are_and_who_is_silent() {
    let mut cluster = Cluster::start().await;
    cluster.create_topic("t", 1).await;
    let whole = async {
        while !tokio::task::block_in_place(|| (1..=3).all(|node| is_whole(&describe(&cluster, node)))) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("all three have everything");
    let leader = tokio::task::block_in_place(|| describe(&cluster, 1)).leader_id.0;
    let (silent, asked) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let before = tokio::task::block_in_place(|| describe(&cluster, asked));
    cluster.stop_node(silent).await;
    cluster.create(rdkafka::admin::NewTopic::new("u", 1, rdkafka::admin::TopicReplication::Fixed(1))).await;
    let after = tokio::task::block_in_place(|| describe(&cluster, asked));
    let voter = |quorum: &Described, id: i32| {
        quorum.current_voters.iter().find(|voter| voter.replica_id.0 == id).unwrap().clone()
    };
    assert!(after.high_watermark > before.high_watermark);
    assert!(voter(&after, silent).log_end_offset < after.high_watermark);
    assert!(voter(&after, silent).last_caught_up_timestamp < voter(&after, leader).last_caught_up_timestamp);
    assert_eq!(voter(&after, leader).log_end_offset, after.high_watermark);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_only_a_broker_serves_and_does_not_vote() {
    let mut cluster = Cluster::start().await;
    cluster.add_broker().await;
    cluster.create(rdkafka::admin::NewTopic::new("t", 4, rdkafka::admin::TopicReplication::Fixed(1))).await;
    let metadata = cluster.consumer("looks").fetch_metadata(Some("t"), PATIENCE).expect("an answer");
    let leads = |partition: &rdkafka::metadata::MetadataPartition| partition.leader() == 4;
    let own = metadata.topics()[0].partitions().iter().find(|partition| leads(partition));
    let own = own.expect("each of four nodes got one of four partitions").id();
    let record = rdkafka::producer::FutureRecord::<(), _>::to("t").partition(own).payload("7");
    cluster.producer().send(record, PATIENCE).await.expect("it takes records");
    assert_eq!(cluster.read("t", own, 1).await, [7]);
    let quorum = tokio::task::block_in_place(|| describe(&cluster, 4));
    assert_eq!(quorum.current_voters.len(), 3);
    assert_eq!(quorum.observers.iter().map(|seen| seen.replica_id.0).collect::<Vec<_>>(), [4]);
    cluster.stop().await;
}

fn set_voter(cluster: &Cluster, node: i32, id: i32, directory: uuid::Uuid, votes: bool) -> (i16, String) {
    let mut client = Client::connect(cluster.address(node)).unwrap();
    let (code, message) = if votes {
        let request = kafka::AddRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_voter_id(id)
            .with_voter_directory_id(directory);
        let answer: kafka::AddRaftVoterResponse = client.call(ApiKey::AddRaftVoter, 0, &request).unwrap();
        (answer.error_code, answer.error_message)
    } else {
        let request = kafka::RemoveRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_voter_id(id)
            .with_voter_directory_id(directory);
        let answer: kafka::RemoveRaftVoterResponse =
            client.call(ApiKey::RemoveRaftVoter, 0, &request).unwrap();
        (answer.error_code, answer.error_message)
    };
    (code, message.map_or_else(String::new, |message| message.to_string()))
}

fn unregister(cluster: &Cluster, node: i32, id: i32) -> i16 {
    let mut client = Client::connect(cluster.address(node)).unwrap();
    let request = kafka::UnregisterBrokerRequest::default().with_broker_id(id.into());
    let answer: kafka::UnregisterBrokerResponse = client.call(ApiKey::UnregisterBroker, 0, &request).unwrap();
    answer.error_code
}

fn voters(cluster: &Cluster, node: i32) -> Vec<i32> {
    let mut ids: Vec<i32> =
        describe(cluster, node).current_voters.iter().map(|voter| voter.replica_id.0).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_node_is_unregistered_and_another_votes_in_its_place() {
    const INVALID_REQUEST: i16 = 42;
    const DUPLICATE_VOTER: i16 = 126;
    let mut cluster = Cluster::start().await;
    cluster.create_topic("t", 1).await;
    cluster.add_node().await;
    let directory = |id: i32| {
        let quorum = tokio::task::block_in_place(|| describe(&cluster, 1));
        let all = quorum.current_voters.iter().chain(&quorum.observers);
        all.map(|member| (member.replica_id.0, member.replica_directory_id))
            .find(|(of, _)| *of == id)
            .unwrap()
            .1
    };
    let (third, fourth) = (directory(3), directory(4));
    tokio::task::block_in_place(|| {
        assert_eq!(voters(&cluster, 1), [1, 2, 3]);
        assert_eq!(unregister(&cluster, 2, 3), INVALID_REQUEST, "it is alive");
        assert_eq!(set_voter(&cluster, 1, 3, third, true).0, DUPLICATE_VOTER);
    });
    cluster.stop_node(3).await;
    tokio::task::block_in_place(|| {
        assert_eq!(set_voter(&cluster, 2, 3, third, false), (0, String::new()));
        assert_eq!(voters(&cluster, 1), [1, 2, 4]);
        assert_eq!(unregister(&cluster, 1, 3), 0);
    });
    cluster.create_topic("u", 1).await;
    cluster.stop_node(1).await;
    tokio::task::block_in_place(|| {
        let (code, why) = set_voter(&cluster, 2, 4, fourth, false);
        assert_eq!(code, INVALID_REQUEST);
        assert!(why.contains("would lose the majority"), "{why}");
    });
    cluster.create(rdkafka::admin::NewTopic::new("v", 1, rdkafka::admin::TopicReplication::Fixed(2))).await;
    cluster.stop().await;
}
