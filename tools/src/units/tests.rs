use super::*;

#[test]
fn sizes_and_times_read_well() {
    let sizes =
        [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (9_771_050_598, "9.1 GiB"), (50 << 30, "50 GiB")];
    for (raw, text) in sizes {
        assert_eq!(bytes(raw), text);
    }
    let times =
        [(250, "250ms"), (43_200_000, "12h"), (604_800_000, "7d"), (5_400_000, "1h30m"), (61_001, "1m1s1ms")];
    for (raw, text) in times {
        assert_eq!(duration_ms(raw), text);
    }
    assert_eq!(count(8_120_447), "8,120,447");
    assert_eq!(count(-1234), "-1,234");
    assert_eq!(count(999), "999");
}

#[test]
fn human_units_become_kafkas() {
    let value = |key, value| config_value(key, value).expect("valid");
    assert_eq!(value("retention.ms", "12h"), "43200000");
    assert_eq!(value("retention.ms", "-1"), "-1");
    assert_eq!(value("retention.ms", "inf"), "-1");
    assert_eq!(value("segment.bytes", "1GiB"), "1073741824");
    assert_eq!(value("retention.bytes", "50GiB"), "53687091200");
    assert_eq!(value("cleanup.policy", "compact"), "compact");
    assert!(config_value("retention.ms", "soon").is_err());
}

#[test]
fn stored_values_are_shown_both_ways() {
    assert_eq!(config_shown("retention.ms", "43200000"), "43200000 (12h)");
    assert_eq!(config_shown("retention.bytes", "-1"), "-1 (no limit)");
    assert_eq!(config_shown("local.retention.ms", "-2"), "-2 (as the total)");
    assert_eq!(config_shown("min.insync.replicas", "1"), "1");
    assert_eq!(config_shown("cleanup.policy", "delete"), "delete");
}
