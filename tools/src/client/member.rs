//! A member of a classic consumer group: join, sync, heartbeat, leave, with the range assignor (KIP-345 aware brokers).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{PartitionIndex, TopicPartition};

use super::error::{ClientError, check};
use super::groups::decode_assignment;
use super::metadata::text;
use super::retry::Retry;
use super::{Client, To, topic_name};

/// After so long without a heartbeat the member counts as dead.
const SESSION_TIMEOUT_MS: i32 = 45_000;
/// So long the coordinator waits for members to join again.
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
/// A join is answered once everybody has joined.
const JOIN_TIME_MAX: Duration = Duration::from_secs(90);
/// The assignor every client knows.
const ASSIGNOR: &str = "range";
/// Version of the subscription and assignment written here.
const PROTOCOL_VERSION: i16 = 1;

/// A member of a group.
pub struct GroupMember<'a> {
    client: &'a Client,
    group: String,
    topics: Vec<String>,
    member_id: String,
    generation: i32,
}

impl<'a> GroupMember<'a> {
    /// A member that has not joined yet.
    pub fn new(client: &'a Client, group: &str, topics: Vec<String>) -> GroupMember<'a> {
        GroupMember { client, group: group.to_owned(), topics, member_id: String::new(), generation: -1 }
    }

    /// Generation and member id, as commits need them.
    pub fn identity(&self) -> (i32, &str) {
        (self.generation, &self.member_id)
    }

    /// Joins, or joins again; the partitions this member reads from now on.
    pub async fn join(&mut self) -> Result<Vec<TopicPartition>, ClientError> {
        let mut retry = Retry::new(self.client.timeout());
        loop {
            let attempt = match self.join_once().await {
                Ok(joined) => self.sync(joined).await,
                Err(error) => Err(error),
            };
            let error = match attempt {
                Ok(partitions) => return Ok(partitions),
                Err(error) => error,
            };
            match error.code() {
                // The coordinator gave an id to come back with (KIP-394).
                Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => {}
                Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => self.member_id.clear(),
                _ => retry.after(error).await?,
            }
        }
    }

    /// Says that this member is alive; false when it must join again.
    pub async fn heartbeat(&mut self) -> Result<bool, ClientError> {
        let id = self.client.coordinator(&self.group).await?;
        let response = self
            .client
            .call(To::Broker(id), |_| {
                HeartbeatRequest::default()
                    .with_group_id(GroupId(text(&self.group)))
                    .with_generation_id(self.generation)
                    .with_member_id(text(&self.member_id))
            })
            .await?;
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => Ok(false),
            Some(ErrorCode::UnknownMemberId) => {
                self.member_id.clear();
                Ok(false)
            }
            // The coordinator moves; the next heartbeat finds it.
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress) => Ok(true),
            _ => check(response.error_code, None).map(|()| true),
        }
    }

    /// Leaves, so that the others need not wait for the session to time out.
    pub async fn leave(&self) -> Result<(), ClientError> {
        let id = self.client.coordinator(&self.group).await?;
        let response = self
            .client
            .call(To::Broker(id), |version| {
                let request = LeaveGroupRequest::default().with_group_id(GroupId(text(&self.group)));
                if version >= 3 {
                    request
                        .with_members(vec![MemberIdentity::default().with_member_id(text(&self.member_id))])
                } else {
                    request.with_member_id(text(&self.member_id))
                }
            })
            .await?;
        check(response.error_code, None)
    }

    async fn join_once(&mut self) -> Result<JoinGroupResponse, ClientError> {
        let id = self.client.coordinator(&self.group).await?;
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text(ASSIGNOR)).with_metadata(self.subscription());
        let response = self
            .client
            .call_within(To::Waiting(id), JOIN_TIME_MAX, |_| {
                JoinGroupRequest::default()
                    .with_group_id(GroupId(text(&self.group)))
                    .with_session_timeout_ms(SESSION_TIMEOUT_MS)
                    .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
                    .with_member_id(text(&self.member_id))
                    .with_protocol_type(text("consumer"))
                    .with_protocols(vec![protocol.clone()])
            })
            .await?;
        if response.error_code == 0 || response.error_code == ErrorCode::MemberIdRequired.code() {
            self.member_id = response.member_id.to_string();
        }
        check(response.error_code, None)?;
        self.generation = response.generation_id;
        Ok(response)
    }

    async fn sync(&mut self, joined: JoinGroupResponse) -> Result<Vec<TopicPartition>, ClientError> {
        let assignments =
            if joined.leader == joined.member_id { self.assign(&joined.members).await? } else { Vec::new() };
        let id = self.client.coordinator(&self.group).await?;
        let response = self
            .client
            .call_within(To::Waiting(id), JOIN_TIME_MAX, |version| {
                let request = SyncGroupRequest::default()
                    .with_group_id(GroupId(text(&self.group)))
                    .with_generation_id(self.generation)
                    .with_member_id(text(&self.member_id))
                    .with_assignments(assignments.clone());
                if version >= 5 {
                    request
                        .with_protocol_type(Some(text("consumer")))
                        .with_protocol_name(Some(text(ASSIGNOR)))
                } else {
                    request
                }
            })
            .await?;
        check(response.error_code, None)?;
        Ok(decode_assignment(response.assignment))
    }

    fn subscription(&self) -> Bytes {
        let topics = self.topics.iter().map(|topic| text(topic)).collect();
        let subscription = ConsumerProtocolSubscription::default().with_topics(topics);
        versioned(|out| subscription.encode(out, PROTOCOL_VERSION))
    }

    /// As the leader: gives every topic's partitions in ranges to the members that want it.
    async fn assign(
        &self,
        members: &[JoinGroupResponseMember],
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for member in members {
            for topic in subscribed(&member.metadata) {
                wanted.entry(topic).or_default().push(member.member_id.to_string());
            }
        }
        let names: Vec<String> = wanted.keys().cloned().collect();
        let metadata = self.client.metadata(Some(&names), false).await?;
        let counts =
            metadata.topics.into_iter().map(|(name, topic)| (name, topic.partitions.len())).collect();
        let mut assigned = range(&wanted, &counts);
        let assignment = |member: &JoinGroupResponseMember| {
            let topics = assigned.remove(&*member.member_id).unwrap_or_default();
            let topics = topics.into_iter().map(|(topic, partitions)| {
                AssignedTopic::default().with_topic(topic_name(&topic)).with_partitions(partitions)
            });
            let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect());
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(versioned(|out| assignment.encode(out, PROTOCOL_VERSION)))
        };
        Ok(members.iter().map(assignment).collect())
    }
}

