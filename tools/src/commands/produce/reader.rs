//! Reads the input of `produce` on a thread of its own and cuts it into records.

use std::io::{IsTerminal, Read};

use bytes::{Bytes, BytesMut};
use tidemark_protocol::types::PartitionIndex;
use tokio::sync::mpsc;

use super::ProduceArgs;
use crate::client::produce::OutRecord;
use crate::exit::Failure;
use crate::format::input::{InputFormat, RECORD_BYTES_MAX};
use crate::{files, units};

/// Chunks of records between reader and sender: the reader stays a little ahead.
const CHUNKS_QUEUED_MAX: usize = 4;
/// Bytes read from the input at a time.
const READ_BYTES: usize = 256 << 10;

/// Reads the input on a thread of its own: a terminal or a pipe may make it wait.
pub fn start(args: &ProduceArgs) -> Result<mpsc::Receiver<Result<Vec<OutRecord>, String>>, Failure> {
    let (send, receive) = mpsc::channel(CHUNKS_QUEUED_MAX);
    let mut input: Box<dyn Read + Send> = match &args.file {
        Some(path) => Box::new(files::open(path)?),
        None => {
            if std::io::stdin().is_terminal() {
                eprintln!("Reading records from the terminal; Ctrl-D ends the input.");
            }
            Box::new(std::io::stdin())
        }
    };
    let format = args.format.clone();
    let fixed = Fixed {
        key: args.key.clone().map(Bytes::from),
        partition: args.partition,
        headers: args
            .headers
            .iter()
            .map(|(key, value)| (key.clone(), Some(Bytes::from(value.clone()))))
            .collect(),
        null: args.null,
    };
    tokio::task::spawn_blocking(move || {
        let mut buffer = BytesMut::new();
        loop {
            let read = read_more(&mut input, &mut buffer);
            let (records, error) = match &read {
                Ok(end) => cut(&format, &mut buffer, *end, &fixed),
                Err(_) => (Vec::new(), None),
            };
            // Records before a bad one are written. A receiver that is gone has failed and said so.
            if send.blocking_send(Ok(records)).is_err() {
                return;
            }
            match (read, error) {
                (Ok(false), None) => {}
                (Ok(true), None) => return,
                (Err(error), _) | (_, Some(error)) => {
                    let _ = send.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    Ok(receive)
}

/// Reads once; true at the end of the input.
fn read_more(input: &mut dyn Read, buffer: &mut BytesMut) -> Result<bool, String> {
    let filled = buffer.len();
    if filled > RECORD_BYTES_MAX {
        return Err(format!("no end of the record within {}", units::bytes(RECORD_BYTES_MAX as i64)));
    }
    buffer.resize(filled + READ_BYTES, 0);
    let read =
        input.read(&mut buffer[filled..]).map_err(|error| format!("cannot read the input: {error}"))?;
    buffer.truncate(filled + read);
    Ok(read == 0)
}

/// What flags give to every record.
struct Fixed {
    key: Option<Bytes>,
    partition: Option<PartitionIndex>,
    headers: Vec<(String, Option<Bytes>)>,
    null: bool,
}

impl Fixed {
    fn apply(&self, mut record: OutRecord) -> OutRecord {
        record.key = self.key.clone().or(record.key);
        record.partition = self.partition.or(record.partition);
        record.headers.extend(self.headers.iter().cloned());
        if self.null && record.value.as_ref().is_some_and(Bytes::is_empty) {
            record.value = None;
        }
        record
    }
}

/// Takes all whole records off the buffer, up to the first that cannot be read.
fn cut(
    format: &InputFormat,
    buffer: &mut BytesMut,
    end: bool,
    fixed: &Fixed,
) -> (Vec<OutRecord>, Option<String>) {
    let mut records = Vec::new();
    let mut used = 0;
    let error = loop {
        match format.next(&buffer[used..], end) {
            Ok(Some((record, len))) => {
                records.push(fixed.apply(record));
                used += len;
                if used == buffer.len() {
                    break None;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let _taken = buffer.split_to(used);
    (records, error)
}
