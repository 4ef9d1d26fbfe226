//! Transactions: follows, batch by batch, which transactions a compaction run is inside of.
//!
//! Written by one pass over the segments in offset order. Records of aborted transactions go at once; a marker may go
//! only when nothing of its transaction is left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidemark_protocol::batch::BatchHeader;
use tidemark_protocol::batch::control::{ControlType, EndTransactionMarker};
use tidemark_protocol::types::{Offset, ProducerId};

use crate::index::transaction::AbortedTransaction;

/// The transactions around the present position.
#[derive(Debug)]
pub(super) struct Transactions {
    /// Aborted ones still to come, by first offset.
    coming: VecDeque<AbortedTransaction>,
    /// Aborted ones being passed, and whether a batch of theirs was met.
    aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers with a batch of a transaction that commits.
    committed: BTreeSet<ProducerId>,
}

impl Transactions {
    pub(super) fn new(aborted: impl Iterator<Item = AbortedTransaction>) -> Self {
        let mut coming: Vec<AbortedTransaction> = aborted.collect();
        coming.sort_by_key(|transaction| transaction.first_offset);
        Transactions { coming: coming.into(), aborted: BTreeMap::new(), committed: BTreeSet::new() }
    }

    /// A data batch is passed; returns whether it belongs to an aborted transaction.
    pub(super) fn on_batch(&mut self, header: &BatchHeader) -> bool {
        self.advance(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((transaction, met)) if header.last_offset() < transaction.last_offset => {
                *met = true;
                true
            }
            _ => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// A marker is passed. `None`: nothing of its transaction is left, it may go after its time. Otherwise it stays, with
    /// the entry the index of aborted transactions must keep, if it is an abort.
    pub(super) fn on_marker(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
    ) -> Option<Option<AbortedTransaction>> {
        self.advance(header.last_offset());
        match marker.map(|marker| marker.control_type) {
            Some(ControlType::Abort) => match self.aborted.remove(&header.producer_id) {
                Some((transaction, true)) => Some(Some(transaction)),
                _ => None,
            },
            Some(ControlType::Commit) => self.committed.remove(&header.producer_id).then_some(None),
            // Not a marker, or one this program does not know: stays.
            _ => Some(None),
        }
    }

    fn advance(&mut self, offset: Offset) {
        while let Some(transaction) = self.coming.pop_front_if(|next| next.first_offset <= offset) {
            self.aborted.insert(transaction.producer_id, (transaction, false));
        }
    }
}
