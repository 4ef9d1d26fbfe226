//! Units in, plain numbers out.

use super::*;

#[test]
fn durations_are_read() {
    let cases = [
        ("0", 0),
        ("-1", -1),
        ("250", 250),
        ("250ms", 250),
        ("30s", 30_000),
        ("15m", 900_000),
        ("15 min", 900_000),
        ("12h", 43_200_000),
        (" 7d ", 604_800_000),
        ("2w", 1_209_600_000),
        ("1.5h", 5_400_000),
        ("0.25s", 250),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_duration_ms(text), Ok(expected), "{text}");
    }
}

#[test]
fn sizes_are_read() {
    let cases = [
        ("512", 512),
        ("-2", -2),
        ("64KiB", 65_536),
        ("64kib", 65_536),
        ("10MB", 10_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2G", 2_147_483_648),
        ("1 TiB", 1_099_511_627_776),
        ("9B", 9),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_bytes(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_number_with_a_unit_is_refused() {
    for text in [
        "",
        "d",
        "7 days",
        "1..5h",
        "1.h",
        ".5h",
        "-1h",
        "1.0001s",
        "0x10",
        "1e3",
        "99999999999999999999d",
        "٣h",
    ] {
        assert!(parse_duration_ms(text).is_err(), "{text}");
    }
    for text in ["1.5", "7XB", "1.5B", "9223372036854775807KiB"] {
        assert!(parse_bytes(text).is_err(), "{text}");
    }
    assert!(parse_bytes("7d").unwrap_err().to_string().starts_with("\"7d\" is not a size"));
}
