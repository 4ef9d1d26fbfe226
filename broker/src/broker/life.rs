//! [`Life`]: what this broker and the controller say to each other while it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::controller::Controller;
use crate::controller::liveness::{self, Alive, Wish};
use crate::data_dir::Identity;

/// How long a stopping broker may wait for others to lead.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(5);

/// The heartbeats of this broker.
pub(super) struct Life {
    /// What the controller is to know.
    wishes: watch::Sender<Wish>,
    /// What the controller said last.
    alive: watch::Receiver<Alive>,
}

impl Life {
    /// Begins to send heartbeats, in the tasks that are returned. `failure` tells when the data directory has failed: others
    /// have to lead then.
    pub(super) fn begin(
        identity: &Identity,
        controller: &Controller,
        failure: watch::Receiver<Option<Arc<str>>>,
    ) -> (Life, Vec<JoinHandle<()>>) {
        let (wishes, wished) = watch::channel(Wish::default());
        let (tell, alive) = watch::channel(Alive { fenced: true, should_shutdown: false });
        let beat = liveness::beat(controller.handle(), controller.liveness(), identity.node_id, wished, tell);
        let report = report(failure, identity.directory_id, wishes.clone());
        (Life { wishes, alive }, vec![tokio::spawn(beat), tokio::spawn(report)])
    }

    /// The life of a node that is no broker: it tells nobody anything, and holds nothing.
    pub(super) fn without_broker() -> Life {
        let (tell, alive) = watch::channel(Alive { fenced: false, should_shutdown: true });
        drop(tell);
        Life { wishes: watch::channel(Wish::default()).0, alive }
    }

    /// Returns when the controller sends clients here.
    pub(super) async fn until_unfenced(&mut self) {
        // An error means that nobody tells any more: the controller has stopped, which is noticed elsewhere.
        let _ = self.alive.wait_for(|alive| !alive.fenced).await;
    }

    /// Lets other brokers lead what this one leads, if there are any (KIP-841).
    pub(super) async fn hand_over(&mut self) {
        self.wishes.send_modify(|wish| wish.shutdown = true);
        let may_stop = self.alive.wait_for(|alive| alive.should_shutdown);
        if tokio::time::timeout(HAND_OVER_TIME_MAX, may_stop).await.is_err() {
            tracing::warn!("stopping without having handed everything over");
        }
    }
}

/// Tells the controller when the data directory has failed.
async fn report(
    mut failure: watch::Receiver<Option<Arc<str>>>,
    directory: Uuid,
    wishes: watch::Sender<Wish>,
) {
    // An error means that the partitions are being stopped: nothing fails any more.
    if failure.wait_for(Option::is_some).await.is_ok() {
        wishes.send_modify(|wish| wish.offline_directories = vec![directory]);
    }
}
