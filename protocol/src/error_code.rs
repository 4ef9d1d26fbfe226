//! Kafka's error codes: number, name, whether a client retries, and the text shown when nothing better is known.
//!
//! Numbers and names are Kafka's and never change; the codes are contiguous from −1, which a test holds.

/// Builds the enum and its table from one row a code: variant, number, Kafka's name, retriable or permanent, text.
macro_rules! error_codes {
    ($(($variant:ident, $code:literal, $name:literal, $kind:ident, $text:literal)),* $(,)?) => {
        /// An error code as it travels in responses. "Retriable" is how Kafka's Java client classes it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = $text] $variant = $code,)*
        }

        /// One row a code, sorted by code.
        static ROWS: &[Row] = &[
            $(Row { code: ErrorCode::$variant, name: $name, retriable: error_codes!(@$kind), message: $text },)*
        ];
    };
    (@retriable) => { true };
    (@permanent) => { false };
}

/// What is known of one code.
struct Row {
    code: ErrorCode,
    name: &'static str,
    retriable: bool,
    message: &'static str,
}

/// The lowest code; the table starts with it.
const FIRST_CODE: i16 = -1;

impl ErrorCode {
    /// Every code, sorted by number.
    pub fn all() -> impl Iterator<Item = ErrorCode> {
        ROWS.iter().map(|row| row.code)
    }

    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The code with this number, if Kafka has one.
    pub fn from_code(code: i16) -> Option<Self> {
        let at = usize::try_from(code.checked_sub(FIRST_CODE)?).ok()?;
        ROWS.get(at).map(|row| row.code)
    }

    /// Whether a client may send the same request again and hope.
    pub fn is_retriable(self) -> bool {
        self.row().retriable
    }

