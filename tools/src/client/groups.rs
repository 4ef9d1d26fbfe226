//! Consumer groups as an administrator sees them: list, describe, committed offsets, delete.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
    OffsetCommitRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::Decodable;
use tidemark_protocol::types::{BrokerId, Offset, TopicPartition};

use super::admin::nothing;
use super::error::{ClientError, check};
use super::metadata::text;
use super::offsets::merge;
use super::{Client, To, topic_name};

/// First version that asks for several groups at once.
const BATCHED_FETCH_VERSION: i16 = 8;

/// A group in a list.
#[derive(Clone, Debug)]
pub struct ListedGroup {
    /// Its id.
    pub id: String,
    /// `consumer`, `connect`, ….
    pub protocol_type: String,
    /// `Stable`, `Empty`, …; empty when the broker does not tell.
    pub state: String,
    /// `classic`, `consumer`, …; empty when the broker does not tell.
    pub kind: String,
    /// The broker that coordinates it.
    pub coordinator: BrokerId,
}

/// A group with its members.
#[derive(Clone, Debug)]
pub struct GroupDescription {
    /// `Stable`, `Empty`, `Dead`, ….
    pub state: String,
    /// `consumer`, `connect`, ….
    pub protocol_type: String,
    /// The assignor, as `range`.
    pub protocol: String,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Member {
    /// Id given by the coordinator.
    pub id: String,
    /// Static id (KIP-345).
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

impl Client {
    /// The groups of all brokers, sorted by id.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        // Metadata names the brokers; each knows the groups it coordinates.
        self.metadata(Some(&[]), false).await?;
        let mut groups = Vec::new();
        for coordinator in self.brokers().into_keys() {
            let response = self.call(To::Broker(coordinator), |_| ListGroupsRequest::default()).await?;
            check(response.error_code, None)?;
            groups.extend(response.groups.into_iter().map(|group| ListedGroup {
                id: group.group_id.0.to_string(),
                protocol_type: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
                kind: group.group_type.to_string(),
                coordinator,
            }));
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// A group and its members. One that does not exist is described as `Dead`.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = |_| DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let response = self.at_coordinator(group, |id| self.call(To::Broker(id), request)).await?;
        let found = response.groups.into_iter().next().ok_or_else(|| nothing("DescribeGroups"))?;
        check(found.error_code, found.error_message.as_deref())?;
        Ok(GroupDescription {
            state: found.group_state.to_string(),
            protocol_type: found.protocol_type.to_string(),
            protocol: found.protocol_data.to_string(),
            members: found.members.into_iter().map(member).collect(),
        })
    }

    /// Committed offsets of all partitions the group ever committed.
    pub async fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        let fetch = |id| async move {
            let response = self
                .call(To::Broker(id), |version| {
                    if version >= BATCHED_FETCH_VERSION {
                        let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group)));
                        OffsetFetchRequest::default().with_groups(vec![group.with_topics(None)])
                    } else {
                        OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(None)
                    }
                })
                .await?;
            let mut offsets = Vec::new();
            check(response.error_code, None)?;
            for topic in response.topics {
                for partition in topic.partitions {
                    let tp = TopicPartition::new(&**topic.name, partition.partition_index);
                    offsets.push((tp, partition.committed_offset, partition.error_code));
                }
            }
            for found in response.groups {
                check(found.error_code, None)?;
                for topic in found.topics {
                    for partition in topic.partitions {
                        let tp = TopicPartition::new(&**topic.name, partition.partition_index);
                        offsets.push((tp, partition.committed_offset, partition.error_code));
                    }
                }
            }
            Ok(offsets)
        };
        let mut committed = BTreeMap::new();
        for (tp, offset, code) in self.at_coordinator(group, fetch).await? {
            check(code, None)?;
            if offset >= 0 {
                committed.insert(tp, offset);
            }
        }
        Ok(committed)
    }

    /// Commits offsets, as a member of the group (`generation`, `member`) or from outside (−1 and empty).
    pub async fn commit(
        &self,
        group: &str,
        generation: i32,
        member: &str,
        offsets: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<(), ClientError> {
        let topics = offsets.iter().map(|(tp, offset)| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(tp.partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text("")));
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(&tp.topic))
                .with_partitions(vec![partition])
        });
        let topics = merge(topics, |topic| &topic.name, |to, from| to.partitions.extend(from.partitions));
        let request = |_| {
            OffsetCommitRequest::default()
                .with_group_id(GroupId(text(group)))
                .with_generation_id_or_member_epoch(generation)
                .with_member_id(text(member))
                .with_topics(topics.clone())
        };
        let call = |id| async move {
            let response = self.call(To::Broker(id), request).await?;
            let mut answers = response.topics.iter().flat_map(|topic| &topic.partitions);
            answers.try_for_each(|partition| check(partition.error_code, None))
        };
        self.at_coordinator(group, call).await
    }

    /// Deletes an empty group with its offsets.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let request = |_| DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let response = self.at_coordinator(group, |id| self.call(To::Broker(id), request)).await?;
        let result = response.results.first().ok_or_else(|| nothing("DeleteGroups"))?;
        check(result.error_code, None)
    }
}

fn member(member: DescribedGroupMember) -> Member {
    Member {
        id: member.member_id.to_string(),
        instance_id: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        partitions: decode_assignment(member.member_assignment),
    }
}

/// The partitions of an assignment; none when it is not of the consumer protocol.
pub fn decode_assignment(mut bytes: Bytes) -> Vec<TopicPartition> {
    let Some(version) = bytes.split_to_checked(2) else { return Vec::new() };
    let version = i16::from_be_bytes([version[0], version[1]]).clamp(0, 3);
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, version) else { return Vec::new() };
    let partitions = assignment
        .assigned_partitions
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|index| TopicPartition::new(&**topic.topic, *index)));
    partitions.collect()
}

/// Splits bytes off the front, if there are so many.
trait SplitToChecked: Sized {
    fn split_to_checked(&mut self, len: usize) -> Option<Self>;
}

impl SplitToChecked for Bytes {
    fn split_to_checked(&mut self, len: usize) -> Option<Bytes> {
        (self.len() >= len).then(|| self.split_to(len))
    }
}
