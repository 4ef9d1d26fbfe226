//! The logs of a partition's replicas beside each other once all is quiet: C18 they are equal, C21 producers' sequences
//! have neither gaps nor repeats.

use std::collections::BTreeMap;

use tidemark_protocol::batch::BatchHeader;

use super::Violation;

/// A batch as it stands in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its head.
    pub header: BatchHeader,
    /// Hash of all its bytes, the head's too.
    pub digest: u64,
}

/// One replica's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaLog {
    /// Whose.
    pub node: i32,
    /// Its batches, in order.
    pub batches: Vec<Batch>,
}

/// C18: replicas that hold the same offsets hold the same bytes, and end at the same offset.
pub fn equality(key: &str, replicas: &[ReplicaLog]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let end = |log: &ReplicaLog| log.batches.last().map_or(0, |batch| batch.header.next_offset());
    let Some(most) = replicas.iter().max_by_key(|log| end(log)) else { return violations };
    let reference: BTreeMap<i64, &Batch> =
        most.batches.iter().map(|batch| (batch.header.base_offset, batch)).collect();
    for replica in replicas {
        if end(replica) != end(most) {
            let text = format!(
                "node {} ends at {}, node {} at {}",
                replica.node,
                end(replica),
                most.node,
                end(most)
            );
            violations.push(Violation::new("C18 replicas", key, text));
        }
        let differs =
            replica.batches.iter().find(|batch| reference.get(&batch.header.base_offset) != Some(batch));
        if let Some(batch) = differs {
            let at = batch.header.base_offset;
            let text = format!(
                "node {} has at {at} another batch than node {}: {:?} and {:?}",
                replica.node,
                most.node,
                batch,
                reference.get(&at)
            );
            violations.push(Violation::new("C18 replicas", key, text));
        }
    }
    violations
}

/// C18 within a log: offsets follow each other, epochs never fall.
pub fn order(key: &str, log: &ReplicaLog) -> Vec<Violation> {
    let wrong = log.batches.windows(2).filter(|pair| {
        let (a, b) = (&pair[0].header, &pair[1].header);
        b.base_offset != a.next_offset() || b.partition_leader_epoch < a.partition_leader_epoch
    });
    let text = |pair: &[Batch]| {
        format!("node {}: {:?} is followed by {:?}", log.node, pair[0].header, pair[1].header)
    };
    wrong.map(|pair| Violation::new("C18 replicas", key, text(pair))).collect()
}

/// C21: each producer's sequences go on without gap or repeat.
pub fn sequences(key: &str, log: &ReplicaLog) -> Vec<Violation> {
    let mut next: BTreeMap<(i64, i16), i32> = BTreeMap::new();
    let mut violations = Vec::new();
    for Batch { header, .. } in log.batches.iter().filter(|batch| batch.header.has_producer()) {
        let producer = (header.producer_id, header.producer_epoch);
        let after = header.last_sequence().wrapping_add(1).max(0);
        let expected = next.insert(producer, after);
        if expected.is_some_and(|expected| expected != header.base_sequence) {
            let text = format!(
                "producer {producer:?} continues with {} at {} where {expected:?} comes next",
                header.base_sequence, header.base_offset
            );
            violations.push(Violation::new("C21 sequences", key, text));
        }
    }
    violations
}
