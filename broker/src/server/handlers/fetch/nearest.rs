//! [`Nearest`]: which replica a consumer had better read from (KIP-392): one of its own rack, where
//! `replica.selector.class` says so.
//!
//! Only a member of the ISR that has what is asked for is named, never one that would answer OFFSET_OUT_OF_RANGE: the
//! consumer would come back here and be sent there again.

use std::sync::Arc;

use kafka_protocol::messages::FetchRequest;
use tidemark_core::metadata::ClusterImage;
use tidemark_protocol::types::{BrokerId, Offset};

use super::super::super::{Ctx, RequestContext, partitions};
use crate::partition::positions::FollowerPosition;
use crate::partition::{PartitionHandle, PartitionView};

/// First version that says where its consumer is.
const RACK_FROM: i16 = 11;

/// A consumer that may be sent to another replica.
pub(super) struct Nearest {
    rack: String,
    listener: String,
    image: Arc<ClusterImage>,
}

impl Nearest {
    /// `None` for one that reads from the leader: it does not say where it is, or this broker does not look.
    pub(super) fn of(ctx: &Ctx, context: &RequestContext, request: &FetchRequest) -> Option<Nearest> {
        let is_asked = context.version >= RACK_FROM && !request.rack_id.is_empty();
        (is_asked && ctx.settings().selects_replica_by_rack).then(|| Nearest {
            rack: request.rack_id.to_string(),
            listener: context.listener.name.clone(),
            image: ctx.image(),
        })
    }

    /// The follower to read from instead of this leader.
    pub(super) fn choose(
        &self,
        handle: &PartitionHandle,
        view: &PartitionView,
        offset: Offset,
    ) -> Option<BrokerId> {
        let partition = self.image.partition_by_id(&handle.id())?;
        if !view.is_leader || partition.isr.len() < 2 || self.is_near(view.leader) {
            return None;
        }
        let followers = handle.follower_positions(view.leader_epoch);
        let may_serve = |follower: &FollowerPosition| {
            partition.isr.contains(&follower.replica)
                && self.is_near(follower.replica)
                && partitions::endpoint(&self.image, follower.replica, &self.listener).is_some()
        };
        best(followers.into_iter().filter(may_serve), offset)
    }

    fn is_near(&self, broker: BrokerId) -> bool {
        self.image.brokers.get(&broker).is_some_and(|broker| broker.rack.as_deref() == Some(&self.rack))
    }
}

/// Of those that have the offset the one that has most.
fn best(followers: impl Iterator<Item = FollowerPosition>, offset: Offset) -> Option<BrokerId> {
    let has_it = |follower: &FollowerPosition| (follower.log_start..=follower.log_end).contains(&offset);
    let best = followers.filter(has_it).max_by_key(|follower| (follower.log_end, follower.replica))?;
    Some(best.replica)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_replica_that_has_the_offset_is_named_and_the_longest_of_them() {
        let at =
            |replica, log_start, log_end| FollowerPosition { replica, leader_epoch: 0, log_start, log_end };
        let followers = || [at(2, 5, 20), at(3, 0, 15), at(4, 0, 20)].into_iter();
        assert_eq!(best(followers(), 3), Some(4));
        assert_eq!(best(followers(), 20), Some(4));
        assert_eq!(best(followers(), 21), None);
        assert_eq!(best(followers().take(2), 3), Some(3), "the other one starts later");
        assert_eq!(best(followers().take(2), 16), Some(2));
    }
}
