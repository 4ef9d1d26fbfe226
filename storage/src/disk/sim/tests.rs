//! What SimDisk promises, and that it breaks everything it does not promise.

use super::*;
use crate::disk::{is_disk_full, read_file};

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn put(disk: &SimDisk, name: &str, bytes: &[u8], position: u64) -> Arc<dyn File> {
    let file = disk.open(&path(name), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(bytes)], position).unwrap();
    file
}

fn get(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    read_file(disk, &path(name), u64::MAX).ok()
}

/// Runs `check` over many seeds and returns how often it said yes.
fn count(check: impl Fn(u64) -> bool) -> usize {
    (0..500).filter(|&seed| check(seed)).count()
}

#[test]
fn synced_bytes_under_a_synced_name_survive_every_crash() {
    for seed in 0..500 {
        let disk = disk(seed);
        put(&disk, "a", &[7; 10_000], 0).sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        put(&disk, "a", &[8; 5], 20_000);
        let found = get(&disk.crash(), "a").unwrap();
        assert_eq!(found[..10_000], [7; 10_000], "seed {seed}");
    }
}

#[test]
fn a_synced_file_may_vanish_while_its_name_is_not_synced() {
    let gone = count(|seed| {
        let disk = disk(seed);
        put(&disk, "a", b"x", 0).sync_data().unwrap();
        get(&disk.crash(), "a").is_none()
    });
    assert!((100..450).contains(&gone), "{gone}");
}

#[test]
fn unsynced_blocks_survive_in_any_combination() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..2000 {
        let disk = disk(seed);
        let file = put(&disk, "a", &[1; 3 * 4096], 0);
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_all_at(&[IoSlice::new(&[2; 3 * 4096])], 0).unwrap();
        let found = get(&disk.crash(), "a").unwrap();
        let kind = |block: &[u8]| match (block.contains(&0), block.contains(&1), block.contains(&2)) {
            (false, true, false) => 'o',
            (false, false, true) => 'n',
            (true, ..) => 'z',
            _ => 'm',
        };
        seen.insert(found.chunks(4096).map(kind).collect::<String>());
    }
    for combination in ["ooo", "nnn", "ono", "non", "oon", "noo", "nno", "onn"] {
        assert!(seen.contains(combination), "{combination} in {seen:?}");
    }
    assert!(seen.iter().any(|s| s.contains('m')), "torn blocks: {seen:?}");
    assert!(!seen.iter().any(|s| s.contains('z')), "a sector is the old one or the new one: {seen:?}");
}

#[test]
fn an_unsynced_cut_may_come_undone() {
    let undone = count(|seed| {
        let disk = disk(seed);
        let file = put(&disk, "a", &[7; 10_000], 0);
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.set_len(100).unwrap();
        get(&disk.crash(), "a").unwrap().len() == 10_000
    });
    assert!((100..450).contains(&undone), "{undone}");
}

#[test]
fn a_rename_is_all_or_nothing() {
    let mut replaced = 0;
    for seed in 0..500 {
        let disk = disk(seed);
        put(&disk, "a", b"old", 0).sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        put(&disk, "t", b"new", 0).sync_data().unwrap();
        disk.rename(&path("t"), &path("a")).unwrap();
        let found = get(&disk.crash(), "a").expect("the name is never without a file");
        assert!(found == b"old" || found == b"new", "seed {seed}");
        replaced += usize::from(found == b"new");
    }
    assert!((50..450).contains(&replaced), "{replaced}");
}

#[test]
fn an_unsynced_removal_may_come_undone() {
    let back = count(|seed| {
        let disk = disk(seed);
        put(&disk, "a", b"x", 0).sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.remove_file(&path("a")).unwrap();
        get(&disk.crash(), "a").as_deref() == Some(b"x")
    });
    assert!((100..450).contains(&back), "{back}");
}

#[test]
fn syncing_the_file_system_makes_all_of_it_durable() {
    for seed in 0..200 {
        let disk = disk(seed);
        disk.create_dir_all(&path("deep/er")).unwrap();
        put(&disk, "deep/er/a", b"x", 0);
        disk.sync_filesystem(Path::new("/d")).unwrap();
        assert_eq!(get(&disk.crash(), "deep/er/a").as_deref(), Some(&b"x"[..]));
    }
}

#[test]
fn a_failed_sync_forgets_pages_and_the_next_one_lies() {
    let lost = count(|seed| {
        let disk = disk(seed);
        let file = put(&disk, "a", &[7; 8 * 4096], 0);
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.fail_sync(1);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(get(&disk, "a").unwrap(), [7; 8 * 4096], "still seen until the power fails");
        get(&disk.crash(), "a").unwrap() != [7; 8 * 4096]
    });
    assert!(lost > 450, "{lost}");
}

