//! Brings the ISRs that leaders of this broker want to the controller, many partitions in one command, and its answers back.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_core::metadata::command::IsrProposal as Wanted;
use tidemark_core::metadata::{Command, Failure, Reply};
use tidemark_core::replication::isr::{CommittedIsr, IsrAnswer, IsrProposal};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, TopicIdPartition};

use super::ReplicaManager;
use crate::controller::ControllerHandle;
use crate::partition::{PartitionHandle, Replication};

/// ISRs that leaders want, by partition.
pub(crate) type Proposals = BTreeMap<TopicIdPartition, (PartitionHandle, IsrProposal)>;

/// Proposes for as long as it is polled. One command is under way at a time: what gathers meanwhile shares the next, and no
/// answer can overtake another.
pub async fn run(replicas: Arc<ReplicaManager>, controller: ControllerHandle, me: BrokerId) {
    let outlet = replicas.outlet();
    loop {
        let proposals = outlet.proposals().await;
        let answers = decided(&controller, me, &proposals).await;
        // A leader must not act on an ISR before it knows the settings that ISR was decided by.
        replicas.wait_applied(controller.image().version).await;
        for (id, (handle, proposal)) in proposals {
            let answer = answers.get(&id).cloned().unwrap_or(Err(ErrorCode::RequestTimedOut));
            handle.replicate(Replication::IsrAnswered { proposal, answer });
        }
    }
}

async fn decided(
    controller: &ControllerHandle,
    me: BrokerId,
    proposals: &Proposals,
) -> BTreeMap<TopicIdPartition, IsrAnswer> {
    let broker_epoch = controller.image().brokers.get(&me).map_or(-1, |broker| broker.epoch);
    match controller.submit_for_sure(command(me, broker_epoch, proposals)).await {
        Ok(reply) => answers(reply, proposals),
        Err(error) => {
            tracing::debug!(%error, "no ISR was changed");
            BTreeMap::new()
        }
    }
}

/// What is asked of the controller.
pub(crate) fn command(me: BrokerId, broker_epoch: i64, proposals: &Proposals) -> Command {
    let partitions = proposals.iter().map(|(id, (_, proposal))| Wanted {
        topic_id: id.topic_id,
        index: id.partition,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        isr: proposal.isr.clone(),
    });
    Command::AlterPartition { broker: me, broker_epoch, partitions: partitions.collect() }
}

/// What its reply means for each partition.
pub(crate) fn answers(reply: Reply, proposals: &Proposals) -> BTreeMap<TopicIdPartition, IsrAnswer> {
    match reply {
        Reply::PartitionsAltered(Ok(altered)) => altered
            .into_iter()
            .map(|altered| {
                let id = TopicIdPartition { topic_id: altered.topic_id, partition: altered.index };
                let answer = altered.result.map(|state| CommittedIsr {
                    leader_epoch: state.leader_epoch,
                    partition_epoch: state.partition_epoch,
                    isr: state.isr.to_vec(),
                });
                (id, answer.map_err(|Failure { code, .. }| code))
            })
            .collect(),
        Reply::PartitionsAltered(Err(failure)) => {
            tracing::debug!(%failure, "no ISR was changed");
            proposals.keys().map(|id| (*id, Err(failure.code))).collect()
        }
        other => unreachable!("AlterPartition is answered by its own kind of reply, not {other:?}"),
    }
}
