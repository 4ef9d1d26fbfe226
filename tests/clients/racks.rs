//! Three brokers in three racks: a consumer reads from the replica beside it (KIP-392).

use std::sync::Arc;

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tidemark_storage::disk::{Disk, OsDisk};
use tidemark_tests::client::Client;
use tidemark_tests::cluster::Cluster;
use tidemark_tests::librdkafka::{PATIENCE, numbers, produce_numbers, receive};

const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const OFFSET_OUT_OF_RANGE: i16 = 1;

async fn cluster_in_racks() -> Cluster {
    let disk = || -> Arc<dyn Disk> { Arc::new(OsDisk) };
    let by_rack = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let settings = [("node.rack", "rack-{id}"), ("kafka.replica.selector.class", by_rack)];
    Cluster::start_on(vec![disk(), disk(), disk()], &settings).await
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// What a fetch of partition 0 by a consumer in a rack is answered.
fn fetch(client: &mut Client, version: i16, rack: &str, offset: i64) -> kafka::fetch_response::PartitionData {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic =
        FetchTopic::default().with_topic(kafka::TopicName(text("t"))).with_partitions(vec![partition]);
    let request = kafka::FetchRequest::default()
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_rack_id(text(rack))
        .with_topics(vec![topic]);
    let answer: kafka::FetchResponse = client.call(ApiKey::Fetch, version, &request).unwrap();
    answer.responses[0].partitions[0].clone()
}

fn list_offsets(client: &mut Client) -> i16 {
    let partition = ListOffsetsPartition::default().with_timestamp(-1);
    let topic =
        ListOffsetsTopic::default().with_name(kafka::TopicName(text("t"))).with_partitions(vec![partition]);
    let request = kafka::ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer: kafka::ListOffsetsResponse = client.call(ApiKey::ListOffsets, 5, &request).unwrap();
    answer.topics[0].partitions[0].error_code
}

fn leader_of(client: &mut Client) -> i32 {
    let request = kafka::MetadataRequest::default().with_topics(None);
    let answer: kafka::MetadataResponse = client.call(ApiKey::Metadata, 4, &request).unwrap();
    answer.topics.iter().find(|topic| topic.name.as_ref().unwrap().as_str() == "t").unwrap().partitions[0]
        .leader_id
        .0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_names_the_replica_in_the_consumers_rack_and_that_one_serves() {
    let cluster = cluster_in_racks().await;
    cluster.create_topic("t", 1).await;
    cluster.all_in_sync(Some("t")).await;
    let producer = cluster.producer();
    produce_numbers(&producer, "t", 0..50, 1).await;
    tokio::task::block_in_place(|| {
        let mut clients: Vec<Client> =
            (1..=3).map(|id| Client::connect(cluster.address(id)).unwrap()).collect();
        let leader = leader_of(&mut clients[0]);
        let follower = leader % 3 + 1;
        let (at_leader, at_follower) = (leader as usize - 1, follower as usize - 1);
        let near = format!("rack-{follower}");

        let sent_away = fetch(&mut clients[at_leader], 11, &near, 0);
        assert_eq!((sent_away.error_code, sent_away.preferred_read_replica.0), (0, follower));
        assert!(sent_away.records.is_none_or(|records| records.is_empty()));
        for rack in [format!("rack-{leader}"), "elsewhere".to_owned(), String::new()] {
            let served = fetch(&mut clients[at_leader], 11, &rack, 0);
            assert_eq!((served.error_code, served.preferred_read_replica.0), (0, -1), "rack {rack:?}");
            assert!(served.records.is_some_and(|records| !records.is_empty()));
        }

        let served = fetch(&mut clients[at_follower], 11, &near, 0);
        assert_eq!((served.error_code, served.preferred_read_replica.0), (0, -1));
        assert!(served.records.is_some_and(|records| !records.is_empty()));
        let at_end = fetch(&mut clients[at_follower], 11, &near, 50);
        assert_eq!(at_end.error_code, 0);
        assert_eq!(fetch(&mut clients[at_follower], 11, &near, 51).error_code, OFFSET_OUT_OF_RANGE);
        let beyond = fetch(&mut clients[at_leader], 11, &near, 51);
        assert_eq!((beyond.error_code, beyond.preferred_read_replica.0), (OFFSET_OUT_OF_RANGE, -1));

        let old = fetch(&mut clients[at_follower], 10, "", 0);
        assert_eq!(old.error_code, NOT_LEADER_OR_FOLLOWER, "before version 11 only leaders serve");
        assert_eq!(list_offsets(&mut clients[at_follower]), NOT_LEADER_OR_FOLLOWER);
        assert_eq!(list_offsets(&mut clients[at_leader]), 0);
    });
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_consumer_reads_everything_from_its_own_rack_also_while_that_goes() {
    let mut cluster = cluster_in_racks().await;
    cluster.create_topic("t", 3).await;
    cluster.all_in_sync(Some("t")).await;
    let producer = cluster.producer();
    produce_numbers(&producer, "t", 0..300, 3).await;
    let options = [
        ("group.id", "near"),
        ("client.rack", "rack-2"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
    ];
    let consumer: StreamConsumer = cluster.client(&options).create().unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let mut read = numbers(&receive(&consumer, 300).await.unwrap());
    cluster.stop_node(2).await;
    produce_numbers(&producer, "t", 300..600, 3).await;
    while read.len() < 600 {
        match tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("records come") {
            Ok(record) => read.extend(numbers(&[record.detach()])),
            // That its broker is gone is told as news; the consumer goes on by itself.
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    read.sort_unstable();
    assert_eq!(read, (0..600).collect::<Vec<_>>());
    drop(consumer);
    cluster.stop().await;
}
