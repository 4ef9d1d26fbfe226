use super::super::{SimDisk, is_disk_full};
use super::*;

#[test]
fn a_disk_fails_while_it_is_told_to_and_not_longer() {
    let ailment = Arc::new(Ailment::default());
    let disk = FaultyDisk::new(SimDisk::new(1), Arc::clone(&ailment), "well");
    disk.create_dir_all(Path::new("/d")).expect("made");
    let file = disk.open(Path::new("/d/a"), OpenMode::Create).expect("opened");
    let write = || file.write_all_at(&[IoSlice::new(b"x")], 0);
    ailment.set("eio-write");
    assert_eq!(write().expect_err("it fails").raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    ailment.set("full");
    assert!(is_disk_full(&write().expect_err("it is full")));
    assert!(disk.open(Path::new("/d/b"), OpenMode::Create).is_err());
    file.sync_data().expect("what is there can be synced");
    ailment.set("eio-sync slow=1");
    write().expect("written");
    assert!(file.sync_data().is_err() && disk.sync_dir(Path::new("/d")).is_err());
    ailment.set("");
    write().and_then(|()| file.sync_data()).expect("it is well again");
}

#[test]
fn the_spared_folder_stays_well_unless_nothing_is_spared() {
    let ailment = Arc::new(Ailment::default());
    let disk = FaultyDisk::new(SimDisk::new(1), Arc::clone(&ailment), "well");
    disk.create_dir_all(Path::new("/well")).expect("made");
    let file = disk.open(Path::new("/well/a"), OpenMode::Create).expect("opened");
    ailment.set("eio-sync");
    file.sync_data().expect("spared");
    ailment.set("eio-sync everywhere");
    assert!(file.sync_data().is_err());
}

/// Whether a crash of the disk with this seed loses what a sync that may be a lie has answered for.
fn loses(seed: u64, symptoms: &str) -> bool {
    let ailment = Arc::new(Ailment::default());
    let below = SimDisk::new(seed);
    let disk = FaultyDisk::new(below.clone(), Arc::clone(&ailment), "well");
    disk.create_dir_all(Path::new("/d")).expect("made");
    let file = disk.open(Path::new("/d/a"), OpenMode::Create).expect("opened");
    disk.sync_dir(Path::new("/d")).and_then(|()| disk.sync_dir(Path::new("/"))).expect("synced");
    ailment.set(symptoms);
    file.write_all_at(&[IoSlice::new(b"x")], 0)
        .and_then(|()| file.sync_data())
        .expect("it says that all is well");
    let found = below.crash().open(Path::new("/d/a"), OpenMode::Read).expect("its name is durable");
    let mut byte = [0];
    found.read_at(&mut byte, 0).expect("read") == 0 || byte != *b"x"
}

#[test]
fn a_disk_that_lies_says_synced_what_a_crash_then_loses() {
    assert!((0..20).any(|seed| loses(seed, "lies")));
    assert!(!(0..20).any(|seed| loses(seed, "")));
}
