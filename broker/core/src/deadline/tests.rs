//! Deadlines fall due once, in order, and moving one forgets its old time.

use std::time::Duration;

use super::Deadlines;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_earliest_falls_due_first_and_only_once() {
    let mut deadlines = Deadlines::default();
    deadlines.set("b", at(2));
    deadlines.set("a", at(1));
    assert_eq!(deadlines.next(), Some(at(1)));
    assert_eq!(deadlines.pop_due(at(0)), None);
    assert_eq!(deadlines.pop_due(at(5)), Some("a"));
    assert_eq!(deadlines.pop_due(at(5)), Some("b"));
    assert_eq!(deadlines.pop_due(at(5)), None);
    assert!(deadlines.is_empty());
}

#[test]
fn a_moved_deadline_leaves_nothing_behind() {
    let mut deadlines = Deadlines::default();
    deadlines.set("a", at(1));
    deadlines.set("a", at(9));
    assert_eq!(deadlines.len(), 1);
    assert_eq!(deadlines.pop_due(at(8)), None);
    assert_eq!(deadlines.get(&"a"), Some(at(9)));
    assert!(deadlines.clear(&"a"));
    assert!(!deadlines.clear(&"a"));
    assert_eq!(deadlines.next(), None);
}

#[test]
fn a_deadline_is_due_at_its_very_time() {
    let mut deadlines = Deadlines::default();
    deadlines.set(7, at(3));
    assert_eq!(deadlines.pop_due(at(3)), Some(7));
}
