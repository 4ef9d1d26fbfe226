//! Whether a node lives and whether it serves, as probes and scripts ask.
//!
//! *Live* fails only for what a restart repairs. *Ready* fails while clients should not be sent here: before the Kafka port
//! is open, while the node stops, and when it can take no writes.

use std::fmt::Write;
use std::sync::Arc;

use tokio::sync::watch;

use crate::controller::ControllerHandle;

/// Where in its life a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The Kafka port is not open yet.
    Starting,
    /// Clients are served.
    Serving,
    /// No new connections are taken.
    Stopping,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What is wrong with it, if anything is.
    pub problem: Option<String>,
}

/// What the checks look at.
#[derive(Clone)]
pub struct Health {
    /// Where in its life the node is.
    pub phase: watch::Receiver<Phase>,
    /// The metadata quorum.
    pub controller: ControllerHandle,
    /// Why the data directory takes no writes any more, if so.
    pub storage_failure: watch::Receiver<Option<Arc<str>>>,
}

impl Health {
    /// Checks that only a restart makes right again.
    pub fn live(&self) -> Vec<Check> {
        let failure = self.controller.failure();
        let problem = failure.borrow().clone();
        vec![Check { name: "metadata-log", problem }]
    }

    /// Checks that must hold for clients to be served.
    pub fn ready(&self) -> Vec<Check> {
        let phase = *self.phase.borrow();
        let metrics = self.controller.metrics();
        let metadata = match metrics.leader {
            None => Some("the metadata quorum has no leader".to_owned()),
            Some(_) if self.controller.image().cluster_id.is_empty() => {
                Some("the cluster's metadata have not arrived".to_owned())
            }
            Some(_) => None,
        };
        let mut checks = self.live();
        checks.push(Check { name: "metadata", problem: metadata });
        let storage = self.storage_failure.borrow().as_ref().map(|why| why.to_string());
        checks.push(Check { name: "storage", problem: storage });
        let listeners = (phase == Phase::Starting).then(|| "the Kafka port is not open yet".to_owned());
        checks.push(Check { name: "listeners", problem: listeners });
        let draining = (phase == Phase::Stopping).then(|| "the node is stopping".to_owned());
        checks.push(Check { name: "not-stopping", problem: draining });
        checks
    }
}

/// Whether nothing is wrong.
pub fn is_ok(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.problem.is_none())
}

/// The checks as text: one line each if `verbose`, else what is wrong, else `ok`.
pub fn to_text(checks: &[Check], verbose: bool) -> String {
    let mut text = String::new();
    for check in checks {
        // Writing to a string cannot fail.
        let _ = match &check.problem {
            Some(why) => writeln!(text, "[-] {}: {why}", check.name),
            None if verbose => writeln!(text, "[+] {}: ok", check.name),
            None => Ok(()),
        };
    }
    if is_ok(checks) {
        text.push_str("ok\n");
    } else {
        text.push_str("failed\n");
    }
    text
}
