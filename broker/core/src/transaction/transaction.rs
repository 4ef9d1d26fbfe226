//! Transaction: what is known of one transactional id, and every transition it can make, without time or waiting.
//!
//! Always: epochs of one producer id never go back; no client is ever told the highest epoch, so there is always one left
//! to fence with; a prepared transaction keeps its partitions until it is complete.

use std::collections::BTreeSet;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{ProducerEpoch, ProducerId, TimestampMs, TopicPartition};

use super::state::{State, TransactionVersion};

/// No producer id.
pub const NO_PRODUCER_ID: ProducerId = -1;
/// No epoch.
pub const NO_EPOCH: ProducerEpoch = -1;
/// From this epoch on a producer id is used up: one more epoch is left, and that is for fencing.
pub const EXHAUSTED_EPOCH: ProducerEpoch = ProducerEpoch::MAX - 1;

/// What is known of one transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who owns it.
    pub producer_id: ProducerId,
    /// Its id before the last rotation.
    pub previous_producer_id: ProducerId,
    /// Its id once the decided transaction is complete, if that rotates.
    pub next_producer_id: ProducerId,
    /// Only requests of this epoch count.
    pub producer_epoch: ProducerEpoch,
    /// The epoch before, if its owner is the same client: that client may repeat what gave it the present one.
    pub last_producer_epoch: ProducerEpoch,
    /// How long a transaction may be open.
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: State,
    /// What the open transaction touches.
    pub partitions: BTreeSet<TopicPartition>,
    /// When the last transaction began; −1 before the first.
    pub start_ms: TimestampMs,
    /// When this last changed.
    pub last_update_ms: TimestampMs,
    /// Which rules the last request asked for.
    pub client_version: TransactionVersion,
}

/// What an InitProducerId comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InitStep {
    /// The next epoch, and the one that may be repeated.
    Bump { last: ProducerEpoch },
    /// The client repeats itself: the same answer again.
    Repeat,
    /// The epochs are used up: a new producer id.
    Rotate { last: ProducerEpoch },
    /// Somebody's transaction is open: it is aborted first, and the client comes again.
    Fence,
}

/// What an EndTxn comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndStep {
    /// Decide the open transaction.
    Decide,
    /// Nothing is open: abort nothing, for the sake of the new epoch (V2).
    AbortNothing,
    /// It was decided so already, and is complete.
    Repeat,
}

impl Transaction {
    /// A transactional id that has just got its first producer id.
    pub fn new(producer_id: ProducerId, timeout_ms: i32, now_ms: TimestampMs) -> Self {
        Transaction {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: 0,
            last_producer_epoch: NO_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            client_version: TransactionVersion::V1,
        }
    }

    /// Whether the epochs of this producer id are used up.
    pub fn is_exhausted(&self) -> bool {
        self.producer_epoch >= EXHAUSTED_EPOCH
    }

    /// Whether deciding this transaction by `version` must rotate the producer id.
    pub(super) fn end_rotates(&self, version: TransactionVersion) -> bool {
        version == TransactionVersion::V2 && self.is_exhausted()
    }

