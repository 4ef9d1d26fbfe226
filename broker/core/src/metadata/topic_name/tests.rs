//! Legal names and collisions.

use super::*;

#[test]
fn ordinary_names_are_legal() {
    for name in ["orders", "a.b_c-d", "__consumer_offsets", "...", &"x".repeat(TOPIC_NAME_LEN_MAX)] {
        assert_eq!(check(name), Ok(()));
    }
}

#[test]
fn names_that_could_leave_their_directory_are_not() {
    for name in ["", ".", "..", "a/b", "a\\b", "a\0b", "ä", "a b", &"x".repeat(TOPIC_NAME_LEN_MAX + 1)] {
        assert!(check(name).unwrap_err().starts_with("Topic name is invalid: "), "{name}");
    }
}

#[test]
fn dots_and_underscores_collide() {
    assert_eq!(normal_form("a.b_c"), normal_form("a_b.c"));
    assert!(can_collide("a.b") && can_collide("a_b") && !can_collide("a-b"));
}

#[test]
fn the_brokers_own_topics_are_internal() {
    assert!(is_internal("__consumer_offsets"));
    assert!(!is_internal("__my_topic"));
}
