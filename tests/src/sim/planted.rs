//! Planted bugs that need to know the world: what the product would do without a rule, done by the simulation.

use std::path::Path;

use tidemark_broker::partition::sight::{LeaderSight, Sight};
use tidemark_broker::replica::messages::{ReplicaFetch, ReplicaFetched};
use tidemark_core::metadata::{AlteredPartition, Command, Failure, IsrProposal, PartitionState, Reply};
use tidemark_core::replication::follower::FetchAnswer;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, TopicIdPartition};
use tidemark_storage::disk::Disk;

use super::bugs::Bug;
use super::node::DATA;
use super::world::World;

impl World {
    /// A leader hears a fetch: the bug does not compare logs.
    pub fn twist_fetch(&mut self, from: BrokerId, fetch: &mut ReplicaFetch) {
        if self.bug != Bug::KeepDivergence {
            return;
        }
        for wanted in &mut fetch.set {
            let position = &mut wanted.position;
            let key = (from, wanted.id, position.leader_epoch, position.fetch_offset);
            self.hidden_epochs.insert(key, position.last_fetched_epoch.take());
        }
    }

    /// A follower hears an answer.
    pub fn twist_fetched(&mut self, to: BrokerId, answer: &mut ReplicaFetched) {
        for found in &mut answer.partitions {
            let asked = &mut found.asked;
            if self.bug == Bug::KeepDivergence {
                let key = (to, found.id, asked.leader_epoch, asked.fetch_offset);
                asked.last_fetched_epoch = self.hidden_epochs.get(&key).copied().flatten();
            }
            if self.bug == Bug::TruncateToHighWatermark
                && let Some(epoch) = asked.last_fetched_epoch
                && let Some(mirror) = self.nodes[&to].mirrors.get(&found.id)
                && self.truncated.insert((to, self.nodes[&to].run, found.id, asked.leader_epoch))
                && mirror.high_watermark < asked.fetch_offset
            {
                let (end_offset, log_start) = (mirror.high_watermark, mirror.log_start);
                found.answer = FetchAnswer::Diverging { epoch, end_offset, log_start };
                found.bytes = 0;
            }
        }
    }

    /// A leader wants other ISRs: the bug takes a shrink for done.
    pub fn trust_shrink(&mut self, id: BrokerId, command: &Command) {
        let Command::AlterPartition { partitions, .. } = command else { return };
        if self.bug != Bug::TrustShrink {
            return;
        }
        let image = self.quorum.image(self.nodes[&id].applied).clone();
        let shrinks = |asked: &&IsrProposal| {
            let tp = TopicIdPartition { topic_id: asked.topic_id, partition: asked.index };
            image.partition_by_id(&tp).is_some_and(|known| known.isr.len() > asked.isr.len())
        };
        let altered: Vec<_> = partitions
            .iter()
            .filter(shrinks)
            .map(|asked| AlteredPartition {
                topic_id: asked.topic_id,
                index: asked.index,
                result: Ok(PartitionState {
                    leader: id,
                    leader_epoch: asked.leader_epoch,
                    isr: asked.isr.iter().map(|(member, _)| *member).collect(),
                    partition_epoch: asked.partition_epoch + 1,
                }),
            })
            .collect();
        if let Some(replicas) = self.node(id).replicas.as_mut().filter(|_| !altered.is_empty()) {
            replicas.on_altered(Reply::PartitionsAltered(Ok(altered)));
        }
    }

    /// A proposal has no answer: the bug takes it for refused and goes on. Returns whether it did.
    pub fn forget_unanswered(&mut self, id: BrokerId) -> bool {
        let is_alter = |command: &Command| matches!(command, Command::AlterPartition { .. });
        let node = self.node(id);
        if !node.under_way.as_ref().is_some_and(|one| is_alter(&one.command))
            || self.bug != Bug::ForgetUnanswered
        {
            return false;
        }
        let node = self.node(id);
        node.under_way = None;
        if let Some(replicas) = &mut node.replicas {
            let failure = Failure::new(ErrorCode::OperationNotAttempted, "");
            replicas.on_altered(Reply::PartitionsAltered(Err(failure)));
        }
        self.wake(id, std::time::Duration::ZERO);
        self.pump(id);
        true
    }

    /// A leader that has not settled: the bug lets in whoever has its high watermark.
    pub fn skip_leader_epoch_start(&mut self, id: BrokerId, tp: TopicIdPartition, sight: &Sight) {
        let Some(LeaderSight { leader_epoch, is_settled, .. }) = sight.leader else { return };
        let image = self.quorum.newest().clone();
        let Some(partition) = image.partition_by_id(&tp).filter(|_| self.bug == Bug::SkipLeaderEpochStart)
        else {
            return;
        };
        if is_settled || partition.leader_epoch != leader_epoch || partition.leader != id {
            return;
        }
        let has = |other: &BrokerId| {
            let mirror = self.nodes[other].mirrors.get(&tp).filter(|mirror| mirror.is_open);
            mirror.is_some_and(|mirror| mirror.durable_end >= sight.high_watermark)
        };
        let is_usable = |other: &BrokerId| image.is_usable(*other);
        let joins = |other: &&BrokerId| partition.isr.contains(other) || (has(other) && is_usable(other));
        let isr: Vec<_> =
            partition.replicas.iter().filter(joins).map(|id| (*id, image.brokers[id].epoch)).collect();
        if isr.len() <= partition.isr.len() {
            return;
        }
        let (topic_id, index, partition_epoch) = (tp.topic_id, tp.partition, partition.partition_epoch);
        let asked = IsrProposal { topic_id, index, leader_epoch, partition_epoch, isr };
        let broker_epoch = image.brokers[&id].epoch;
        self.quorum.propose_own(Command::AlterPartition {
            broker: id,
            broker_epoch,
            partitions: vec![asked],
        });
        self.commit_soon();
    }

    /// A client asks a leader how far its partition is committed: what it hears covers what was committed before.
    pub fn ask_latest(&mut self, id: BrokerId, tp: TopicIdPartition, sight: &Sight) {
        let Some(leader) = &sight.leader else { return };
        let answers = leader.is_settled || self.bug == Bug::StaleHighWatermark;
        if !answers || !self.is_current_leader(id, tp) {
            return;
        }
        let end = self.ledgers.get(&tp).map_or(0, |ledger| ledger.end);
        let told = sight.high_watermark;
        assert!(told >= end, "H10: leader {id} of {tp:?} tells {told} for committed, {end} were");
    }

    /// A disk rots while its machine is off: the bug takes damage for a torn end.
    pub fn rot(&mut self, id: BrokerId) {
        if self.bug != Bug::CutDamage {
            return;
        }
        let disk = self.nodes[&id].disk.clone();
        let data = Path::new(DATA);
        for name in disk.read_dir(data).unwrap_or_default() {
            let dir = data.join(&name);
            let logs =
                disk.read_dir(&dir).unwrap_or_default().into_iter().filter(|file| file.ends_with(".log"));
            let Some(path) = logs.max().map(|file| dir.join(file)) else { continue };
            let len = disk.file_len(&path).unwrap_or(0) as usize;
            if len > 200 {
                disk.flip(&path, (len / 3) * 8).expect("it is there");
            }
        }
        // Without its marks the log cannot tell what was durable.
        if disk.remove_dir_all(&data.join("journal")).is_ok() {
            disk.sync_dir(data).expect("the power is on");
        }
    }
}