    /// Whether `producer_id` and `epoch` are the present owner's. The highest epoch is nobody's.
    pub(super) fn check_owner(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> Result<(), ErrorCode> {
        if producer_id != self.producer_id {
            Err(ErrorCode::InvalidProducerIdMapping)
        } else if epoch != self.producer_epoch || epoch == ProducerEpoch::MAX {
            Err(ErrorCode::ProducerFenced)
        } else {
            Ok(())
        }
    }

    /// What InitProducerId comes to; `current` is what the client believes to own (KIP-360). A client whose epoch is not
    /// the present one must not abort the transaction of the one whose it is, where Kafka looks at the producer id only.
    pub(super) fn init_step(
        &self,
        current: Option<(ProducerId, ProducerEpoch)>,
    ) -> Result<InitStep, ErrorCode> {
        if self.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let is_ongoing = self.state == State::Ongoing;
        let Some((producer_id, epoch)) = current else {
            return Ok(match (is_ongoing, self.is_exhausted()) {
                (true, _) => InitStep::Fence,
                (false, true) => InitStep::Rotate { last: NO_EPOCH },
                (false, false) => InitStep::Bump { last: NO_EPOCH },
            });
        };
        if producer_id == self.producer_id && epoch == self.producer_epoch {
            return Ok(match (is_ongoing, self.is_exhausted()) {
                (true, _) => InitStep::Fence,
                (false, true) => InitStep::Rotate { last: epoch },
                (false, false) => InitStep::Bump { last: epoch },
            });
        }
        let was_its_own = producer_id == self.producer_id
            || (producer_id == self.previous_producer_id && epoch >= EXHAUSTED_EPOCH);
        let is_repeat = was_its_own && epoch >= 0 && epoch == self.last_producer_epoch && !is_ongoing;
        if is_repeat && self.producer_epoch != ProducerEpoch::MAX {
            Ok(InitStep::Repeat)
        } else {
            Err(ErrorCode::ProducerFenced)
        }
    }

    /// After an InitProducerId that found nothing open. `fresh` is the new producer id of a rotation.
    pub(super) fn initialised(
        &self,
        step: InitStep,
        fresh: Option<ProducerId>,
        timeout_ms: i32,
        now_ms: TimestampMs,
    ) -> Self {
        let mut next = Transaction { state: State::Empty, timeout_ms, ..self.clone() };
        (next.partitions, next.start_ms, next.last_update_ms) = (BTreeSet::new(), -1, now_ms);
        match step {
            InitStep::Bump { last } => {
                next.producer_epoch += 1;
                next.last_producer_epoch = last;
            }
            InitStep::Rotate { last } => {
                next.previous_producer_id = self.producer_id;
                next.producer_id = fresh.expect("who rotates brings an id");
                next.producer_epoch = 0;
                next.last_producer_epoch = last;
            }
            InitStep::Repeat | InitStep::Fence => {}
        }
        next
    }

    /// With more partitions.
    pub(super) fn added(
        &self,
        partitions: &[TopicPartition],
        version: TransactionVersion,
        now_ms: TimestampMs,
    ) -> Self {
        let mut next = self.clone();
        if self.state != State::Ongoing {
            next.partitions = BTreeSet::new();
            next.start_ms = now_ms;
        }
        next.state = State::Ongoing;
        next.partitions.extend(partitions.iter().cloned());
        (next.client_version, next.last_update_ms) = (version, now_ms);
        next
    }

    /// What EndTxn comes to. With V2 the present epoch means the present transaction, and the one before it a repetition;
    /// with V1 the two look the same.
    pub(super) fn end_step(
        &self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        commit: bool,
        version: TransactionVersion,
    ) -> Result<EndStep, ErrorCode> {
        let is_current = self.check_owner(producer_id, epoch);
        let is_repeat = match version {
            TransactionVersion::V1 => is_current.map(|()| true)?,
            TransactionVersion::V2 => self.is_repeated_end(producer_id, epoch),
        };
        let decided = match self.state {
            State::Ongoing => return is_current.map(|()| EndStep::Decide),
            State::Empty => {
                is_current?;
                return abort_nothing(commit, version);
            }
            State::PrepareCommit | State::CompleteCommit => true,
            State::PrepareAbort | State::CompleteAbort => false,
        };
        match (is_repeat, self.state.is_prepared()) {
            (true, _) if decided != commit => Err(ErrorCode::InvalidTxnState),
            (true, true) => Err(ErrorCode::ConcurrentTransactions),
            (true, false) => Ok(EndStep::Repeat),
            (false, true) => Err(is_current.err().unwrap_or(ErrorCode::ProducerFenced)),
            (false, false) => is_current.and_then(|()| abort_nothing(commit, version)),
        }
    }

    /// Whether an EndTxn of V2 asks for the end that led to the present epoch. Kafka takes any epoch one below for that;
    /// but it may be one that somebody else's InitProducerId ended, who has the present one now.
    fn is_repeated_end(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> bool {
        let bumped = producer_id == self.producer_id
            && epoch.checked_add(1) == Some(self.producer_epoch)
            && (self.producer_epoch != ProducerEpoch::MAX || self.next_producer_id != NO_PRODUCER_ID);
        let rotated = producer_id == self.previous_producer_id
            && producer_id >= 0
            && epoch == EXHAUSTED_EPOCH
            && self.producer_epoch == 0;
        epoch >= 0 && epoch == self.last_producer_epoch && (bumped || rotated)
    }

    /// Decided by its owner. `fresh` is the new producer id if this end rotates.
    pub(super) fn decided(
        &self,
        commit: bool,
        version: TransactionVersion,
        fresh: Option<ProducerId>,
        now_ms: TimestampMs,
    ) -> Self {
        let mut next = self.clone();
        next.state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        (next.client_version, next.last_update_ms) = (version, now_ms);
        if !self.state.is_open() {
            (next.start_ms, next.partitions) = (now_ms, BTreeSet::new());
        }
        if version == TransactionVersion::V2 {
            next.last_producer_epoch = self.producer_epoch;
            next.producer_epoch += 1;
            next.next_producer_id = fresh.unwrap_or(NO_PRODUCER_ID);
        }
        next
    }

    /// Aborted in spite of its owner, whose epoch ends with it: one epoch further, by either rules, and not once more for
    /// the abort itself. An epoch that cannot be counted on stays. An owner by the new rules that was only too slow may
    /// abort, as it will, and have that epoch; one that was displaced may not.
    pub(super) fn fenced(&self, is_displaced: bool, fresh: Option<ProducerId>, now_ms: TimestampMs) -> Self {
        let mut next = Transaction { state: State::PrepareAbort, last_update_ms: now_ms, ..self.clone() };
        let may_go_on = !is_displaced && self.client_version == TransactionVersion::V2;
        next.last_producer_epoch = if may_go_on { self.producer_epoch } else { NO_EPOCH };
        next.producer_epoch = self.producer_epoch.saturating_add(1);
        next.next_producer_id = fresh.unwrap_or(NO_PRODUCER_ID);
        next
    }

    /// Every partition has its marker.
    pub(super) fn completed(&self, now_ms: TimestampMs) -> Self {
        let mut next = Transaction { last_update_ms: now_ms, ..self.clone() };
        next.state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        next.partitions = BTreeSet::new();
        if self.next_producer_id != NO_PRODUCER_ID {
            next.previous_producer_id = self.producer_id;
            next.producer_id = self.next_producer_id;
            next.next_producer_id = NO_PRODUCER_ID;
            next.producer_epoch = 0;
        }
        next
    }

    /// By which rules partitions check the markers: a transaction that could not take a new epoch is told by the older
    /// ones, which accept the epoch the partition knows.
    pub(super) fn marker_version(&self) -> TransactionVersion {
        if self.producer_epoch == ProducerEpoch::MAX { TransactionVersion::V1 } else { self.client_version }
    }
}

fn abort_nothing(commit: bool, version: TransactionVersion) -> Result<EndStep, ErrorCode> {
    match (commit, version) {
        (false, TransactionVersion::V2) => Ok(EndStep::AbortNothing),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}
