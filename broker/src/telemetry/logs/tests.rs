//! Filters are checked with a message that helps.

use super::*;

#[test]
fn consensus_is_quiet_unless_asked_for() {
    assert!(parse("info").unwrap().to_string().contains("openraft=error"));
    let asked = parse("warn,openraft=debug").unwrap().to_string();
    assert!(asked.contains("openraft=debug") && !asked.contains("openraft=error"), "{asked}");
}

#[test]
fn a_bad_filter_is_named() {
    let text = parse("info,=!=").expect_err("not a filter").to_string();
    assert!(text.contains("info,=!=") && text.contains("for example"), "{text}");
}
