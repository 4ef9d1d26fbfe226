use super::*;

#[test]
fn a_command_name_with_brackets_does_not_shift_the_fields() {
    let stat = "42 (a) b) (c)) S 1 2 3 4 5 6 7 8 9 10 700 55 0 0 20";
    assert_eq!(cpu_ticks(stat), Some(755));
    assert_eq!(state(stat), Some('S'));
}

#[test]
fn this_process_has_used_memory() {
    let usage = usage(std::process::id()).unwrap();
    assert!(usage.rss_bytes > 0 && usage.peak_rss_bytes >= usage.rss_bytes);
}

#[test]
fn an_ended_child_does_not_run_though_nobody_has_waited() {
    let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    assert!(is_running(child.id()));
    drop(child.stdin.take());
    let deadline = crate::clock::now() + std::time::Duration::from_secs(10);
    while is_running(child.id()) {
        assert!(crate::clock::now() < deadline, "it ends with its input");
        std::thread::yield_now();
    }
    child.wait().unwrap();
    assert!(!is_running(child.id()));
}
