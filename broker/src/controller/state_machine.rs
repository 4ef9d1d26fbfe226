//! The replicated state: applies committed proposals to the image and publishes it.
//!
//! Only the consensus library's apply task writes it. The image goes out once per batch, before any reply of that batch, so
//! whoever has a reply sees its effect. State depends on the log alone; what is beside it (recent replies) only decides what
//! a proposer is told.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tidemark_core::metadata::{ClusterImage, Reply, decide};
use tokio::sync::watch;
use uuid::Uuid;

use super::hashes::{HASH_EVERY, Hashes};
use super::quorum::{LogPosition, Proposal};
use super::snapshot::{self, SnapshotError, SnapshotHead};
use super::type_config::{
    RaftLogId, RaftMembers, Response, TypeConfig, from_log_id, from_members, to_log_id, to_members,
};
use super::writer::{Job, Writer};

/// Replies kept for repeated proposals of this process: above what it may have in flight.
const RECENT_REPLIES_MAX: usize = 2048;

/// The image and what belongs to it.
pub struct StateMachine {
    state: State,
    published: watch::Sender<Arc<ClusterImage>>,
    writer: Writer,
    /// Up to where the snapshot on disk reaches.
    saved: Option<LogPosition>,
    own_session: Uuid,
    recent: RecentReplies,
    hashes: Hashes,
}

/// What this process's own proposals returned, for whoever asks again: another voter may have applied them first.
#[derive(Clone, Debug, Default)]
pub struct RecentReplies(Arc<Mutex<BTreeMap<u64, Reply>>>);

impl RecentReplies {
    /// What the proposal of this sequence returned.
    pub fn get(&self, sequence: u64) -> Option<Reply> {
        self.lock().get(&sequence).cloned()
    }

    fn put(&self, sequence: u64, reply: Reply) {
        let mut recent = self.lock();
        recent.insert(sequence, reply);
        if recent.len() > RECENT_REPLIES_MAX {
            recent.pop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Reply>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the library wants to know of a snapshot's bytes.
pub fn meta_of(bytes: &[u8]) -> Result<SnapshotMetaOf<TypeConfig>, SnapshotError> {
    snapshot::decode(bytes).map(|(head, image)| State { image, head }.meta())
}

/// What every voter holds alike; cloning is cheap.
#[derive(Clone, Default)]
struct State {
    image: ClusterImage,
    head: SnapshotHead,
}

impl StateMachine {
    /// The state as a snapshot holds it, or the empty one. `own_session` names this process as a proposer.
    pub fn new(
        restored: Option<(SnapshotHead, ClusterImage)>,
        own_session: Uuid,
        writer: Writer,
        hashes: Hashes,
    ) -> (StateMachine, watch::Receiver<Arc<ClusterImage>>) {
        let saved = restored.as_ref().and_then(|(head, _)| head.position);
        let state = restored.map(|(head, image)| State { image, head }).unwrap_or_default();
        let (published, receiver) = watch::channel(Arc::new(state.image.clone()));
        let recent = RecentReplies::default();
        let machine = StateMachine { state, published, writer, saved, own_session, recent, hashes };
        (machine, receiver)
    }

    /// What the proposals of this process returned.
    pub fn recent(&self) -> RecentReplies {
        self.recent.clone()
    }

    fn apply_proposal(&mut self, proposal: &Proposal, index: u64) -> Option<Reply> {
        if !self.state.head.sessions.admit(proposal.session, proposal.sequence, index) {
            let own = proposal.session == self.own_session;
            return own.then(|| self.recent.get(proposal.sequence)).flatten();
        }
        let outcome = decide(&self.state.image, &proposal.command, index);
        for record in &outcome.records {
            self.state.image.apply(record);
        }
        if proposal.session == self.own_session {
            self.recent.put(proposal.sequence, outcome.reply.clone());
        }
        Some(outcome.reply)
    }

    fn publish(&self) {
        self.published.send_replace(Arc::new(self.state.image.clone()));
    }
}

impl State {
    fn members(&self) -> RaftMembers {
        RaftMembers::new(self.head.members_position.map(to_log_id), to_members(&self.head.members))
    }

    fn meta(&self) -> SnapshotMetaOf<TypeConfig> {
        SnapshotMetaOf::<TypeConfig> {
            last_log_id: self.head.position.map(to_log_id),
            last_membership: self.members(),
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<RaftLogId>, RaftMembers)> {
        Ok((self.state.head.position.map(to_log_id), self.state.members()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut replies = Vec::new();
        while let Some((entry, responder)) = entries.next().await.transpose()? {
            let position = from_log_id(&entry.log_id);
            let mut reply = None;
            match &entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(data) => reply = self.apply_proposal(&data.0, position.index),
                EntryPayload::Membership(members) => {
                    self.state.head.members = from_members(members);
                    self.state.head.members_position = Some(position);
                }
            }
            self.state.head.position = Some(position);
            self.state.image.set_version(position.index);
            if position.index.is_multiple_of(HASH_EVERY) && position.index > 0 {
                self.hashes.put(position.index, self.state.image.state_hash());
            }
            replies.extend(responder.map(|responder| (responder, reply)));
        }
        self.publish();
        for (responder, reply) in replies {
            responder.send(Response(reply));
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { state: self.state.clone(), writer: self.writer.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<TypeConfig>, bytes: Bytes) -> io::Result<()> {
        let (head, image) = snapshot::decode(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let position = meta.last_log_id.as_ref().map(from_log_id);
        if head.position != position {
            let why = format!("the snapshot holds {:?}, {position:?} was announced", head.position);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if position != self.saved {
            let at = position.unwrap_or_default();
            self.writer.run(|done| Job::SaveSnapshot { position: at, bytes, done }).await?;
            self.saved = position;
        }
        self.state = State { image, head };
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, Bytes>>> {
        let Some(bytes) = self.writer.read_snapshot().await? else { return Ok(None) };
        let (head, image) = snapshot::decode(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok(Some(SnapshotOf::<TypeConfig, Bytes> { meta: State { image, head }.meta(), snapshot: bytes }))
    }
}

/// A frozen view of the state, to be written while the state moves on.
pub struct SnapshotBuilder {
    state: State,
    writer: Writer,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, Bytes>> {
        let bytes = snapshot::encode(&self.state.head, &self.state.image);
        let position = self.state.head.position.unwrap_or_default();
        let saved = bytes.clone();
        self.writer.run(|done| Job::SaveSnapshot { position, bytes: saved, done }).await?;
        Ok(SnapshotOf::<TypeConfig, Bytes> { meta: self.state.meta(), snapshot: bytes })
    }
}
