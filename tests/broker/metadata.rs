//! Topics that come by being asked for: when they are created, and what the one who asked is told.

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use tidemark_tests::client::Client;

use crate::harness::{TestBroker, text};

const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC_EXCEPTION: i16 = 17;

fn ask(client: &mut Client, topic: &str, may_create: bool) -> MetadataResponseTopic {
    let wanted = MetadataRequestTopic::default().with_name(Some(kafka::TopicName(text(topic))));
    let request = kafka::MetadataRequest::default()
        .with_topics(Some(vec![wanted]))
        .with_allow_auto_topic_creation(may_create);
    let mut answer: kafka::MetadataResponse = client.call(ApiKey::Metadata, 12, &request).unwrap();
    answer.topics.remove(0)
}

#[test]
fn a_topic_created_by_being_asked_for_is_in_that_answer() {
    let broker = TestBroker::start(&["kafka.auto.create.topics.enable=true", "kafka.num.partitions=3"]);
    let mut client = broker.client();
    for _ in 0..2 {
        assert_eq!(ask(&mut client, "t", false).error_code, UNKNOWN_TOPIC_OR_PARTITION);
    }
    let created = ask(&mut client, "t", true);
    assert_eq!((created.error_code, created.partitions.len()), (NONE, 3));
    let again = ask(&mut client, "t", false);
    assert_eq!((again.topic_id, again.partitions), (created.topic_id, created.partitions));
    assert_eq!(ask(&mut client, "no spaces!", true).error_code, INVALID_TOPIC_EXCEPTION);
}

#[test]
fn no_topic_is_created_where_the_broker_does_not_allow_it() {
    let broker = TestBroker::start(&["kafka.auto.create.topics.enable=false"]);
    let mut client = broker.client();
    for _ in 0..2 {
        assert_eq!(ask(&mut client, "t", true).error_code, UNKNOWN_TOPIC_OR_PARTITION);
    }
}
