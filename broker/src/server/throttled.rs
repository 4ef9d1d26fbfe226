//! Where an answer says how long its client must rest. DescribeQuorum alone has no such field.

use kafka_protocol::messages::*;

/// An answer that can carry a rest; in versions without the field it is left out.
pub trait Throttled {
    /// Sets the rest in milliseconds.
    fn set_throttle_time_ms(&mut self, rest_ms: i32);
}

macro_rules! throttled {
    ($($response:ident),* $(,)?) => {
        $(impl Throttled for $response {
            fn set_throttle_time_ms(&mut self, rest_ms: i32) {
                self.throttle_time_ms = rest_ms;
            }
        })*
    };
}

throttled! {
    AddRaftVoterResponse, RemoveRaftVoterResponse, UnregisterBrokerResponse,
    AlterClientQuotasResponse, AlterConfigsResponse, AlterPartitionReassignmentsResponse,
    AlterReplicaLogDirsResponse, CreateAclsResponse, CreatePartitionsResponse, CreateTopicsResponse,
    DeleteAclsResponse, DeleteGroupsResponse, DeleteRecordsResponse, DeleteTopicsResponse, DescribeAclsResponse,
    DescribeClientQuotasResponse, DescribeClusterResponse, DescribeConfigsResponse, DescribeGroupsResponse,
    DescribeLogDirsResponse, DescribeProducersResponse, DescribeTopicPartitionsResponse, ElectLeadersResponse,
    FindCoordinatorResponse, HeartbeatResponse, IncrementalAlterConfigsResponse, InitProducerIdResponse,
    JoinGroupResponse, LeaveGroupResponse, ListConfigResourcesResponse, ListGroupsResponse, ListOffsetsResponse,
    ListPartitionReassignmentsResponse, MetadataResponse, OffsetCommitResponse, OffsetDeleteResponse,
    OffsetFetchResponse, OffsetForLeaderEpochResponse, SyncGroupResponse, UpdateFeaturesResponse,
}

impl Throttled for DescribeQuorumResponse {
    fn set_throttle_time_ms(&mut self, _: i32) {}
}
