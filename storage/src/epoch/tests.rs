use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::disk::{Disk, SimDisk};

fn cache(entries: &[(LeaderEpoch, Offset)]) -> LeaderEpochCache {
    let mut cache = LeaderEpochCache::new();
    for &(epoch, start) in entries {
        cache.assign(epoch, start);
    }
    cache
}

fn pairs(cache: &LeaderEpochCache) -> Vec<(LeaderEpoch, Offset)> {
    cache.entries().iter().map(|e| (e.epoch, e.start)).collect()
}

#[test]
fn end_of_an_epoch_is_the_start_of_the_next() {
    let cache = cache(&[(2, 10), (3, 20), (7, 30)]);
    assert_eq!(cache.end_offset_for(2, 40), (2, 20));
    assert_eq!(cache.end_offset_for(3, 40), (3, 30));
    assert_eq!(cache.end_offset_for(5, 40), (3, 30), "no such epoch: the largest below");
    assert_eq!(cache.end_offset_for(7, 40), (7, 40), "the latest ends with the log");
}

#[test]
fn epochs_outside_of_what_is_known() {
    let cache = cache(&[(2, 10), (3, 20)]);
    assert_eq!(cache.end_offset_for(1, 40), (1, 10), "older than all: ends where these begin");
    assert_eq!(cache.end_offset_for(4, 40), UNKNOWN);
    assert_eq!(cache.end_offset_for(-1, 40), UNKNOWN);
    assert_eq!(LeaderEpochCache::new().end_offset_for(0, 0), UNKNOWN);
}

#[test]
fn an_epoch_without_records_gives_way() {
    assert_eq!(pairs(&cache(&[(1, 0), (2, 5), (3, 5)])), [(1, 0), (3, 5)]);
}

#[test]
fn an_epoch_that_goes_on_after_one_without_records_keeps_its_start() {
    assert_eq!(pairs(&cache(&[(1, 0), (3, 10), (1, 10)])), [(1, 0)]);
}

#[test]
fn a_lower_start_of_the_latest_epoch_wins() {
    assert_eq!(pairs(&cache(&[(1, 0), (2, 9), (2, 5)])), [(1, 0), (2, 5)]);
}

#[test]
fn an_earlier_epoch_replaces_the_later_ones() {
    assert_eq!(pairs(&cache(&[(1, 0), (4, 10), (5, 20), (3, 15)])), [(1, 0), (3, 15)]);
}

#[test]
fn cutting_the_start_moves_the_covering_epoch() {
    let mut cache = cache(&[(2, 10), (3, 20), (7, 30)]);
    assert!(!cache.truncate_from_start(5), "below everything: nothing to forget");
    assert!(!cache.truncate_from_start(10));
    assert!(cache.truncate_from_start(25));
    assert_eq!(pairs(&cache), [(3, 25), (7, 30)]);
    assert!(cache.truncate_from_start(100));
    assert_eq!(pairs(&cache), [(7, 100)]);
}

#[test]
fn stored_cache_survives_a_crash() {
    let disk = SimDisk::new(3);
    let dir = Path::new("/log");
    disk.create_dir_all(dir).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut written = cache(&[(2, 10), (3, 20)]);
    assert!(written.is_dirty());
    written.store(&disk, dir, Durability::Synced).unwrap();
    assert!(!written.is_dirty());
    assert_eq!(LeaderEpochCache::load(&disk.crash(), dir).unwrap(), Some(written));
}

#[test]
fn entries_that_do_not_increase_are_damage() {
    let disk = SimDisk::new(3);
    let dir = Path::new("/");
    for entries in [[(2, 10), (2, 20)], [(2, 10), (3, 10)], [(-2, 0), (1, 10)]] {
        let entries = entries.iter().map(|&(epoch, start)| EpochEntry { epoch, start }).collect();
        LeaderEpochCache { entries, dirty: true }.store(&disk, dir, Durability::Relaxed).unwrap();
        let error = LeaderEpochCache::load(&disk, dir).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { .. }));
    }
}

/// A log as the epochs of its records, from an offset on: the reference the cache must agree with.
#[derive(Clone, Debug, Default)]
struct ModelLog {
    start: usize,
    epochs: Vec<LeaderEpoch>,
    cache: LeaderEpochCache,
}

#[derive(Clone, Debug)]
enum Step {
    Append { new_epoch: bool, count: usize },
    CutEnd(prop::sample::Index),
    CutStart(prop::sample::Index),
}

