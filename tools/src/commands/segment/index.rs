//! Dumps of index files.

use std::path::Path;

use serde_json::json;
use tidemark_protocol::types::Offset;
use tidemark_storage::disk::OsDisk;
use tidemark_storage::index::{OffsetIndex, TimeIndex, TransactionIndex};

use super::find;
use crate::exit::{Exit, Failure};
use crate::output::{Cell, Report, Table, left, right};
use crate::{time_text, units};

/// Dumps an offset index.
pub fn offsets(path: &Path, base_offset: Offset) -> Result<Report, Failure> {
    let loaded = OffsetIndex::load(&OsDisk, path, base_offset, false);
    let (index, summary) = loaded.map_err(|error| damaged_index(path, &error.to_string()))?;
    let mut table = Table::new([right("OFFSET"), right("POSITION")]);
    let mut rows = Vec::new();
    for entry in (0..index.len()).map(|i| index.get(i)) {
        let offset = base_offset + i64::from(entry.relative);
        table.row([offset.into(), entry.position.into()]);
        rows.push(json!({ "offset": offset, "position": entry.position }));
    }
    let note = format!(
        "Covers offsets up to {} and {}.",
        summary.covered_end,
        units::bytes(summary.covered_position as i64)
    );
    let data = json!({ "entries": rows, "covered_end": summary.covered_end, "covered_position": summary.covered_position });
    Ok(Report::new("segment.index", data).table(table).note(note))
}

/// Dumps a time index.
pub fn times(path: &Path, base_offset: Offset) -> Result<Report, Failure> {
    let loaded = TimeIndex::load(&OsDisk, path, base_offset, false);
    let (index, _) = loaded.map_err(|error| damaged_index(path, &error.to_string()))?;
    let mut table = Table::new([left("NOTHING NEWER THAN"), right("BELOW OFFSET")]);
    let mut rows = Vec::new();
    for entry in (0..index.len()).map(|i| index.get(i)) {
        let offset = base_offset + i64::from(entry.relative);
        table.row([Cell::of(time_text::rfc3339(entry.timestamp), entry.timestamp), offset.into()]);
        rows.push(json!({ "timestamp": entry.timestamp, "offset": offset }));
    }
    Ok(Report::new("segment.timeindex", json!({ "entries": rows })).table(table))
}

/// Dumps an index of aborted transactions.
pub fn transactions(path: &Path, base_offset: Offset) -> Result<Report, Failure> {
    let loaded = TransactionIndex::load(&OsDisk, path, base_offset);
    let (index, whole) = loaded.map_err(|error| find::unreadable(path, &error))?;
    if !whole {
        return Err(damaged_index(path, "an entry is damaged"));
    }
    let mut table = Table::new([right("PRODUCER"), right("FIRST"), right("LAST"), right("LAST STABLE")]);
    let mut rows = Vec::new();
    for entry in index.entries() {
        table.row([
            entry.producer_id.into(),
            entry.first_offset.into(),
            entry.last_offset.into(),
            entry.last_stable_offset.into(),
        ]);
        rows.push(json!({
            "producer_id": entry.producer_id, "first_offset": entry.first_offset, "last_offset": entry.last_offset,
            "last_stable_offset": entry.last_stable_offset,
        }));
    }
    Ok(Report::new("segment.txnindex", json!({ "aborted": rows })).table(table))
}

fn damaged_index(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Corrupt, format!("{} cannot be read: {why}", path.display()))
        .hint("Indexes are rebuilt from the segment when the broker starts; one of Apache Kafka is of another format.")
}
