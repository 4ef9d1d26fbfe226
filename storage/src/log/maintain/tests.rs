use super::*;
use crate::disk::{Disk, SimDisk};
use crate::log::tests::{EPOCH, Fixture, at, batch, bytes_of, flush, read_all};
use crate::log::{AppendError, Recovery};

fn stamped(log: &mut Log, ms: i64) {
    log.append_as_leader(batch(1, at(ms).wall_ms, 100), EPOCH, at(ms)).unwrap();
}

#[test]
fn old_segments_go_and_readers_that_hold_them_go_on() {
    let fixture = Fixture::new(0, |c| {
        (c.segment_bytes, c.retention_ms, c.file_delete_delay_ms) = (400, 10_000, 500);
    });
    let mut log = fixture.open(None);
    for ms in [0, 1000, 2000, 3000, 4000, 5000] {
        stamped(&mut log, ms);
    }
    flush(&mut log);
    let held = log.reader();
    let done = log.maintain(at(9000), 6);
    assert_eq!((done.removed_segments, done.log_start_moved), (0, false));
    assert_eq!(done.next_due, Some(Duration::from_millis(11_001)), "when the first segment is too old");
    let done = log.maintain(at(12_000), 6);
    assert_eq!((done.removed_segments, done.log_start_moved), (1, true));
    assert_eq!(log.log_start(), 2);
    assert_eq!(done.next_due, Some(Duration::from_millis(12_500)));
    log.maintain(at(12_501), 6);
    assert_eq!(fixture.files(".deleted"), Vec::<String>::new());
    let slice = held.read(0, 6, 1 << 20, true).unwrap();
    assert_eq!(bytes_of(&slice).len(), 6 * slice.bytes / 6);
    assert!(log.reader().read(0, 6, 1 << 20, true).is_err());
    assert_eq!(read_all(&log, 2).len(), 4);
}

#[test]
fn an_expired_log_keeps_its_offsets() {
    let fixture = Fixture::new(0, |c| (c.retention_ms, c.file_delete_delay_ms) = (10_000, 0));
    let mut log = fixture.open(None);
    for ms in [0, 1000] {
        stamped(&mut log, ms);
    }
    flush(&mut log);
    assert!(log.maintain(at(20_000), 2).rolled);
    flush(&mut log);
    let done = log.maintain(at(20_001), 2);
    assert_eq!((done.removed_segments, log.log_start(), log.log_end()), (1, 2, 2));
    let mark = flush(&mut log);
    drop(log);
    // Even if the journal is lost: offsets are never given out twice.
    for mark in [Some(mark), None] {
        let (log, recovery) = fixture.try_open(mark).unwrap();
        assert_eq!((log.log_start(), log.log_end()), (2, 2));
        assert_eq!(recovery, Recovery::Intact { scanned: 0 });
    }
}

#[test]
fn what_is_not_durable_or_not_below_the_high_watermark_stays() {
    let fixture = Fixture::new(0, |c| (c.segment_bytes, c.retention_ms) = (400, 10_000));
    let mut log = fixture.open(None);
    for ms in 0..6 {
        stamped(&mut log, ms);
    }
    assert_eq!(log.maintain(at(30_000), 6).removed_segments, 0);
    flush(&mut log);
    assert_eq!(log.maintain(at(30_000), 2).removed_segments, 1);
    assert_eq!(log.log_start(), 2);
}

#[test]
fn a_log_larger_than_allowed_loses_its_oldest_segments() {
    let fixture = Fixture::new(0, |c| {
        (c.segment_bytes, c.retention_bytes, c.retention_ms) = (400, 900, -1);
    });
    let mut log = fixture.open(None);
    for ms in 0..12 {
        stamped(&mut log, ms);
    }
    flush(&mut log);
    log.maintain(at(20), 12);
    assert!(log.size_bytes() >= 900 && log.size_bytes() < 900 + 400);
    assert!(log.log_start() > 0);
}

#[test]
fn a_full_disk_refuses_the_append_and_passes() {
    let disk = SimDisk::new(11);
    disk.create_dir_all(std::path::Path::new("/data")).unwrap();
    let fixture = Fixture::on(Arc::new(disk.clone()), "/data".into(), 0, |c| c.segment_bytes = 600);
    let mut log = fixture.open(None);
    stamped(&mut log, 0);
    flush(&mut log);
    for room in [0, 1, 50, 100, 170, 200] {
        let before = (log.log_end(), log.size_bytes());
        disk.set_capacity(disk.used() + room);
        let mut refused = 0;
        for ms in 0..6 {
            match log.append_as_leader(batch(1, at(ms).wall_ms, 100), EPOCH, at(ms)) {
                Ok(_) => {}
                Err(AppendError::DiskFull) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 0);
        assert!(log.failure().is_none());
        assert!(log.log_end() >= before.0 && log.size_bytes() >= before.1);
        disk.set_capacity(u64::MAX);
        stamped(&mut log, 1);
        let end = log.log_end();
        assert_eq!(read_all(&log, 0).len(), usize::try_from(end).unwrap());
        let mark = flush(&mut log);
        drop(log);
        let (again, recovery) = fixture.try_open(Some(mark)).unwrap();
        assert_eq!((again.log_end(), recovery), (end, Recovery::Intact { scanned: 0 }));
        log = again;
    }
}

#[test]
fn a_failed_write_is_the_end_of_appends() {
    let disk = SimDisk::new(12);
    disk.create_dir_all(std::path::Path::new("/data")).unwrap();
    let fixture = Fixture::on(Arc::new(disk.clone()), "/data".into(), 0, |_| {});
    let mut log = fixture.open(None);
    stamped(&mut log, 0);
    disk.fail_write(1);
    let failed = log.append_as_leader(batch(1, 0, 100), EPOCH, at(0)).unwrap_err();
    assert!(matches!(failed, AppendError::Failed(_)));
    assert!(log.failure().is_some());
    assert!(matches!(log.append_as_leader(batch(1, 0, 100), EPOCH, at(0)), Err(AppendError::Failed(_))));
    assert_eq!(read_all(&log, 0), [(0, 1)]);
}
