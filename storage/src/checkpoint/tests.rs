use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::disk::SimDisk;

const FORMAT: Format = Format { kind: *b"TEST", version: 2 };
const PATH: &str = "/data/file";

fn empty_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn store(disk: &SimDisk, payload: &[u8], durability: Durability) -> io::Result<()> {
    write(disk, Path::new(PATH), FORMAT, payload, durability)
}

#[test]
fn missing_file_is_none() {
    assert!(read(&SimDisk::new(1), Path::new(PATH), FORMAT).unwrap().is_none());
}

#[test]
fn layout_is_fixed() {
    let bytes = encode(FORMAT, b"abc");
    assert_eq!(bytes[..15], *b"TEST\x02\0\0\0\0\0\0\x03abc");
    assert_eq!(bytes[15..], crc32fast::hash(&bytes[..15]).to_be_bytes());
}

#[test]
fn newer_version_is_refused_as_such() {
    let bytes = encode(Format { version: 3, ..FORMAT }, b"");
    let error = decode(FORMAT, &bytes, Path::new(PATH)).unwrap_err();
    assert!(matches!(error, CheckpointError::Newer { version: 3, known: 2, .. }));
}

#[test]
fn other_kind_is_refused() {
    let bytes = encode(Format { kind: *b"ELSE", ..FORMAT }, b"");
    assert!(matches!(decode(FORMAT, &bytes, Path::new(PATH)), Err(CheckpointError::Damaged { .. })));
}

#[test]
fn synced_write_replaces_whole_whenever_the_power_fails() {
    for seed in 0..300 {
        let disk = empty_disk(seed);
        let (old, new) = (vec![1; 9000], vec![2; 5000]);
        store(&disk, &old, Durability::Synced).unwrap();
        disk.power_off_at(1 + seed % 7);
        let done = store(&disk, &new, Durability::Synced).is_ok();
        let disk = disk.crash();
        let (_, found) = read(&disk, Path::new(PATH), FORMAT).unwrap().expect("the first one was synced");
        assert!(found == new || (!done && found == old), "seed {seed}");
    }
}

proptest! {
    #[test]
    fn payload_comes_back(payload in prop::collection::vec(any::<u8>(), 0..3000), synced: bool) {
        let durability = if synced { Durability::Synced } else { Durability::Relaxed };
        let disk = empty_disk(1);
        store(&disk, &payload, durability).unwrap();
        prop_assert_eq!(read(&disk, Path::new(PATH), FORMAT).unwrap(), Some((2, payload)));
    }

    #[test]
    fn any_flipped_bit_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..300), bit: prop::sample::Index) {
        let disk = empty_disk(1);
        store(&disk, &payload, Durability::Synced).unwrap();
        let bits = 8 * usize::try_from(disk.file_len(Path::new(PATH)).unwrap()).unwrap();
        disk.flip(Path::new(PATH), bit.index(bits)).unwrap();
        prop_assert!(read(&disk, Path::new(PATH), FORMAT).is_err());
    }

    #[test]
    fn any_cut_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..300), cut: prop::sample::Index) {
        let bytes = encode(FORMAT, &payload);
        prop_assert!(decode(FORMAT, &bytes[..cut.index(bytes.len())], Path::new(PATH)).is_err());
    }
}
