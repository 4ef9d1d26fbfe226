use super::*;

fn write(file: &dyn File, bytes: &[u8], position: u64) {
    file.write_all_at(&[IoSlice::new(bytes)], position).expect("written");
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    super::super::read_file(disk, path, 1 << 20).expect("read")
}

#[test]
fn what_was_not_synced_is_seen_by_this_process_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a");
    let disk = LossyDisk::new(0);
    let file = disk.open(&path, OpenMode::Create).expect("opened");
    write(&*file, b"synced", 0);
    file.sync_data().expect("synced");
    file.set_len(3).expect("cut");
    write(&*file, b"!", 5);
    assert_eq!(read(&disk, &path), b"syn\0\0!");
    assert_eq!(disk.file_len(&path).expect("its length"), 6);
    assert_eq!(read(&OsDisk, &path), b"synced", "that is what a power cut leaves");
    file.sync_data().expect("synced");
    assert_eq!(read(&OsDisk, &path), b"syn\0\0!");
}

#[test]
fn a_sync_of_the_file_system_reaches_every_file_also_under_a_new_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let (from, to) = (dir.path().join("a"), dir.path().join("b"));
    let disk = LossyDisk::new(0);
    write(&*disk.open(&from, OpenMode::Create).expect("opened"), b"text", 0);
    disk.rename(&from, &to).expect("renamed");
    assert_eq!(read(&disk, &to), b"text");
    assert_ne!(read(&OsDisk, &to), b"text");
    disk.sync_filesystem(dir.path()).expect("synced");
    assert_eq!(read(&OsDisk, &to), b"text");
}

#[test]
fn a_removed_file_leaves_nothing_to_the_next_of_its_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a");
    let disk = LossyDisk::new(0);
    write(&*disk.open(&path, OpenMode::Create).expect("opened"), b"text", 0);
    disk.remove_file(&path).expect("removed");
    assert!(disk.open(&path, OpenMode::Create).expect("opened").is_empty().expect("its length"));
}

#[test]
fn random_writes_and_cuts_read_as_from_a_plain_buffer_and_reach_the_disk_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a");
    let disk = LossyDisk::new(3);
    let file = disk.open(&path, OpenMode::Create).expect("opened");
    let mut model: Vec<u8> = Vec::new();
    let mut chance = 7_u64;
    for round in 0..400_u64 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let position = (chance >> 33) % 20_000;
        match chance >> 61 {
            0 => {
                file.set_len(position).expect("cut");
                model.resize(position as usize, 0);
            }
            1 => file.sync_data().expect("synced"),
            _ => {
                let bytes = vec![round as u8; (chance >> 40) as usize % 9_000];
                write(&*file, &bytes, position);
                let end = position as usize + bytes.len();
                if !bytes.is_empty() {
                    model.resize(model.len().max(end), 0);
                    model[position as usize..end].copy_from_slice(&bytes);
                }
            }
        }
        assert_eq!(read(&disk, &path), model, "round {round}");
    }
    file.sync_data().expect("synced");
    assert_eq!(read(&OsDisk, &path), model);
}
