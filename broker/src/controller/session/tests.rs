//! A proposal acts once, however often it is in the log.

use super::*;

#[test]
fn a_repeated_proposal_is_not_admitted_again() {
    let mut sessions = Sessions::default();
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert!(sessions.admit(a, 1, 10));
    assert!(sessions.admit(a, 3, 11));
    assert!(!sessions.admit(a, 1, 12));
    assert!(!sessions.admit(a, 3, 13));
    assert!(sessions.admit(a, 2, 14), "a gap is not a repetition");
    assert!(sessions.admit(b, 1, 15), "sessions do not mix");
    assert_eq!(sessions.sessions[&a], Session { last_index: 14, floor: 3, applied: BTreeSet::new() });
}

#[test]
fn memory_of_a_session_is_bounded_even_with_gaps() {
    let mut sessions = Sessions::default();
    let session = Uuid::from_u128(1);
    for sequence in (2..).step_by(2).take(3 * SEQUENCES_MAX) {
        assert!(sessions.admit(session, sequence, sequence));
    }
    assert_eq!(sessions.sessions[&session].applied.len(), SEQUENCES_MAX);
    assert!(!sessions.admit(session, 1, 1), "what is far behind counts as applied");
}

#[test]
fn the_session_that_was_silent_longest_is_forgotten_first() {
    let mut sessions = Sessions::default();
    for i in 0..SESSIONS_MAX as u64 {
        sessions.admit(Uuid::from_u128(u128::from(i)), 1, i);
    }
    sessions.admit(Uuid::from_u128(0), 2, 1000);
    sessions.admit(Uuid::from_u128(9999), 1, 1001);
    assert_eq!(sessions.sessions.len(), SESSIONS_MAX);
    assert!(sessions.sessions.contains_key(&Uuid::from_u128(0)));
    assert!(!sessions.sessions.contains_key(&Uuid::from_u128(1)));
}
