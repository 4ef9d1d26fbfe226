use std::cell::Cell;

use super::*;

#[test]
fn all_who_asked_before_a_sync_began_share_it() {
    let (shared, runs) = (SharedSync::default(), Cell::new(0));
    let sync = || {
        runs.set(runs.get() + 1);
        true
    };
    let asked: Vec<_> = (0..3).map(|_| shared.ask()).collect();
    asked.into_iter().for_each(|asked| shared.settle(asked, sync));
    assert_eq!(runs.get(), 1);
    shared.settle(shared.ask(), sync);
    assert_eq!(runs.get(), 2);
}

#[test]
fn who_asks_during_a_sync_gets_one_of_its_own() {
    let (shared, late, runs) = (SharedSync::default(), Cell::new(None), Cell::new(0));
    shared.settle(shared.ask(), || {
        late.set(Some(shared.ask()));
        true
    });
    shared.settle(late.take().unwrap(), || {
        runs.set(runs.get() + 1);
        true
    });
    assert_eq!(runs.get(), 1);
}

#[test]
fn a_failed_sync_serves_nobody() {
    let (shared, runs) = (SharedSync::default(), Cell::new(0));
    let (first, second) = (shared.ask(), shared.ask());
    shared.settle(first, || false);
    shared.settle(second, || {
        runs.set(runs.get() + 1);
        true
    });
    assert_eq!(runs.get(), 1);
}
