//! What a replay took away, kept until the log has accepted the records: if it refuses them, this brings it back.

use std::sync::Arc;

use tidemark_protocol::types::PartitionIndex;

use super::group::Group;
use super::member::{Member, MemberId};
use super::request::CommittedOffset;

/// One step back.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    /// An offset was set or forgotten.
    Offset { group_id: Arc<str>, topic: Arc<str>, partition: PartitionIndex, before: Option<CommittedOffset> },
    /// A group was deleted.
    Deleted(Box<Group>),
    /// The leader's assignment made a generation Stable.
    Assigned { group_id: Arc<str>, generation: i32 },
    /// A static member took the place of an older one of its instance id, without a rebalance.
    Replaced { group_id: Arc<str>, instance_id: String, new_id: MemberId, before: Box<Member> },
}
