//! What is asked of a transaction coordinator and what it answers, free of wire versions.
//!
//! Handlers translate: `connection`, `version` and `verify_only` are all the machine needs to know of where a request came
//! from. Errors carry Kafka's newest names; `wire` gives the names older versions know.

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{ProducerEpoch, ProducerId, TimestampMs, TopicPartition};

use super::settings::TransactionSettings;
use super::state::{State, TransactionVersion};

/// Numbers the connections of a broker in the order it accepted them.
pub type ConnectionSequence = u64;

/// Numbers the attempts to send markers; never used twice by one coordinator.
pub type Attempt = u64;

/// A request to the coordinator of one shard.
#[derive(Clone, Debug)]
pub enum TransactionRequest {
    /// InitProducerId with a transactional id.
    Init(InitRequest),
    /// AddPartitionsToTxn, one transaction of it, and AddOffsetsToTxn.
    Add(AddRequest),
    /// EndTxn.
    End(EndRequest),
    /// DescribeTransactions of one id.
    Describe {
        /// The id.
        transactional_id: String,
    },
    /// ListTransactions of this shard.
    List(ListRequest),
    /// The shell's worker stands ready: answered by [`TransactionReply::Work`] once there is something to do. One waits
    /// at a time; an earlier one is answered with nothing to do.
    Work {
        /// The highest attempt that reached the worker; 0 before the first. Attempts above it that were handed out got
        /// lost on the way, and are made again.
        received: Attempt,
        /// The worker is asking the controller for producer ids at the moment. If it is not, though it was to, that
        /// question got lost too.
        fetches_ids: bool,
    },
    /// What came of an attempt. Answered by [`TransactionReply::Done`].
    MarkersSent(MarkersSent),
    /// Ids the worker was asked for, or why there are none. Answered by [`TransactionReply::Done`].
    ProducerIds(Result<Vec<ProducerId>, ErrorCode>),
    /// The operator changed settings. Answered by [`TransactionReply::Done`].
    Reconfigure(Arc<TransactionSettings>),
}

/// An answer to the [`TransactionRequest`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionReply {
    /// To an init.
    Init(InitReply),
    /// To an add: every partition asked for, in that order.
    Add(Vec<(TopicPartition, ErrorCode)>),
    /// To an end.
    End(EndReply),
    /// To a describe.
    Describe(Result<TransactionDescription, ErrorCode>),
    /// To a list.
    List(Result<Vec<TransactionListing>, ErrorCode>),
    /// To the worker.
    Work(Work),
    /// To news from the broker itself.
    Done(ErrorCode),
}

/// A client takes over a transactional id, or goes on with it after an error (KIP-360).
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// The id; "" is refused. Without one there is nothing to coordinate: any broker answers.
    pub transactional_id: String,
    /// How long its transactions may be open.
    pub timeout_ms: i32,
    /// What the client believes to own.
    pub current: Option<(ProducerId, ProducerEpoch)>,
    /// KIP-939, which is not served.
    pub enable_two_phase_commit: bool,
    /// KIP-939, which is not served.
    pub keep_prepared: bool,
    /// The client's connection.
    pub connection: Option<ConnectionSequence>,
}

/// Who owns the id now; −1 and −1 on errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReply {
    /// What went wrong, or `None`.
    pub error: ErrorCode,
    /// The producer id to use.
    pub producer_id: ProducerId,
    /// The epoch to use.
    pub producer_epoch: ProducerEpoch,
}

impl InitReply {
    /// An answer that carries only an error.
    pub fn failed(error: ErrorCode) -> Self {
        InitReply { error, producer_id: -1, producer_epoch: -1 }
    }
}

/// Partitions are to be in the open transaction, all or none.
#[derive(Clone, Debug)]
pub struct AddRequest {
    /// The id.
    pub transactional_id: String,
    /// Who asks.
    pub producer_id: ProducerId,
    /// Of which epoch.
    pub producer_epoch: ProducerEpoch,
    /// The partitions, which the handler found to exist.
    pub partitions: Vec<TopicPartition>,
    /// Only say whether they are in it: a leader asks before it appends for a V1 client (KIP-890 part 1).
    pub verify_only: bool,
    /// V2 when a leader asks on behalf of a produce.
    pub version: TransactionVersion,
    /// The client's connection; none when a broker asks.
    pub connection: Option<ConnectionSequence>,
}

