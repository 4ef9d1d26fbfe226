//! Accepts connections on one listener and starts a task for each.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{Connection, DRAIN_TIME_MAX};
use super::quota::HeldConnection;
use super::{Ctx, ListenerInfo};
use crate::runtime::NetworkThreads;
use crate::transport::{self, BoundPort};

/// An open port.
pub struct Listener {
    socket: TcpListener,
    info: Arc<ListenerInfo>,
}

impl Listener {
    /// Opens a bound port to clients. `backlog` is how many of them the kernel keeps waiting, if it is above our minimum.
    pub fn open(name: &str, port: BoundPort, backlog: i32) -> io::Result<Self> {
        let socket = port.listen(backlog.max(BACKLOG_MIN))?;
        Ok(Listener { socket, info: Arc::new(ListenerInfo { name: name.to_owned() }) })
    }

    /// Accepts until `shutdown`, then waits a bounded time for the connections to finish their answers.
    pub async fn serve(self, ctx: Arc<Ctx>, network: NetworkThreads, mut shutdown: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let stop = shutdown.clone();
        loop {
            tokio::select! { biased;
                () = super::stopped(&mut shutdown) => break,
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        if let Err(error) = transport::prepare(&stream) {
                            tracing::debug!(%address, %error, "connection lost before it began");
                            continue;
                        }
                        let admitted = match ctx.connections.admit(address.ip(), &ctx.settings()) {
                            Ok(admitted) => admitted,
                            Err(refused) => {
                                tracing::warn!(%address, reason = %refused, "connection refused");
                                continue;
                            }
                        };
                        if let Err(held) = ctx.quotas.connected(address.ip()) {
                            tracing::debug!(%address, "connection refused: its address opens too many");
                            connections.spawn(hold((stream, admitted), held, stop.clone()));
                            continue;
                        }
                        ctx.metrics.connection_opened();
                        let (ctx, info, stop) = (ctx.clone(), self.info.clone(), stop.clone());
                        network.spawn(&mut connections, async move {
                            match transport::adopt(stream) {
                                Ok(stream) => Connection::new(ctx, info, stream, address, admitted).run(stop).await,
                                Err(error) => {
                                    ctx.metrics.connection_closed("io");
                                    tracing::debug!(%address, %error, "connection lost before it began");
                                }
                            }
                        });
                    }
                    // Out of descriptors or memory: the connections that exist go on, and one of them ending makes room.
                    Err(error) => {
                        tracing::error!(%error, listener = %self.info.name, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIME_MAX, drained).await.is_err() {
            tracing::warn!(listener = %self.info.name, "connections cut at shutdown: their answers took too long");
        }
    }
}

/// Holds a connection over its address's rate unread, so that a client that connects again at once gains nothing, and
/// closes it (KIP-612).
async fn hold<C>(connection: C, held: HeldConnection, mut shutdown: watch::Receiver<bool>) {
    if held.place.is_some() {
        let _ = tokio::time::timeout(held.rest, super::stopped(&mut shutdown)).await;
    }
    drop(connection);
}

/// Pause after a failed accept, so that a broker without descriptors does not spin.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// After a restart all clients come at once, and each that finds the queue full tries again only after a second: Kafka's
/// default of 50 is full in the time a busy machine takes to switch threads. The kernel has its own limit (somaxconn).
const BACKLOG_MIN: i32 = 1024;
