//! What every answer is made of: strings, the words of a failure, the encoded frame.

use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use tidemark_protocol::api::ApiKey;
use tidemark_protocol::response::encode_response;

use super::reply::Reply;

/// Encodes an answer.
pub fn encode<R: Encodable + HeaderVersion>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    answer: &R,
) -> Reply {
    match encode_response(key, version, correlation_id, answer) {
        Ok(frame) => Reply::Frame(frame),
        Err(error) => {
            // A field that this version cannot carry: a bug of ours that a test must find; the client sees a lost
            // connection rather than a wrong answer.
            tracing::error!(?key, version, %error, "an answer could not be encoded");
            Reply::Close
        }
    }
}

/// The words of a failure for an answer; null for a failure without.
pub fn words(message: &str) -> Option<StrBytes> {
    (!message.is_empty()).then(|| text(message))
}

/// A string for an answer.
pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
