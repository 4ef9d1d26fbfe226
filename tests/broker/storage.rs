//! Disks that are full or fail, and directories that are somebody else's.

use std::path::Path;
use std::sync::Arc;

use tidemark_broker::broker::StartError;
use tidemark_storage::disk::{OsDisk, SimDisk};

use crate::harness::{TestBroker, batch, produce, values_from};

const KAFKA_STORAGE_ERROR: i16 = 56;
const DIR: &str = "/data";

#[test]
fn a_full_disk_refuses_produces_serves_reads_and_needs_no_restart() {
    let disk = SimDisk::new(1);
    let mut broker = TestBroker::new(Arc::new(disk.clone()), Path::new(DIR), &[]);
    let mut client = broker.client_with_topic("t", &[]);
    disk.set_capacity(disk.used() + (200 << 10));
    let value = "x".repeat(10_000);
    let mut acked = 0;
    let refused = loop {
        match produce(&mut client, "t", batch(&value)) {
            (0, offset) => assert_eq!(offset, acked),
            (code, _) => break code,
        }
        acked += 1;
        assert!(acked < 100, "the disk is never full");
    };
    assert_eq!(refused, KAFKA_STORAGE_ERROR);
    for _ in 0..3 {
        assert_eq!(produce(&mut client, "t", batch(&value)).0, KAFKA_STORAGE_ERROR);
        assert_eq!(values_from(&mut client, "t", 0).len() as i64, acked, "reads go on");
    }
    disk.set_capacity(u64::MAX);
    assert_eq!(produce(&mut client, "t", batch("room again")), (0, acked));
    broker.restart();
    let values = values_from(&mut broker.client(), "t", 0);
    assert_eq!((values.len() as i64, values.last().unwrap().as_str()), (acked + 1, "room again"));
}

#[test]
fn a_failed_sync_stops_writes_for_good_and_reads_go_on() {
    let disk = SimDisk::new(2);
    let mut broker = TestBroker::new(Arc::new(disk.clone()), Path::new(DIR), &[]);
    let mut client = broker.client_with_topic("t", &[]);
    assert_eq!(produce(&mut client, "t", batch("safe")), (0, 0));
    disk.fail_sync(1);
    assert_eq!(produce(&mut client, "t", batch("lost")).0, KAFKA_STORAGE_ERROR);
    assert_eq!(produce(&mut client, "t", batch("a second sync would lie")).0, KAFKA_STORAGE_ERROR);
    assert_eq!(values_from(&mut client, "t", 0), ["safe"]);
    broker.restart();
    let mut client = broker.client();
    assert_eq!(values_from(&mut client, "t", 0)[0], "safe");
    assert_eq!(produce(&mut client, "t", batch("well again")).0, 0);
}

#[test]
fn acknowledged_records_survive_a_power_failure() {
    let disk = SimDisk::new(3);
    let broker = TestBroker::new(Arc::new(disk.clone()), Path::new(DIR), &[]);
    let mut client = broker.client_with_topic("t", &[("segment.bytes", "1048576")]);
    let value = "y".repeat(50_000);
    for offset in 0..60 {
        assert_eq!(produce(&mut client, "t", batch(&value)), (0, offset));
    }
    let disk = disk.crash();
    drop(broker);
    let broker = TestBroker::new(Arc::new(disk), Path::new(DIR), &[]);
    let mut client = broker.client();
    assert_eq!(values_from(&mut client, "t", 0).len(), 60);
    assert_eq!(produce(&mut client, "t", batch("on")), (0, 60));
}

/// Why a broker does not start on a directory.
fn refusal(dir: &Path, settings: &[&str]) -> String {
    match TestBroker::try_new(Arc::new(OsDisk), dir, settings) {
        Err(error @ StartError::DataDir(_)) => error.to_string(),
        Err(error) => panic!("refused, but not for its directory: {error}"),
        Ok(_) => panic!("it started with {settings:?}"),
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the directory is a real one")]
fn a_directory_that_is_not_ours_is_refused_by_name() {
    let mut broker = TestBroker::start(&["cluster.id=4L6g3nShT-eMCtK--X86sw"]);
    let dir = broker.dir().to_owned();
    let name = dir.display().to_string();
    let in_use = refusal(&dir, &[]);
    assert!(in_use.contains("in use") && in_use.contains(&name), "{in_use}");
    broker.stop();
    let node = refusal(&dir, &["node.id=2"]);
    assert!(node.contains("belongs to node 1") && node.contains(&name), "{node}");
    let cluster = refusal(&dir, &["cluster.id=MkU3OEVBNTcwNTJENDM2Qg"]);
    assert!(cluster.contains("belongs to cluster 4L6g3nShT-eMCtK--X86sw"), "{cluster}");
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("letter.txt"), "dear").unwrap();
    let not_empty = refusal(foreign.path(), &[]);
    assert!(not_empty.contains("letter.txt"), "{not_empty}");
    assert!(foreign.path().join("letter.txt").exists(), "and nothing is touched");
    broker.restart();
}
