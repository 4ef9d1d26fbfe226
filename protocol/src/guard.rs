//! The guard: walks a request body by its schema and refuses lengths and counts that cannot fit, before any decoder
//! reserves memory by them.
//!
//! What holds after [`check`] accepted a body: every length and count in it is covered by bytes that are there, and the
//! decoded message takes at most some fifty times the body plus a megabyte (see the two allowances). The walk allocates
//! nothing, looks at each length once, and skips records and text in one step. Nesting is the schema's own, a few levels;
//! the peer cannot deepen it. Whether text is UTF-8 and values make sense is for decoder and handler to say.

mod schema;
mod walk;

use thiserror::Error;

use crate::api::Api;
use walk::Walk;

/// Why a body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("field {field}, byte {at}: {refusal}")]
pub struct GuardError {
    /// Kafka's name of the field.
    pub field: &'static str,
    /// How far into the body the walk had come.
    pub at: usize,
    /// What is wrong.
    pub refusal: Refusal,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The body ends before the field does.
    #[error("the body ends before it does")]
    Truncated,
    /// A length or count is negative, or null where null is not allowed.
    #[error("its length is negative, or null where it must not be")]
    Negative,
    /// A varint longer than five bytes or over 32 bits.
    #[error("its varint is malformed")]
    Varint,
    /// More elements or unknown tags than a body of this size may hold.
    #[error("it counts more than a body of this size may hold")]
    TooMany,
    /// A tagged field whose content is not as long as it says.
    #[error("its tagged content does not have the size it says")]
    TagSize,
    /// The mark of a nullable structure is neither present nor null.
    #[error("its presence mark is neither 1 nor -1")]
    Presence,
}

/// Elements any body may hold: small bodies of one-letter names stay legal.
const FREE_ELEMENTS: usize = 1024;
/// Beyond the free ones, one element for so many bytes. A decoded element takes up to 150 bytes though it may be as short
/// as one byte on the wire; real ones are longer than this.
const BYTES_PER_ELEMENT: usize = 4;
/// Elements no body may exceed: ten times the partitions of a large node, and seconds of decoding.
const MAX_ELEMENTS: usize = 1 << 20;

/// Unknown tagged fields any body may hold.
const FREE_UNKNOWN_TAGS: usize = 1024;
/// Beyond the free ones, one unknown tag for so many bytes: the decoder keeps each in a map node of some 400 bytes.
const BYTES_PER_UNKNOWN_TAG: usize = 16;

/// Checks the body of one request of `api` at `version`, which must be one it serves. Bytes after the body are not looked at.
pub fn check(api: &Api, version: i16, body: &[u8]) -> Result<(), GuardError> {
    debug_assert!(api.serves(version), "{} does not serve version {version}", api.name);
    Walk {
        body,
        at: 0,
        version: i8::try_from(version).unwrap_or(i8::MAX),
        flexible: api.is_flexible(version),
        elements_left: (FREE_ELEMENTS + body.len() / BYTES_PER_ELEMENT).min(MAX_ELEMENTS),
        unknown_tags_left: FREE_UNKNOWN_TAGS + body.len() / BYTES_PER_UNKNOWN_TAG,
    }
    .structure("Tags", schema::request(api.key))
}

/// Length of the section of tagged fields at the head of `bytes` when none of them matters, as in request headers.
pub(crate) fn skip_tags(bytes: &[u8]) -> Result<usize, GuardError> {
    let mut walk = Walk {
        body: bytes,
        at: 0,
        version: 0,
        flexible: true,
        elements_left: 0,
        unknown_tags_left: usize::MAX,
    };
    walk.structure("Tags", &[])?;
    Ok(walk.at)
}

#[cfg(test)]
mod tests;
