//! Sessions as a consumer lives through them (KIP-227).

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};
use kafka_protocol::protocol::StrBytes;

use super::*;

const V12: i16 = 12;

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall_ms: 0 }
}

fn topic(partitions: &[(i32, i64)]) -> FetchTopic {
    FetchTopic::default().with_topic(TopicName(StrBytes::from_static_str("t"))).with_partitions(
        partitions
            .iter()
            .map(|(index, offset)| {
                FetchPartition::default().with_partition(*index).with_fetch_offset(*offset)
            })
            .collect(),
    )
}

fn request(id: i32, epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
    let topics = if partitions.is_empty() { Vec::new() } else { vec![topic(partitions)] };
    FetchRequest::default().with_session_id(id).with_session_epoch(epoch).with_topics(topics)
}

fn told(high_watermark: i64, has_news: bool) -> Told {
    Told { high_watermark, log_start: 0, has_news }
}

fn offsets(fetching: &Fetching) -> Vec<(i32, i64)> {
    fetching.targets.iter().map(|t| (t.partition, t.fetch_offset)).collect()
}

#[test]
fn an_incremental_request_names_only_what_changed() {
    let sessions = FetchSessions::new(10, 7);
    let first = sessions.begin(&request(0, 0, &[(0, 5), (1, 6)]), V12, at(0)).unwrap();
    assert_eq!(first.session_id(), 7);
    assert_eq!(first.tell(&[told(5, false), told(6, false)]), [true, true]);
    let second = sessions.begin(&request(7, 1, &[(1, 9)]), V12, at(1)).unwrap();
    assert_eq!(offsets(&second), [(0, 5), (1, 9)]);
    assert_eq!(second.tell(&[told(5, false), told(9, false)]), [false, true]);
}

#[test]
fn an_answer_without_partitions_ends_a_session_just_opened_and_no_other() {
    let sessions = FetchSessions::new(10, 7);
    let opened = sessions.begin(&request(0, 0, &[(0, 5)]), V12, at(0)).unwrap();
    assert_eq!((sessions.give_up(&opened), sessions.len()), (0, 0));
    let opened = sessions.begin(&request(0, 0, &[(0, 5)]), V12, at(1)).unwrap();
    let id = opened.session_id();
    opened.tell(&[told(5, false)]);
    let going_on = sessions.begin(&request(id, 1, &[]), V12, at(2)).unwrap();
    assert_eq!((sessions.give_up(&going_on), sessions.len()), (id, 1));
    let next = sessions.begin(&request(id, 2, &[]), V12, at(3)).unwrap();
    assert_eq!(offsets(&next), [(0, 5)]);
}

#[test]
fn served_partitions_move_to_the_end() {
    let sessions = FetchSessions::new(10, 1);
    let first = sessions.begin(&request(0, 0, &[(0, 0), (1, 0)]), V12, at(0)).unwrap();
    first.tell(&[told(3, true), told(0, false)]);
    let second = sessions.begin(&request(1, 1, &[]), V12, at(1)).unwrap();
    assert_eq!(offsets(&second), [(1, 0), (0, 0)]);
}

#[test]
fn forgotten_partitions_are_read_no_more() {
    let sessions = FetchSessions::new(10, 1);
    sessions.begin(&request(0, 0, &[(0, 0), (1, 0)]), V12, at(0)).unwrap();
    let forgotten = ForgottenTopic::default()
        .with_topic(TopicName(StrBytes::from_static_str("t")))
        .with_partitions(vec![0]);
    let next = request(1, 1, &[]).with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(offsets(&sessions.begin(&next, V12, at(1)).unwrap()), [(1, 0)]);
}

#[test]
fn wrong_epochs_ids_and_namings_have_their_own_errors() {
    let sessions = FetchSessions::new(10, 1);
    sessions.begin(&request(0, 0, &[(0, 0)]), V12, at(0)).unwrap();
    let refused =
        |request: &FetchRequest, version| sessions.begin(request, version, at(1)).map(|_| ()).unwrap_err();
    assert_eq!(refused(&request(1, 2, &[]), V12), ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(refused(&request(9, 1, &[]), V12), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(refused(&request(1, 1, &[]), 13), ErrorCode::FetchSessionTopicIdError);
}

#[test]
fn a_final_epoch_closes_the_session() {
    let sessions = FetchSessions::new(10, 1);
    sessions.begin(&request(0, 0, &[(0, 0)]), V12, at(0)).unwrap();
    let last = sessions.begin(&request(1, -1, &[(0, 0)]), V12, at(1)).unwrap();
    assert_eq!(last.session_id(), 0);
    assert!(sessions.is_empty());
}

#[test]
fn a_full_cache_keeps_young_sessions_unless_the_new_one_is_larger() {
    let sessions = FetchSessions::new(1, 1);
    sessions.begin(&request(0, 0, &[(0, 0)]), V12, at(0)).unwrap();
    let small = sessions.begin(&request(0, 0, &[(0, 0)]), V12, at(1)).unwrap();
    assert_eq!(small.session_id(), 0, "an equal one finds no room");
    let larger = sessions.begin(&request(0, 0, &[(0, 0), (1, 0)]), V12, at(2)).unwrap();
    assert_ne!(larger.session_id(), 0, "a larger one does");
    let later = sessions.begin(&request(0, 0, &[(0, 0)]), V12, at(200)).unwrap();
    assert_ne!(later.session_id(), 0, "and an old one gives way to any");
}
