//! The active controller's own work over time, proposed as any command: the rules are [`Upkeep`]'s.
//!
//! A node that is a cluster by itself has nothing of this to do, and sleeps.

use std::time::Duration;

use tidemark_core::metadata::reply::PartitionResults;
use tidemark_core::metadata::upkeep::{Upkeep, UpkeepRules};
use tidemark_core::metadata::{BrokerConfigs, Reply};
use tidemark_protocol::types::BrokerId;

use super::ControllerHandle;
use crate::clock::Clock;

/// Between two looks: what is done here is never urgent.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Does what is due while this node is the controller of more than itself, for as long as it is polled.
pub async fn run(handle: ControllerHandle, configs: BrokerConfigs, me: BrokerId, clock: Clock) {
    let mut upkeep = Upkeep::default();
    loop {
        handle.has_company().await;
        tokio::time::sleep(LOOK_EVERY).await;
        if !handle.is_leader() {
            upkeep.leave_office();
            continue;
        }
        // Seen for whoever asks later when members had caught up.
        handle.progress.look();
        let image = handle.image();
        let rules = UpkeepRules::of(&configs.settings(&image, me));
        for command in upkeep.due(&image, &rules, clock.now()) {
            tracing::info!(?command, "the controller sees to the cluster");
            match handle.submit(command).await {
                Ok(Reply::PartitionsReassigned(results) | Reply::LeadersElected(results)) => {
                    refused(&results)
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "not decided; it is proposed again"),
            }
        }
    }
}

fn refused(results: &[PartitionResults]) {
    for topic in results {
        for (partition, result) in &topic.partitions {
            if let Err(failure) = result {
                tracing::warn!(topic = topic.topic, partition, %failure, "the partition stays as it is");
            }
        }
    }
}
