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

#[test]
fn a_disk_that_lies_says_synced_what_a_crash_then_loses() {
    let ailment = Arc::new(Ailment::default());
    let below = SimDisk::new(1);
    let disk = FaultyDisk::new(below.clone(), Arc::clone(&ailment), "well");
    disk.create_dir_all(Path::new("/d")).expect("made");
    let file = disk.open(Path::new("/d/a"), OpenMode::Create).expect("opened");
    disk.sync_dir(Path::new("/d")).and_then(|()| disk.sync_dir(Path::new("/"))).expect("synced");
    let lost = || {
        let after = (0..20).map(|_| below.crash());
        after.filter(|disk| disk.file_len(Path::new("/d/a")).unwrap_or(0) == 0).count()
    };
    ailment.set("lies");
    file.write_all_at(&[IoSlice::new(b"x")], 0)
        .and_then(|()| file.sync_data())
        .expect("it says that all is well");
    assert!(lost() > 0);
    ailment.set("");
    file.sync_data().expect("synced");
    assert_eq!(lost(), 0);
}
