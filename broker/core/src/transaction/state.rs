//! The states of a transaction, as they are stored and shown, and the two kinds of transactions.
//!
//! ```text
//!              add                  end, timeout, another owner             every partition has its marker
//!   Empty ───────────► Ongoing ─────────────────────────► PrepareCommit ─────────────────────────► CompleteCommit
//!     ▲                  ▲                       └──────► PrepareAbort ──────────────────────────► CompleteAbort
//!     │                  └──── add ──────────────────────────────────────────────────────────────────────┤
//!     └─────────────────────── init ─────────────────────────────────────────────────────────────────────┘
//! ```
//! Kafka's Dead and PrepareEpochFence are never stored: a dead id is not in the map, and a fence is one record here.

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Initialised; nothing was added since.
    Empty,
    /// Partitions are added.
    Ongoing,
    /// Decided: committed. Markers are on their way.
    PrepareCommit,
    /// Decided: aborted. Markers are on their way.
    PrepareAbort,
    /// Committed everywhere.
    CompleteCommit,
    /// Aborted everywhere.
    CompleteAbort,
}

const ALL: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::PrepareCommit,
    State::PrepareAbort,
    State::CompleteCommit,
    State::CompleteAbort,
];

impl State {
    /// The state of a stored number; `None` for those that are never stored, and for unknown ones.
    pub fn from_id(id: i8) -> Option<State> {
        ALL.into_iter().find(|state| state.id() == id)
    }

    /// The number Kafka stores it as.
    pub fn id(self) -> i8 {
        match self {
            State::Empty => 0,
            State::Ongoing => 1,
            State::PrepareCommit => 2,
            State::PrepareAbort => 3,
            State::CompleteCommit => 4,
            State::CompleteAbort => 5,
        }
    }

    /// Kafka's name of it, as tools show it and filter by it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::PrepareCommit => "PrepareCommit",
            State::PrepareAbort => "PrepareAbort",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether `name` is a state Kafka knows; two of them no transaction is ever seen in.
    pub fn is_known_name(name: &str) -> bool {
        matches!(name, "Dead" | "PrepareEpochFence") || ALL.iter().any(|state| state.name() == name)
    }

    /// Decided, and not yet told everywhere.
    pub fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }

    /// A transaction is open or on its way to its end.
    pub fn is_open(self) -> bool {
        self == State::Ongoing || self.is_prepared()
    }
}

/// Which rules a transaction follows. The version of the request decides, not that of the cluster: some clients use the
/// older rules for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionVersion {
    /// `transaction.version` 0 and 1: clients add partitions themselves; the epoch lasts for many transactions.
    #[default]
    V1,
    /// `transaction.version` 2 (KIP-890): leaders add partitions; each end of a transaction takes a new epoch.
    V2,
}

impl TransactionVersion {
    /// The number in records and markers.
    pub fn level(self) -> i16 {
        match self {
            TransactionVersion::V1 => 0,
            TransactionVersion::V2 => 2,
        }
    }

    /// The rules a stored number means.
    pub fn from_level(level: i16) -> Self {
        if level >= 2 { TransactionVersion::V2 } else { TransactionVersion::V1 }
    }

    /// The rules that EndTxn of a version asks for.
    pub fn of_end_txn(api_version: i16) -> Self {
        if api_version >= 5 { TransactionVersion::V2 } else { TransactionVersion::V1 }
    }

    /// The rules that AddPartitionsToTxn of a version asks for: from version 4 on brokers send it, for V2 clients.
    pub fn of_add_partitions(api_version: i16) -> Self {
        if api_version >= 4 { TransactionVersion::V2 } else { TransactionVersion::V1 }
    }
}
