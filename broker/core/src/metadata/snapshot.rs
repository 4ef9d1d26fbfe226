//! The whole image as records, framed for a file; and its hash, by which voters compare.
//!
//! Layout of a snapshot, all integers little-endian:
//! ```text
//!   magic "TMSNAP" (6) │ version u8 = 1 │ index u64 │ count u32 │ count × { len u32, record } │ crc32 u32
//! ```
//! The checksum (CRC-32/IEEE) covers everything before it. Each record is in its own stored form with its own version.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::image::ClusterImage;
use super::record::{DecodeError, MetadataRecord};

/// First bytes of every snapshot.
pub const SNAPSHOT_MAGIC: &[u8; 6] = b"TMSNAP";
/// Layout of the frame.
pub const SNAPSHOT_VERSION: u8 = 1;
const HEADER_LEN: usize = SNAPSHOT_MAGIC.len() + 1 + 8 + 4;
const CRC_LEN: usize = 4;

impl ClusterImage {
    /// Records that make an empty image equal to this one but for its version, in an order that depends only on the
    /// content.
    pub fn to_records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        let cluster = MetadataRecord::Cluster { cluster_id: self.cluster_id.clone() };
        let features = self
            .features
            .iter()
            .map(|(name, level)| MetadataRecord::FeatureLevel { name: name.clone(), level: *level });
        let brokers = self.brokers.values().map(|broker| MetadataRecord::RegisterBroker {
            registration: (**broker).clone(),
            restarts_leaders: false,
        });
        let drains =
            self.drains.iter().map(|(id, drain)| MetadataRecord::Drain { id: *id, drain: Some(*drain) });
        let topics = self.topics.values().map(|topic| MetadataRecord::Topic {
            id: topic.id,
            name: topic.name.clone(),
            partitions: topic.partitions.clone(),
        });
        let configs = self.configs.iter().map(|(resource, overrides)| MetadataRecord::Config {
            resource: resource.clone(),
            changes: overrides.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
        });
        let quotas = self.quotas.iter().map(|(entity, quotas)| MetadataRecord::ClientQuota {
            entity: entity.clone(),
            quotas: (**quotas).clone(),
        });
        let producer_ids = MetadataRecord::ProducerIds { next_producer_id: self.next_producer_id };
        std::iter::once(cluster)
            .chain(features)
            .chain(brokers)
            .chain(drains)
            .chain(topics)
            .chain(configs)
            .chain(quotas)
            .chain(std::iter::once(producer_ids))
    }

    /// The framed, checksummed snapshot.
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(SNAPSHOT_MAGIC);
        bytes.push(SNAPSHOT_VERSION);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        let count_at = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        let mut count: u32 = 0;
        for record in self.to_records() {
            let record = record.encode();
            let len = u32::try_from(record.len()).expect("a record is far smaller than 4 GiB");
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&record);
            count += 1;
        }
        bytes[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads [`ClusterImage::encode_snapshot`].
    pub fn decode_snapshot(bytes: &[u8]) -> Result<Self, DecodeError> {
        let content = checked_content(bytes)?;
        let mut reader = Reader { rest: &content[SNAPSHOT_MAGIC.len() + 1..] };
        let index = u64::from_le_bytes(reader.array()?);
        let count = u32::from_le_bytes(reader.array()?);
        let mut image = ClusterImage::default();
        for _ in 0..count {
            let len = u32::from_le_bytes(reader.array()?);
            image.apply(&MetadataRecord::decode(reader.take(len as usize)?)?);
        }
        if !reader.rest.is_empty() {
            return Err(DecodeError::Malformed(format!("{} bytes after the last record", reader.rest.len())));
        }
        image.set_version(index);
        Ok(image)
    }

    /// A number that is equal on all voters that applied the same log, and differs otherwise with near certainty.
    pub fn state_hash(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        hasher.write(&self.version.to_le_bytes());
        for record in self.to_records() {
            let bytes = record.encode();
            hasher.write(&bytes.len().to_le_bytes());
            hasher.write(&bytes);
        }
        hasher.finish()
    }
}

/// Checks magic, version and checksum, in the order in which they can be trusted; returns all but the checksum.
fn checked_content(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.len() < HEADER_LEN + CRC_LEN || !bytes.starts_with(SNAPSHOT_MAGIC) {
        return Err(DecodeError::Malformed("not a metadata snapshot".to_owned()));
    }
    let found = bytes[SNAPSHOT_MAGIC.len()];
    if found != SNAPSHOT_VERSION {
        return Err(DecodeError::Version { found });
    }
    let (content, crc) = bytes.split_at(bytes.len() - CRC_LEN);
    let stored = u32::from_le_bytes(crc.try_into().expect("split off four bytes"));
    let computed = crc32fast::hash(content);
    if stored != computed {
        return Err(DecodeError::Checksum { stored, computed });
    }
    Ok(content)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| DecodeError::Malformed("cut short".to_owned()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }
}

#[cfg(test)]
mod tests;
