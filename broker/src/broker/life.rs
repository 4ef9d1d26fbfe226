//! [`Life`]: what this broker and the controller say to each other while it runs.

use std::time::Duration;

use tidemark_protocol::types::BrokerId;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::controller::Controller;
use crate::controller::liveness::{self, Alive, Wish};

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
    /// Begins to send heartbeats, in the task that is returned.
    pub(super) fn begin(id: BrokerId, controller: &Controller) -> (Life, JoinHandle<()>) {
        let (wishes, wished) = watch::channel(Wish::default());
        let (tell, alive) = watch::channel(Alive { fenced: true, should_shutdown: false });
        let beat = liveness::beat(controller.handle(), controller.liveness(), id, wished, tell);
        (Life { wishes, alive }, tokio::spawn(beat))
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
