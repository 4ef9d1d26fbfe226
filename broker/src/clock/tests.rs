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

#[test]
fn a_skewed_clock_is_wrong_by_what_it_is_told_in_its_wall_time_only() {
    let by_ms = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(-3_600_000));
    let (skewed, right) = (Clock::skewed(by_ms.clone()), Clock::system());
    let apart = |clock: &Clock| clock.now().wall_ms - right.now().wall_ms;
    assert!(apart(&skewed) < -3_000_000);
    by_ms.store(3_600_000, std::sync::atomic::Ordering::Relaxed);
    assert!(apart(&skewed) > 3_000_000);
    assert!(skewed.now().mono < Duration::from_secs(3_000));
}
