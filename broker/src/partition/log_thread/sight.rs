//! What a simulation sees of the replicas of a thread.

use tidemark_protocol::types::TopicIdPartition;

use super::LogThread;
use crate::partition::sight::ReplicaState;
use crate::partition::writer::LogState;

impl LogThread {
    /// All replicas of this thread.
    pub(crate) fn sights(&mut self) -> Vec<(TopicIdPartition, ReplicaState)> {
        let writers = self.writers.iter_mut().flatten();
        writers
            .map(|writer| {
                let id = writer.handle.id();
                let state = match &mut writer.state {
                    LogState::Unopened => ReplicaState::Unopened,
                    LogState::Offline(_) => ReplicaState::Offline,
                    LogState::Open(open) => ReplicaState::Open(Box::new(open.sight())),
                };
                (id, state)
            })
            .collect()
    }
}
