//! Numbers as people write them: `7d`, `12h`, `64MiB`, and Kafka's plain ones.

use thiserror::Error;

/// The text is not a number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not {expected}")]
pub struct UnitError {
    /// What was written.
    pub text: String,
    /// What would be fine.
    pub expected: &'static str,
}

/// Milliseconds of `250ms`, `30s`, `15m`, `12h`, `7d`, `2w`, or of a plain number of milliseconds (also negative).
pub fn parse_duration_ms(_text: &str) -> Result<i64, UnitError> {
    unimplemented!("lands next")
}

/// Bytes of `512`, `64KiB`, `1GiB`, `10MB` (decimal units are decimal), or of a plain number (also negative).
pub fn parse_bytes(_text: &str) -> Result<i64, UnitError> {
    unimplemented!("lands next")
}
