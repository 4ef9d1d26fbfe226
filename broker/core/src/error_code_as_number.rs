//! How a Kafka error code is stored and sent: as its number, for serde's `with`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use tidemark_protocol::error_code::ErrorCode;

pub(crate) fn serialize<S: Serializer>(code: &ErrorCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i16(code.code())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ErrorCode, D::Error> {
    let code = i16::deserialize(deserializer)?;
    ErrorCode::from_code(code).ok_or_else(|| D::Error::custom(format!("unknown error code {code}")))
}
