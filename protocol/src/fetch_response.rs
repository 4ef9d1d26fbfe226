//! The Fetch response: our own encoder, because the records are not ours to copy. It writes the skeleton around them and
//! hands out parts in the order they go on the wire; records stay what the broker sends them as, memory or file ranges.

use bytes::Bytes;

use crate::error_code::ErrorCode;
use crate::types::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId};

/// A piece of the frame, in wire order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<P> {
    /// Bytes of ours: length prefix, headers, everything that is not records.
    Skeleton(Bytes),
    /// A piece of record batches, as it was given.
    Records(P),
}

/// What a partition's answer says besides its records.
#[derive(Debug, Clone, Copy)]
pub struct FetchPartitionHead<'a> {
    /// Index of the partition.
    pub index: PartitionIndex,
    /// Error of this partition alone.
    pub error: ErrorCode,
    /// High watermark; −1 on errors.
    pub high_watermark: Offset,
    /// Last stable offset; −1 on errors.
    pub last_stable_offset: Offset,
    /// First offset of the log; −1 on errors. Sent from v5.
    pub log_start_offset: Offset,
    /// Aborted transactions that overlap the records, by first offset; `None` is sent as null (READ_UNCOMMITTED).
    pub aborted: Option<&'a [(ProducerId, Offset)]>,
    /// Replica the consumer should read from; −1 for none (KIP-392). Sent from v11.
    pub preferred_read_replica: BrokerId,
    /// Epoch and its end where the follower's log diverges (KIP-595). Sent from v12.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// Leader and epoch the client should turn to (KIP-951). Sent from v12.
    pub current_leader: Option<(BrokerId, LeaderEpoch)>,
}

/// Where a leader named in the response listens (KIP-951). Sent from v16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// Id of the broker.
    pub node_id: BrokerId,
    /// Host on the listener the request came in on.
    pub host: String,
    /// Port there.
    pub port: i32,
    /// Its rack, if any.
    pub rack: Option<String>,
}

/// Writes one Fetch response, top to bottom: [`topic`](Self::topic), its partitions, the next topic, [`finish`](Self::finish).
#[derive(Debug)]
pub struct FetchResponseEncoder<P> {
    parts: Vec<Part<P>>,
}

impl<P> FetchResponseEncoder<P> {
    /// Begins a response with `topics` topics. `version` is a served one.
    pub fn new(
        version: i16,
        correlation_id: i32,
        throttle_ms: i32,
        error: ErrorCode,
        session_id: i32,
        topics: usize,
    ) -> Self {
        let _ = (version, correlation_id, throttle_ms, error, session_id, topics);
        FetchResponseEncoder { parts: Vec::new() }
    }

    /// Begins a topic with `partitions` partitions: by `name` up to v12, by `id` from v13.
    pub fn topic(&mut self, name: &str, id: TopicId, partitions: usize) {
        let _ = (name, id, partitions);
        unimplemented!("the encoder")
    }

    /// Adds a partition; `records_len` is the sum of the lengths of `records` in bytes.
    pub fn partition(&mut self, head: &FetchPartitionHead<'_>, records: Vec<P>, records_len: usize) {
        let _ = (head, records, records_len);
        unimplemented!("the encoder")
    }

    /// Ends the response; the first part begins with the length of the frame.
    pub fn finish(self, node_endpoints: &[NodeEndpoint]) -> Vec<Part<P>> {
        let _ = node_endpoints;
        self.parts
    }
}
