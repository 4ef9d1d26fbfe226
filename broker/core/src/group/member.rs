//! One member of a classic group: what it can speak, what it was assigned, and which of its requests waits.

use std::sync::Arc;

use bytes::Bytes;

use super::record::MemberMetadata;
use crate::machine::Token;

/// Id of a member, given by the coordinator.
pub(super) type MemberId = Arc<str>;

/// One member. A member waits with at most one request: a join or a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub id: MemberId,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// Best first, with the metadata for each.
    pub protocols: Vec<(String, Bytes)>,
    /// Survives; changed by replay alone.
    pub assignment: Bytes,
    /// A JoinGroup that waits for the rebalance to complete.
    pub join: Option<Token>,
    /// A SyncGroup that waits for the leader's.
    pub sync: Option<Token>,
    /// Joined the group and has not seen a generation yet: it cannot send heartbeats.
    pub is_new: bool,
}

impl Member {
    /// Whether it offers exactly these protocols: then a rejoin changes nothing.
    pub fn offers(&self, protocols: &[(String, Bytes)]) -> bool {
        self.protocols == protocols
    }

    /// Its metadata for `protocol`; empty when it does not speak it.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, data)| data.clone())
            .unwrap_or_default()
    }

    /// Which of `candidates` it likes best.
    pub fn vote<'a>(&self, candidates: &[&'a str]) -> Option<&'a str> {
        self.protocols
            .iter()
            .find_map(|(name, _)| candidates.iter().copied().find(|candidate| candidate == name))
    }

    /// Whether silence does not count now: a member whose request waits here is known to be alive. A new member has
    /// no other sign of life than that request, so its wait is limited.
    pub fn may_be_silent(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    /// As it survives, with an assignment that may not be applied yet.
    pub fn to_metadata(&self, protocol: Option<&str>, assignment: Bytes) -> MemberMetadata {
        MemberMetadata {
            member_id: self.id.to_string(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: protocol.map(|protocol| self.metadata(protocol)).unwrap_or_default(),
            assignment,
        }
    }

    /// Comes back from the log while it is here: what does not survive, its waiting requests and the other protocols it
    /// speaks, stays. While a log is loaded the member here is an older record's, and what the log says now wins.
    pub fn with_live(self, live: Member, protocol: Option<&str>) -> Self {
        let is_current = protocol.is_none_or(|protocol| live.metadata(protocol) == self.metadata(protocol));
        let protocols = if is_current { live.protocols } else { self.protocols };
        Member { protocols, join: live.join, sync: live.sync, is_new: live.is_new, ..self }
    }

    /// As it comes back from the log: it speaks the one protocol the log knows of.
    pub fn from_metadata(stored: MemberMetadata, protocol: Option<&str>) -> Self {
        let rebalance_timeout_ms = match stored.rebalance_timeout_ms {
            -1 => stored.session_timeout_ms,
            timeout => timeout,
        };
        Member {
            id: stored.member_id.into(),
            instance_id: stored.group_instance_id,
            client_id: stored.client_id,
            client_host: stored.client_host,
            session_timeout_ms: stored.session_timeout_ms,
            rebalance_timeout_ms,
            protocols: protocol.map(|name| (name.to_owned(), stored.subscription)).into_iter().collect(),
            assignment: stored.assignment,
            join: None,
            sync: None,
            is_new: false,
        }
    }
}
