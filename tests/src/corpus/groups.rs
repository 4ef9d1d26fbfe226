//! Requests of groups and their offsets.

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;

use super::{Requests, TOPIC, group_id, opaque, text, topic_name};

/// Some groups, so that a member that hangs holds back few others.
const GROUPS: [&str; 4] = ["group-a", "group-b", "group-c", "group-d"];
/// A consumer's subscription to one topic.
const SUBSCRIPTION: &[u8] = b"\0\x01\0\0\0\x01\0\x06mutate\xff\xff\xff\xff\0\0\0\0";
/// Shortest session the broker allows.
const SESSION_MS: i32 = 6000;

pub fn offset_commit(requests: &mut Requests) {
    for group in GROUPS {
        let mut part = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(5)
            .with_committed_metadata(Some(text("seen")));
        if requests.since(6) {
            part.committed_leader_epoch = 0;
        }
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(TOPIC))
            .with_partitions(vec![part.clone(), part.with_partition_index(1)]);
        requests.add(
            &kafka::OffsetCommitRequest::default()
                .with_group_id(group_id(group))
                .with_generation_id_or_member_epoch(-1)
                .with_topics(vec![topic]),
        );
    }
}

pub fn offset_fetch(requests: &mut Requests) {
    for all in [false, true] {
        if requests.since(8) {
            let topic = OffsetFetchRequestTopics::default()
                .with_name(topic_name(TOPIC))
                .with_partition_indexes(vec![0, 1]);
            let group = |name| {
                OffsetFetchRequestGroup::default()
                    .with_group_id(group_id(name))
                    .with_topics((!all).then(|| vec![topic.clone()]))
            };
            let groups = GROUPS.into_iter().map(group).collect();
            requests.add(&kafka::OffsetFetchRequest::default().with_groups(groups));
        } else if !all || requests.since(2) {
            let topic = OffsetFetchRequestTopic::default()
                .with_name(topic_name(TOPIC))
                .with_partition_indexes(vec![0, 1]);
            let mut request = kafka::OffsetFetchRequest::default().with_group_id(group_id(GROUPS[0]));
            request.topics = (!all).then(|| vec![topic]);
            requests.add(&request);
        }
    }
}

pub fn offset_delete(requests: &mut Requests) {
    for group in GROUPS {
        let part = OffsetDeleteRequestPartition::default().with_partition_index(1);
        let topic =
            OffsetDeleteRequestTopic::default().with_name(topic_name(TOPIC)).with_partitions(vec![part]);
        requests.add(
            &kafka::OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(vec![topic]),
        );
    }
}

pub fn find_coordinator(requests: &mut Requests) {
    for key_type in [0, 1, 2] {
        let mut request = kafka::FindCoordinatorRequest::default();
        if requests.since(1) {
            request.key_type = key_type;
        }
        if requests.since(4) {
            request.coordinator_keys = GROUPS.into_iter().map(text).collect();
        } else {
            request.key = text(GROUPS[0]);
        }
        requests.add(&request);
    }
}

pub fn join_group(requests: &mut Requests) {
    for (nth, group) in GROUPS.into_iter().enumerate() {
        let protocols = ["range", "cooperative-sticky"].map(|name| {
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(opaque(SUBSCRIPTION))
        });
        let mut request = kafka::JoinGroupRequest::default()
            .with_group_id(group_id(group))
            .with_session_timeout_ms(SESSION_MS)
            .with_protocol_type(text("consumer"))
            .with_protocols(protocols.to_vec());
        if requests.since(1) {
            request.rebalance_timeout_ms = 10;
        }
        if requests.since(5) && nth % 2 == 1 {
            request.group_instance_id = Some(text("static-1"));
        }
        if requests.since(8) {
            request.reason = Some(text("why not"));
        }
        requests.add(&request);
    }
}

pub fn heartbeat(requests: &mut Requests) {
    for group in GROUPS {
        let mut request = kafka::HeartbeatRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id(1)
            .with_member_id(text("member-1"));
        if requests.since(3) {
            request.group_instance_id = Some(text("static-1"));
        }
        requests.add(&request);
    }
}

pub fn leave_group(requests: &mut Requests) {
    for group in GROUPS {
        let mut request = kafka::LeaveGroupRequest::default().with_group_id(group_id(group));
        if requests.since(3) {
            let mut member = MemberIdentity::default()
                .with_member_id(text(""))
                .with_group_instance_id(Some(text("static-1")));
            if requests.since(5) {
                member.reason = Some(text("time to go"));
            }
            request.members = vec![member.clone(), member];
        } else {
            request.member_id = text("member-1");
        }
        requests.add(&request);
    }
}

pub fn sync_group(requests: &mut Requests) {
    for generation in [1, 2, -1] {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(text("member-1"))
            .with_assignment(opaque(SUBSCRIPTION));
        let mut request = kafka::SyncGroupRequest::default()
            .with_group_id(group_id(GROUPS[0]))
            .with_generation_id(generation)
            .with_member_id(text("member-1"))
            .with_assignments(vec![assignment.clone(), assignment]);
        if requests.since(5) {
            request.protocol_type = Some(text("consumer"));
            request.protocol_name = Some(text("range"));
        }
        requests.add(&request);
    }
}

pub fn describe_groups(requests: &mut Requests) {
    let mut request =
        kafka::DescribeGroupsRequest::default().with_groups(GROUPS.into_iter().map(group_id).collect());
    requests.add(&request);
    if requests.since(3) {
        request.include_authorized_operations = true;
        requests.add(&request);
    }
}

pub fn list_groups(requests: &mut Requests) {
    let mut request = kafka::ListGroupsRequest::default();
    requests.add(&request);
    if requests.since(4) {
        request.states_filter = vec![text("Stable"), text("Empty")];
    }
    if requests.since(5) {
        request.types_filter = vec![text("classic")];
    }
    requests.add(&request);
}

pub fn delete_groups(requests: &mut Requests) {
    let names = ["group-nobody-knows", GROUPS[3]].map(group_id);
    requests.add(&kafka::DeleteGroupsRequest::default().with_groups_names(names.to_vec()));
}
