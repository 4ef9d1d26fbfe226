use super::*;

#[test]
fn a_command_name_with_brackets_does_not_shift_the_fields() {
    let stat = "42 (a) b) (c)) S 1 2 3 4 5 6 7 8 9 10 700 55 0 0 20";
    assert_eq!(cpu_ticks(stat), Some(755));
}

#[test]
fn this_process_has_used_memory() {
    let usage = usage(std::process::id()).unwrap();
    assert!(usage.rss_bytes > 0 && usage.peak_rss_bytes >= usage.rss_bytes);
}
