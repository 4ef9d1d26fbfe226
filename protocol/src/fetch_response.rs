//! The Fetch response: our own encoder, because the records are not ours to copy. It writes the skeleton around them and
//! hands out parts in the order they go on the wire; records stay what the broker sends them as, memory or file ranges.

use bytes::{BufMut, Bytes, BytesMut};

use crate::api::ApiKey;
use crate::error_code::ErrorCode;
use crate::frame::LENGTH_PREFIX;
use crate::response::put_header;
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

/// Writes one Fetch response, top to bottom: [`topic`](Self::topic), its partitions, the next topic, …,
/// [`finish`](Self::finish).
///
/// ```text
/// frame: length | header | throttle error session | topic … partition head | RECORDS | tags … | topic … | tags
///        ^ patched by finish                        one skeleton buffer, cut here ^
/// ```
#[derive(Debug)]
pub struct FetchResponseEncoder<P> {
    version: i16,
    skeleton: BytesMut,
    /// Records, and how much of the skeleton goes before them.
    cuts: Vec<(usize, Vec<P>)>,
    records_len: usize,
    topics_left: usize,
    partitions_left: usize,
    topic_is_open: bool,
}

/// From here on lengths are compact and structures end in tagged fields.
const FLEXIBLE: i16 = 12;
/// Room for the head of the response, and for each topic with one partition.
const HEAD_ROOM: usize = 64;
const TOPIC_ROOM: usize = 96;

const TAG_DIVERGING_EPOCH: u8 = 0;
const TAG_CURRENT_LEADER: u8 = 1;
const TAG_NODE_ENDPOINTS: u8 = 0;

impl<P> FetchResponseEncoder<P> {
    /// Begins a response with `topics` topics. `version` is a served one; the top-level `error` is sent from v7.
    pub fn new(
        version: i16,
        correlation_id: i32,
        throttle_ms: i32,
        error: ErrorCode,
        session_id: i32,
        topics: usize,
    ) -> Self {
        let mut skeleton = BytesMut::with_capacity(HEAD_ROOM + topics * TOPIC_ROOM);
        skeleton.put_i32(0);
        put_header(&mut skeleton, ApiKey::Fetch, version, correlation_id);
        skeleton.put_i32(throttle_ms);
        if version >= 7 {
            skeleton.put_i16(error.code());
            skeleton.put_i32(session_id);
        }
        let mut encoder = FetchResponseEncoder {
            version,
            skeleton,
            cuts: Vec::with_capacity(topics),
            records_len: 0,
            topics_left: topics,
            partitions_left: 0,
            topic_is_open: false,
        };
        encoder.put_count(topics);
        encoder
    }

    /// Begins a topic with `partitions` partitions: by `name` up to v12, by `id` from v13.
    pub fn topic(&mut self, name: &str, id: TopicId, partitions: usize) {
        self.close_topic();
        self.topics_left =
            self.topics_left.checked_sub(1).expect("no more topics are written than were announced");
        self.topic_is_open = true;
        self.partitions_left = partitions;
        match self.version {
            13.. => self.skeleton.put_slice(id.0.as_bytes()),
            FLEXIBLE => put_compact_text(&mut self.skeleton, name),
            _ => {
                let len = i16::try_from(name.len()).expect("topic names have 249 bytes at most");
                self.skeleton.put_i16(len);
                self.skeleton.put_slice(name.as_bytes());
            }
        }
        self.put_count(partitions);
    }

    /// Adds a partition; `records_len` is the sum of the lengths of `records` in bytes.
    pub fn partition(&mut self, head: &FetchPartitionHead<'_>, records: Vec<P>, records_len: usize) {
        self.partitions_left =
            self.partitions_left.checked_sub(1).expect("no more partitions are written than were announced");
        self.skeleton.put_i32(head.index);
        self.skeleton.put_i16(head.error.code());
        self.skeleton.put_i64(head.high_watermark);
        self.skeleton.put_i64(head.last_stable_offset);
        if self.version >= 5 {
            self.skeleton.put_i64(head.log_start_offset);
        }
        self.put_aborted(head.aborted);
        if self.version >= 11 {
            self.skeleton.put_i32(head.preferred_read_replica);
        }
        // Never null: clients of some versions take null for a broken answer.
        self.put_count(records_len);
        if !records.is_empty() {
            self.records_len += records_len;
            self.cuts.push((self.skeleton.len(), records));
        }
        self.put_partition_tags(head);
    }

