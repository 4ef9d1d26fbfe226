//! DescribeGroups, ListGroups and DeleteGroups.

use bytes::Bytes;
use tidemark_protocol::error_code::ErrorCode;

use super::coordinator::GroupCoordinator;
use super::group::Group;
use super::record::{group_tombstone, offset_tombstone};
use super::request::{DescribeReply, DescribedMember, GroupListing, GroupReply, ListRequest};
use super::state::State;
use super::turn::Timer;
use crate::machine::{Outcome, Token};

/// Kafka's name of the kind of groups this coordinator has.
const CLASSIC: &str = "classic";

impl GroupCoordinator {
    /// Tells all about one group; what its members can and got only when Stable.
    pub(super) fn describe(&self, token: Token, group_id: &str) -> Outcome<GroupReply> {
        let reply = match self.groups.get(group_id) {
            Some(group) => described(group),
            None => DescribeReply {
                error: ErrorCode::GroupIdNotFound,
                state: "Dead",
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            },
        };
        Outcome::reply(token, GroupReply::Describe(reply))
    }

    /// Lists the groups of this shard that pass both filters.
    pub(super) fn list(&self, token: Token, request: &ListRequest) -> Outcome<GroupReply> {
        let passes = |filter: &[String], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let listings = self
            .groups
            .values()
            .filter(|group| passes(&request.states, group.state().name()) && passes(&request.types, CLASSIC))
            .map(|group| GroupListing {
                group_id: group.id.to_string(),
                protocol_type: group.protocol_type.clone().unwrap_or_default(),
                state: group.state().name(),
                group_type: CLASSIC,
            });
        Outcome::reply(token, GroupReply::List(listings.collect()))
    }

    /// Deletes an empty group with its offsets.
    pub(super) fn delete(&mut self, token: Token, group_id: &str) -> Outcome<GroupReply> {
        let answer = |error| Outcome::reply(token, GroupReply::Delete(error));
        let Some(group) = self.groups.get_mut(group_id) else {
            return answer(ErrorCode::GroupIdNotFound);
        };
        if group.state() != State::Empty {
            return answer(ErrorCode::NonEmptyGroup);
        }
        // Ids handed out for it are worth nothing now: who comes with one is unknown and starts over.
        for id in std::mem::take(&mut group.pending_members) {
            self.timers.clear(&Timer::Session(group.id.clone(), id));
        }
        let mut out = answer(ErrorCode::None);
        for (topic, partitions) in self.offsets.group(group_id).into_iter().flatten() {
            let tombstone = |partition: &i32| offset_tombstone(group_id, topic, *partition);
            out.records.extend(partitions.keys().map(tombstone));
        }
        if group.persisted {
            out.records.push(group_tombstone(group_id));
        }
        self.drop_if_void(group_id);
        out
    }
}

fn described(group: &Group) -> DescribeReply {
    let stable = group.state() == State::Stable;
    let protocol = group.protocol.clone().filter(|_| stable).unwrap_or_default();
    let members = group
        .members()
        .map(|member| DescribedMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        })
        .collect();
    DescribeReply {
        error: ErrorCode::None,
        state: group.state().name(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol,
        members,
    }
}