/// Kafka's range assignor: each topic's partitions in order, in ranges whose lengths differ by one at most.
fn range(
    wanted: &BTreeMap<String, Vec<String>>,
    counts: &BTreeMap<String, usize>,
) -> BTreeMap<String, BTreeMap<String, Vec<PartitionIndex>>> {
    let mut assigned: BTreeMap<String, BTreeMap<String, Vec<PartitionIndex>>> = BTreeMap::new();
    for (topic, members) in wanted {
        let mut members = members.clone();
        members.sort();
        let count = counts.get(topic).copied().unwrap_or(0);
        let (each, more) = (count / members.len(), count % members.len());
        let mut next = 0;
        for (i, member) in members.into_iter().enumerate() {
            let end = next + each + usize::from(i < more);
            let partitions: Vec<PartitionIndex> = (next..end).map(|index| index as PartitionIndex).collect();
            next = end;
            if !partitions.is_empty() {
                assigned.entry(member).or_default().insert(topic.clone(), partitions);
            }
        }
    }
    assigned
}

fn subscribed(metadata: &Bytes) -> Vec<String> {
    let mut bytes = metadata.clone();
    if bytes.len() < 2 {
        return Vec::new();
    }
    let version = bytes.split_to(2);
    let version = i16::from_be_bytes([version[0], version[1]]).clamp(0, 3);
    let subscription = ConsumerProtocolSubscription::decode(&mut bytes, version);
    subscription.map_or_else(|_| Vec::new(), |found| found.topics.iter().map(ToString::to_string).collect())
}

/// Two bytes of version, then the message.
fn versioned<E: std::fmt::Debug>(encode: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(PROTOCOL_VERSION);
    encode(&mut out).expect("short lists of short names fit Kafka's lengths");
    out.freeze()
}

#[cfg(test)]
mod tests;