/// The transaction is to end.
#[derive(Clone, Debug)]
pub struct EndRequest {
    /// The id.
    pub transactional_id: String,
    /// Who asks.
    pub producer_id: ProducerId,
    /// Of which epoch.
    pub producer_epoch: ProducerEpoch,
    /// Commit, or abort.
    pub commit: bool,
    /// By which rules.
    pub version: TransactionVersion,
    /// The client's connection.
    pub connection: Option<ConnectionSequence>,
}

/// What goes on with; V1 answers leave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndReply {
    /// What went wrong, or `None`.
    pub error: ErrorCode,
    /// The producer id for the next transaction; −1 on errors.
    pub producer_id: ProducerId,
    /// The epoch for the next transaction; −1 on errors.
    pub producer_epoch: ProducerEpoch,
}

impl EndReply {
    /// An answer that carries only an error.
    pub fn failed(error: ErrorCode) -> Self {
        EndReply { error, producer_id: -1, producer_epoch: -1 }
    }
}

/// A transaction as DescribeTransactions shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionDescription {
    /// Its state.
    pub state: State,
    /// Who owns the id.
    pub producer_id: ProducerId,
    /// Of which epoch.
    pub producer_epoch: ProducerEpoch,
    /// How long transactions may be open.
    pub timeout_ms: i32,
    /// When the open one began; −1 when none is open.
    pub start_ms: TimestampMs,
    /// What it touches.
    pub partitions: Vec<TopicPartition>,
}

/// Which transactions to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Names of states; empty means all.
    pub states: Vec<String>,
    /// Owners; empty means all.
    pub producer_ids: Vec<ProducerId>,
    /// Open for longer than this; negative means all.
    pub duration_ms: i64,
}

/// A transaction as ListTransactions shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionListing {
    /// The id.
    pub transactional_id: Arc<str>,
    /// Who owns it.
    pub producer_id: ProducerId,
    /// Its state.
    pub state: State,
}

/// What the shell is to do. Everything this rests on is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Markers to send; each attempt is answered by one [`TransactionRequest::MarkersSent`].
    pub markers: Vec<MarkersToSend>,
    /// How many producer ids to ask the controller for; answered by one [`TransactionRequest::ProducerIds`].
    pub producer_ids: usize,
}

impl Work {
    /// Nothing to do: the worker asks again.
    pub fn is_empty(&self) -> bool {
        self.markers.is_empty() && self.producer_ids == 0
    }
}

/// One attempt to end a transaction at some of its partitions.
///
/// An attempt whose result is told as failed may not take effect later: whoever sends it closes the connection first, and
/// a leader drops what came by a closed one. A V1 marker that came late would end the next transaction of the same epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkersToSend {
    /// Which attempt this is.
    pub attempt: Attempt,
    /// The id, for the log.
    pub transactional_id: Arc<str>,
    /// Whose transaction ends.
    pub producer_id: ProducerId,
    /// The epoch of the markers.
    pub producer_epoch: ProducerEpoch,
    /// The leader epoch of the shard: a partition refuses markers of older coordinators.
    pub coordinator_epoch: i32,
    /// COMMIT, or ABORT.
    pub commit: bool,
    /// By which rules partitions check the epoch.
    pub version: TransactionVersion,
    /// Where to.
    pub partitions: Vec<TopicPartition>,
}

/// What came of an attempt. Partitions that are not mentioned are tried again.
#[derive(Clone, Debug)]
pub struct MarkersSent {
    /// Which attempt.
    pub attempt: Attempt,
    /// What each partition said.
    pub results: Vec<(TopicPartition, MarkerResult)>,
}

/// What one partition said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerResult {
    /// Its leader answered, or the call failed with this.
    Answered(ErrorCode),
    /// The cluster image has no such partition: its topic was deleted. An image at least as new as the shard's leadership
    /// knows every partition a transaction ever touched.
    Gone,
}
