//! `tidemark segment verify`: every checksum, every record, every offset, every index entry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use serde_json::json;
use tidemark_protocol::batch::{BatchError, BatchHeader, RecordBatch, batches};
use tidemark_protocol::types::Offset;
use tidemark_storage::disk::{Disk, OsDisk};
use tidemark_storage::index::OffsetIndex;
use tidemark_storage::segment::names::{INDEX, LOG};

use super::find::{self, SegmentFile};
use crate::client::fetch::UNFOLDED_BYTES_MAX;
use crate::commands::{Outcome, finish};
use crate::exit::{Exit, Failure};
use crate::output::{Cell, ItemError, OutputArgs, Report, Table, left, right};
use crate::units;

/// First bytes of our offset indexes; Apache Kafka's have none.
const INDEX_MAGIC: &[u8] = b"TMOI";

/// Flags of `segment verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A .log file, the directory of a partition, or a data directory
    path: PathBuf,
    /// Only segments in which something is wrong
    #[arg(long)]
    damaged: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What was found in one segment.
#[derive(Debug, Default)]
struct Findings {
    batches: u64,
    records: i64,
    bytes: usize,
    end: Offset,
    problems: Vec<String>,
    /// Bytes after the last whole batch of a partition's last segment: a write that a crash cut short.
    torn: usize,
    index: &'static str,
}

/// Runs `segment verify`.
pub fn run(args: &VerifyArgs) -> Outcome {
    let segments = find::segments(&args.path)?;
    let mut table = Table::new([
        left("SEGMENT"),
        right("BATCHES"),
        right("RECORDS"),
        right("SIZE"),
        right("END"),
        left("INDEX"),
        left("RESULT"),
    ]);
    let (mut rows, mut errors, mut torn) = (Vec::new(), Vec::new(), Vec::new());
    let mut previous: Option<(PathBuf, Offset)> = None;
    for (i, segment) in segments.iter().enumerate() {
        let is_last = segments.get(i + 1).is_none_or(|next| next.dir != segment.dir);
        let from = previous.take().filter(|(dir, _)| *dir == segment.dir).map(|(_, end)| end);
        let findings = verify(segment, from, is_last)?;
        previous = Some((segment.dir.clone(), findings.end));
        let path = segment.path(LOG).display().to_string();
        if findings.torn > 0 {
            torn.push(format!(
                "{path}: {} bytes of a write cut short; the broker drops them at its start",
                findings.torn
            ));
        }
        let problem = |why: &String| ItemError::local(path.as_str(), "CORRUPT_MESSAGE", why, Exit::Corrupt);
        errors.extend(findings.problems.iter().map(problem));
        if args.damaged && findings.problems.is_empty() {
            continue;
        }
        table.row(row(&path, &findings));
        rows.push(json!({
            "segment": path, "batches": findings.batches, "records": findings.records, "size_bytes": findings.bytes,
            "end_offset": findings.end, "torn_bytes": findings.torn, "index": findings.index,
            "problems": findings.problems,
        }));
    }
    let report = Report::new("segment.verify", json!({ "segments": rows })).table(table).errors(errors);
    finish(&torn.into_iter().fold(report, Report::note), args.output)
}

fn row(path: &str, findings: &Findings) -> [Cell; 7] {
    let result = match (findings.problems.len(), findings.torn) {
        (0, 0) => "ok".to_owned(),
        (0, _) => "ok, torn tail".to_owned(),
        (1, _) => "1 problem".to_owned(),
        (count, _) => format!("{count} problems"),
    };
    [
        path.into(),
        findings.batches.into(),
        findings.records.into(),
        Cell::of(units::bytes(findings.bytes as i64), findings.bytes),
        findings.end.into(),
        findings.index.into(),
        result.into(),
    ]
}

