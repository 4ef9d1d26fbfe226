//! The leader's side of replication between nodes: fetch sessions of followers.
//!
//! A session belongs to a connection and remembers what its follower wants (`fetch_session`). A fetch with nothing to say waits
//! until a subscribed partition changes, until its time is up, or until the follower asks again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicIdPartition;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout_at};

use super::ReplicaManager;
use super::fetch_session::{Answer, FetchSession, MARKS_AFTER};
use super::messages::{ReplicaFetch, ReplicaFetched, ReplicaProgress, durable};
use super::throttles::Throttles;
use crate::partition::{PartitionHandle, PartitionView, Replication, Subscription};
use crate::peer::Services;
use crate::peer::call::Message;
use crate::peer::server::Session;

/// Answers followers from now on.
pub fn serve(services: &Services, replicas: &Arc<ReplicaManager>, throttles: &Arc<Throttles>) {
    let (own, throttles) = (Arc::clone(replicas), Arc::clone(throttles));
    services.serve(move |session, message: Message<ReplicaFetch>| {
        let (replicas, followers) = (Arc::clone(&own), session_of(&session, &throttles));
        async move {
            // Whatever waits answers at once: its follower has something new to say.
            let number = followers.arrived.fetch_add(1, Ordering::SeqCst) + 1;
            followers.superseded.notify_waiters();
            let mut state = followers.state.lock().await;
            if message.head.continues && number == 1 {
                return Ok(ReplicaFetched { is_lost: true, partitions: Vec::new() }.into());
            }
            Ok(fetch(&mut state, &replicas, message.head, &followers, number).await)
        }
    });
    let own = Arc::clone(replicas);
    services.serve(move |session, message: Message<ReplicaProgress>| {
        let ReplicaProgress { broker_epoch, durable: ends } = message.head;
        for (id, leader_epoch, end) in ends {
            if let Some(handle) = own.partition_by_id(id) {
                let durable = durable(broker_epoch, leader_epoch, end);
                handle.replicate(Replication::Durable { replica: session.caller.node_id, durable });
            }
        }
        std::future::ready(Ok(Message::from(())))
    });
}

/// What a connection of a follower keeps.
struct Followers {
    state: Mutex<FetchSession>,
    /// Fetches that have come.
    arrived: AtomicU64,
    superseded: Notify,
    subscription: Arc<Subscription>,
}

fn session_of(session: &Session, throttles: &Arc<Throttles>) -> Arc<Followers> {
    session.state(|| {
        let subscription = Subscription::new();
        let follower = FetchSession::new(session.caller.node_id, Arc::clone(&subscription));
        Arc::new(Followers {
            state: Mutex::new(follower.throttled_by(throttles)),
            arrived: AtomicU64::new(0),
            superseded: Notify::new(),
            subscription,
        })
    })
}

/// One fetch: what is new in it is taken up, then it waits until there is something to say.
async fn fetch(
    session: &mut FetchSession,
    replicas: &Arc<ReplicaManager>,
    fetch: ReplicaFetch,
    followers: &Followers,
    number: u64,
) -> Message<ReplicaFetched> {
    let mut deadline = Instant::now() + Duration::from_millis(fetch.max_wait_ms.into());
    let mut answer = Answer::new(fetch.max_bytes);
    for id in fetch.forget {
        session.forget(id);
    }
    for wanted in fetch.set {
        let found = find(replicas, wanted.id).await;
        session.begin(fetch.broker_epoch, wanted, found, &mut answer);
    }
    loop {
        let superseded = followers.superseded.notified();
        while let Some(cold) = session.collect(&mut answer) {
            let read = tokio::task::spawn_blocking(move || {
                let records = cold.read();
                (cold, records)
            });
            let Ok((cold, records)) = read.await else { break };
            session.give(&cold, records, &mut answer);
        }
        if !answer.is_empty() {
            session.tell_marks(&mut answer);
            return answer.message();
        }
        if followers.arrived.load(Ordering::SeqCst) > number {
            return answer.message();
        }
        if session.is_behind() {
            deadline = deadline.min(Instant::now() + MARKS_AFTER);
        }
        let wake_at = session.held_for().map_or(deadline, |rest| deadline.min(Instant::now() + rest));
        tokio::select! {
            biased;
            () = superseded => return answer.message(),
            woken = timeout_at(wake_at, followers.subscription.changed()) => {
                if woken.is_err() && wake_at == deadline {
                    session.tell_marks(&mut answer);
                    return answer.message();
                }
            }
        }
    }
}

/// The partition as it is served here.
async fn find(
    replicas: &ReplicaManager,
    id: TopicIdPartition,
) -> Result<(PartitionHandle, Arc<PartitionView>), ErrorCode> {
    let handle = replicas.partition_by_id(id).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let view = handle.ready_view().await.map_err(|_| ErrorCode::KafkaStorageError)?;
    Ok((handle, view))
}
