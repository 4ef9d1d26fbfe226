//! Responses: length prefix, header and body in one piece of memory.
//!
//! The header is v1 (with an empty tag section) for flexible versions, v0 otherwise, and always v0 for ApiVersions:
//! a client that does not know our versions yet must be able to read that one.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;
use thiserror::Error;

use crate::api::ApiKey;
use crate::frame::LENGTH_PREFIX;
use crate::kafka43;

/// Why a response could not be written: a bug of the handler, such as a field set that the version does not have.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The encoder refused the message.
    #[error("response of {api} v{version}: {why}")]
    Message {
        /// Name of the API.
        api: &'static str,
        /// Version of the response.
        version: i16,
        /// The encoder's words.
        why: String,
    },
    /// The response is longer than a frame can say.
    #[error("response of {api} v{version} has {len} bytes")]
    TooLong {
        /// Name of the API.
        api: &'static str,
        /// Version of the response.
        version: i16,
        /// Bytes of header and body.
        len: usize,
    },
}

/// First capacity of a response: most fit, and a large one grows by doubling at little cost.
const FIRST_CAPACITY: usize = 256;

/// Encodes a whole frame: length prefix, response header, body.
pub fn encode_response<R: Encodable>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &R,
) -> Result<Bytes, EncodeError> {
    let api = key.api().name;
    let mut buf = BytesMut::with_capacity(FIRST_CAPACITY);
    buf.put_i32(0);
    put_header(&mut buf, key, version, correlation_id);
    let body_at = buf.len();
    body.encode(&mut buf, kafka43::response_codec_version(key, version))
        .map_err(|error| EncodeError::Message { api, version, why: error.to_string() })?;
    if let Some(body) = kafka43::as_kafka_writes(key, version, &buf[body_at..]) {
        buf.truncate(body_at);
        buf.unsplit(body);
    }
    let len = buf.len() - LENGTH_PREFIX;
    let prefix = i32::try_from(len).map_err(|_| EncodeError::TooLong { api, version, len })?;
    buf[..LENGTH_PREFIX].copy_from_slice(&prefix.to_be_bytes());
    Ok(buf.freeze())
}

/// Whether the response of this version carries header v1, which ends in tagged fields.
fn has_tagged_header(key: ApiKey, version: i16) -> bool {
    key != ApiKey::ApiVersions && key.api().is_flexible(version)
}

/// Writes the response header.
pub(crate) fn put_header(buf: &mut BytesMut, key: ApiKey, version: i16, correlation_id: i32) {
    buf.put_i32(correlation_id);
    if has_tagged_header(key, version) {
        buf.put_u8(0);
    }
}

#[cfg(test)]
mod tests;
