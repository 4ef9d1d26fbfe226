//! [`MetadataRecord`]: one change of the image, as it is stored in the metadata log and in snapshots.
//!
//! Layout of an encoded record: `version: u8 = 1`, then the record in postcard. Variants are only ever added at the end,
//! fields never change meaning; a new layout takes a new version byte. The frame around records (log entry, snapshot)
//! carries the checksum.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tidemark_protocol::types::{BrokerId, PartitionIndex, ProducerId, TopicId};

use super::client_quota::QuotaEntity;
use super::image::{BrokerRegistration, ConfigResource, Drain, PartitionImage};

/// First byte of every encoded record and command.
pub const ENCODING_VERSION: u8 = 1;

/// One change of the [`ClusterImage`](super::ClusterImage).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetadataRecord {
    /// The cluster got its identity.
    Cluster {
        /// The identity.
        cluster_id: String,
    },
    /// A feature was finalised at a level; level 0 removes it.
    FeatureLevel {
        /// Name, as `metadata.version`.
        name: String,
        /// Level.
        level: i16,
    },
    /// A broker registered.
    RegisterBroker {
        /// What it registered.
        registration: BrokerRegistration,
        /// Set for a new incarnation of a known broker: every partition it leads gets the next leader epoch and
        /// partition epoch. One record stands for all of them.
        restarts_leaders: bool,
    },
    /// A topic was created.
    Topic {
        /// Identity.
        id: TopicId,
        /// Name.
        name: Arc<str>,
        /// All partitions, by index.
        partitions: Vec<PartitionImage>,
    },
    /// Partitions were added at the end of a topic.
    AddPartitions {
        /// The topic.
        topic_id: TopicId,
        /// The new partitions, in the order of their indexes.
        partitions: Vec<PartitionImage>,
    },
    /// A topic was deleted, with its partitions and overrides.
    RemoveTopic {
        /// The topic.
        id: TopicId,
    },
    /// Overrides of a resource changed.
    Config {
        /// The resource.
        resource: ConfigResource,
        /// New values; `None` removes the override.
        changes: BTreeMap<String, Option<String>>,
    },
    /// A block of producer ids was handed out.
    ProducerIds {
        /// First id that is still free.
        next_producer_id: ProducerId,
    },
    /// A partition got another leader, other in-sync replicas or other replicas.
    PartitionChange {
        /// The topic.
        topic_id: TopicId,
        /// Which of its partitions.
        index: PartitionIndex,
        /// The partition from now on.
        partition: PartitionImage,
    },
    /// The quotas of an entity are these from now on; none removes it.
    ClientQuota {
        /// What they are set for.
        entity: QuotaEntity,
        /// All of them.
        quotas: BTreeMap<String, f64>,
    },
    /// A broker was fenced or unfenced, or began its controlled shutdown (KIP-841).
    BrokerChange {
        /// The broker.
        id: BrokerId,
        /// From now on.
        fenced: bool,
        /// From now on.
        in_controlled_shutdown: bool,
    },
    /// A broker is no longer registered.
    UnregisterBroker {
        /// The broker.
        id: BrokerId,
    },
    /// A broker begins or ends to be emptied.
    Drain {
        /// The broker.
        id: BrokerId,
        /// What is asked of it from now on.
        drain: Option<Drain>,
    },
}

/// Why stored bytes are not a record, command or snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("empty input")]
    Empty,
    /// Written by a version of the software that this one does not know.
    #[error("encoding version {found} is newer than {ENCODING_VERSION}")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// The bytes do not parse.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The checksum over the bytes differs.
    #[error("checksum mismatch: stored {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// As stored.
        stored: u32,
        /// As computed.
        computed: u32,
    },
}

impl MetadataRecord {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

/// Version byte and postcard.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![ENCODING_VERSION]).expect("plain data always encodes into memory")
}

/// The reverse of [`encode`]; trailing bytes are an error.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let (&found, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if found != ENCODING_VERSION {
        return Err(DecodeError::Version { found });
    }
    let (value, rest) =
        postcard::take_from_bytes(body).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(DecodeError::Malformed(format!("{} bytes too many", rest.len())));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
