//! `tidemark segment dump`.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tidemark_protocol::batch::{BatchHeader, Compression, RecordBatch, batches};
use tidemark_protocol::types::Offset;
use tidemark_storage::segment::names::{self, INDEX, LOG, TIME_INDEX, TXN_INDEX};

use super::{find, index};
use crate::client::fetch::UNFOLDED_BYTES_MAX;
use crate::commands::{Outcome, finish};
use crate::exit::{Exit, Failure};
use crate::output::{Cell, ItemError, OutputArgs, Report, Table, left, right};
use crate::{time_text, units};

/// Bytes of a key or value that a table shows.
const SHOWN_CHARS_MAX: usize = 60;

/// Flags of `segment dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// A .log, .index, .timeindex or .txnindex file, or the directory of a partition
    path: PathBuf,
    /// The records instead of the batches
    #[arg(long)]
    records: bool,
    /// Start with the batch that holds this offset
    #[arg(long, value_name = "N")]
    offset: Option<Offset>,
    /// Show so many batches or records at most
    #[arg(short, long, value_name = "N")]
    num: Option<usize>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `segment dump`.
pub fn run(args: &DumpArgs) -> Outcome {
    let name = args.path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let base = |suffix| names::base_offset(&name, suffix);
    if let Some(base_offset) = base(INDEX) {
        return finish(&index::offsets(&args.path, base_offset)?, args.output);
    }
    if let Some(base_offset) = base(TIME_INDEX) {
        return finish(&index::times(&args.path, base_offset)?, args.output);
    }
    if let Some(base_offset) = base(TXN_INDEX) {
        return finish(&index::transactions(&args.path, base_offset)?, args.output);
    }
    finish(&log(args)?, args.output)
}

/// Rows of a dump, with what could not be read.
struct Rows {
    table: Table,
    json: Vec<Value>,
    errors: Vec<ItemError>,
    left: usize,
}

fn log(args: &DumpArgs) -> Result<Report, Failure> {
    let table = if args.records { records_table() } else { batches_table() };
    let mut rows = Rows { table, json: Vec::new(), errors: Vec::new(), left: args.num.unwrap_or(usize::MAX) };
    for segment in find::segments(&args.path)? {
        let path = segment.path(LOG);
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = find::bytes(&path)?;
        let mut walk = batches(&bytes);
        while rows.left > 0 {
            let at = walk.position();
            match walk.next() {
                Some(Ok((header, range))) => {
                    if args.offset.is_some_and(|offset| header.last_offset() < offset) {
                        continue;
                    }
                    let batch = &bytes[range];
                    if args.records {
                        rows.records(&file, &header, batch)
                    } else {
                        rows.batch(&file, at, &header, batch)
                    }
                }
                Some(Err(_)) if find::is_room(&bytes[at..]) => break,
                Some(Err(error)) => {
                    rows.damaged(&file, at, &error.to_string());
                    break;
                }
                None if at < bytes.len() => {
                    rows.damaged(&file, at, &format!("{} bytes are no whole batch", bytes.len() - at));
                    break;
                }
                None => break,
            }
        }
    }
    let (kind, noun) =
        if args.records { ("segment.records", "records") } else { ("segment.batches", "batches") };
    Ok(Report::new(kind, json!({ noun: rows.json })).table(rows.table).errors(rows.errors))
}

fn batches_table() -> Table {
    Table::new([
        left("FILE").wide(),
        right("POSITION"),
        right("OFFSET"),
        right("LAST"),
        right("RECORDS"),
        right("SIZE"),
        left("CODEC"),
        left("NEWEST"),
        right("EPOCH"),
        right("PRODUCER"),
        right("SEQUENCE"),
        left("KIND"),
        left("CRC"),
    ])
}

fn records_table() -> Table {
    Table::new([
        left("FILE").wide(),
        right("OFFSET"),
        left("TIME"),
        left("KEY"),
        left("VALUE"),
        right("HEADERS"),
        right("SIZE"),
    ])
}

