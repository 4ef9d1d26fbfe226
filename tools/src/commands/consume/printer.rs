//! Prints fetched records: filtered, formatted, counted.

use std::io::{self, BufWriter, Stdout, Write};

use tidemark_protocol::batch::TimestampType;
use tidemark_protocol::types::Offset;

use crate::client::fetch::Fetched;
use crate::exit::{Exit, Failure};
use crate::filter::Filter;
use crate::format::{Located, OutputFormat};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// Whether to go on.
pub enum Step {
    /// Go on.
    More,
    /// As many records as were asked for.
    Enough,
    /// A record cannot be read.
    Unreadable(Failure),
}

/// Writes records to standard output.
pub struct Printer {
    out: BufWriter<Stdout>,
    format: OutputFormat,
    filters: Vec<Filter>,
    left: Option<u64>,
    /// Offset after the last record looked at, of the partition printed last.
    position: Offset,
}

impl Printer {
    /// A printer of at most `limit` records.
    pub fn new(format: OutputFormat, filters: Vec<Filter>, limit: Option<u64>) -> Printer {
        let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        Printer { out, format, filters, left: limit, position: 0 }
    }

    /// Prints the records before `end` and flushes.
    pub fn print(&mut self, fetched: &Fetched, end: Option<Offset>) -> io::Result<Step> {
        let step = self.print_batches(fetched, end)?;
        self.out.flush()?;
        Ok(step)
    }

    /// Offset after the last record looked at in the batches printed last.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Writes what is left.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn print_batches(&mut self, fetched: &Fetched, end: Option<Offset>) -> io::Result<Step> {
        self.position = fetched.from;
        for (header, records) in &fetched.batches {
            for record in records.iter() {
                let mut record = match record {
                    Ok(record) => record,
                    Err(error) => {
                        let message = format!(
                            "{}: a record at offset {} is damaged: {error}",
                            fetched.tp, self.position
                        );
                        return Ok(Step::Unreadable(Failure::new(Exit::Corrupt, message)));
                    }
                };
                if record.offset < fetched.from {
                    continue;
                }
                if end.is_some_and(|end| record.offset >= end) {
                    return Ok(Step::More);
                }
                if header.timestamp_type() == TimestampType::LogAppendTime {
                    record.timestamp = header.max_timestamp;
                }
                self.position = record.offset + 1;
                if !self.filters.iter().all(|filter| filter.matches(&record)) {
                    continue;
                }
                let located = Located {
                    topic: &fetched.tp.topic,
                    partition: fetched.tp.partition,
                    timestamp_type: header.timestamp_type(),
                    record,
                };
                self.format.write(&mut self.out, &located)?;
                if let Some(left) = &mut self.left {
                    *left -= 1;
                    if *left == 0 {
                        return Ok(Step::Enough);
                    }
                }
            }
        }
        self.position = fetched.next;
        Ok(Step::More)
    }
}
