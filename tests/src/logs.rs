//! Logs as they lie on a disk: all batches of a partition, checked as `tidemark segment verify` checks them, and bits to flip.

use std::io::IoSlice;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tidemark_protocol::batch::{RecordBatch, batches};
use tidemark_storage::disk::{Disk, OpenMode, OsDisk, read_exact_at, read_file};
use tidemark_storage::segment::names::{LOG, base_offset};

/// Larger than any log of a test.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// The segments of the log in `dir`, in order.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut names = OsDisk.read_dir(dir).unwrap_or_default();
    names.retain(|name| base_offset(name, LOG).is_some());
    names.sort_unstable();
    names.iter().map(|name| dir.join(name)).collect()
}

/// The bytes of all batches of the log in `dir`, whichever segments they are in. Room at the end of the last counts for nothing.
///
/// # Errors
/// What is wrong with the first bad batch.
pub fn batches_of(dir: &Path) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for path in segments(dir) {
        let bytes: Bytes =
            read_file(&OsDisk, &path, LOG_BYTES_MAX).map_err(|error| error.to_string())?.into();
        let mut walk = batches(&bytes);
        loop {
            let at = walk.position();
            match walk.next() {
                Some(Ok((_, range))) => {
                    let batch = RecordBatch::parse(bytes.slice(range.clone()));
                    let checked = batch.and_then(|batch| batch.verify_crc());
                    checked.map_err(|error| format!("{} at {at}: {error}", path.display()))?;
                    all.extend_from_slice(&bytes[range]);
                }
                None | Some(Err(_)) if bytes[at..].iter().all(|byte| *byte == 0) => break,
                Some(Err(error)) => return Err(format!("{} at {at}: {error}", path.display())),
                None => return Err(format!("{} ends within a batch at {at}", path.display())),
            }
        }
    }
    Ok(all)
}

/// Flips a bit of a file; the length of the file, in bits, limits `bit`.
pub fn flip(path: &Path, bit: u64) {
    let file = OsDisk.open(path, OpenMode::ReadWrite).expect("the file is there");
    let bit = bit % (file.len().expect("a length") * 8);
    let mut byte = [0];
    read_exact_at(&*file, &mut byte, bit / 8).expect("within the file");
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&[IoSlice::new(&byte)], bit / 8).expect("written");
}