#[test]
fn a_full_disk_takes_what_fits_and_frees_what_goes() {
    let disk = disk(1);
    disk.set_capacity(100);
    let file = put(&disk, "a", &[1; 60], 0);
    let error = file.write_all_at(&[IoSlice::new(&[2; 60])], 60).unwrap_err();
    assert!(is_disk_full(&error));
    assert_eq!(file.len().unwrap(), 100);
    file.write_all_at(&[IoSlice::new(&[3; 10])], 0).unwrap();
    assert_eq!(disk.space(Path::new("/")).unwrap(), Space { total: 100, free: 0 });
    disk.remove_file(&path("a")).unwrap();
    put(&disk, "b", &[1; 100], 0);
}

#[test]
fn nothing_works_without_power_nor_with_handles_from_before() {
    let before = disk(1);
    let file = put(&before, "a", b"x", 0);
    file.sync_data().unwrap();
    before.sync_dir(Path::new("/d")).unwrap();
    before.power_off_at(2);
    file.write_all_at(&[IoSlice::new(b"y")], 1).unwrap();
    assert!(file.sync_data().is_err());
    assert!(before.open(&path("a"), OpenMode::Read).is_err());
    let after = before.crash();
    assert!(after.open(&path("a"), OpenMode::Read).is_ok());
    assert!(file.len().is_err() && before.read_dir(Path::new("/d")).is_err());
}

#[test]
fn a_failed_write_is_reported_once() {
    let disk = disk(1);
    disk.fail_write(2);
    let file = put(&disk, "a", b"x", 0);
    assert!(file.write_all_at(&[IoSlice::new(b"y")], 1).is_err());
    file.write_all_at(&[IoSlice::new(b"y")], 1).unwrap();
}

#[test]
fn a_lock_is_held_until_dropped_or_crashed() {
    let disk = disk(1);
    let held = disk.lock(&path("lock")).unwrap();
    assert_eq!(disk.lock(&path("lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(held);
    let old = disk.lock(&path("lock")).unwrap();
    let disk = disk.crash();
    let held = disk.create_dir_all(Path::new("/d")).and_then(|()| disk.lock(&path("lock"))).unwrap();
    drop(old);
    assert!(disk.lock(&path("lock")).is_err(), "a dead boot's lock does not release the living one's");
    drop(held);
}

#[test]
fn short_reads_happen_and_flips_stay() {
    let disk = disk(1);
    put(&disk, "a", &[0; 1000], 0).sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.set_short_reads(true);
    let file = disk.open(&path("a"), OpenMode::Read).unwrap();
    assert!((0..100).any(|_| file.read_at(&mut [0; 1000], 0).unwrap() < 1000));
    disk.flip(&path("a"), 8 * 500 + 3).unwrap();
    let found = get(&disk.crash(), "a").unwrap();
    assert_eq!((found[500], found.iter().filter(|&&b| b != 0).count()), (8, 1));
}

#[test]
fn same_seed_same_disk() {
    let run = |seed| {
        let mut disk = disk(seed);
        let mut rng = Rng::new(seed);
        for i in 0..60_u64 {
            let file =
                put(&disk, &format!("f{}", rng.below(4)), &vec![1 + (i % 200) as u8; 3000], rng.below(9000));
            if rng.percent(20) {
                file.sync_data().unwrap();
            }
            if rng.percent(20) {
                disk.sync_dir(Path::new("/d")).unwrap();
            }
            if rng.percent(10) {
                disk = disk.crash();
            }
        }
        disk.digest()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn a_process_that_restarts_reads_what_a_failed_sync_has_lost_until_the_power_fails() {
    for whole_disk in [false, true] {
        let old = disk(3);
        let file = put(&old, "a", &[0; 16 * 4096], 0);
        file.sync_data().unwrap();
        old.sync_dir(Path::new("/d")).unwrap();
        file.write_all_at(&[IoSlice::new(&[7; 16 * 4096])], 0).unwrap();
        old.fail_sync(1);
        let synced = if whole_disk { old.sync_filesystem(Path::new("/d")) } else { file.sync_data() };
        assert!(synced.is_err());
        let new = old.restart();
        assert!(file.sync_data().is_err(), "handles of the old process are gone");
        assert!(get(&new, "a").unwrap().iter().all(|&b| b == 7));
        new.open(&path("a"), OpenMode::Read).unwrap().sync_data().unwrap();
        let left = get(&new.crash(), "a").unwrap();
        assert!(left.contains(&0), "the second sync lied");
        assert!(left.contains(&7), "not everything is lost");
    }
}