    /// Ends the response; the first part begins with the length of the frame.
    ///
    /// # Panics
    /// If topics or partitions are missing, or the frame has 2 GiB: `fetch.max.bytes` keeps callers far below.
    pub fn finish(mut self, node_endpoints: &[NodeEndpoint]) -> Vec<Part<P>> {
        self.close_topic();
        assert_eq!(self.topics_left, 0, "every announced topic is written");
        if self.version >= FLEXIBLE {
            self.put_node_endpoints(node_endpoints);
        }
        let len = self.skeleton.len() - LENGTH_PREFIX + self.records_len;
        let prefix = i32::try_from(len).expect("fetch.max.bytes is below 2 GiB");
        self.skeleton[..LENGTH_PREFIX].copy_from_slice(&prefix.to_be_bytes());
        self.into_parts()
    }

    fn into_parts(self) -> Vec<Part<P>> {
        let pieces: usize = self.cuts.iter().map(|(_, records)| records.len()).sum();
        let mut parts = Vec::with_capacity(pieces + self.cuts.len() + 1);
        let mut skeleton = self.skeleton.freeze();
        let mut cut_off = 0;
        for (at, records) in self.cuts {
            parts.push(Part::Skeleton(skeleton.split_to(at - cut_off)));
            cut_off = at;
            parts.extend(records.into_iter().map(Part::Records));
        }
        if !skeleton.is_empty() {
            parts.push(Part::Skeleton(skeleton));
        }
        parts
    }

    fn close_topic(&mut self) {
        assert_eq!(self.partitions_left, 0, "every announced partition is written");
        if self.topic_is_open && self.version >= FLEXIBLE {
            self.skeleton.put_u8(0);
        }
        self.topic_is_open = false;
    }

    fn put_aborted(&mut self, aborted: Option<&[(ProducerId, Offset)]>) {
        let Some(aborted) = aborted else {
            return if self.version >= FLEXIBLE {
                self.skeleton.put_u8(0)
            } else {
                self.skeleton.put_i32(-1)
            };
        };
        self.put_count(aborted.len());
        for &(producer_id, first_offset) in aborted {
            self.skeleton.put_i64(producer_id);
            self.skeleton.put_i64(first_offset);
            if self.version >= FLEXIBLE {
                self.skeleton.put_u8(0);
            }
        }
    }

    fn put_partition_tags(&mut self, head: &FetchPartitionHead<'_>) {
        if self.version < FLEXIBLE {
            return;
        }
        let count = u8::from(head.diverging.is_some()) + u8::from(head.current_leader.is_some());
        self.skeleton.put_u8(count);
        if let Some((epoch, end_offset)) = head.diverging {
            self.skeleton.put_slice(&[TAG_DIVERGING_EPOCH, 4 + 8 + 1]);
            self.skeleton.put_i32(epoch);
            self.skeleton.put_i64(end_offset);
            self.skeleton.put_u8(0);
        }
        if let Some((leader_id, leader_epoch)) = head.current_leader {
            self.skeleton.put_slice(&[TAG_CURRENT_LEADER, 4 + 4 + 1]);
            self.skeleton.put_i32(leader_id);
            self.skeleton.put_i32(leader_epoch);
            self.skeleton.put_u8(0);
        }
    }

    /// The tagged fields of the response itself: endpoints only from v16 and only if there are any.
    fn put_node_endpoints(&mut self, node_endpoints: &[NodeEndpoint]) {
        if self.version < 16 || node_endpoints.is_empty() {
            self.skeleton.put_u8(0);
            return;
        }
        let mut content = BytesMut::new();
        put_varint(&mut content, node_endpoints.len() + 1);
        for endpoint in node_endpoints {
            content.put_i32(endpoint.node_id);
            put_compact_text(&mut content, &endpoint.host);
            content.put_i32(endpoint.port);
            match &endpoint.rack {
                Some(rack) => put_compact_text(&mut content, rack),
                None => content.put_u8(0),
            }
            content.put_u8(0);
        }
        self.skeleton.put_slice(&[1, TAG_NODE_ENDPOINTS]);
        put_varint(&mut self.skeleton, content.len());
        self.skeleton.put_slice(&content);
    }

    /// The count of an array or the length of records, as this version writes them.
    fn put_count(&mut self, count: usize) {
        if self.version >= FLEXIBLE {
            put_varint(&mut self.skeleton, count + 1);
        } else {
            let count = i32::try_from(count).expect("fetch.max.bytes is below 2 GiB");
            self.skeleton.put_i32(count);
        }
    }
}

fn put_compact_text(buf: &mut BytesMut, text: &str) {
    put_varint(buf, text.len() + 1);
    buf.put_slice(text.as_bytes());
}

/// Unsigned varint, least significant seven bits first.
fn put_varint(buf: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        buf.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buf.put_u8(value as u8);
}

#[cfg(test)]
mod tests;
