use super::*;
use crate::api::{APIS, ApiKey};
use crate::kafka43;

fn refusal(key: ApiKey, version: i16, body: &[u8]) -> Option<Refusal> {
    check(key.api(), version, body).err().map(|error| error.refusal)
}

#[test]
fn a_count_of_two_billion_is_refused() {
    assert_eq!(refusal(ApiKey::Metadata, 1, b"\x7f\xff\xff\xff"), Some(Refusal::Truncated));
    assert_eq!(refusal(ApiKey::Metadata, 9, b"\xff\xff\xff\xff\x0f"), Some(Refusal::Truncated));
}

#[test]
fn null_is_taken_only_where_the_schema_allows_it() {
    assert_eq!(refusal(ApiKey::Metadata, 1, b"\xff\xff\xff\xff"), None, "null: all topics");
    assert_eq!(refusal(ApiKey::Metadata, 0, b"\xff\xff\xff\xff"), Some(Refusal::Negative));
    assert_eq!(refusal(ApiKey::Metadata, 1, b"\xff\xff\xff\xfe"), Some(Refusal::Negative));
    assert_eq!(refusal(ApiKey::DeleteGroups, 2, b"\x00\x00"), Some(Refusal::Negative));
}

#[test]
fn varints_over_32_bits_are_refused() {
    assert_eq!(refusal(ApiKey::DeleteGroups, 2, b"\xff\xff\xff\xff\x1f"), Some(Refusal::Varint));
    assert_eq!(refusal(ApiKey::DeleteGroups, 2, b"\x81\x80\x80\x80\x80\x00"), Some(Refusal::Varint));
    assert_eq!(refusal(ApiKey::DeleteGroups, 2, b"\x81\x80\x00\x00"), None, "overlong but within 32 bits");
}

#[test]
fn unknown_tags_are_skipped_and_known_ones_have_the_size_they_say() {
    let fetch = |tags: &[u8]| {
        let mut body = vec![0; 4 + 4 + 4 + 1 + 4 + 4];
        body.extend([1, 1, 1]); // no topics, none forgotten, rack ""
        body.extend(tags);
        refusal(ApiKey::Fetch, 15, &body)
    };
    assert_eq!(fetch(&[0]), None);
    assert_eq!(fetch(&[1, 99, 2, 7, 7]), None, "unknown tag 99");
    assert_eq!(fetch(&[1, 99, 3, 7, 7]), Some(Refusal::Truncated));
    assert_eq!(fetch(&[1, 0, 3, 3, b'a', b'b']), None, "cluster id");
    assert_eq!(fetch(&[1, 0, 4, 3, b'a', b'b', 0]), Some(Refusal::TagSize));
    assert_eq!(fetch(&[1, 0, 2, 3, b'a', b'b']), Some(Refusal::TagSize));
    assert_eq!(fetch(&[2, 99, 0]), Some(Refusal::Truncated));
}

#[test]
fn a_body_of_tiny_elements_is_refused_by_their_number() {
    let groups = |count: u32| {
        let mut body = count.to_be_bytes().to_vec();
        body.resize(4 + 2 * count as usize, 0); // empty names
        refusal(ApiKey::DeleteGroups, 0, &body)
    };
    assert_eq!(groups(2000), None);
    assert_eq!(groups(5000), Some(Refusal::TooMany));
}

#[test]
fn a_flood_of_unknown_tags_is_refused() {
    let tagged = |count: u16| {
        let mut body = vec![1, (count & 0x7f) as u8 | 0x80, (count >> 7) as u8]; // no groups
        (0..count).for_each(|_| body.extend([99, 0]));
        refusal(ApiKey::DeleteGroups, 2, &body)
    };
    assert_eq!(tagged(1000), None);
    assert_eq!(tagged(2000), Some(Refusal::TooMany));
}

#[test]
fn an_optional_structure_is_marked_by_one_or_minus_one() {
    let cursor = |mark: &[u8]| {
        let mut body = vec![1, 0, 0, 0, 0]; // no topics, partition limit
        body.extend(mark);
        body.push(0);
        refusal(ApiKey::DescribeTopicPartitions, 0, &body)
    };
    assert_eq!(cursor(b"\xff"), None);
    assert_eq!(cursor(b"\x01\x02t\0\0\0\0\0"), None);
    assert_eq!(cursor(b"\x02"), Some(Refusal::Presence));
}

#[test]
fn no_body_of_zeros_or_ones_confuses_the_walk() {
    for api in APIS {
        for version in api.min..=api.max {
            for fill in [0, 1, 0x7f, 0x80, 0xff] {
                for len in 0..64 {
                    let _ = check(api, version, &vec![fill; len]);
                }
            }
        }
    }
}

