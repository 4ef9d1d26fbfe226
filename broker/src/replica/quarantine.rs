//! Tells the controller which replicas of this broker are damaged, so that they count as in sync no more.
//!
//! The writers say so through the outlet, and drop a damaged log once the image no longer counts on it (`log_thread/damage`).
//! A replica that nobody else could replace is not reported: it keeps its place, and an operator decides what is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::metadata::{ClusterImage, Command, Reply};
use tidemark_protocol::types::{BrokerId, TopicIdPartition};

use super::ReplicaManager;
use crate::controller::ControllerHandle;
use crate::partition::PartitionHandle;
use crate::partition::damage::{is_counted, is_held_by_others};

/// Between two attempts to be heard.
const PAUSE: Duration = Duration::from_millis(200);

/// Reports for as long as it is polled.
pub async fn run(replicas: Arc<ReplicaManager>, controller: ControllerHandle, me: BrokerId) {
    let outlet = replicas.outlet();
    loop {
        report(outlet.damaged().await, &controller, me).await;
    }
}

/// Reports these replicas; returns when the controller counts on none of them that others can replace, and their leaders
/// have forgotten what they said of themselves.
pub(super) async fn report(
    damaged: BTreeMap<TopicIdPartition, PartitionHandle>,
    controller: &ControllerHandle,
    me: BrokerId,
) {
    for handle in damaged.values() {
        let image = controller.image();
        let partition = image.partition_by_id(&handle.id());
        if partition.is_some_and(|partition| is_counted(partition, me) && !is_held_by_others(partition, me)) {
            tracing::error!(
                partition = %handle.tp(),
                "this damaged replica is the only one that has everything: it stays as it is until an operator restores it, \
                 or stops this node and has another replica elected uncleanly"
            );
        }
    }
    loop {
        let image = controller.image();
        let partitions = reportable(&image, damaged.keys(), me);
        let Some(broker) = image.brokers.get(&me).filter(|_| !partitions.is_empty()) else { return };
        let names: Vec<String> = damaged.values().map(|handle| handle.tp().to_string()).collect();
        tracing::warn!(partitions = ?names, "damaged replicas leave ISR and ELR");
        let command = Command::QuarantineReplicas { broker: me, broker_epoch: broker.epoch, partitions };
        match controller.submit(command).await {
            Ok(Reply::BrokerChanged(Ok(()))) => return,
            Ok(other) => tracing::warn!(?other, "damaged replicas were not taken out; trying again"),
            Err(error) => tracing::warn!(%error, "damaged replicas were not taken out; trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// All but those that nobody could replace.
fn reportable<'a>(
    image: &ClusterImage,
    damaged: impl Iterator<Item = &'a TopicIdPartition>,
    me: BrokerId,
) -> Vec<TopicIdPartition> {
    let is_reportable = |id: &&TopicIdPartition| {
        let partition = image.partition_by_id(id);
        partition.is_some_and(|partition| !is_counted(partition, me) || is_held_by_others(partition, me))
    };
    damaged.filter(is_reportable).copied().collect()
}
