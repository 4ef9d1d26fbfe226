//! [`Bug`]: errors that are planted on purpose, to see that the simulation finds them.
//!
//! Each is planted where the simulated node meets the product: in what it sends, what it is told, what its disk does. So the
//! product has no switches, and a bug is what the product would do without one of its rules.

use std::sync::Arc;

use tidemark_broker::replica::stepped::Said;
use tidemark_core::metadata::{ClusterImage, Command, MetadataRecord, PartitionImage, Recovery};
use tidemark_protocol::types::BrokerId;
use tidemark_storage::disk::Disk;

use super::bad_disk::{BadDisk, Fault as DiskFault};
use super::plan::{Errand, Fault, Plan};

/// An error to find. H1 to H13 are holes that Kafka has or had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// None: the real thing.
    None,
    /// H1: a sync returns before it has happened.
    AckBeforeSync,
    /// H1: a follower calls durable what it has appended only.
    ClaimAppended,
    /// Names in directories are never synced.
    NoDirectorySync,
    /// H2: nobody remembers who left the ISR last.
    ForgetElr,
    /// H3: a broker with an empty disk says that all is there.
    WipedAsIntact,
    /// H3: members of an ISR are taken whatever incarnation of theirs caught up (KIP-903).
    AnyBrokerEpoch,
    /// H4: a fenced replica is elected when there is no other.
    ElectFenced,
    /// H5: damage below the mark is cut away.
    CutDamage,
    /// H6: the file of leader epochs stays as it was at first.
    StaleEpochFile,
    /// H7: a log is not compared with the leader's before it is added to.
    KeepDivergence,
    /// H8: a deletion of records is answered before it is durable.
    ForgetDeletion,
    /// H9: `min.insync.replicas` is 1 where nobody set it.
    DefaultMinIsrOne,
    /// H10: a leader tells its high watermark before it has heard how far the last one was.
    StaleHighWatermark,
    /// H13: a sync that failed is tried again.
    RetrySync,
    /// A replica may join that lacks what the leader took over.
    SkipLeaderEpochStart,
    /// A proposed shrink counts before it is committed.
    TrustShrink,
    /// A proposal without an answer counts as refused.
    ForgetUnanswered,
    /// A new follower cuts its log to its high watermark, as Kafka did before KIP-101.
    TruncateToHighWatermark,
}

/// Bugs that a few seeds catch, each with one of them.
pub const BUGS: [(Bug, u64); 14] = [
    (Bug::AckBeforeSync, 0),
    (Bug::ClaimAppended, 0),
    (Bug::NoDirectorySync, 0),
    (Bug::ForgetElr, 2),
    (Bug::WipedAsIntact, 0),
    (Bug::ElectFenced, 4),
    (Bug::CutDamage, 0),
    (Bug::StaleEpochFile, 2),
    (Bug::KeepDivergence, 9),
    (Bug::ForgetDeletion, 3),
    (Bug::DefaultMinIsrOne, 1),
    (Bug::StaleHighWatermark, 5),
    (Bug::RetrySync, 4),
    (Bug::TruncateToHighWatermark, 0),
];

/// Bugs that need a rare chain of events: `sim --bugs 10000` looks for the seeds.
pub const RARE_BUGS: [Bug; 4] =
    [Bug::AnyBrokerEpoch, Bug::SkipLeaderEpochStart, Bug::TrustShrink, Bug::ForgetUnanswered];

impl Bug {
    /// Makes what the bug needs more likely, where it is rare.
    pub fn twist_plan(self, plan: &mut Plan) {
        match self {
            Bug::WipedAsIntact | Bug::AnyBrokerEpoch => plan.faults.push((Fault::Wipe, 60)),
            Bug::RetrySync => plan.faults.extend([(Fault::SyncError, 40), (Fault::PowerLossOfAll, 10)]),
            Bug::CutDamage => plan.faults.push((Fault::PowerLoss, 30)),
            Bug::ForgetDeletion => {
                plan.faults.push((Fault::PowerLoss, 30));
                plan.errands.push((Errand::DeleteRecords, 60));
            }
            Bug::DefaultMinIsrOne => plan.errands.retain(|(errand, _)| *errand != Errand::MinIsr),
            Bug::ClaimAppended | Bug::TrustShrink | Bug::ForgetUnanswered => {
                plan.faults.extend([(Fault::PowerLoss, 10), (Fault::Pause, 20), (Fault::Isolate, 10)]);
                plan.sync_us = plan.sync_us.max(80_000);
                plan.has_impatient = true;
            }
            Bug::SkipLeaderEpochStart | Bug::StaleHighWatermark => {
                plan.faults.extend([(Fault::Isolate, 20), (Fault::PowerLoss, 20), (Fault::Pause, 20)]);
            }
            _ => {}
        }
    }

    /// What a broker says it found on its disk.
    pub fn twist_recovery(self, recovery: Recovery) -> Recovery {
        if self == Bug::WipedAsIntact { Recovery::Intact } else { recovery }
    }

    /// The disk that the product sees.
    pub fn twist_disk(self, disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        let fault = match self {
            Bug::AckBeforeSync => DiskFault::NoSync,
            Bug::NoDirectorySync => DiskFault::NoDirectorySync,
            Bug::StaleEpochFile => DiskFault::StaleEpochs,
            Bug::ForgetDeletion => DiskFault::NoJournalSync,
            Bug::RetrySync => DiskFault::RetrySync,
            _ => return disk,
        };
        Arc::new(BadDisk { disk, fault })
    }

    /// A command on its way to being decided.
    pub fn twist_command(self, mut command: Command, image: &ClusterImage) -> Command {
        if self == Bug::AnyBrokerEpoch
            && let Command::AlterPartition { partitions, .. } = &mut command
        {
            for (id, epoch) in partitions.iter_mut().flat_map(|partition| &mut partition.isr) {
                *epoch = image.brokers.get(id).map_or(*epoch, |broker| broker.epoch);
            }
        }
        command
    }

    /// What was decided.
    pub fn twist_records(self, records: &mut [MetadataRecord]) {
        for record in records {
            let MetadataRecord::PartitionChange { partition, .. } = record else { continue };
            match self {
                Bug::ForgetElr => {
                    partition.elr = Arc::from([]);
                    partition.last_known_elr = Arc::from([]);
                }
                Bug::ElectFenced if partition.leader < 0 => elect_anybody(partition),
                _ => {}
            }
        }
    }

    /// What a node sends.
    pub fn twist_said(self, said: &mut [Said]) {
        if self != Bug::ClaimAppended {
            return;
        }
        for one in said {
            if let Said::Fetch { fetch, .. } = one {
                for wanted in &mut fetch.set {
                    wanted.durable_end = wanted.position.fetch_offset;
                }
            }
        }
    }

    /// How many copies an acknowledged record must have.
    pub fn required(self, required: usize, replicas: usize) -> usize {
        if self == Bug::DefaultMinIsrOne { required.max(replicas.min(2)) } else { required }
    }
}

fn elect_anybody(partition: &mut PartitionImage) {
    let leader: BrokerId = partition.replicas[0];
    partition.isr = Arc::from([leader]);
    partition.leader = leader;
    partition.leader_epoch += 1;
    partition.elr = Arc::from([]);
}
