//! Series per topic are bounded and add up.

use prometheus::TextEncoder;

use super::*;

#[test]
fn topics_beyond_the_bound_are_summed_up() {
    let numbers = TopicNumbers { in_bytes: 10, out_bytes: 20, size_bytes: 30, partitions: 2 };
    let topics = (0..TOPIC_SERIES_MAX + 5).map(|i| (Arc::from(format!("topic-{i:05}")), numbers)).collect();
    let mut families = Families::default();
    topic_families(topics, &mut families);
    let text = TextEncoder::new().encode_to_string(&families.into_list()).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("tidemark_topic_in_bytes_total")).count();
    assert_eq!(lines, TOPIC_SERIES_MAX + 1);
    assert!(
        text.contains("tidemark_topic_in_bytes_total{topic=\"(other)\"} 50\n"),
        "five topics are summed up"
    );
    assert!(text.contains("tidemark_topic_in_bytes_total{topic=\"topic-00000\"} 10\n"));
}
