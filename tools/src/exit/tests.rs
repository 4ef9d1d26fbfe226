use std::time::Duration;

use super::*;

fn kafka(code: ErrorCode) -> ClientError {
    ClientError::Kafka { code, message: String::new() }
}

#[test]
fn every_kind_of_failure_has_the_code_scripts_know() {
    let address = || "localhost:9092".to_owned();
    let cases = [
        (ClientError::Unreachable { address: address(), why: String::new() }, 5),
        (ClientError::TimedOut { address: address(), after: Duration::from_secs(1) }, 7),
        (kafka(ErrorCode::UnknownTopicOrPartition), 3),
        (kafka(ErrorCode::TopicAlreadyExists), 6),
        (kafka(ErrorCode::NonEmptyGroup), 6),
        (kafka(ErrorCode::TopicAuthorizationFailed), 4),
        (kafka(ErrorCode::KafkaStorageError), 1),
    ];
    for (error, code) in cases {
        assert_eq!(exit_of(&error) as u8, code, "{error}");
    }
}

#[test]
fn an_unreachable_broker_comes_with_advice() {
    let error =
        ClientError::Unreachable { address: "nowhere:1".to_owned(), why: "connection refused".to_owned() };
    let failure = Failure::from(error);
    assert!(failure.message.contains("nowhere:1"));
    assert!(failure.hint.is_some_and(|hint| hint.contains("tidemark dev")));
}
