//! THE table of what we serve: every API with its versions. ApiVersions, dispatch and the documentation read it.
//!
//! A version is listed only when a test exercises it. What holds for every row: `advertised_min <= min <= max`,
//! and the guard has a schema that covers each version in `min..=max`. To add an API: a variant in [`ApiKey`], a row
//! in [`APIS`], a schema in `guard/schema.rs`.

/// APIs we serve, by Kafka's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
#[allow(missing_docs, reason = "the variants are Kafka's own names; `APIS` says the rest")]
pub enum ApiKey {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    DescribeAcls = 29,
    CreateAcls = 30,
    DeleteAcls = 31,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    AlterReplicaLogDirs = 34,
    DescribeLogDirs = 35,
    CreatePartitions = 37,
    DeleteGroups = 42,
    ElectLeaders = 43,
    IncrementalAlterConfigs = 44,
    AlterPartitionReassignments = 45,
    ListPartitionReassignments = 46,
    OffsetDelete = 47,
    DescribeClientQuotas = 48,
    AlterClientQuotas = 49,
    DescribeQuorum = 55,
    UpdateFeatures = 57,
    DescribeCluster = 60,
    DescribeProducers = 61,
    UnregisterBroker = 64,
    ListConfigResources = 74,
    DescribeTopicPartitions = 75,
    AddRaftVoter = 80,
    RemoveRaftVoter = 81,
}

impl ApiKey {
    /// The row of this API.
    pub fn api(self) -> &'static Api {
        api(self as i16).expect("every ApiKey has its row in APIS; a test walks them")
    }
}

/// One API we serve: its key, its versions and how they are advertised.
#[derive(Debug, PartialEq, Eq)]
pub struct Api {
    /// Kafka's key.
    pub key: ApiKey,
    /// Kafka's name without Request or Response.
    pub name: &'static str,
    /// Lowest version served, inclusive.
    pub min: i16,
    /// Highest version served, inclusive.
    pub max: i16,
    /// Lowest version said in ApiVersions. Below `min` only for Produce: old librdkafka looks for an overlap with
    /// version 0 and silently drops compression without one (KAFKA-18659).
    pub advertised_min: i16,
    /// First version with compact lengths and tagged fields (KIP-482); `i16::MAX` means never.
    pub flexible_from: i16,
}

impl Api {
    /// Whether requests of `version` are served.
    pub fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// Whether `version` has compact lengths and tagged fields.
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

/// Flexible from never.
const NEVER: i16 = i16::MAX;

const fn row(key: ApiKey, name: &'static str, min: i16, max: i16, flexible_from: i16) -> Api {
    Api { key, name, min, max, advertised_min: min, flexible_from }
}

/// Every API we serve, sorted by key.
#[rustfmt::skip]
pub static APIS: &[Api] = &[
    //                                                                     min max flexible from
    Api { advertised_min: 0, ..row(ApiKey::Produce, "Produce",              3, 13, 9) },
    row(ApiKey::Fetch,                      "Fetch",                       4, 18, 12),
    row(ApiKey::ListOffsets,                "ListOffsets",                 1, 11, 6),
    row(ApiKey::Metadata,                   "Metadata",                    0, 13, 9),
    row(ApiKey::OffsetCommit,               "OffsetCommit",                2, 10, 8),
    row(ApiKey::OffsetFetch,                "OffsetFetch",                 1, 10, 6),
    row(ApiKey::FindCoordinator,            "FindCoordinator",             0, 6,  3),
    row(ApiKey::JoinGroup,                  "JoinGroup",                   0, 9,  6),
    row(ApiKey::Heartbeat,                  "Heartbeat",                   0, 4,  4),
    row(ApiKey::LeaveGroup,                 "LeaveGroup",                  0, 5,  4),
    row(ApiKey::SyncGroup,                  "SyncGroup",                   0, 5,  4),
    row(ApiKey::DescribeGroups,             "DescribeGroups",              0, 6,  5),
    row(ApiKey::ListGroups,                 "ListGroups",                  0, 5,  3),
    row(ApiKey::ApiVersions,                "ApiVersions",                 0, 4,  3),
    row(ApiKey::CreateTopics,               "CreateTopics",                2, 7,  5),
    row(ApiKey::DeleteTopics,               "DeleteTopics",                1, 6,  4),
    row(ApiKey::DeleteRecords,              "DeleteRecords",               0, 2,  2),
    row(ApiKey::InitProducerId,             "InitProducerId",              0, 5,  2),
    row(ApiKey::OffsetForLeaderEpoch,       "OffsetForLeaderEpoch",        2, 4,  4),
    row(ApiKey::DescribeAcls,               "DescribeAcls",                1, 3,  2),
    row(ApiKey::CreateAcls,                 "CreateAcls",                  1, 3,  2),
    row(ApiKey::DeleteAcls,                 "DeleteAcls",                  1, 3,  2),
    row(ApiKey::DescribeConfigs,            "DescribeConfigs",             1, 4,  4),
    row(ApiKey::AlterConfigs,               "AlterConfigs",                0, 2,  2),
    row(ApiKey::AlterReplicaLogDirs,        "AlterReplicaLogDirs",         1, 2,  2),
    row(ApiKey::DescribeLogDirs,            "DescribeLogDirs",             1, 5,  2),
    row(ApiKey::CreatePartitions,           "CreatePartitions",            0, 3,  2),
    row(ApiKey::DeleteGroups,               "DeleteGroups",                0, 2,  2),
    row(ApiKey::ElectLeaders,               "ElectLeaders",                0, 2,  2),
    row(ApiKey::IncrementalAlterConfigs,    "IncrementalAlterConfigs",     0, 1,  1),
    row(ApiKey::AlterPartitionReassignments,"AlterPartitionReassignments", 0, 1,  0),
    row(ApiKey::ListPartitionReassignments, "ListPartitionReassignments",  0, 0,  0),
    row(ApiKey::OffsetDelete,               "OffsetDelete",                0, 0,  NEVER),
    row(ApiKey::DescribeClientQuotas,       "DescribeClientQuotas",        0, 1,  1),
    row(ApiKey::AlterClientQuotas,          "AlterClientQuotas",           0, 1,  1),
    row(ApiKey::DescribeQuorum,             "DescribeQuorum",              0, 2,  0),
    row(ApiKey::UpdateFeatures,             "UpdateFeatures",              0, 2,  0),
    row(ApiKey::DescribeCluster,            "DescribeCluster",             0, 2,  0),
    row(ApiKey::DescribeProducers,          "DescribeProducers",           0, 0,  0),
    row(ApiKey::UnregisterBroker,           "UnregisterBroker",            0, 0,  0),
    row(ApiKey::ListConfigResources,        "ListConfigResources",         0, 1,  0),
    row(ApiKey::DescribeTopicPartitions,    "DescribeTopicPartitions",     0, 0,  0),
    row(ApiKey::AddRaftVoter,               "AddRaftVoter",                0, 1,  0),
    row(ApiKey::RemoveRaftVoter,            "RemoveRaftVoter",             0, 0,  0),
];

/// The row of the API with Kafka's `key`, if we serve it.
pub fn api(key: i16) -> Option<&'static Api> {
    APIS.binary_search_by_key(&key, |api| api.key as i16).ok().map(|at| &APIS[at])
}

#[cfg(test)]
mod tests;
