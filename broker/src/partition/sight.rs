//! [`Sight`]: a replica as its writer sees it, for simulations that check what must hold.

use std::sync::Arc;

use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset};
use tidemark_storage::log::LogReader;

/// One replica at one moment.
#[derive(Clone, Debug)]
pub struct Sight {
    /// First offset that may be read.
    pub log_start: Offset,
    /// End of what survives a power loss, exclusive.
    pub durable_end: Offset,
    /// End of the log, exclusive.
    pub log_end: Offset,
    /// What it takes for committed, exclusive.
    pub high_watermark: Offset,
    /// The log as it is.
    pub reader: Arc<LogReader>,
    /// How often the log was cut since it was opened.
    pub cuts: u64,
    /// It writes no more.
    pub failed: bool,
    /// If it leads.
    pub leader: Option<LeaderSight>,
    /// The epoch in which it follows, if it does.
    pub following: Option<LeaderEpoch>,
}

/// What a leader counts on.
#[derive(Clone, Debug)]
pub struct LeaderSight {
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// Newest state of the partition that it knows.
    pub partition_epoch: i32,
    /// Everyone who decides its high watermark, ascending.
    pub maximal_isr: Vec<BrokerId>,
    /// Members the controller has committed.
    pub isr: Vec<BrokerId>,
    /// How many members a commit takes.
    pub required_isr: usize,
    /// Whether its high watermark covers all that was committed before it led.
    pub is_settled: bool,
    /// Its log end when it began to lead.
    pub leader_epoch_start: Offset,
}

/// What has become of a replica.
#[derive(Clone, Debug)]
pub enum ReplicaState {
    /// Its log was not used since the start.
    Unopened,
    /// In use.
    Open(Box<Sight>),
    /// Damaged.
    Offline,
}
