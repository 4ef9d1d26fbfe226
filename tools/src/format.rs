//! Records as text: the `-f` formats that consume prints with and produce reads with.
//!
//! ```text
//! %t topic  %p partition  %o offset  %k key  %s or %v value  %h headers  %T timestamp (ms)  %D timestamp (RFC 3339)
//! %K length of the key  %S length of the value  %% percent
//! \n \t \r \0 \\ \xHH;  a key or value in another form: %k{hex} %v{base64} %v{json}
//! ```

pub mod input;
pub mod json;

use std::io::{self, Write};

use tidemark_protocol::batch::{Record, TimestampType};
use tidemark_protocol::types::PartitionIndex;

use crate::time_text;

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes as they are.
    Literal(Vec<u8>),
    /// A field of the record.
    Field(Field, Encoding),
}

/// What a format can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Name of the topic.
    Topic,
    /// Index of the partition.
    Partition,
    /// Offset.
    Offset,
    /// Key.
    Key,
    /// Value.
    Value,
    /// Headers, `name=value` with commas between.
    Headers,
    /// Timestamp in milliseconds.
    Timestamp,
    /// Timestamp as a date.
    Date,
    /// Bytes of the key; −1 for none.
    KeyLength,
    /// Bytes of the value; −1 for none.
    ValueLength,
}

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// Two digits a byte.
    Hex,
    /// RFC 4648, standard alphabet.
    Base64,
    /// A JSON string or null.
    Json,
}

/// A record with its place.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// Name of the topic.
    pub topic: &'a str,
    /// Index of the partition.
    pub partition: PartitionIndex,
    /// Whose clock the timestamp is.
    pub timestamp_type: TimestampType,
    /// The record; with LogAppendTime its timestamp is already the batch's.
    pub record: Record<'a>,
}

/// How records are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// A format of parts.
    Parts(Vec<Part>),
    /// One JSON object a line.
    Json,
}

impl OutputFormat {
    /// Parses what `-f` says: `json`, `raw`, `hex` or a format.
    pub fn parse(text: &str) -> Result<OutputFormat, String> {
        Ok(match text {
            "json" => OutputFormat::Json,
            "raw" => OutputFormat::Parts(vec![Part::Field(Field::Value, Encoding::Raw)]),
            "hex" => OutputFormat::Parts(parse("%k{hex}\\t%v{hex}\\n")?),
            text => OutputFormat::Parts(parse(text)?),
        })
    }

    /// Writes one record.
    pub fn write(&self, out: &mut impl Write, located: &Located<'_>) -> io::Result<()> {
        match self {
            OutputFormat::Json => json::write(out, located),
            OutputFormat::Parts(parts) => parts.iter().try_for_each(|part| write_part(out, part, located)),
        }
    }
}

/// Parses a format into its parts.
pub fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '%' if rest.starts_with('%') => {
                literal.push(b'%');
                rest = &rest[1..];
            }
            '%' => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                let (field, after) = parse_field(rest, text)?;
                parts.push(field);
                rest = after;
            }
            '\\' => {
                let (byte, after) = parse_escape(rest, text)?;
                literal.push(byte);
                rest = after;
            }
            c => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn parse_field<'a>(rest: &'a str, whole: &str) -> Result<(Part, &'a str), String> {
    let field = match rest.chars().next() {
        Some('t') => Field::Topic,
        Some('p') => Field::Partition,
        Some('o') => Field::Offset,
        Some('k') => Field::Key,
        Some('s' | 'v') => Field::Value,
        Some('h') => Field::Headers,
        Some('T') => Field::Timestamp,
        Some('D') => Field::Date,
        Some('K') => Field::KeyLength,
        Some('S') => Field::ValueLength,
        other => {
            let shown = other.map_or_else(|| "nothing".to_owned(), |c| format!("{c:?}"));
            return Err(format!(
                "format {whole:?}: after % comes one of t p o k v s h T D K S %, not {shown}"
            ));
        }
    };
    let after = &rest[1..];
    let Some((inner, after_braces)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
        return Ok((Part::Field(field, Encoding::Raw), after));
    };
    let encoding = match inner {
        "hex" => Encoding::Hex,
        "base64" => Encoding::Base64,
        "json" => Encoding::Json,
        other => {
            return Err(format!("format {whole:?}: {{{other}}} is not one of {{hex}}, {{base64}}, {{json}}"));
        }
    };
    match field {
        Field::Key | Field::Value => Ok((Part::Field(field, encoding), after_braces)),
        _ => Err(format!("format {whole:?}: only %k and %v have forms such as {{{inner}}}")),
    }
}

fn parse_escape<'a>(rest: &'a str, whole: &str) -> Result<(u8, &'a str), String> {
    let simple = match rest.as_bytes().first() {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'0') => 0,
        Some(b'\\') => b'\\',
        Some(b'x') => {
            let byte = rest.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            let byte = byte.ok_or_else(|| format!("format {whole:?}: \\x needs two hexadecimal digits"))?;
            return Ok((byte, &rest[3..]));
        }
        _ => return Err(format!("format {whole:?}: after \\ comes one of n t r 0 \\ x")),
    };
    Ok((simple, &rest[1..]))
}

fn write_part(out: &mut impl Write, part: &Part, located: &Located<'_>) -> io::Result<()> {
    let record = &located.record;
    let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    match part {
        Part::Literal(bytes) => out.write_all(bytes),
        Part::Field(Field::Topic, _) => out.write_all(located.topic.as_bytes()),
        Part::Field(Field::Partition, _) => write!(out, "{}", located.partition),
        Part::Field(Field::Offset, _) => write!(out, "{}", record.offset),
        Part::Field(Field::Key, encoding) => write_bytes(out, record.key, *encoding),
        Part::Field(Field::Value, encoding) => write_bytes(out, record.value, *encoding),
        Part::Field(Field::Headers, _) => write_headers(out, record),
        Part::Field(Field::Timestamp, _) => write!(out, "{}", record.timestamp),
        Part::Field(Field::Date, _) => out.write_all(time_text::rfc3339(record.timestamp).as_bytes()),
        Part::Field(Field::KeyLength, _) => write!(out, "{}", length(record.key)),
        Part::Field(Field::ValueLength, _) => write!(out, "{}", length(record.value)),
    }
}

fn write_headers(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    for (i, header) in record.headers.enumerate() {
        out.write_all(if i > 0 { b"," } else { b"" })?;
        out.write_all(header.key)?;
        if let Some(value) = header.value {
            out.write_all(b"=")?;
            out.write_all(value)?;
        }
    }
    Ok(())
}

fn write_bytes(out: &mut impl Write, bytes: Option<&[u8]>, encoding: Encoding) -> io::Result<()> {
    match (bytes, encoding) {
        (None, Encoding::Json) => out.write_all(b"null"),
        (None, _) => Ok(()),
        (Some(bytes), Encoding::Raw) => out.write_all(bytes),
        (Some(bytes), Encoding::Hex) => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
        (Some(bytes), Encoding::Base64) => out.write_all(json::base64(bytes).as_bytes()),
        (Some(bytes), Encoding::Json) => {
            serde_json::to_writer(out, &String::from_utf8_lossy(bytes)).map_err(Into::into)
        }
    }
}

#[cfg(test)]
mod tests;
