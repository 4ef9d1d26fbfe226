//! How a record changes the image: the only writer of [`ClusterImage`].

use super::image::ClusterImage;
use super::record::MetadataRecord;

impl ClusterImage {
    /// Applies one record. Records come from [`decide`](super::decide) on this very image, so they always fit.
    pub fn apply(&mut self, _record: &MetadataRecord) {
        unimplemented!("lands next")
    }
}
