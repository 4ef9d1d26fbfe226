//! Near names are found, far ones are not.

use super::*;

const KEYS: [&str; 4] = ["log.retention.ms", "log.retention.bytes", "num.partitions", "min.insync.replicas"];

#[test]
fn slips_and_missing_prefixes_are_understood() {
    let cases = [
        ("log.retention.m", "log.retention.ms"),
        ("log.retenton.ms", "log.retention.ms"),
        ("log.rteention.ms", "log.retention.ms"),
        ("retention.bytes", "log.retention.bytes"),
        ("num.partition", "num.partitions"),
        ("min.in.sync.replicas", "min.insync.replicas"),
    ];
    for (wrong, right) in cases {
        assert_eq!(nearest(wrong, KEYS.into_iter()), Some(right), "{wrong}");
    }
}

#[test]
fn far_names_are_not_suggested() {
    for wrong in ["", "x", "zookeeper.connect", "partitions.of.num"] {
        assert_eq!(nearest(wrong, KEYS.into_iter()), None, "{wrong}");
    }
}

#[test]
fn slips_are_counted() {
    for (left, right, expected) in
        [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)]
    {
        assert_eq!(slips(left, right), expected);
    }
}
