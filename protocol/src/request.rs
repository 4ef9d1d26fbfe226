//! Requests: their header, and their body behind the guard.
//!
//! What holds: nothing here panics on any bytes, and no memory is reserved by a length the peer sent before
//! [`guard::check`] proved that it fits. Strings and records are slices of the frame: whoever keeps one keeps the frame,
//! so copy what outlives the request.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::{Decodable, StrBytes};
use thiserror::Error;

use crate::api::{Api, api};
use crate::guard::{self, GuardError};
use crate::kafka43;

/// The header of a request (header v1, and v2 for flexible versions).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The row of the API asked for.
    pub api: &'static Api,
    /// Version of the API: one that `api` serves.
    pub version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself; a slice of the frame.
    pub client_id: Option<StrBytes>,
}

/// Why a header was refused. Kafka closes the connection on all of them but one (see `UnsupportedVersion`).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The frame is shorter than any header.
    #[error("the frame is too short to hold a request header")]
    Short,
    /// No API of ours has this key.
    #[error("API key {key} is not served")]
    UnknownApi {
        /// The key asked for.
        key: i16,
    },
    /// The API does not serve this version. For ApiVersions the server answers in the v0 schema with code 35 and its
    /// own range (KIP-511), for any other API it closes.
    #[error("{} does not serve version {version}", api.name)]
    UnsupportedVersion {
        /// The row of the API asked for.
        api: &'static Api,
        /// Version asked for.
        version: i16,
        /// Comes back in the KIP-511 answer.
        correlation_id: i32,
    },
    /// The client id or the tagged fields do not fit the frame or are not text.
    #[error("the request header is malformed")]
    Malformed,
}

/// Why a body was refused. Kafka closes the connection.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// A length or a count does not fit: refused before any memory was reserved.
    #[error("{api} v{version}: {source}")]
    Refused {
        /// Name of the API.
        api: &'static str,
        /// Version of the request.
        version: i16,
        /// What does not fit.
        source: GuardError,
    },
    /// Lengths fit, values do not: text that is not UTF-8, say.
    #[error("{api} v{version}: {why}")]
    Malformed {
        /// Name of the API.
        api: &'static str,
        /// Version of the request.
        version: i16,
        /// The decoder's words.
        why: String,
    },
}

/// Bytes in front of the client id: key, version, correlation id.
const FIXED_HEADER: usize = 8;

/// Takes the header off `frame` and leaves the body there. Never panics; on an error `frame` is in any state.
pub fn decode_header(frame: &mut Bytes) -> Result<RequestHeader, HeaderError> {
    if frame.len() < FIXED_HEADER {
        return Err(HeaderError::Short);
    }
    let key = frame.get_i16();
    let version = frame.get_i16();
    let correlation_id = frame.get_i32();
    let api = api(key).ok_or(HeaderError::UnknownApi { key })?;
    if !api.serves(version) {
        return Err(HeaderError::UnsupportedVersion { api, version, correlation_id });
    }
    let client_id = take_client_id(frame)?;
    if api.is_flexible(version) {
        let end = guard::skip_tags(frame).map_err(|_| HeaderError::Malformed)?;
        frame.advance(end);
    }
    Ok(RequestHeader { api, version, correlation_id, client_id })
}

/// The client id is an old-style nullable string in both header versions.
fn take_client_id(frame: &mut Bytes) -> Result<Option<StrBytes>, HeaderError> {
    let len = frame.try_get_i16().map_err(|_| HeaderError::Malformed)?;
    if len == -1 {
        return Ok(None);
    }
    let len = usize::try_from(len).map_err(|_| HeaderError::Malformed)?;
    if len > frame.len() {
        return Err(HeaderError::Malformed);
    }
    StrBytes::from_utf8(frame.split_to(len)).map(Some).map_err(|_| HeaderError::Malformed)
}

/// Decodes the body of a request whose header was read; `R` is the message of `header.api`.
///
/// The guard goes first. Bytes after the body are ignored, as Kafka ignores them.
pub fn decode_body<R: Decodable>(header: &RequestHeader, body: Bytes) -> Result<R, DecodeError> {
    let (api, version) = (header.api.name, header.version);
    guard::check(header.api, version, &body).map_err(|source| DecodeError::Refused {
        api,
        version,
        source,
    })?;
    let malformed = |why: String| DecodeError::Malformed { api, version, why };
    let mut body = kafka43::readable_by_crate(header.api.key, version, body)
        .ok_or_else(|| malformed("it ends early".to_owned()))?;
    R::decode(&mut body, kafka43::request_codec_version(header.api.key, version))
        .map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests;
