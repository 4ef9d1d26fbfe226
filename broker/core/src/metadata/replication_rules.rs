//! [`ReplicationRules`]: what a topic's configuration demands of its partitions' changes.
//!
//! A broker's own configuration can give the defaults, so brokers that disagree are taken by the safest of their words:
//! an ELR is right only while no leader may commit without its members (KIP-966), so the smallest `min.insync.replicas`
//! that any broker could lead with counts.

use std::collections::BTreeMap;

use super::config_layers::ConfigLayers;
use super::image::ClusterImage;
use super::topic_config;

const MIN_ISR: &str = "min.insync.replicas";
const UNCLEAN: &str = "unclean.leader.election.enable";
const FLUSH: &str = "tidemark.flush";

/// Keys of static configuration that a registration carries, because decisions depend on them.
pub const REPLICATION_KEYS: [&str; 3] = [FLUSH, MIN_ISR, UNCLEAN];

/// What one topic demands, or what topics without overrides do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicationRules {
    /// `min.insync.replicas`, not yet limited by the number of replicas.
    pub min_isr: usize,
    /// `unclean.leader.election.enable`.
    pub allows_unclean: bool,
    /// `tidemark.flush=async`: what a broker acknowledged may be lost when it stops uncleanly.
    pub is_async: bool,
}

impl ReplicationRules {
    /// What topics without overrides demand.
    pub fn of_cluster(image: &ClusterImage) -> Self {
        let none = BTreeMap::new();
        let of_layers = |layers: &ConfigLayers<'_>| {
            let value = |name| topic_config::effective_value(name, &none, layers).unwrap_or_default();
            ReplicationRules {
                min_isr: value(MIN_ISR).parse().unwrap_or(1),
                allows_unclean: is(&value(UNCLEAN), "true"),
                is_async: is(&value(FLUSH), "async"),
            }
        };
        image
            .brokers
            .values()
            .map(|broker| of_layers(&ConfigLayers::of_broker(image, broker.id, &broker.statics)))
            .reduce(|a, b| ReplicationRules {
                min_isr: a.min_isr.min(b.min_isr),
                allows_unclean: a.allows_unclean && b.allows_unclean,
                is_async: a.is_async || b.is_async,
            })
            .unwrap_or_else(|| of_layers(&ConfigLayers::of_cluster(image, &none)))
    }

    /// What this topic demands where these are the rules of topics without overrides.
    pub fn with_overrides_of(self, image: &ClusterImage, topic: &str) -> Self {
        let Some(overrides) = image.topic_config(topic) else { return self };
        let min_isr = overrides.get(MIN_ISR).and_then(|value| value.trim().parse().ok());
        ReplicationRules {
            min_isr: min_isr.unwrap_or(self.min_isr),
            allows_unclean: overrides.get(UNCLEAN).map_or(self.allows_unclean, |value| is(value, "true")),
            is_async: overrides.get(FLUSH).map_or(self.is_async, |value| is(value, "async")),
        }
    }

    /// How many replicas must be in sync before anything commits: never more than there are.
    pub fn min_isr(&self, replicas: usize) -> usize {
        self.min_isr.clamp(1, replicas.max(1))
    }

    /// Whether a change of these keys can change what a partition should be now.
    pub fn depend_on<'a>(mut keys: impl Iterator<Item = &'a String>) -> bool {
        keys.any(|key| key == MIN_ISR || key == UNCLEAN)
    }
}

fn is(value: &str, word: &str) -> bool {
    value.trim().eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests;