#[test]
fn tags_that_do_not_matter_are_measured() {
    assert_eq!(skip_tags(&[0, 9]), Ok(1));
    assert_eq!(skip_tags(&[2, 0, 1, 5, 200, 1, 0, 9]), Ok(7));
    assert!(skip_tags(&[1, 0, 9]).is_err());
    assert!(skip_tags(&[]).is_err());
}

/// Writes bodies the schema allows, from a seed: what the crate must read and write back byte for byte.
struct Sampler {
    state: u64,
    version: i8,
    flexible: bool,
    out: Vec<u8>,
}

impl Sampler {
    fn body(api: &Api, version: i16, seed: u64) -> Vec<u8> {
        let flexible = api.is_flexible(version);
        let mut sampler = Sampler { state: seed, version: version as i8, flexible, out: Vec::new() };
        sampler.structure(schema::request(api.key));
        sampler.out
    }

    /// SplitMix64.
    fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn structure(&mut self, fields: &[schema::Field]) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_inline(version)) {
            let null = field.is_nullable(self.version) && self.below(3) == 0;
            self.value(&field.shape, null);
        }
        if self.flexible {
            self.tags(fields);
        }
    }

    fn tags(&mut self, fields: &[schema::Field]) {
        let mut tags = Vec::new();
        for tag in 0..20 {
            let known = fields.iter().find(|field| field.is_tagged(tag, self.version));
            let reserved =
                (0..=i8::MAX).any(|version| fields.iter().any(|field| field.is_tagged(tag, version)));
            // The crate refuses a tag it knows from a later version; no client sends one.
            if self.below(4) != 0 || (known.is_none() && (reserved || self.below(4) != 0)) {
                continue;
            }
            let outer = std::mem::take(&mut self.out);
            match known {
                Some(field) => self.value(&field.shape, false),
                None => (0..self.below(4)).for_each(|byte| self.out.push(byte as u8)),
            }
            tags.push((tag, std::mem::replace(&mut self.out, outer)));
        }
        self.varint(tags.len() as u32);
        for (tag, content) in tags {
            self.varint(tag);
            self.varint(content.len() as u32);
            self.out.extend(content);
        }
    }

    fn value(&mut self, shape: &schema::Shape, null: bool) {
        match shape {
            // One byte may be a boolean; others are never a default, which a tagged field would leave out.
            schema::Shape::Fixed(1) => {
                let byte = self.below(2) as u8;
                self.out.push(byte);
            }
            schema::Shape::Fixed(len) => (0..*len).for_each(|_| {
                let byte = 1 + self.below(100) as u8;
                self.out.push(byte);
            }),
            schema::Shape::Text | schema::Shape::Blob => {
                let len = if self.below(20) == 0 { 200 } else { self.below(9) };
                let width = if matches!(shape, schema::Shape::Text) { 2 } else { 4 };
                self.count(if null { None } else { Some(len as u32) }, width);
                if !null {
                    (0..len).for_each(|_| self.out.push(b'x'));
                }
            }
            schema::Shape::List(element) => {
                let count = self.below(4);
                self.count(if null { None } else { Some(count as u32) }, 4);
                if !null {
                    (0..count).for_each(|_| self.value(element, false));
                }
            }
            schema::Shape::Struct(fields) => self.structure(fields),
            schema::Shape::Optional(fields) => {
                let present = self.below(2) == 1;
                self.out.push(if present { 1 } else { 0xff });
                if present {
                    self.structure(fields);
                }
            }
        }
    }

    fn count(&mut self, count: Option<u32>, width: usize) {
        match (self.flexible, count) {
            (true, count) => self.varint(count.map_or(0, |count| count + 1)),
            (false, Some(count)) => self.out.extend_from_slice(&count.to_be_bytes()[4 - width..]),
            (false, None) => self.out.extend(std::iter::repeat_n(0xff, width)),
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

/// Decodes a body with the crate and encodes the result again.
fn rewritten(key: ApiKey, version: i16, body: &[u8]) -> Result<Vec<u8>, String> {
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::{Decodable, Encodable};
    macro_rules! dispatch {
        ($($key:ident => $request:ident),* $(,)?) => {
            match key {
                $(crate::api::ApiKey::$key => {
                    let mut rest = bytes::Bytes::copy_from_slice(body);
                    let request = $request::decode(&mut rest, version).map_err(|error| error.to_string())?;
                    let mut out = bytes::BytesMut::new();
                    request.encode(&mut out, version).map_err(|error| error.to_string())?;
                    Ok(out.to_vec())
                })*
            }
        };
    }
    dispatch! {
        Produce => ProduceRequest, Fetch => FetchRequest, ListOffsets => ListOffsetsRequest,
        Metadata => MetadataRequest, OffsetCommit => OffsetCommitRequest, OffsetFetch => OffsetFetchRequest,
        FindCoordinator => FindCoordinatorRequest, JoinGroup => JoinGroupRequest, Heartbeat => HeartbeatRequest,
        LeaveGroup => LeaveGroupRequest, SyncGroup => SyncGroupRequest, DescribeGroups => DescribeGroupsRequest,
        ListGroups => ListGroupsRequest, ApiVersions => ApiVersionsRequest, CreateTopics => CreateTopicsRequest,
        DeleteTopics => DeleteTopicsRequest, DeleteRecords => DeleteRecordsRequest,
        InitProducerId => InitProducerIdRequest, OffsetForLeaderEpoch => OffsetForLeaderEpochRequest,
        DescribeAcls => DescribeAclsRequest, CreateAcls => CreateAclsRequest, DeleteAcls => DeleteAclsRequest,
        DescribeConfigs => DescribeConfigsRequest, AlterConfigs => AlterConfigsRequest,
        DescribeLogDirs => DescribeLogDirsRequest, CreatePartitions => CreatePartitionsRequest,
        DeleteGroups => DeleteGroupsRequest, IncrementalAlterConfigs => IncrementalAlterConfigsRequest,
        OffsetDelete => OffsetDeleteRequest, DescribeCluster => DescribeClusterRequest,
        DescribeProducers => DescribeProducersRequest,
        DescribeTopicPartitions => DescribeTopicPartitionsRequest,
        AlterReplicaLogDirs => AlterReplicaLogDirsRequest, ElectLeaders => ElectLeadersRequest,
        AlterPartitionReassignments => AlterPartitionReassignmentsRequest,
        ListPartitionReassignments => ListPartitionReassignmentsRequest,
        DescribeQuorum => DescribeQuorumRequest, UpdateFeatures => UpdateFeaturesRequest,
        UnregisterBroker => UnregisterBrokerRequest, AddRaftVoter => AddRaftVoterRequest,
        RemoveRaftVoter => RemoveRaftVoterRequest, ListConfigResources => ListConfigResourcesRequest,
        DescribeClientQuotas => DescribeClientQuotasRequest, AlterClientQuotas => AlterClientQuotasRequest,
    }
}

/// So many bodies for each API and version.
fn each_body(seeds: u64, mut check_one: impl FnMut(&'static Api, i16, Vec<u8>)) {
    for api in APIS {
        for version in api.min..=api.max {
            (0..seeds).for_each(|seed| check_one(api, version, Sampler::body(api, version, seed)));
        }
    }
}

#[test]
fn schemas_agree_with_the_decoder_on_every_api_and_version() {
    each_body(60, |api, version, body| {
        assert_eq!(check(api, version, &body), Ok(()), "{} v{version} {body:?}", api.name);
        // Where the crate lacks a version, it reads what `kafka43` makes of the body.
        let readable =
            kafka43::readable_by_crate(api.key, version, body.into()).expect("the guard saw it whole");
        let again = rewritten(api.key, kafka43::request_codec_version(api.key, version), &readable);
        assert_eq!(again.as_deref(), Ok(&readable[..]), "{} v{version}", api.name);
    });
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    each_body(10, |api, version, body| {
        for end in 0..body.len() {
            let error = check(api, version, &body[..end]).expect_err("the schema has no optional tail");
            assert!(error.at <= end);
        }
    });
}

#[test]
fn what_the_guard_accepts_of_mutated_bodies_is_decoded_or_refused_without_panic() {
    let mut accepted = 0;
    each_body(60, |api, version, mut body| {
        let mut chance = Sampler { state: body.len() as u64, version: 0, flexible: false, out: Vec::new() };
        for _ in 0..1 + chance.below(3) {
            if !body.is_empty() {
                let at = chance.below(body.len() as u64) as usize;
                body[at] = [0, 1, 2, 0x7f, 0x80, 0xff, chance.below(256) as u8][chance.below(7) as usize];
            }
        }
        if check(api, version, &body).is_ok() {
            accepted += 1;
            let _ = rewritten(api.key, kafka43::request_codec_version(api.key, version), &body);
        }
    });
    assert!(accepted > 1000, "the mutations are not all refused: {accepted}");
}