    /// What to tell a person when nothing more is known.
    pub fn message(self) -> &'static str {
        self.row().message
    }

    /// Kafka's name, such as `NOT_LEADER_OR_FOLLOWER`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether this is an error at all.
    pub fn is_error(self) -> bool {
        self != ErrorCode::None
    }

    fn row(self) -> &'static Row {
        &ROWS[(self.code() - FIRST_CODE) as usize]
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[rustfmt::skip]
error_codes! {
    (UnknownServerError, -1, "UNKNOWN_SERVER_ERROR", permanent, "The server experienced an unexpected error when processing the request."),
    (None, 0, "NONE", permanent, "No error."),
    (OffsetOutOfRange, 1, "OFFSET_OUT_OF_RANGE", permanent, "The requested offset is not within the range of offsets maintained by the server."),
    (CorruptMessage, 2, "CORRUPT_MESSAGE", retriable, "This message has failed its CRC checksum, exceeds the valid size, or is otherwise corrupt."),
    (UnknownTopicOrPartition, 3, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "This server does not host this topic-partition."),
    (InvalidFetchSize, 4, "INVALID_FETCH_SIZE", permanent, "The requested fetch size is invalid."),
    (LeaderNotAvailable, 5, "LEADER_NOT_AVAILABLE", retriable, "There is no leader for this topic-partition as we are in the middle of a leadership election."),
    (NotLeaderOrFollower, 6, "NOT_LEADER_OR_FOLLOWER", retriable, "This server is neither the leader of the partition nor one of its replicas."),
    (RequestTimedOut, 7, "REQUEST_TIMED_OUT", retriable, "The request timed out."),
    (BrokerNotAvailable, 8, "BROKER_NOT_AVAILABLE", permanent, "The broker is not available."),
    (ReplicaNotAvailable, 9, "REPLICA_NOT_AVAILABLE", retriable, "The replica is not available for the requested topic-partition."),
    (MessageTooLarge, 10, "MESSAGE_TOO_LARGE", permanent, "The request included a message larger than the max message size the server will accept."),
    (StaleControllerEpoch, 11, "STALE_CONTROLLER_EPOCH", permanent, "The controller moved to another broker."),
    (OffsetMetadataTooLarge, 12, "OFFSET_METADATA_TOO_LARGE", permanent, "The metadata field of the offset request was too large."),
    (NetworkException, 13, "NETWORK_EXCEPTION", retriable, "The server disconnected before a response was received."),
    (CoordinatorLoadInProgress, 14, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "The coordinator is loading and hence can't process requests."),
    (CoordinatorNotAvailable, 15, "COORDINATOR_NOT_AVAILABLE", retriable, "The coordinator is not available."),
    (NotCoordinator, 16, "NOT_COORDINATOR", retriable, "This is not the correct coordinator."),
    (InvalidTopicException, 17, "INVALID_TOPIC_EXCEPTION", permanent, "The request attempted to perform an operation on an invalid topic."),
    (RecordListTooLarge, 18, "RECORD_LIST_TOO_LARGE", permanent, "The request included a batch larger than the segment size of the topic."),
    (NotEnoughReplicas, 19, "NOT_ENOUGH_REPLICAS", retriable, "Messages are rejected since there are fewer in-sync replicas than required."),
    (NotEnoughReplicasAfterAppend, 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "Messages are written to the log, but to fewer in-sync replicas than required."),
    (InvalidRequiredAcks, 21, "INVALID_REQUIRED_ACKS", permanent, "Produce request specified an invalid value for required acks."),
    (IllegalGeneration, 22, "ILLEGAL_GENERATION", permanent, "The group generation of the request is not the current one."),
    (InconsistentGroupProtocol, 23, "INCONSISTENT_GROUP_PROTOCOL", permanent, "The group member's protocols are incompatible with those of the existing members, or it gave none."),
    (InvalidGroupId, 24, "INVALID_GROUP_ID", permanent, "The group id is invalid."),
    (UnknownMemberId, 25, "UNKNOWN_MEMBER_ID", permanent, "The coordinator is not aware of this member."),
    (InvalidSessionTimeout, 26, "INVALID_SESSION_TIMEOUT", permanent, "The session timeout is not within the range allowed by the broker."),
    (RebalanceInProgress, 27, "REBALANCE_IN_PROGRESS", permanent, "The group is rebalancing, so a rejoin is needed."),
    (InvalidCommitOffsetSize, 28, "INVALID_COMMIT_OFFSET_SIZE", permanent, "The committing offset data size is not valid."),
    (TopicAuthorizationFailed, 29, "TOPIC_AUTHORIZATION_FAILED", permanent, "Topic authorization failed."),
    (GroupAuthorizationFailed, 30, "GROUP_AUTHORIZATION_FAILED", permanent, "Group authorization failed."),
    (ClusterAuthorizationFailed, 31, "CLUSTER_AUTHORIZATION_FAILED", permanent, "Cluster authorization failed."),
    (InvalidTimestamp, 32, "INVALID_TIMESTAMP", permanent, "The timestamp of the message is out of acceptable range."),
    (UnsupportedSaslMechanism, 33, "UNSUPPORTED_SASL_MECHANISM", permanent, "The broker does not support the requested SASL mechanism."),
    (IllegalSaslState, 34, "ILLEGAL_SASL_STATE", permanent, "Request is not valid given the current SASL state."),
    (UnsupportedVersion, 35, "UNSUPPORTED_VERSION", permanent, "The version of API is not supported."),
    (TopicAlreadyExists, 36, "TOPIC_ALREADY_EXISTS", permanent, "Topic with this name already exists."),
    (InvalidPartitions, 37, "INVALID_PARTITIONS", permanent, "Number of partitions is below 1."),
    (InvalidReplicationFactor, 38, "INVALID_REPLICATION_FACTOR", permanent, "Replication factor is below 1 or larger than the number of available brokers."),
    (InvalidReplicaAssignment, 39, "INVALID_REPLICA_ASSIGNMENT", permanent, "Replica assignment is invalid."),
    (InvalidConfig, 40, "INVALID_CONFIG", permanent, "Configuration is invalid."),
    (NotController, 41, "NOT_CONTROLLER", retriable, "This is not the correct controller for this cluster."),
    (InvalidRequest, 42, "INVALID_REQUEST", permanent, "The request is malformed or contradicts itself; the broker's log may say more."),
    (UnsupportedForMessageFormat, 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", permanent, "The message format version on the broker does not support the request."),
    (PolicyViolation, 44, "POLICY_VIOLATION", permanent, "Request parameters do not satisfy the configured policy."),
    (OutOfOrderSequenceNumber, 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", permanent, "The broker received an out of order sequence number."),
    (DuplicateSequenceNumber, 46, "DUPLICATE_SEQUENCE_NUMBER", permanent, "The broker received a duplicate sequence number."),
    (InvalidProducerEpoch, 47, "INVALID_PRODUCER_EPOCH", permanent, "Producer attempted to produce with an old epoch."),
    (InvalidTxnState, 48, "INVALID_TXN_STATE", permanent, "The producer attempted a transactional operation in an invalid state."),
    (InvalidProducerIdMapping, 49, "INVALID_PRODUCER_ID_MAPPING", permanent, "The producer id is not the one currently assigned to its transactional id."),
    (InvalidTransactionTimeout, 50, "INVALID_TRANSACTION_TIMEOUT", permanent, "The transaction timeout is larger than the maximum value allowed by the broker."),
    (ConcurrentTransactions, 51, "CONCURRENT_TRANSACTIONS", retriable, "The producer attempted to update a transaction while another concurrent operation on it was ongoing."),
    (TransactionCoordinatorFenced, 52, "TRANSACTION_COORDINATOR_FENCED", permanent, "The transaction coordinator sending the marker is no longer the current one."),
    (TransactionalIdAuthorizationFailed, 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", permanent, "Transactional id authorization failed."),
    (SecurityDisabled, 54, "SECURITY_DISABLED", permanent, "Security features are disabled."),
    (OperationNotAttempted, 55, "OPERATION_NOT_ATTEMPTED", permanent, "The operation was not attempted, as an earlier one of the batch failed."),
    (KafkaStorageError, 56, "KAFKA_STORAGE_ERROR", retriable, "A disk error occurred while accessing the log of the partition."),
    (LogDirNotFound, 57, "LOG_DIR_NOT_FOUND", permanent, "The requested log directory is not among the configured ones."),
    (SaslAuthenticationFailed, 58, "SASL_AUTHENTICATION_FAILED", permanent, "SASL authentication failed."),
    (UnknownProducerId, 59, "UNKNOWN_PRODUCER_ID", permanent, "No state of this producer id is known any more: its records have left the log."),
    (ReassignmentInProgress, 60, "REASSIGNMENT_IN_PROGRESS", permanent, "A partition reassignment is in progress."),
    (DelegationTokenAuthDisabled, 61, "DELEGATION_TOKEN_AUTH_DISABLED", permanent, "Delegation token feature is not enabled."),
    (DelegationTokenNotFound, 62, "DELEGATION_TOKEN_NOT_FOUND", permanent, "Delegation token is not found on server."),
    (DelegationTokenOwnerMismatch, 63, "DELEGATION_TOKEN_OWNER_MISMATCH", permanent, "Specified principal is not valid owner or renewer."),
    (DelegationTokenRequestNotAllowed, 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", permanent, "Delegation token requests are not allowed on plaintext or one-way TLS connections, nor when authenticated by a token."),
    (DelegationTokenAuthorizationFailed, 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", permanent, "Delegation token authorization failed."),
    (DelegationTokenExpired, 66, "DELEGATION_TOKEN_EXPIRED", permanent, "Delegation token is expired."),
    (InvalidPrincipalType, 67, "INVALID_PRINCIPAL_TYPE", permanent, "Supplied principal type is not supported."),
    (NonEmptyGroup, 68, "NON_EMPTY_GROUP", permanent, "The group is not empty."),
    (GroupIdNotFound, 69, "GROUP_ID_NOT_FOUND", permanent, "The group id does not exist."),
    (FetchSessionIdNotFound, 70, "FETCH_SESSION_ID_NOT_FOUND", retriable, "The fetch session id was not found."),
    (InvalidFetchSessionEpoch, 71, "INVALID_FETCH_SESSION_EPOCH", retriable, "The fetch session epoch is invalid."),
    (ListenerNotFound, 72, "LISTENER_NOT_FOUND", retriable, "The leader has no listener that matches the one this request came in on."),
    (TopicDeletionDisabled, 73, "TOPIC_DELETION_DISABLED", permanent, "Topic deletion is disabled."),
    (FencedLeaderEpoch, 74, "FENCED_LEADER_EPOCH", retriable, "The leader epoch in the request is older than the epoch on the broker."),
    (UnknownLeaderEpoch, 75, "UNKNOWN_LEADER_EPOCH", retriable, "The leader epoch in the request is newer than the epoch on the broker."),
    (UnsupportedCompressionType, 76, "UNSUPPORTED_COMPRESSION_TYPE", permanent, "The requesting client does not support the compression type of given partition."),
    (StaleBrokerEpoch, 77, "STALE_BROKER_EPOCH", permanent, "Broker epoch has changed."),
    (OffsetNotAvailable, 78, "OFFSET_NOT_AVAILABLE", retriable, "The leader's high watermark has not caught up from a recent leader election, so offsets are not yet known to be monotonic."),
    (MemberIdRequired, 79, "MEMBER_ID_REQUIRED", permanent, "The group member needs a valid member id before it can join the group."),
    (PreferredLeaderNotAvailable, 80, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "The preferred leader was not available."),
    (GroupMaxSizeReached, 81, "GROUP_MAX_SIZE_REACHED", permanent, "The group has reached its maximum size."),
    (FencedInstanceId, 82, "FENCED_INSTANCE_ID", permanent, "Another member with the same group instance id has taken over."),
    (EligibleLeadersNotAvailable, 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "Eligible topic partition leaders are not available."),
    (ElectionNotNeeded, 84, "ELECTION_NOT_NEEDED", retriable, "Leader election not needed for topic partition."),
    (NoReassignmentInProgress, 85, "NO_REASSIGNMENT_IN_PROGRESS", permanent, "No partition reassignment is in progress."),
    (GroupSubscribedToTopic, 86, "GROUP_SUBSCRIBED_TO_TOPIC", permanent, "A member of the group is still subscribed to the topic whose offsets should be deleted."),
    (InvalidRecord, 87, "INVALID_RECORD", permanent, "This record has failed the validation on broker and hence will be rejected."),
    (UnstableOffsetCommit, 88, "UNSTABLE_OFFSET_COMMIT", retriable, "There are unstable offsets that need to be cleared."),
    (ThrottlingQuotaExceeded, 89, "THROTTLING_QUOTA_EXCEEDED", retriable, "The throttling quota has been exceeded."),
    (ProducerFenced, 90, "PRODUCER_FENCED", permanent, "A newer producer with the same transactional id has fenced this one."),
    (ResourceNotFound, 91, "RESOURCE_NOT_FOUND", permanent, "The request refers to a resource that does not exist."),
    (DuplicateResource, 92, "DUPLICATE_RESOURCE", permanent, "The request refers to the same resource twice."),
    (UnacceptableCredential, 93, "UNACCEPTABLE_CREDENTIAL", permanent, "The credential does not meet the criteria for acceptability."),
    (InconsistentVoterSet, 94, "INCONSISTENT_VOTER_SET", permanent, "Sender and recipient disagree about the voters of the quorum."),
    (InvalidUpdateVersion, 95, "INVALID_UPDATE_VERSION", permanent, "The given update version was invalid."),
    (FeatureUpdateFailed, 96, "FEATURE_UPDATE_FAILED", permanent, "Unable to update finalized features due to an unexpected server error."),
    (PrincipalDeserializationFailure, 97, "PRINCIPAL_DESERIALIZATION_FAILURE", permanent, "The forwarded principal could not be read."),
    (SnapshotNotFound, 98, "SNAPSHOT_NOT_FOUND", permanent, "Requested snapshot was not found."),
    (PositionOutOfRange, 99, "POSITION_OUT_OF_RANGE", permanent, "Requested position is negative, or at or beyond the size of the snapshot."),
    (UnknownTopicId, 100, "UNKNOWN_TOPIC_ID", retriable, "This server does not host this topic id."),
    (DuplicateBrokerRegistration, 101, "DUPLICATE_BROKER_REGISTRATION", permanent, "This broker id is already in use."),
    (BrokerIdNotRegistered, 102, "BROKER_ID_NOT_REGISTERED", permanent, "The given broker id was not registered."),
    (InconsistentTopicId, 103, "INCONSISTENT_TOPIC_ID", retriable, "The log's topic id did not match the topic id in the request."),
    (InconsistentClusterId, 104, "INCONSISTENT_CLUSTER_ID", permanent, "The cluster id in the request does not match that found on the server."),
    (TransactionalIdNotFound, 105, "TRANSACTIONAL_ID_NOT_FOUND", permanent, "The transactional id could not be found."),
    (FetchSessionTopicIdError, 106, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "The fetch session and its request disagree about the use of topic ids."),
    (IneligibleReplica, 107, "INELIGIBLE_REPLICA", permanent, "The new in-sync replicas contain at least one ineligible replica."),
    (NewLeaderElected, 108, "NEW_LEADER_ELECTED", permanent, "The partition changed its in-sync replicas and elected another leader at once."),
    (OffsetMovedToTieredStorage, 109, "OFFSET_MOVED_TO_TIERED_STORAGE", permanent, "The requested offset is moved to tiered storage."),
    (FencedMemberEpoch, 110, "FENCED_MEMBER_EPOCH", permanent, "The member epoch is fenced by the group coordinator; the member must abandon all its partitions and rejoin."),
    (UnreleasedInstanceId, 111, "UNRELEASED_INSTANCE_ID", permanent, "The instance id is still used by another member of the group, which must leave first."),
    (UnsupportedAssignor, 112, "UNSUPPORTED_ASSIGNOR", permanent, "The assignor or its version range is not supported by the group."),
    (StaleMemberEpoch, 113, "STALE_MEMBER_EPOCH", permanent, "The member epoch is stale; the member must retry after receiving its new epoch."),
    (MismatchedEndpointType, 114, "MISMATCHED_ENDPOINT_TYPE", permanent, "The request was sent to an endpoint of the wrong type."),
    (UnsupportedEndpointType, 115, "UNSUPPORTED_ENDPOINT_TYPE", permanent, "This endpoint type is not supported yet."),
    (UnknownControllerId, 116, "UNKNOWN_CONTROLLER_ID", permanent, "This controller id is not known."),
    (UnknownSubscriptionId, 117, "UNKNOWN_SUBSCRIPTION_ID", permanent, "The telemetry subscription id of the client is out of date."),
    (TelemetryTooLarge, 118, "TELEMETRY_TOO_LARGE", permanent, "The telemetry payload is larger than the broker accepts."),
    (InvalidRegistration, 119, "INVALID_REGISTRATION", permanent, "The controller has considered the broker registration to be invalid."),
    (TransactionAbortable, 120, "TRANSACTION_ABORTABLE", permanent, "The server met an error with the transaction; the client may abort it and go on."),
    (InvalidRecordState, 121, "INVALID_RECORD_STATE", permanent, "The record state is invalid: the acknowledgement of delivery could not be completed."),
    (ShareSessionNotFound, 122, "SHARE_SESSION_NOT_FOUND", retriable, "The share session was not found."),
    (InvalidShareSessionEpoch, 123, "INVALID_SHARE_SESSION_EPOCH", retriable, "The share session epoch is invalid."),
    (FencedStateEpoch, 124, "FENCED_STATE_EPOCH", permanent, "The share coordinator rejected the request, as the state epoch did not match."),
    (InvalidVoterKey, 125, "INVALID_VOTER_KEY", permanent, "The voter key does not match the receiving replica's key."),
    (DuplicateVoter, 126, "DUPLICATE_VOTER", permanent, "The voter is already part of the set of voters."),
    (VoterNotFound, 127, "VOTER_NOT_FOUND", permanent, "The voter is not part of the set of voters."),
    (InvalidRegularExpression, 128, "INVALID_REGULAR_EXPRESSION", permanent, "The regular expression is not valid."),
    (RebootstrapRequired, 129, "REBOOTSTRAP_REQUIRED", permanent, "Client metadata is stale; the client should rebootstrap to obtain new metadata."),
    (StreamsInvalidTopology, 130, "STREAMS_INVALID_TOPOLOGY", permanent, "The supplied topology is invalid."),
    (StreamsInvalidTopologyEpoch, 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", permanent, "The supplied topology epoch is invalid."),
    (StreamsTopologyFenced, 132, "STREAMS_TOPOLOGY_FENCED", permanent, "The supplied topology epoch is outdated."),
    (ShareSessionLimitReached, 133, "SHARE_SESSION_LIMIT_REACHED", retriable, "The limit of share sessions has been reached."),
    (GroupDeletionFailed, 134, "GROUP_DELETION_FAILED", permanent, "The group could not be deleted from the system that holds its topology."),
    (StreamsTopologyDescriptionUpdateFailed, 135, "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", permanent, "The topology description could not be stored."),
    (ControllerIdNotRegistered, 136, "CONTROLLER_ID_NOT_REGISTERED", permanent, "The given controller id was not registered."),
}

#[cfg(test)]
mod tests;
