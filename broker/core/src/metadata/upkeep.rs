//! [`Upkeep`]: what the active controller does without being asked: internal topics get the replicas they should have, and
//! leaders go back to their preferred replicas.
//!
//! Soft state of whoever is in office; time is an argument. A look costs something only when brokers, drains or topics have
//! changed since the last, or when the balance is due.

use std::time::Duration;

use tidemark_protocol::types::Now;

use super::balance::{ELECTIONS_MAX, imbalance, internal_replication};
use super::broker_config::BrokerSettings;
use super::command::{Command, Election};
use super::image::ClusterImage;

/// Between two proposals of the same kind: the first may be on its way still, or refused for reasons that last.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What is wanted, from the controller's own configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpkeepRules {
    /// How often leaders are brought back, and how large a share may be elsewhere; `None` where nobody wants that.
    pub balance: Option<(Duration, u32)>,
    /// Replicas of internal topics (`offsets.topic.replication.factor`).
    pub internal_replication_factor: usize,
}

impl UpkeepRules {
    /// As the settings of the controller's broker say.
    pub fn of(settings: &BrokerSettings) -> Self {
        let every = u64::try_from(settings.leader_imbalance_check_interval_seconds).unwrap_or(u64::MAX);
        let share = u32::try_from(settings.leader_imbalance_per_broker_percentage).unwrap_or(0);
        let factor = usize::try_from(settings.offsets_topic_replication_factor).unwrap_or(1);
        UpkeepRules {
            balance: settings.auto_leader_rebalance.then(|| (Duration::from_secs(every), share)),
            internal_replication_factor: factor,
        }
    }
}

/// What has been looked at in this term of office.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// When leaders are looked at next; `None` until the first look of a term.
    balance_at: Option<Duration>,
    /// Nothing was missing from internal topics in this image.
    settled: Option<ClusterImage>,
    /// Internal topics are left alone until then.
    raise_at: Duration,
}

impl Upkeep {
    /// Somebody else is the controller: nothing of what was seen counts any more.
    pub fn leave_office(&mut self) {
        *self = Upkeep::default();
    }

    /// What is to be proposed now.
    pub fn due(&mut self, image: &ClusterImage, rules: &UpkeepRules, now: Now) -> Vec<Command> {
        [self.raise(image, rules, now), self.balance(image, rules, now)].into_iter().flatten().collect()
    }

    fn raise(&mut self, image: &ClusterImage, rules: &UpkeepRules, now: Now) -> Option<Command> {
        let is_same = |seen: &ClusterImage| {
            seen.brokers.ptr_eq(&image.brokers)
                && seen.topics.ptr_eq(&image.topics)
                && seen.drains.ptr_eq(&image.drains)
        };
        if now.mono < self.raise_at || self.settled.as_ref().is_some_and(is_same) {
            return None;
        }
        let topics = internal_replication(image, rules.internal_replication_factor);
        if topics.is_empty() {
            self.settled = Some(image.clone());
            return None;
        }
        self.raise_at = now.mono + PROPOSE_AGAIN_AFTER;
        Some(Command::ReassignPartitions { topics, allow_replication_factor_change: true })
    }

    fn balance(&mut self, image: &ClusterImage, rules: &UpkeepRules, now: Now) -> Option<Command> {
        let (every, percentage) = rules.balance?;
        let at = *self.balance_at.get_or_insert(now.mono.saturating_add(every));
        if now.mono < at {
            return None;
        }
        let partitions = imbalance(image, percentage);
        let elections: usize = partitions.iter().map(|topic| topic.partitions.len()).sum();
        // As many as one command takes: the rest follows soon.
        let pause = if elections < ELECTIONS_MAX { every } else { PROPOSE_AGAIN_AFTER.min(every) };
        self.balance_at = Some(now.mono.saturating_add(pause));
        (elections > 0)
            .then_some(Command::ElectLeaders { election: Election::Preferred, partitions: Some(partitions) })
    }
}

#[cfg(test)]
mod tests;