fn verify(segment: &SegmentFile, from: Option<Offset>, is_last: bool) -> Result<Findings, Failure> {
    let bytes = find::bytes(&segment.path(LOG))?;
    let mut findings = Findings { bytes: bytes.len(), end: segment.base_offset, ..Findings::default() };
    if from.is_some_and(|end| end > segment.base_offset) {
        let end = from.unwrap_or_default();
        findings.problems.push(format!("the segment before ends at {end}, past this one's base offset"));
    }
    let mut starts: BTreeMap<usize, Offset> = BTreeMap::new();
    let mut walk = batches(&bytes);
    loop {
        let at = walk.position();
        match walk.next() {
            Some(Ok((header, range))) => {
                starts.insert(at, header.base_offset);
                if header.base_offset < findings.end {
                    let problem = format!(
                        "batch at position {at} has offset {} before {}",
                        header.base_offset, findings.end
                    );
                    findings.problems.push(problem);
                }
                if let Err(error) = verify_batch(&header, &bytes[range]) {
                    findings
                        .problems
                        .push(format!("batch at position {at}, offset {}: {error}", header.base_offset));
                }
                findings.batches += 1;
                findings.records += i64::from(header.records_count);
                findings.end = header.next_offset().max(findings.end);
            }
            Some(Err(_)) if is_last && find::is_room(&bytes[at..]) => {
                findings.bytes = at;
                break;
            }
            Some(Err(error)) => {
                findings.problems.push(format!("no batch at position {at}: {error}"));
                break;
            }
            None => {
                let rest = bytes.len() - at;
                if is_last {
                    findings.torn = rest;
                } else if rest > 0 {
                    findings.problems.push(format!("{rest} bytes at position {at} are no whole batch"));
                }
                break;
            }
        }
    }
    verify_index(segment, &starts, &mut findings)?;
    Ok(findings)
}

/// Checksum, and every record of what the header promises, in order.
fn verify_batch(header: &BatchHeader, bytes: &[u8]) -> Result<(), String> {
    let text = |error: BatchError| error.to_string();
    let batch = RecordBatch::parse(Bytes::copy_from_slice(bytes)).map_err(text)?;
    batch.verify_crc().map_err(text)?;
    let mut last = header.base_offset - 1;
    let mut count = 0;
    for record in batch.records(UNFOLDED_BYTES_MAX).map_err(text)?.iter() {
        let record = record.map_err(text)?;
        if record.offset <= last || record.offset > header.last_offset() {
            return Err(format!("a record has offset {} where more than {last} is expected", record.offset));
        }
        last = record.offset;
        count += 1;
    }
    if count == header.records_count {
        Ok(())
    } else {
        Err(format!("{count} records, {} promised", header.records_count))
    }
}

/// Every entry must point at the start of the batch it names.
fn verify_index(
    segment: &SegmentFile,
    starts: &BTreeMap<usize, Offset>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let path = segment.path(INDEX);
    if !OsDisk.exists(&path) {
        findings.index = "none";
        return Ok(());
    }
    if !is_ours(&path)? {
        findings.index = "not ours";
        return Ok(());
    }
    findings.index = "ok";
    let (index, summary) = match OffsetIndex::load(&OsDisk, &path, segment.base_offset, false) {
        Ok(loaded) => loaded,
        Err(error) => {
            findings.index = "damaged";
            findings.problems.push(format!("index: {error}"));
            return Ok(());
        }
    };
    let wrong = |i: &usize| {
        let entry = index.get(*i);
        starts.get(&(entry.position as usize)).copied()
            != Some(segment.base_offset + i64::from(entry.relative))
    };
    if let Some(i) = (0..index.len()).find(wrong) {
        findings.index = "wrong";
        findings.problems.push(format!("index: entry {i}, {:?}, names no batch", index.get(i)));
    }
    if summary.covered_position > findings.bytes as u64 {
        findings.index = "wrong";
        findings
            .problems
            .push(format!("index: covers {} bytes of {}", summary.covered_position, findings.bytes));
    }
    Ok(())
}

fn is_ours(path: &Path) -> Result<bool, Failure> {
    let bytes = find::bytes(path)?;
    Ok(bytes.starts_with(INDEX_MAGIC))
}
