//! The log file on real and simulated disks: what was synced is there again, whatever a crash did to the rest.

use std::sync::Arc;

use proptest::prelude::*;
use tidemark_storage::disk::sim::{Rng, SimDisk};
use tidemark_storage::disk::{Disk, OpenMode};
use uuid::Uuid;

use super::super::quorum::LogPosition;
use super::super::record::{Ballot, StoredEntry, StoredMembers, StoredPayload};
use super::*;

fn dir() -> PathBuf {
    PathBuf::from("/data/metadata")
}

fn new_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(&dir()).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    disk
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn position(index: u64) -> LogPosition {
    LogPosition { term: 1, index }
}

/// An entry whose stored form takes about `size` bytes.
fn entry(index: u64, size: usize) -> LogRecord {
    let voter = super::super::quorum::Voter {
        broker_id: 1,
        directory_id: Uuid::nil(),
        address: "x".repeat(size),
        may_vote: true,
    };
    let members = StoredMembers { configs: vec![[1].into()], nodes: [(1, voter)].into() };
    LogRecord::Entry(StoredEntry { position: position(index), payload: StoredPayload::Membership(members) })
}

fn open(disk: &SimDisk) -> (LogFile, LogContent) {
    LogFile::open(&shared(disk), &dir()).expect("it opens")
}

