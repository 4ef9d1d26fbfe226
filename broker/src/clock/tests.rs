use super::*;

#[test]
fn manual_clock_moves_only_by_hand_and_for_every_clone() {
    let clock = Clock::manual(Now { mono: Duration::from_secs(1), wall_ms: 1_000 });
    let clone = clock.clone();
    assert_eq!(clock.now(), clone.now());
    clock.advance(Duration::from_millis(250));
    assert_eq!(clone.now(), Now { mono: Duration::from_millis(1_250), wall_ms: 1_250 });
    clock.set_wall(7);
    assert_eq!(clone.now(), Now { mono: Duration::from_millis(1_250), wall_ms: 7 });
}

#[test]
fn system_clock_never_goes_back() {
    let clock = Clock::system();
    let first = clock.now();
    let second = clock.now();
    assert!(second.mono >= first.mono);
    assert!(first.wall_ms > 1_600_000_000_000, "the wall clock reads {}", first.wall_ms);
}
