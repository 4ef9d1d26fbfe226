use super::*;

#[test]
fn only_names_of_partitions_are_partitions() {
    assert_eq!(partition_of("a-0"), Some(TopicPartition::new("a", 0)));
    assert_eq!(partition_of("a-b.c_d-12"), Some(TopicPartition::new("a-b.c_d", 12)));
    for name in ["a", "-1", "a-", "a-01", "a--1x", "a-+1", "a-x", "journal", "a-0-stray", "a-99999999999"] {
        assert_eq!(partition_of(name), None, "{name}");
    }
}

#[test]
fn journals_are_known_by_their_files() {
    assert_eq!(journal_index("marks-0.1"), Some(0));
    assert_eq!(journal_index("marks-12.0"), Some(12));
    assert_eq!(journal_index("marks-"), None);
    assert_eq!(journal_index("other-1.0"), None);
}

#[test]
fn of_two_marks_the_later_counts_and_no_deletion_is_forgotten() {
    let mark = |log_start, durable_end| LogMark { log_start, durable_end, ..LogMark::default() };
    assert_eq!(newer(mark(5, 10), mark(0, 20)), mark(5, 20));
    assert_eq!(newer(mark(0, 20), mark(5, 10)), mark(5, 20));
}
