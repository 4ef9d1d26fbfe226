//! What is offered is what behaves.

use super::*;

#[test]
fn a_new_cluster_runs_at_the_highest_levels() {
    let levels = of_new_cluster();
    assert_eq!(levels.len(), FEATURES.len());
    for feature in FEATURES {
        assert!(feature.min <= feature.max);
        assert_eq!(levels[feature.name], feature.max);
    }
}

/// Clients switch to transactions v2 and to KIP-848 groups when they see these features finalised.
#[test]
fn features_whose_behaviour_is_not_here_are_not_offered() {
    for absent in ["transaction.version", "group.version", "share.version", "streams.version"] {
        assert!(FEATURES.iter().all(|feature| feature.name != absent));
    }
}
