//! Records as JSON, one object a line: what `consume --json` writes, `produce -f json` reads.
//!
//! A key, value or header that is not UTF-8 stands under `key_base64` and so on instead.

use std::io::{self, Write};

use bytes::Bytes;
use serde_json::{Map, Value};
use tidemark_protocol::batch::TimestampType;

use super::Located;
use crate::client::produce::OutRecord;
use crate::time_text;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes one line.
pub fn write(out: &mut impl Write, located: &Located<'_>) -> io::Result<()> {
    let record = &located.record;
    let mut object = Map::new();
    object.insert("topic".to_owned(), located.topic.into());
    object.insert("partition".to_owned(), located.partition.into());
    object.insert("offset".to_owned(), record.offset.into());
    object.insert("timestamp".to_owned(), record.timestamp.into());
    object.insert("time".to_owned(), time_text::rfc3339(record.timestamp).into());
    let kind = match located.timestamp_type {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    object.insert("timestamp_type".to_owned(), kind.into());
    put_bytes(&mut object, "key", record.key);
    put_bytes(&mut object, "value", record.value);
    let header = |header: tidemark_protocol::batch::RecordHeader<'_>| {
        let mut entry = Map::new();
        put_bytes(&mut entry, "key", Some(header.key));
        put_bytes(&mut entry, "value", header.value);
        Value::Object(entry)
    };
    object.insert("headers".to_owned(), record.headers.map(header).collect());
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), text.into()),
        Some(Err(bytes)) => object.insert(format!("{name}_base64"), base64(bytes).into()),
    };
}

/// Reads one object. A value that is not a string is taken as its JSON text.
pub fn read(line: &[u8]) -> Result<OutRecord, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(object) = value else { return Err("not a JSON object with key and value".to_owned()) };
    let known = [
        "topic",
        "partition",
        "offset",
        "timestamp",
        "time",
        "timestamp_type",
        "key",
        "key_base64",
        "value",
        "value_base64",
        "headers",
    ];
    if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!(
            "unknown field {unknown:?}; known are key, value, headers, partition, timestamp"
        ));
    }
    let number = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| format!("{name} is not a whole number")),
    };
    let partition =
        number("partition")?.map(i32::try_from).transpose().map_err(|_| "partition is too large")?;
    let headers = match object.get("headers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(read_header).collect::<Result<_, _>>()?,
        Some(Value::Object(map)) => map.iter().map(|(key, value)| (key.clone(), text_of(value))).collect(),
        Some(_) => return Err("headers are an array of objects with key and value, or an object".to_owned()),
    };
    Ok(OutRecord {
        partition,
        timestamp: number("timestamp")?,
        key: take_bytes(&object, "key")?,
        value: take_bytes(&object, "value")?,
        headers,
    })
}

fn read_header(value: &Value) -> Result<(String, Option<Bytes>), String> {
    let object = value.as_object().ok_or("a header is an object with key and value")?;
    let key = object.get("key").and_then(Value::as_str).ok_or("a header needs a key")?;
    Ok((key.to_owned(), take_bytes(object, "value")?))
}

fn take_bytes(object: &Map<String, Value>, name: &str) -> Result<Option<Bytes>, String> {
    if let Some(encoded) = object.get(&format!("{name}_base64")) {
        let bytes = encoded.as_str().and_then(unbase64);
        return bytes.map(|bytes| Some(bytes.into())).ok_or_else(|| format!("{name}_base64 is not base64"));
    }
    Ok(object.get(name).and_then(text_of))
}

fn text_of(value: &Value) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Bytes::from(text.clone())),
        other => Some(Bytes::from(other.to_string())),
    }
}

/// RFC 4648 with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for i in 0..4 {
            let sextet = (group >> (18 - 6 * i)) as usize & 63;
            text.push(if i <= chunk.len() { ALPHABET[sextet] as char } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut bits) = (0u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let sextet = ALPHABET.iter().position(|known| *known == c)?;
        group = (group << 6) | u32::try_from(sextet).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
            group &= (1 << bits) - 1;
        }
    }
    (group == 0).then_some(bytes)
}
