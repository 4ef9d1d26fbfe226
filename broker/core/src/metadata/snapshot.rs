//! The whole image as records, framed for a file; and its hash, by which voters compare.

use super::image::ClusterImage;
use super::record::{DecodeError, MetadataRecord};

impl ClusterImage {
    /// Records that make an empty image equal to this one, in an order that depends only on the content.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        unimplemented!("lands next")
    }

    /// The framed, checksummed snapshot.
    pub fn encode_snapshot(&self) -> Vec<u8> {
        unimplemented!("lands next")
    }

    /// Reads [`ClusterImage::encode_snapshot`].
    pub fn decode_snapshot(_bytes: &[u8]) -> Result<Self, DecodeError> {
        unimplemented!("lands next")
    }

    /// A number that is equal on all voters that applied the same log, and differs otherwise with near certainty.
    pub fn hash(&self) -> u64 {
        unimplemented!("lands next")
    }
}
