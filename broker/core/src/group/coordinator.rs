//! GroupCoordinator: all groups of one shard.

use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, Offset, TimestampMs};

use super::request::{GroupReply, GroupRequest};
use super::settings::GroupSettings;
use crate::machine::{CoordinatorRecord, Outcome, StateMachine, Token};

/// All groups of one shard.
pub struct GroupCoordinator {
    #[allow(dead_code)]
    settings: Arc<GroupSettings>,
}

impl GroupCoordinator {
    /// An empty shard, to be loaded by replay.
    pub fn new(settings: Arc<GroupSettings>) -> Self {
        GroupCoordinator { settings }
    }
}

impl StateMachine for GroupCoordinator {
    type Request = GroupRequest;
    type Reply = GroupReply;

    fn handle(&mut self, _token: Token, _request: GroupRequest, _now: Now) -> Outcome<GroupReply> {
        unimplemented!("the group state machine")
    }

    fn replay(&mut self, _offset: Offset, _record: &CoordinatorRecord, _timestamp: TimestampMs) {
        unimplemented!("the group state machine")
    }

    fn on_loaded(&mut self, _now: Now) {
        unimplemented!("the group state machine")
    }

    fn on_appended(&mut self) {
        unimplemented!("the group state machine")
    }

    fn on_append_failed(
        &mut self,
        _failed: Vec<Outcome<GroupReply>>,
        _error: ErrorCode,
        _now: Now,
    ) -> Vec<(Token, GroupReply)> {
        unimplemented!("the group state machine")
    }

    fn next_deadline(&self) -> Option<Duration> {
        unimplemented!("the group state machine")
    }

    fn on_deadline(&mut self, _now: Now) -> Outcome<GroupReply> {
        unimplemented!("the group state machine")
    }
}