impl ModelLog {
    fn end(&self) -> usize {
        self.epochs.len()
    }

    fn append(&mut self, epoch: LeaderEpoch, count: usize) {
        for _ in 0..count {
            self.cache.assign(epoch, self.end() as Offset);
            self.epochs.push(epoch);
        }
    }

    fn truncate(&mut self, end: usize) {
        self.epochs.truncate(end);
        self.cache.truncate_from_end(end as Offset);
    }

    fn check(&self) {
        let entries = self.cache.entries();
        assert!(entries.windows(2).all(|w| w[0].epoch < w[1].epoch && w[0].start < w[1].start));
        for offset in self.start..self.end() {
            assert_eq!(self.cache.epoch_for(offset as Offset), Some(self.epochs[offset]));
        }
    }

    /// What the model says of `OffsetForLeaderEpoch`, for an epoch with records.
    fn end_of(&self, epoch: LeaderEpoch) -> usize {
        self.epochs.iter().rposition(|&e| e <= epoch).map_or(0, |last| last + 1)
    }

    /// KIP-279 with this log as the leader's: the follower cuts until its newest epoch is the leader's too.
    fn reconcile(&self, follower: &mut ModelLog) {
        while let Some(latest) = follower.cache.latest() {
            let (epoch, end) = self.cache.end_offset_for(latest.epoch, self.end() as Offset);
            let before = follower.end();
            if epoch == latest.epoch && end >= before as Offset {
                return;
            }
            let (own_epoch, own_end) = follower.cache.end_offset_for(epoch, before as Offset);
            let cut = if own_epoch == epoch { own_end.min(end) } else { own_end };
            follower.truncate(usize::try_from(cut).unwrap().min(before));
            assert!(follower.end() < before, "every round gets on");
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), 1..5usize).prop_map(|(new_epoch, count)| Step::Append { new_epoch, count }),
        1 => any::<prop::sample::Index>().prop_map(Step::CutEnd),
        1 => any::<prop::sample::Index>().prop_map(Step::CutStart),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #[test]
    fn cache_agrees_with_the_batches(steps in steps()) {
        let mut log = ModelLog::default();
        let mut epoch = 0;
        for step in steps {
            match step {
                Step::Append { new_epoch, count } => {
                    epoch += i32::from(new_epoch);
                    log.append(epoch, count);
                }
                Step::CutEnd(at) => {
                    // A log that loses its end comes under a new leader.
                    log.truncate(log.start + at.index(log.end() - log.start + 1));
                    epoch += 1;
                }
                Step::CutStart(at) => {
                    log.start += at.index(log.end() - log.start + 1);
                    log.cache.truncate_from_start(log.start as Offset);
                }
            }
            log.check();
        }
        for asked in log.epochs[log.start..].iter().copied() {
            let expected = (asked, log.end_of(asked) as Offset);
            prop_assert_eq!(log.cache.end_offset_for(asked, log.end() as Offset), expected);
        }
        let decoded = LeaderEpochCache::decode(&log.cache.encode()).unwrap();
        prop_assert_eq!(decoded.entries(), log.cache.entries());
    }

    #[test]
    fn a_follower_finds_where_its_log_parts_from_the_leaders(
        shared in prop::collection::vec(1..4usize, 0..6),
        leader_only in prop::collection::vec((0..2i32, 1..4usize), 0..6),
        follower_only in prop::collection::vec((0..2i32, 1..4usize), 0..6),
    ) {
        let mut leader = ModelLog::default();
        for (epoch, &count) in (0..).zip(&shared) {
            leader.append(epoch, count);
        }
        let parting = leader.end();
        let mut follower = leader.clone();
        // An epoch has one leader: even ones wrote here, odd ones there.
        let first = 2 * shared.len() as LeaderEpoch;
        for (i, &(gap, count)) in (0..).zip(&leader_only) {
            leader.append(first + 4 * i + 2 * gap, count);
        }
        for (i, &(gap, count)) in (0..).zip(&follower_only) {
            follower.append(first + 4 * i + 2 * gap + 1, count);
        }
        // Becoming leader assigns the epoch before a record is written.
        leader.cache.assign(1000, leader.end() as Offset);
        leader.reconcile(&mut follower);
        prop_assert_eq!(follower.end(), parting, "all that is shared stays, all else goes");
    }
}
