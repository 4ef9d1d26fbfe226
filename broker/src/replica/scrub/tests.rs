use std::path::Path;

use super::*;
use crate::partition::Acks;
use crate::partition::testing::{Rig, ask};

/// Everything a consumer can read of a log that was written, read again from its files only.
fn read_all(view: &PartitionView) -> Checked {
    let mut next = view.log_start;
    while next < sound_end(view) {
        match read(&view.reader, (next, sound_end(view)), false) {
            Checked::UpTo(offset) => next = offset,
            other => return other,
        }
    }
    Checked::UpTo(next)
}

#[test]
fn a_flipped_bit_anywhere_below_the_mark_is_found() {
    let mut rig = Rig::new();
    let handle = rig.partition(0, &[]);
    for value in ["a", "b", "c"] {
        rig.append(&handle, Acks::All, value).unwrap();
    }
    let mut rig = rig.crash();
    let handle = rig.partition(0, &[]);
    let opened = ask(&mut rig, handle.ready_view()).unwrap();
    assert!(matches!(read_all(&opened), Checked::UpTo(3)));
    let segment = Path::new("/data/t-0/00000000000000000000.log");
    // Places, lengths, epochs, checksums and records, of the first batch and of others.
    for bit in (0..8 * 200).step_by(5) {
        rig.disk.flip(segment, bit).unwrap();
        assert!(matches!(read_all(&opened), Checked::Damaged(_)), "bit {bit}");
        rig.disk.flip(segment, bit).unwrap();
    }
    assert!(matches!(read_all(&opened), Checked::UpTo(3)));
}