#[test]
fn synced_records_are_there_again() {
    let disk = new_disk(1);
    let (mut log, content) = open(&disk);
    assert_eq!(content, LogContent::default());
    let vote = Ballot { term: 3, candidate: 1, granted: true };
    let records =
        [LogRecord::Vote(vote), entry(0, 10), entry(1, 10), LogRecord::Committed(Some(position(1)))];
    log.write(&records.clone().map(|record| record.encode()), true).unwrap();
    let (_, content) = open(&disk.crash());
    assert_eq!(content.to_records(), records);
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on_behind_it() {
    let disk = new_disk(2);
    let (mut log, _) = open(&disk);
    log.write(&[entry(0, 100).encode()], true).unwrap();
    let end = log.end;
    log.write(&[entry(1, 100).encode(), entry(2, 100).encode()], true).unwrap();
    // The second batch was torn in its first frame, as by a crash before its sync.
    disk.flip(&file_path(&dir(), 1), (usize::try_from(end).unwrap() + 30) * 8).unwrap();
    let (mut log, content) = open(&disk);
    assert_eq!(content.to_records(), [entry(0, 100)]);
    log.write(&[entry(1, 5).encode()], true).unwrap();
    let (_, content) = open(&disk.crash());
    assert_eq!(content.to_records(), [entry(0, 100), entry(1, 5)]);
}

#[test]
fn what_a_failed_sync_left_in_memory_only_is_written_anew_before_it_counts() {
    for seed in 0..20 {
        let disk = new_disk(seed);
        let (mut log, _) = open(&disk);
        log.write(&[entry(0, 100).encode()], true).unwrap();
        log.write(&[entry(1, 30_000).encode()], false).unwrap();
        disk.fail_sync(1);
        assert!(log.write(&[entry(2, 30_000).encode()], true).is_err());
        let disk = disk.restart();
        let (mut log, content) = open(&disk);
        let found = content.to_records();
        assert_eq!(found.len(), 3, "a restarted process reads everything");
        log.write(&[entry(3, 10).encode()], true).unwrap();
        let (_, content) = open(&disk.crash());
        assert_eq!(content.to_records(), [&found[..], &[entry(3, 10)]].concat(), "seed {seed}");
    }
}

#[test]
fn damage_before_a_durable_record_refuses_to_open() {
    let disk = new_disk(3);
    let (mut log, _) = open(&disk);
    log.write(&[entry(0, 100).encode()], true).unwrap();
    log.write(&[entry(1, 100).encode()], true).unwrap();
    disk.flip(&file_path(&dir(), 1), (FILE_HEADER_LEN + 40) * 8).unwrap();
    let error = LogFile::open(&shared(&disk), &dir()).expect_err("the second batch proves the first");
    assert!(matches!(&error, StartError::Damaged { why, .. } if why.contains("byte 20")), "{error}");
}

#[test]
fn a_committed_entry_that_is_missing_refuses_to_open() {
    let disk = new_disk(4);
    let (mut log, _) = open(&disk);
    log.write(&[entry(0, 1).encode(), LogRecord::Committed(Some(position(5))).encode()], true).unwrap();
    let error = LogFile::open(&shared(&disk), &dir()).expect_err("entry 5 was answered");
    assert!(error.to_string().contains("entry 5 was committed but is not there"), "{error}");
}

#[test]
fn a_newer_layout_is_refused_by_name() {
    let disk = new_disk(5);
    drop(open(&disk));
    let path = file_path(&dir(), 1);
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    file.write_all_at(&[IoSlice::new(&[9])], 4).unwrap();
    let error = LogFile::open(&shared(&disk), &dir()).expect_err("version 9");
    assert!(error.to_string().contains("layout version 9"), "{error}");
}

#[test]
fn a_replaced_file_holds_only_what_lives() {
    let disk = new_disk(6);
    let (mut log, _) = open(&disk);
    for index in 0..20 {
        log.write(&[entry(index, 100_000).encode()], true).unwrap();
    }
    assert!(log.is_worth_replacing());
    let live = [LogRecord::Purge(position(18)), entry(19, 100_000)];
    log.replace(&live.clone().map(|record| record.encode())).unwrap();
    log.write(&[entry(20, 1).encode()], true).unwrap();
    assert!(!log.is_worth_replacing());
    let disk = disk.crash();
    let (_, content) = open(&disk);
    assert!(disk.used() < 1 << 20, "{} bytes", disk.used());
    assert_eq!(content.to_records(), [live[0].clone(), live[1].clone(), entry(20, 1)]);
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let disk = new_disk(7);
    let (mut log, _) = open(&disk);
    log.write(&[entry(0, 10).encode()], true).unwrap();
    disk.set_capacity(disk.used() + 1000);
    let big = [entry(1, 400_000).encode()];
    let error = log.write(&big, true).expect_err("there is no room");
    assert!(tidemark_storage::disk::is_disk_full(&error), "{error}");
    disk.set_capacity(u64::MAX);
    log.write(&big, true).unwrap();
    let (_, content) = open(&disk.crash());
    assert_eq!(content.to_records(), [entry(0, 10), entry(1, 400_000)]);
}

/// One life of a log that ends in a power failure at the `cut`-th change: what was written, and how much of it was synced.
fn live_until_power_fails(
    disk: &SimDisk,
    rng: &mut Rng,
    written: &mut LogContent,
    acked: &mut LogContent,
) -> io::Result<()> {
    let opened = LogFile::open(&shared(disk), &dir());
    let Ok((mut log, content)) = opened else {
        assert!(disk.is_off(), "only a power failure may keep it from opening: {opened:?}");
        return Err(io::ErrorKind::Other.into());
    };
    assert_between(acked, &content, written);
    *written = content.clone();
    *acked = content;
    loop {
        let mut next = written.clone();
        let mut records = Vec::new();
        for _ in 0..1 + rng.index(4) {
            let at = next.last().map_or(0, |last| last.index + 1);
            let record = match rng.index(12) {
                0 => LogRecord::Vote(Ballot { term: at, candidate: 1, granted: rng.percent(50) }),
                1 if at > 0 => LogRecord::Committed(Some(position(at - 1))),
                2 if at > 2 && next.committed.is_none_or(|committed| committed.index + 2 < at) => {
                    LogRecord::Truncate(Some(position(at - 2)))
                }
                3 if next.committed.is_some_and(|committed| next.purged.is_none_or(|p| p < committed)) => {
                    LogRecord::Purge(next.committed.expect("just seen"))
                }
                _ => entry(at, rng.index(6000)),
            };
            next.take(record.clone()).expect("it fits");
            records.push(record.encode());
        }
        *written = next;
        let sync = rng.percent(80);
        log.write(&records, sync)?;
        if sync {
            *acked = written.clone();
        }
        if rng.percent(5) {
            let live: Vec<Vec<u8>> = written.to_records().iter().map(LogRecord::encode).collect();
            log.replace(&live)?;
            *acked = written.clone();
        }
    }
}

/// Nothing acknowledged is missing, and nothing is there that was never written.
fn assert_between(acked: &LogContent, found: &LogContent, written: &LogContent) {
    // Truncations of entries that were not committed may or may not have happened; what is committed is what was answered.
    let committed = acked.committed.map(|committed| committed.index);
    let last = found.last().map(|last| last.index);
    assert!(last >= committed, "committed {committed:?}, found {last:?}");
    assert!(found.purged <= written.purged && found.purged >= acked.purged);
    for entry in &acked.entries {
        let index = entry.position.index;
        if committed.is_some_and(|committed| index <= committed)
            && found.purged.is_none_or(|purged| index > purged.index)
        {
            assert!(found.entries.contains(entry), "entry {index} is lost");
        }
    }
    let known =
        |vote: &Option<Ballot>| *vote == acked.vote || vote.map(|v| v.term) >= acked.vote.map(|v| v.term);
    assert!(known(&found.vote), "the vote went back from {:?} to {:?}", acked.vote, found.vote);
}

/// 150 seeds of lives that end at a random change, each reopened, some power failures during the reopening.
#[test]
fn what_was_synced_survives_power_failures() {
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut disk = new_disk(seed);
        let (mut written, mut acked) = (LogContent::default(), LogContent::default());
        for _ in 0..6 {
            disk.power_off_at(1 + rng.index(60) as u64);
            live_until_power_fails(&disk, &mut rng, &mut written, &mut acked)
                .expect_err("lives end by power failure");
            disk = disk.crash();
        }
        let (_, content) =
            LogFile::open(&shared(&disk), &dir()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_between(&acked, &content, &written);
    }
}

proptest! {
    /// Any single flipped bit is either noticed or falls on bytes that hold nothing; it never changes what is read.
    #[test]
    fn a_flipped_bit_is_never_believed(bit in 0usize..(1 << 14)) {
        let disk = new_disk(8);
        let (mut log, _) = open(&disk);
        let records: Vec<LogRecord> = (0..12).map(|index| entry(index, 80)).collect();
        for record in &records {
            log.write(&[record.encode()], true).unwrap();
        }
        disk.flip(&file_path(&dir(), 1), bit).unwrap();
        match LogFile::open(&shared(&disk), &dir()) {
            Ok((_, content)) => prop_assert!(records.starts_with(&content.to_records())),
            Err(error) => prop_assert!(matches!(error, StartError::Damaged { .. }), "{}", error),
        }
    }
}
