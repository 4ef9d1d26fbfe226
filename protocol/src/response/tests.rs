use bytes::Buf;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, HeaderVersion, StrBytes};

use super::*;
use crate::api::ApiKey as Key;

/// Reads a frame as a client of the crate does and returns its correlation id and body.
fn read<R: Decodable + HeaderVersion>(mut frame: Bytes, version: i16) -> (i32, R) {
    assert_eq!(frame.get_i32() as usize, frame.len(), "the length prefix");
    let header = ResponseHeader::decode(&mut frame, R::header_version(version)).unwrap();
    let body = R::decode(&mut frame, version).unwrap();
    assert!(frame.is_empty());
    (header.correlation_id, body)
}

#[test]
fn every_response_of_every_version_is_read_by_a_client() {
    macro_rules! each {
        ($($key:ident: $response:ident),* $(,)?) => {
            let mut seen = 0;
            $(
                let key = Key::$key;
                for version in key.api().min..=key.api().max {
                    let body = $response::default();
                    let frame = encode_response(key, version, 41, &body).unwrap();
                    let crate_version = kafka43::response_codec_version(key, version);
                    assert_eq!(read::<$response>(frame, crate_version), (41, body), "{key:?} v{version}");
                }
                seen += 1;
            )*
            assert_eq!(seen, crate::api::APIS.len(), "an API is missing in this test");
        };
    }
    each! {
        Produce: ProduceResponse, Fetch: FetchResponse, ListOffsets: ListOffsetsResponse,
        Metadata: MetadataResponse, OffsetCommit: OffsetCommitResponse, OffsetFetch: OffsetFetchResponse,
        FindCoordinator: FindCoordinatorResponse, JoinGroup: JoinGroupResponse, Heartbeat: HeartbeatResponse,
        LeaveGroup: LeaveGroupResponse, SyncGroup: SyncGroupResponse, DescribeGroups: DescribeGroupsResponse,
        ListGroups: ListGroupsResponse, ApiVersions: ApiVersionsResponse, CreateTopics: CreateTopicsResponse,
        DeleteTopics: DeleteTopicsResponse, DeleteRecords: DeleteRecordsResponse,
        InitProducerId: InitProducerIdResponse, OffsetForLeaderEpoch: OffsetForLeaderEpochResponse,
        DescribeAcls: DescribeAclsResponse, CreateAcls: CreateAclsResponse, DeleteAcls: DeleteAclsResponse,
        DescribeConfigs: DescribeConfigsResponse, AlterConfigs: AlterConfigsResponse,
        DescribeLogDirs: DescribeLogDirsResponse, CreatePartitions: CreatePartitionsResponse,
        DeleteGroups: DeleteGroupsResponse, IncrementalAlterConfigs: IncrementalAlterConfigsResponse,
        OffsetDelete: OffsetDeleteResponse, DescribeCluster: DescribeClusterResponse,
        DescribeProducers: DescribeProducersResponse,
        DescribeTopicPartitions: DescribeTopicPartitionsResponse,
        AlterReplicaLogDirs: AlterReplicaLogDirsResponse, ElectLeaders: ElectLeadersResponse,
        AlterPartitionReassignments: AlterPartitionReassignmentsResponse,
        ListPartitionReassignments: ListPartitionReassignmentsResponse,
        DescribeQuorum: DescribeQuorumResponse, UpdateFeatures: UpdateFeaturesResponse,
        UnregisterBroker: UnregisterBrokerResponse, AddRaftVoter: AddRaftVoterResponse,
        RemoveRaftVoter: RemoveRaftVoterResponse, ListConfigResources: ListConfigResourcesResponse,
        DescribeClientQuotas: DescribeClientQuotasResponse, AlterClientQuotas: AlterClientQuotasResponse,
    }
}

#[test]
fn api_versions_bytes_are_kafkas_and_keep_header_v0() {
    let body = ApiVersionsResponse::default()
        .with_error_code(35)
        .with_api_keys(vec![ApiVersion::default().with_api_key(18).with_min_version(0).with_max_version(4)]);
    let v0 = encode_response(Key::ApiVersions, 0, 7, &body).unwrap();
    assert_eq!(&v0[..], b"\0\0\0\x10\0\0\0\x07\0\x23\0\0\0\x01\0\x12\0\0\0\x04");
    let v3 = encode_response(Key::ApiVersions, 3, 7, &body).unwrap();
    assert_eq!(&v3[..], b"\0\0\0\x13\0\0\0\x07\0\x23\x02\0\x12\0\0\0\x04\0\0\0\0\0\0");
}

#[test]
fn flexible_responses_carry_a_tag_section_in_the_header() {
    let key = Key::Heartbeat;
    let body = HeartbeatResponse::default().with_error_code(27);
    let v3 = encode_response(key, 3, 7, &body).unwrap();
    assert_eq!(&v3[..], b"\0\0\0\x0a\0\0\0\x07\0\0\0\0\0\x1b");
    let v4 = encode_response(key, 4, 7, &body).unwrap();
    assert_eq!(&v4[..], b"\0\0\0\x0c\0\0\0\x07\0\0\0\0\0\0\x1b\0");
}

#[test]
fn offset_delete_is_never_flexible() {
    assert!(!has_tagged_header(Key::OffsetDelete, 0));
    let frame = encode_response(Key::OffsetDelete, 0, 7, &OffsetDeleteResponse::default());
    assert_eq!(&frame.unwrap()[..], b"\0\0\0\x0e\0\0\0\x07\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn a_field_the_version_lacks_is_an_error_of_the_handler() {
    let body = FindCoordinatorResponse::default().with_host(StrBytes::from_static_str("h"));
    let error = encode_response(Key::FindCoordinator, 4, 7, &body).unwrap_err();
    assert!(matches!(error, EncodeError::Message { api: "FindCoordinator", version: 4, .. }), "{error}");
}

#[test]
fn a_log_directory_of_version_5_ends_in_whether_it_is_cordoned() {
    use kafka_protocol::messages::DescribeLogDirsResponse;
    use kafka_protocol::messages::describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
    };
    let topic = DescribeLogDirsTopic::default().with_partitions(vec![DescribeLogDirsPartition::default()]);
    let dir =
        DescribeLogDirsResult::default().with_topics(vec![topic]).with_total_bytes(7).with_usable_bytes(5);
    let response = DescribeLogDirsResponse::default().with_results(vec![dir.clone(), dir]);
    let four = encode_response(Key::DescribeLogDirs, 4, 1, &response).unwrap();
    let five = encode_response(Key::DescribeLogDirs, 5, 1, &response).unwrap();
    assert_eq!(five.len(), four.len() + 2, "a byte for each directory");
    let tail = [&5_i64.to_be_bytes()[..], &[0, 0, 0]].concat();
    assert!(
        five.ends_with(&tail),
        "usable bytes, not cordoned, no tags of the directory, none of the answer"
    );
}
