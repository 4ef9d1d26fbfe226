//! Changes of topics under the controller mutation quota (KIP-599): what each would create or delete is counted before
//! it is proposed, and a strict request goes without those that the quota refuses.

use tidemark_core::metadata::reply::TopicResult;
use tidemark_core::metadata::{ClusterImage, Command, Failure, Reply, decide};
use tidemark_protocol::error_code::ErrorCode;

use super::quota::Charge;

/// Who pays for a change.
#[derive(Clone, Copy, Default)]
pub struct Mutator<'a> {
    /// The request's charge; none when its client has no limits.
    pub charge: Option<&'a Charge>,
    /// Whether the request's version knows THROTTLING_QUOTA_EXCEEDED; older ones go through and rest.
    pub is_strict: bool,
}

/// Which items of a command the quota let through, with what each would have become.
pub struct Admission {
    foreseen: Vec<(bool, TopicResult)>,
}

/// Counts a change of topics and drops from the command what the quota refuses; none where nothing limits it.
pub fn admit(image: &ClusterImage, command: &mut Command, mutator: Mutator<'_>) -> Option<Admission> {
    let charge = mutator.charge.filter(|charge| charge.limits_mutations())?;
    let foreseen = topic_results(decide(image, command, image.version + 1).reply).ok()?;
    let foreseen: Vec<(bool, TopicResult)> = foreseen
        .into_iter()
        .map(|result| {
            let is_admitted = match &result.result {
                Ok(shape) => {
                    let all = usize::try_from(shape.partitions).unwrap_or(0);
                    let changed = all.saturating_sub(untouched(image, command, &result));
                    charge.mutated(changed, mutator.is_strict)
                }
                Err(_) => true,
            };
            (is_admitted, result)
        })
        .collect();
    let mut admitted = foreseen.iter().map(|(is_admitted, _)| *is_admitted);
    let mut is_kept = || admitted.next().unwrap_or(true);
    match command {
        Command::CreateTopics { topics, .. } => topics.retain(|_| is_kept()),
        Command::DeleteTopics { topics } => topics.retain(|_| is_kept()),
        Command::CreatePartitions { topics } => topics.retain(|_| is_kept()),
        _ => {}
    }
    Some(Admission { foreseen })
}

impl Admission {
    /// Whether the quota refused all items.
    pub fn is_nothing_left(&self) -> bool {
        self.foreseen.iter().all(|(is_admitted, _)| !is_admitted)
    }

    /// What became of every item, in the order of the request, from what became of those let through.
    pub fn merge(self, results: Vec<TopicResult>) -> Vec<TopicResult> {
        let mut results = results.into_iter();
        self.foreseen
            .into_iter()
            .map(|(is_admitted, foreseen)| match is_admitted {
                true => results.next().unwrap_or(foreseen),
                // Kafka's refusal has no words.
                false => TopicResult {
                    result: Err(Failure::new(ErrorCode::ThrottlingQuotaExceeded, "")),
                    ..foreseen
                },
            })
            .collect()
    }
}

/// The results of a command that changes topics; any other reply comes back.
pub fn topic_results(reply: Reply) -> Result<Vec<TopicResult>, Reply> {
    match reply {
        Reply::TopicsCreated(results) | Reply::TopicsDeleted(results) | Reply::PartitionsCreated(results) => {
            Ok(results)
        }
        other => Err(other),
    }
}

/// Partitions that the change leaves alone: those that a topic has which shall have more.
fn untouched(image: &ClusterImage, command: &Command, result: &TopicResult) -> usize {
    match (command, &result.name) {
        (Command::CreatePartitions { .. }, Some(name)) => {
            image.topic(name).map_or(0, |topic| topic.partitions.len())
        }
        _ => 0,
    }
}
