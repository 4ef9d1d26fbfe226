use std::io::{ErrorKind, IoSlice};

use tempfile::TempDir;

use super::*;
use crate::disk::{read_exact_at, read_file};

#[test]
fn many_buffers_land_one_after_another() {
    let dir = TempDir::new().unwrap();
    let file = OsDisk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
    let parts: Vec<Vec<u8>> = (0..3000u32).map(|i| i.to_be_bytes().to_vec()).collect();
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
    file.write_all_at(&slices, 5).unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 5 + 4 * 3000);
    let mut all = vec![0; 4 * 3000];
    read_exact_at(&*file, &mut all, 5).unwrap();
    assert_eq!(all, parts.concat());
}

#[test]
fn freshly_written_bytes_are_in_memory() {
    let dir = TempDir::new().unwrap();
    let file = OsDisk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"hello")], 0).unwrap();
    let mut buf = [0; 8];
    // A file system without RWF_NOWAIT answers None; the bytes must be right where it answers.
    if let Some(n) = file.read_cached_at(&mut buf, 0).unwrap() {
        assert_eq!(&buf[..n], b"hello");
    }
}

#[test]
fn a_locked_directory_is_refused_until_released() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(".lock");
    let held = OsDisk.lock(&path).unwrap();
    assert_eq!(OsDisk.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    OsDisk.lock(&path).unwrap();
}

#[test]
fn a_mapped_file_shows_its_bytes_and_an_empty_one_none() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f");
    let file = OsDisk.open(&path, OpenMode::Create).unwrap();
    assert!(OsDisk.map(&path).unwrap().is_empty());
    file.write_all_at(&[IoSlice::new(b"index")], 0).unwrap();
    assert_eq!(&*OsDisk.map(&path).unwrap(), b"index");
    assert_eq!(OsDisk.file_len(&path).unwrap(), 5);
    assert_eq!(read_file(&OsDisk, &path, 5).unwrap(), b"index");
    assert_eq!(read_file(&OsDisk, &path, 4).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn names_move_and_go() {
    let dir = TempDir::new().unwrap();
    let (a, b) = (dir.path().join("x/a"), dir.path().join("x/b"));
    OsDisk.create_dir_all(a.parent().unwrap()).unwrap();
    OsDisk.open(&a, OpenMode::Create).unwrap();
    OsDisk.rename(&a, &b).unwrap();
    OsDisk.sync_dir(b.parent().unwrap()).unwrap();
    assert_eq!(OsDisk.read_dir(b.parent().unwrap()).unwrap(), ["b"]);
    assert!(OsDisk.open(&a, OpenMode::Read).is_err());
    OsDisk.remove_dir_all(b.parent().unwrap()).unwrap();
    assert!(!OsDisk.exists(&b));
    let space = OsDisk.space(dir.path()).unwrap();
    assert!(space.free <= space.total && space.total > 0);
    OsDisk.watch_filesystem(dir.path()).unwrap();
    OsDisk.sync_filesystem(dir.path()).unwrap();
}

#[test]
fn a_kernel_tells_its_version() {
    assert_eq!(kernel_version("6.1.0-18-amd64"), Some((6, 1)));
    assert_eq!(kernel_version("5.15.167.4-microsoft-standard-WSL2"), Some((5, 15)));
    assert_eq!(kernel_version("4.19"), Some((4, 19)));
    assert_eq!(kernel_version("unknown"), None);
}
