//! [`Mirror`]: the batches of one replica as last read from it, and [`Ledger`]: what was ever committed of its partition.
//!
//! A mirror is read along as its log grows and anew when it was cut, so every check compares a few words instead of bytes.
//! Batches are told apart by their checksum, which covers all but offset and epoch; those are compared beside it.

use std::collections::BTreeMap;

use tidemark_broker::partition::sight::Sight;
use tidemark_protocol::batch::batches;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset};
use tidemark_storage::disk::read_exact_at;
use tidemark_storage::log::Piece;

/// What tells a batch from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset after its last record.
    pub next: Offset,
    /// Leader epoch in which it was written.
    pub epoch: LeaderEpoch,
    /// Checksum of its content.
    pub crc: u32,
    /// Whose it is, and which of theirs; −1 without idempotence.
    pub producer: (i64, i32),
}

/// One replica.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    /// Its batches by base offset.
    pub entries: BTreeMap<Offset, Entry>,
    /// Marks as last seen.
    pub log_start: Offset,
    /// As last seen.
    pub durable_end: Offset,
    /// As last seen.
    pub log_end: Offset,
    /// As last seen.
    pub high_watermark: Offset,
    /// Everything below is known to be equal to what is committed.
    pub agreed_to: Offset,
    /// The log is open, in the process that runs now.
    pub is_open: bool,
    /// It has answered that records below are deleted.
    pub deleted_to: Offset,
    /// It led when it was last seen.
    pub was_leader: bool,
    /// Its disk was emptied since: what it promised is not known any more.
    pub was_wiped: bool,
    cuts: u64,
}

impl Mirror {
    /// Nothing is there any more.
    pub fn wiped() -> Mirror {
        Mirror { was_wiped: true, ..Mirror::default() }
    }

    /// The process is gone: what was not durable may be, too.
    pub fn on_down(&mut self) {
        self.is_open = false;
    }

    /// Reads what is new, or everything when the log was opened or cut. `Err` when the disk cannot be read: then what was known of
    /// a log before it was opened is still what is known.
    pub fn read(&mut self, sight: &Sight) -> Result<(), String> {
        if self.is_open && self.cuts == sight.cuts && sight.log_end >= self.log_end {
            return self.read_on(sight);
        }
        let mut fresh = Mirror {
            is_open: true,
            cuts: sight.cuts,
            log_start: sight.log_start,
            log_end: sight.log_start,
            was_wiped: self.was_wiped,
            deleted_to: self.deleted_to,
            ..Mirror::default()
        };
        fresh.read_on(sight)?;
        *self = fresh;
        Ok(())
    }

    fn read_on(&mut self, sight: &Sight) -> Result<(), String> {
        let mut at = self.log_end.max(sight.log_start);
        while at < sight.log_end {
            let slice =
                sight.reader.read(at, sight.log_end, usize::MAX, true).map_err(|error| error.to_string())?;
            if slice.pieces.is_empty() {
                break;
            }
            for piece in slice.pieces {
                let bytes = match piece {
                    Piece::Memory(placed) => placed.to_bytes(),
                    Piece::File { file, position, len } => {
                        let mut bytes = vec![0; len];
                        read_exact_at(&*file, &mut bytes, position).map_err(|error| error.to_string())?;
                        bytes.into()
                    }
                };
                self.note(&bytes, sight)?;
            }
            at = slice.next_offset;
        }
        self.log_start = sight.log_start;
        self.log_end = sight.log_end;
        self.durable_end = sight.durable_end;
        self.high_watermark = sight.high_watermark;
        let start = self.log_start;
        while let Some(first) = self.entries.first_entry() {
            if first.get().next > start {
                break;
            }
            first.remove();
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8], sight: &Sight) -> Result<(), String> {
        for batch in batches(bytes) {
            let (header, _) = batch.map_err(|error| error.to_string())?;
            let entry = Entry {
                base: header.base_offset,
                next: header.next_offset(),
                epoch: header.partition_leader_epoch,
                crc: header.crc,
                producer: (header.producer_id, header.base_sequence),
            };
            let known = sight.reader.epoch_for(entry.base.max(sight.log_start));
            if known != Some(entry.epoch) {
                return Err(format!("I8: the epochs of a log say {known:?} for {entry:?}"));
            }
            self.entries.insert(entry.base, entry);
        }
        Ok(())
    }
}

/// What is committed of one partition.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Batches that were ever below a leader's high watermark.
    pub committed: BTreeMap<Offset, Entry>,
    /// The highest high watermark of any leader.
    pub end: Offset,
    /// Records below may be deleted: somebody asked.
    pub deletable_to: Offset,
    /// Who led which epoch.
    pub leaders: BTreeMap<LeaderEpoch, BrokerId>,
    /// Idempotent batches that are committed.
    pub producers: BTreeMap<(i64, i32), Offset>,
}

impl Ledger {
    /// Compares a replica with what is committed, up to `end`. `Err` is where they differ.
    pub fn compare(&self, mirror: &mut Mirror, end: Offset) -> Result<(), String> {
        let end = end.min(self.end);
        let start = mirror.agreed_to.max(mirror.log_start);
        if start >= end {
            return Ok(());
        }
        // The batch that holds the start may begin before it.
        let from = |entries: &BTreeMap<Offset, Entry>| {
            entries.range(..=start).next_back().map_or(start, |(base, _)| *base)
        };
        let mine = mirror
            .entries
            .range(from(&mirror.entries)..end)
            .map(|(_, entry)| *entry)
            .filter(|e| e.next > start);
        let theirs = self
            .committed
            .range(from(&self.committed)..end)
            .map(|(_, entry)| *entry)
            .filter(|e| e.next > start);
        let (mine, theirs): (Vec<_>, Vec<_>) = (mine.collect(), theirs.collect());
        if mine != theirs {
            let at =
                mine.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or(mine.len().min(theirs.len()));
            return Err(format!(
                "from {start} to {end} it has {:?}, committed is {:?}",
                mine.get(at),
                theirs.get(at)
            ));
        }
        mirror.agreed_to = end;
        Ok(())
    }

    /// A leader's high watermark covers more than any before: that is committed from now on.
    pub fn commit(&mut self, mirror: &mut Mirror, end: Offset) -> Result<(), String> {
        for entry in mirror.entries.range(self.end..end).map(|(_, entry)| *entry) {
            if entry.producer.0 >= 0
                && let Some(other) = self.producers.insert(entry.producer, entry.base)
                && other != entry.base
            {
                return Err(format!("C21: {:?} is at {other} and at {}", entry.producer, entry.base));
            }
            self.committed.insert(entry.base, entry);
        }
        self.end = end;
        mirror.agreed_to = end;
        Ok(())
    }
}
