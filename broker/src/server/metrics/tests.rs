//! What the port counts is what was answered.

use super::*;

#[test]
fn errors_are_counted_by_api_and_name_and_successes_are_not() {
    let registry = Registry::new();
    let metrics = ServerMetrics::new(&registry).unwrap();
    let not_leader = ErrorCode::NotLeaderOrFollower.code();
    metrics.partition_answered(ApiKey::Produce, 0);
    metrics.partition_answered(ApiKey::Produce, not_leader);
    metrics.partition_answered(ApiKey::Produce, not_leader);
    metrics.partition_answered(ApiKey::Fetch, 32_000);
    let family =
        registry.gather().into_iter().find(|f| f.name() == "tidemark_partition_errors_total").unwrap();
    let counted: Vec<(Vec<String>, f64)> = family
        .get_metric()
        .iter()
        .map(|m| (m.get_label().iter().map(|l| l.value().to_owned()).collect(), m.get_counter().get_value()))
        .collect();
    let labels = |api: &str, error: &str| vec![api.to_owned(), error.to_owned()];
    assert_eq!(
        counted,
        [(labels("Fetch", "UNKNOWN"), 1.0), (labels("Produce", "NOT_LEADER_OR_FOLLOWER"), 2.0)]
    );
}
