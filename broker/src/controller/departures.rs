//! Sees off brokers that leave the cluster: moves their replicas in batches, and forgets those that are empty and have stopped.
//!
//! What to do is decided in core; here it is proposed, on whichever node is the controller. Nothing runs while none leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use tidemark_core::metadata::{Command, Reply, drain};
use tidemark_protocol::types::BrokerId;

use super::ControllerHandle;

/// Between two steps: what the last one began has had time to show.
const STEP_EVERY: Duration = Duration::from_millis(250);
/// How long an empty broker must have been silent before it is forgotten: one that only restarts comes back.
const SILENT_LOOKS: u32 = 12;

/// Does what is next for brokers that leave, while this node is the controller.
pub(super) async fn see_off(handle: ControllerHandle) {
    let mut images = handle.watch();
    let mut silent = 0;
    loop {
        // An error means that the controller stops.
        if images.wait_for(|image| image.leaving_brokers().next().is_some()).await.is_err() {
            return;
        }
        tokio::time::sleep(STEP_EVERY).await;
        if !handle.is_leader() {
            silent = 0;
            continue;
        }
        match drain::next_step(&handle.image()) {
            Some(Command::UnregisterBroker { id }) => {
                silent += 1;
                if silent >= SILENT_LOOKS && forget(&handle, id).await {
                    silent = 0;
                }
            }
            Some(command) => {
                silent = 0;
                propose(&handle, command).await;
            }
            None => silent = 0,
        }
    }
}

/// Takes it off the list of those that get the metadata first: afterwards nobody would know why it is on it.
async fn forget(handle: &ControllerHandle, id: BrokerId) -> bool {
    let members = handle.members();
    if members.voters.values().any(|voter| voter.broker_id == id) {
        // Its place in the quorum is taken first.
        return false;
    }
    let learners = members.learners.iter().filter(|(_, learner)| learner.broker_id == id);
    let gone: BTreeSet<_> = learners.map(|(member, _)| *member).collect();
    if !gone.is_empty()
        && let Err(error) = handle.quorum.dismiss(gone).await
    {
        tracing::warn!(broker = id, %error, "it still gets the metadata; trying again");
        return false;
    }
    tracing::info!(broker = id, "empty and stopped: it is forgotten");
    propose(handle, Command::UnregisterBroker { id }).await
}

async fn propose(handle: &ControllerHandle, command: Command) -> bool {
    let refused = match handle.submit(command).await {
        Ok(Reply::BrokerChanged(Err(failure))) => failure.message,
        Ok(Reply::PartitionsReassigned(results)) => {
            let failures = results
                .iter()
                .flat_map(|topic| &topic.partitions)
                .filter_map(|(_, result)| result.as_ref().err());
            failures.map(|failure| failure.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    if !refused.is_empty() {
        tracing::warn!(why = refused, "a step of a decommission was refused; trying again");
    }
    refused.is_empty()
}
