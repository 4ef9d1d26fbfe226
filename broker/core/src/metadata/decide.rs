//! [`decide`]: which records a command becomes. Deterministic: image and command are all it sees.
//!
//! Run by every voter when the command is committed, and alone for `validate_only` and for an early answer.

use super::command::Command;
use super::image::ClusterImage;
use super::record::MetadataRecord;
use super::reply::Reply;

/// What a command becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// To apply, in order, all or none.
    pub records: Vec<MetadataRecord>,
    /// To answer once they are applied.
    pub reply: Reply,
}

/// Decides a command on the image before it. `index` is the log index of the entry (the broker epoch of a
/// registration); for `validate_only` any number will do.
pub fn decide(_image: &ClusterImage, _command: &Command, _index: u64) -> Outcome {
    unimplemented!("lands next")
}
