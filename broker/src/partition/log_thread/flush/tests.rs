use super::*;

#[test]
fn a_sync_of_the_file_system_is_slow_only_if_side_by_side_were_faster() {
    let ms = Duration::from_millis;
    assert!(!is_slow(40, ms(500)));
    assert!(is_slow(40, ms(501)));
    // A thousand new logs: three files and two directories each.
    assert!(!is_slow(5000, ms(5000)));
    assert!(is_slow(5000, ms(5001)));
}