impl Rows {
    fn batch(&mut self, file: &str, position: usize, header: &BatchHeader, bytes: &[u8]) {
        self.left -= 1;
        let crc_ok = tidemark_protocol::batch::verify_crc(header, bytes).is_ok();
        let kind = match (header.is_control(), header.is_transactional()) {
            (true, _) => "control",
            (false, true) => "transactional",
            (false, false) => "plain",
        };
        let producer = |number: i64| if number < 0 { Cell::of("-", number) } else { number.into() };
        let codec = codec_name(header.compression());
        self.table.row([
            file.into(),
            position.into(),
            header.base_offset.into(),
            header.last_offset().into(),
            header.records_count.into(),
            Cell::of(units::bytes(bytes.len() as i64), bytes.len()),
            codec.into(),
            Cell::of(time_text::rfc3339(header.max_timestamp), header.max_timestamp),
            header.partition_leader_epoch.into(),
            producer(header.producer_id),
            producer(i64::from(header.base_sequence)),
            kind.into(),
            if crc_ok { "ok" } else { "WRONG" }.into(),
        ]);
        self.json.push(json!({
            "file": file, "position": position, "base_offset": header.base_offset,
            "last_offset": header.last_offset(), "records": header.records_count, "size_bytes": bytes.len(),
            "codec": codec, "base_timestamp": header.base_timestamp, "max_timestamp": header.max_timestamp,
            "leader_epoch": header.partition_leader_epoch, "producer_id": header.producer_id,
            "producer_epoch": header.producer_epoch, "base_sequence": header.base_sequence, "kind": kind,
            "crc": header.crc, "crc_ok": crc_ok,
        }));
        if !crc_ok {
            let item = format!("{file} at {position}");
            self.errors.push(ItemError::local(
                item,
                "CORRUPT_MESSAGE",
                "the checksum is wrong",
                Exit::Corrupt,
            ));
        }
    }

    fn records(&mut self, file: &str, header: &BatchHeader, bytes: &[u8]) {
        let opened = RecordBatch::parse(Bytes::copy_from_slice(bytes))
            .and_then(|batch| batch.records(UNFOLDED_BYTES_MAX));
        let records = match opened {
            Ok(records) => records,
            Err(error) => return self.unreadable(file, header, &error.to_string()),
        };
        for record in records.iter() {
            if self.left == 0 {
                return;
            }
            let record = match record {
                Ok(record) => record,
                Err(error) => return self.unreadable(file, header, &error.to_string()),
            };
            self.left -= 1;
            self.table.row([
                file.into(),
                record.offset.into(),
                Cell::of(time_text::rfc3339(record.timestamp), record.timestamp),
                shown(record.key).into(),
                shown(record.value).into(),
                record.headers.count().into(),
                record.raw.len().into(),
            ]);
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let headers = record.headers.map(|h| json!({ "key": text(Some(h.key)), "value": text(h.value) }));
            self.json.push(json!({
                "file": file, "offset": record.offset, "timestamp": record.timestamp, "key": text(record.key),
                "value": text(record.value), "headers": headers.collect::<Vec<_>>(), "size_bytes": record.raw.len(),
            }));
        }
    }

    fn unreadable(&mut self, file: &str, header: &BatchHeader, why: &str) {
        let item = format!("{file}, batch at offset {}", header.base_offset);
        self.errors.push(ItemError::local(item, "CORRUPT_MESSAGE", why, Exit::Corrupt));
    }

    fn damaged(&mut self, file: &str, position: usize, why: &str) {
        self.errors.push(ItemError::local(
            format!("{file} at {position}"),
            "CORRUPT_MESSAGE",
            why,
            Exit::Corrupt,
        ));
    }
}

/// The codec as Kafka calls it.
pub fn codec_name(codec: Compression) -> &'static str {
    match codec {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

/// A key or value on one line.
fn shown(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARS_MAX + 1).collect();
    let cut = text.chars().count() > SHOWN_CHARS_MAX;
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if cut { format!("{shown}…") } else { shown }
}
