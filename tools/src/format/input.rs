//! Records out of text: what `produce` reads from its input.

use bytes::Bytes;

use super::{Encoding, Field, Part, json, parse};
use crate::client::produce::OutRecord;

/// Longest record read: a delimiter that never comes must not fill the memory.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// How records are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// Fields with delimiters between.
    Parts(Vec<(Option<Field>, Vec<u8>)>),
    /// One JSON object a line.
    Json,
    /// All of the input is one value.
    Raw,
}

impl InputFormat {
    /// Parses what `-f` says: `json`, `raw` or a format. A format ends with a delimiter, and each field is followed by
    /// one, since that is where the field ends.
    pub fn parse(text: &str) -> Result<InputFormat, String> {
        match text {
            "json" => return Ok(InputFormat::Json),
            "raw" => return Ok(InputFormat::Raw),
            _ => {}
        }
        let mut fields: Vec<(Option<Field>, Vec<u8>)> = Vec::new();
        for part in parse(text)? {
            match (part, fields.last_mut()) {
                (Part::Literal(bytes), Some((_, delimiter))) if delimiter.is_empty() => *delimiter = bytes,
                (Part::Literal(bytes), _) => fields.push((None, bytes)),
                (Part::Field(_, _), Some((Some(_), delimiter))) if delimiter.is_empty() => {
                    return Err(format!(
                        "format {text:?}: two fields need something between them, as in %k\\t%v\\n"
                    ));
                }
                (Part::Field(field, Encoding::Raw), _) if is_readable(field) => {
                    fields.push((Some(field), Vec::new()))
                }
                (Part::Field(..), _) => {
                    return Err(format!("format {text:?}: produce reads %k %v %p %T %h, without forms"));
                }
            }
        }
        if fields.is_empty() {
            return Err("an empty format reads nothing; %v\\n reads a value a line".to_owned());
        }
        if let Some((Some(_), delimiter)) = fields.last_mut()
            && delimiter.is_empty()
        {
            // `-f '%k:%v'` is what people type; records end with the line.
            delimiter.push(b'\n');
        }
        Ok(InputFormat::Parts(fields))
    }

    /// Takes the next record off the front of `input`; `None` when more bytes are needed or, at the `end` of the
    /// input, when nothing is left. `Some` says how many bytes were used.
    pub fn next(&self, input: &[u8], end: bool) -> Result<Option<(OutRecord, usize)>, String> {
        if input.is_empty() && end && *self != InputFormat::Raw {
            return Ok(None);
        }
        match self {
            InputFormat::Raw => Ok(end.then(|| (value_record(input), input.len()))),
            InputFormat::Json => {
                let Some((line, used)) = until(input, b"\n", end) else { return Ok(None) };
                if line.iter().all(u8::is_ascii_whitespace) {
                    // An empty line is skipped by the caller through a record that is not there.
                    return self
                        .next(&input[used..], end)
                        .map(|next| next.map(|(record, more)| (record, used + more)));
                }
                json::read(line).map(|record| Some((record, used)))
            }
            InputFormat::Parts(fields) => next_by_parts(fields, input, end),
        }
    }
}

fn is_readable(field: Field) -> bool {
    matches!(field, Field::Key | Field::Value | Field::Partition | Field::Timestamp | Field::Headers)
}

fn value_record(value: &[u8]) -> OutRecord {
    OutRecord { value: Some(Bytes::copy_from_slice(value)), ..OutRecord::default() }
}

fn next_by_parts(
    fields: &[(Option<Field>, Vec<u8>)],
    input: &[u8],
    end: bool,
) -> Result<Option<(OutRecord, usize)>, String> {
    let mut record = OutRecord::default();
    let mut used = 0;
    for (i, (field, delimiter)) in fields.iter().enumerate() {
        let is_last = i + 1 == fields.len();
        let Some((bytes, len)) = until(&input[used..], delimiter, end && is_last) else {
            if end {
                let shown = String::from_utf8_lossy(&input[..input.len().min(80)]).into_owned();
                let wanted = String::from_utf8_lossy(delimiter).into_owned();
                return Err(format!("the input {shown:?} does not fit the format: {wanted:?} is missing"));
            }
            return Ok(None);
        };
        used += len;
        match field {
            Some(field) => set(&mut record, *field, bytes)?,
            None if bytes.is_empty() => {}
            None => return Err(format!("unexpected {:?} in the input", String::from_utf8_lossy(bytes))),
        }
    }
    Ok(Some((record, used)))
}

/// The bytes up to the delimiter and how many that takes; all of the rest at the end of the input.
fn until<'a>(input: &'a [u8], delimiter: &[u8], end: bool) -> Option<(&'a [u8], usize)> {
    let found = match delimiter {
        [byte] => input.iter().position(|b| b == byte),
        _ => input.windows(delimiter.len()).position(|window| window == delimiter),
    };
    match found {
        Some(at) => Some((&input[..at], at + delimiter.len())),
        None if end => Some((input, input.len())),
        None => None,
    }
}

fn set(record: &mut OutRecord, field: Field, bytes: &[u8]) -> Result<(), String> {
    let text = || String::from_utf8_lossy(bytes).into_owned();
    match field {
        Field::Key => record.key = Some(Bytes::copy_from_slice(bytes)),
        Field::Value => record.value = Some(Bytes::copy_from_slice(bytes)),
        Field::Partition => {
            record.partition =
                Some(text().trim().parse().map_err(|_| format!("{:?} is no partition", text()))?);
        }
        Field::Timestamp => {
            record.timestamp =
                Some(text().trim().parse().map_err(|_| format!("{:?} is no timestamp", text()))?);
        }
        Field::Headers => {
            let header = |item: &str| match item.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(Bytes::from(value.to_owned()))),
                None => (item.to_owned(), None),
            };
            record.headers = text().split(',').filter(|item| !item.is_empty()).map(header).collect();
        }
        Field::Topic | Field::Offset | Field::Date | Field::KeyLength | Field::ValueLength => {}
    }
    Ok(())
}
