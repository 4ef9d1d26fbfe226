//! What a test build lets others do to a running node: its disk loses on kill -9 what was not synced, and disk and clock follow
//! the orders of a file.
//!
//! The file is named by `CHAOS_ORDERS`; without it the build is as any other. Its first line is what ails the disk, in the words of
//! [`Ailment::set`], its second by how many milliseconds the wall clock is wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tidemark_broker::clock::Clock;
use tidemark_storage::disk::{Ailment, Disk, FaultyDisk, LossyDisk};

use crate::files;

/// Names the file.
const ORDERS: &str = "CHAOS_ORDERS";
/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// One write in so many sends a block to the disk that nobody has asked for.
const WRITE_BACK_EVERY: u64 = 8;
/// The folder of the metadata: when it fails the whole node ends, so it fails only when that is ordered.
const METADATA: &str = "metadata";

/// Disk and clock, if orders are given.
pub(super) fn seams() -> Option<(Arc<dyn Disk>, Clock)> {
    let path = PathBuf::from(std::env::var_os(ORDERS)?);
    eprintln!("test build: disk and clock follow {}", path.display());
    let (ailment, skew) = (Arc::new(Ailment::default()), Arc::new(AtomicI64::new(0)));
    let disk = FaultyDisk::new(LossyDisk::new(WRITE_BACK_EVERY), Arc::clone(&ailment), METADATA);
    let clock = Clock::skewed(Arc::clone(&skew));
    obey(&path, &ailment, &skew);
    std::thread::spawn(move || follow(&path, &ailment, &skew));
    Some((Arc::new(disk), clock))
}

#[allow(clippy::disallowed_methods, reason = "orders come from another process, as a file that changes")]
fn follow(path: &Path, ailment: &Ailment, skew: &AtomicI64) {
    loop {
        std::thread::sleep(LOOK_EVERY);
        obey(path, ailment, skew);
    }
}

fn obey(path: &Path, ailment: &Ailment, skew: &AtomicI64) {
    // Without a file there are no orders.
    let orders = files::read_text(path).unwrap_or_default();
    let mut lines = orders.lines();
    ailment.set(lines.next().unwrap_or_default());
    let by_ms = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
    skew.store(by_ms, Ordering::Relaxed);
}
