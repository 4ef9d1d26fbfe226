use std::path::Path;

use super::*;
use crate::disk::{Disk, OpenMode, SimDisk};

const POLICY: RoomPolicy = RoomPolicy { from_bytes: 3000, step_bytes: 10_000 };

fn len_after(disk: &SimDisk, room: &Room, end: u64) -> u64 {
    let file = disk.open(Path::new("/log"), OpenMode::Create).unwrap();
    room.make(&*file, end, POLICY);
    file.len().unwrap()
}

#[test]
fn a_small_segment_gets_no_room() {
    let room = Room::default();
    assert_eq!(len_after(&SimDisk::new(1), &room, POLICY.from_bytes - 1), 0);
    assert!(!room.is_there());
}

#[test]
fn a_growing_segment_reaches_the_next_step_ahead_of_its_appends() {
    let (disk, room) = (SimDisk::new(1), Room::default());
    assert_eq!(len_after(&disk, &room, POLICY.from_bytes), POLICY.step_bytes);
    assert_eq!(len_after(&disk, &room, POLICY.step_bytes), POLICY.step_bytes, "it fits");
    assert_eq!(len_after(&disk, &room, POLICY.step_bytes + 1), 2 * POLICY.step_bytes);
    assert_eq!(len_after(&disk, &room, 5 * POLICY.step_bytes), 6 * POLICY.step_bytes, "never exactly full");
}

#[test]
fn a_full_disk_gives_no_room_and_no_error() {
    let (disk, room) = (SimDisk::new(1), Room::default());
    disk.set_capacity(1000);
    assert!(len_after(&disk, &room, POLICY.from_bytes) <= 1000);
}
