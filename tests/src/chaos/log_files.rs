//! What stands in the folders of stopped brokers: the batches of each partition, and what their logs say went wrong.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, IoSlice};
use std::path::Path;

use tidemark_protocol::batch::batches;
use tidemark_storage::disk::{Disk, OpenMode, OsDisk, read_file};

use super::checker::replicas::{Batch, ReplicaLog};
use crate::rng::Rng;

/// The largest segment of a run, and the largest log of a broker.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// What no log line of a broker may have in it.
const ALARMS: &[&str] = &["panicked at", "assertion", "RUST_BACKTRACE"];

/// The partitions in a broker's folder, by `topic/index`.
///
/// # Errors
/// Those of the disk.
pub fn partitions(node: i32, dir: &Path) -> io::Result<BTreeMap<String, ReplicaLog>> {
    let mut found = BTreeMap::new();
    for name in OsDisk.read_dir(dir)? {
        let Some((topic, index)) = name.rsplit_once('-') else { continue };
        if index.parse::<i32>().is_ok() {
            found.insert(format!("{topic}/{index}"), partition(node, &dir.join(&name))?);
        }
    }
    Ok(found)
}

/// All batches of a partition's segments, in order; what stands behind the last whole one of a segment is room.
fn partition(node: i32, dir: &Path) -> io::Result<ReplicaLog> {
    let mut segments: Vec<String> = OsDisk.read_dir(dir)?;
    segments.retain(|name| name.ends_with(".log"));
    segments.sort();
    let mut log = ReplicaLog { node, batches: Vec::new() };
    for segment in segments {
        let bytes = read_file(&OsDisk, &dir.join(segment), FILE_BYTES_MAX)?;
        for (header, range) in batches(&bytes).map_while(Result::ok) {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes[range]);
            log.batches.push(Batch { header, digest: hasher.finish() });
        }
    }
    Ok(log)
}

/// Flips so many bits, by chance, in what the segments of a stopped broker hold.
///
/// # Errors
/// Those of the disk.
pub fn flip(dir: &Path, count: u32, seed: u64) -> io::Result<()> {
    let mut rng = Rng::new(seed);
    let mut segments = Vec::new();
    for name in OsDisk.read_dir(dir)? {
        if name.rsplit_once('-').is_none_or(|(_, index)| index.parse::<i32>().is_err()) {
            continue;
        }
        let files = OsDisk.read_dir(&dir.join(&name))?.into_iter().filter(|file| file.ends_with(".log"));
        segments.extend(files.map(|file| dir.join(&name).join(file)));
    }
    segments.sort();
    // Nothing was written yet.
    if segments.is_empty() {
        return Ok(());
    }
    for _ in 0..count {
        let segment = rng.pick(&segments);
        let bytes = read_file(&OsDisk, segment, FILE_BYTES_MAX)?;
        let mut whole = batches(&bytes);
        while whole.next().is_some_and(|batch| batch.is_ok()) {}
        if whole.position() > 0 {
            let at = rng.below(whole.position() as u64);
            let flipped = bytes[at as usize] ^ 1 << rng.below(8);
            OsDisk.open(segment, OpenMode::ReadWrite)?.write_all_at(&[IoSlice::new(&[flipped])], at)?;
        }
    }
    Ok(())
}

/// Lines of a broker's log that must not be there.
///
/// # Errors
/// Those of the disk.
pub fn alarms(log: &Path) -> io::Result<Vec<String>> {
    let text = String::from_utf8_lossy(&read_file(&OsDisk, log, FILE_BYTES_MAX)?).into_owned();
    let alarming = text.lines().filter(|line| ALARMS.iter().any(|alarm| line.contains(alarm)));
    Ok(alarming.map(str::to_owned).collect())
}
