//! What `/proc` says, parsed; and this very process.

use prometheus::TextEncoder;

use super::*;

#[test]
fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
    let text =
        "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12300 1000 200 18446744073709551615";
    let stat = parse_stat(text).unwrap();
    assert_eq!((stat.cpu_seconds, stat.threads, stat.started_after_boot_seconds), (3.0, 9.0, 123.0));
}

#[test]
fn this_process_has_memory_threads_and_descriptors() {
    let mut families = Families::default();
    collect(&mut families);
    let text = TextEncoder::new().encode_to_string(&families.into_list()).unwrap();
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_threads",
        "process_start_time_seconds",
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("{name}"));
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value > 0.0 || name.contains("cpu"), "{line}");
    }
}
