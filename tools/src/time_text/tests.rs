use super::*;

const NOW: TimestampMs = 1_784_884_353_120;

#[test]
fn times_are_printed_in_utc() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(NOW), "2026-07-24T09:12:33.120Z");
    assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
    assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
}

#[test]
fn what_is_printed_is_read_back() {
    for days in (-200_000..200_000).step_by(97) {
        let timestamp = days * DAY_MS + 12_345_678;
        if timestamp >= -62_135_596_800_000 {
            assert_eq!(parse(&rfc3339(timestamp), 0), Some(timestamp));
        }
    }
}

#[test]
fn times_are_read_as_people_write_them() {
    let midnight = 1_784_851_200_000;
    assert_eq!(parse("2026-07-24", NOW), Some(midnight));
    assert_eq!(parse("2026-07-24T09:12", NOW), Some(NOW - 33_120));
    assert_eq!(parse("2026-07-24T09:12:33.12Z", NOW), Some(NOW));
    assert_eq!(parse("2026-07-24T11:12:33.120+02:00", NOW), Some(NOW));
    assert_eq!(parse("2026-07-24 09:12:33.120", NOW), Some(NOW));
    assert_eq!(parse("1784884353", NOW), Some(1_784_884_353_000));
    assert_eq!(parse("1784884353120", NOW), Some(NOW));
    assert_eq!(parse("-1h", NOW), Some(NOW - 3_600_000));
    assert_eq!(parse("now", NOW), Some(NOW));
}

#[test]
fn what_is_no_time_is_refused() {
    for text in
        ["", "-", "--1h", "yesterdayish", "2026-13-01", "2026-02-29", "2026-7-24", "2026-07-24T25:00", "1:2"]
    {
        assert_eq!(parse(text, NOW), None, "{text:?}");
    }
}
