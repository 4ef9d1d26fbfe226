//! [`Coordinator`]: the task that runs one state machine over one shard's log.
//!
//! Loads the log, opens once the high watermark covers what it loaded, then takes requests in rounds: handle each, replay
//! its records at once, append the records of the round as one batch, park the answers until the high watermark passes.
//! One batch at a time is between replay and acceptance, so a refused batch is the last one and can be undone. The task
//! ends when the partition is not led here any more or nobody can ask any more; whoever still waits then is told
//! NOT_COORDINATOR. An idle shard wakes for the machine's deadlines only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::machine::{Outcome, StateMachine, Token};
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, RecordBatch};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, Offset};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::log::{LoadError, ShardLog};
use crate::clock::Clock;

/// Requests that wait for a shard; more wait in their connections.
const MAILBOX_MAX: usize = 1_024;
/// Requests handled in one round: their records make one batch.
const ROUND_REQUESTS_MAX: usize = 256;
/// Bytes of records after which a round ends: a batch stays far below what a log takes.
const ROUND_BYTES_MAX: usize = 512 * 1024;
/// A shard that could not be loaded is tried again after this.
const RELOAD_AFTER: Duration = Duration::from_secs(5);

/// What shards of one kind have in common.
#[derive(Clone)]
pub struct ShardOptions {
    /// Where the task of a shard runs, whoever asked for it first.
    pub tasks: Handle,
    /// Time.
    pub clock: Clock,
    /// How long an answer waits for its records to be committed, before the machine says another in its place.
    pub commit_timeout: Duration,
    /// A load that takes no longer than this is not noticed by clients: their requests wait for it.
    pub load_patience: Duration,
    /// Loads that run side by side.
    pub loads: Arc<Semaphore>,
}

/// A request and where its answer goes.
struct Ask<M: StateMachine> {
    request: M::Request,
    reply: Answer<M::Reply>,
}

/// What a request is answered with: by the machine, or by the shard that could not ask it.
type Answer<R> = oneshot::Sender<Result<R, ErrorCode>>;

/// A shard as handlers see it. The task ends when the last clone is dropped.
pub struct ShardHandle<M: StateMachine> {
    mailbox: mpsc::Sender<Ask<M>>,
}

impl<M: StateMachine> Clone for ShardHandle<M> {
    fn clone(&self) -> Self {
        ShardHandle { mailbox: self.mailbox.clone() }
    }
}

impl<M: StateMachine> ShardHandle<M> {
    /// Asks the machine. Errors are of the shard: COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR. The request is in the mailbox after the first poll, unless that is full.
    ///
    /// Takes the handle, because a request that waits must not keep alive the shard it waits for.
    pub async fn ask(self, request: M::Request) -> Result<M::Reply, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        let sent = self.mailbox.send(Ask { request, reply }).await;
        sent.map_err(|_| ErrorCode::NotCoordinator)?;
        drop(self);
        answer.await.unwrap_or(Err(ErrorCode::NotCoordinator))
    }

    /// Whether the task has ended.
    pub fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }
}

/// Starts the task of one shard.
pub fn start<M, L>(
    name: String,
    machine: M,
    log: L,
    options: ShardOptions,
) -> (ShardHandle<M>, JoinHandle<()>)
where
    M: StateMachine<Request: Send, Reply: Send> + Send + 'static,
    L: ShardLog,
{
    let (sender, mailbox) = mpsc::channel(MAILBOX_MAX);
    let coordinator = Coordinator {
        name,
        machine,
        log,
        options,
        mailbox,
        waiting: BTreeMap::new(),
        parked: VecDeque::new(),
        last_token: 0,
        end: 0,
    };
    let tasks = coordinator.options.tasks.clone();
    (ShardHandle { mailbox: sender }, tasks.spawn(coordinator.run()))
}

/// The task of one shard.
struct Coordinator<M: StateMachine, L> {
    name: String,
    machine: M,
    log: L,
    options: ShardOptions,
    mailbox: mpsc::Receiver<Ask<M>>,
    /// Requests the machine has not answered, or whose answers are parked. A client that is gone stays until then.
    waiting: BTreeMap<Token, Answer<M::Reply>>,
    /// Answers that leave when the high watermark reaches their offset, in that order; bounded by the commit timeout.
    parked: VecDeque<Parked<M::Reply>>,
    last_token: Token,
    /// End of what this shard has loaded and appended.
    end: Offset,
}

/// Answers that wait for their records to be committed.
struct Parked<R> {
    end: Offset,
    give_up: Duration,
    replies: Vec<(Token, R)>,
}

/// What one round has decided and not appended.
struct Round<R> {
    outcomes: Vec<Outcome<R>>,
    bytes: usize,
}

impl<M, L> Coordinator<M, L>
where
    M: StateMachine<Request: Send, Reply: Send> + Send + 'static,
    L: ShardLog,
{
    async fn run(mut self) {
        if let Err(error) = self.load_and_answer().await {
            tracing::error!(shard = self.name, %error, "coordinator shard could not be loaded");
            return self.refuse_for_a_while().await;
        }
        let mut inbox = Vec::new();
        while let Some(committed) = self.log.committed() {
            self.release(committed);
            let wake = self.wake_after();
            tokio::select! {
                biased;
                () = self.log.changed(), if !self.parked.is_empty() => {}
                count = self.mailbox.recv_many(&mut inbox, ROUND_REQUESTS_MAX) => {
                    if count == 0 {
                        break;
                    }
                    self.round(&mut inbox).await;
                }
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {
                    self.round(&mut inbox).await;
                }
            }
        }
        tracing::debug!(shard = self.name, waiting = self.waiting.len(), "coordinator shard ends");
    }

    /// Loads; requests wait for it a little, and after that are told that it takes time.
    async fn load_and_answer(&mut self) -> Result<(), LoadError> {
        let (machine, log, options) = (&mut self.machine, &mut self.log, &self.options);
        let load = load(machine, log, options);
        tokio::pin!(load);
        if let Ok(done) = tokio::time::timeout(options.load_patience, &mut load).await {
            self.end = done?;
            return Ok(());
        }
        loop {
            tokio::select! {
                biased;
                done = &mut load => {
                    self.end = done?;
                    return Ok(());
                }
                Some(ask) = self.mailbox.recv() => {
                    // The client may be gone; there is nobody else to tell.
                    let _ = ask.reply.send(Err(ErrorCode::CoordinatorLoadInProgress));
                }
            }
        }
    }

    /// Keeps a shard that cannot be loaded from being tried by every request.
    async fn refuse_for_a_while(&mut self) {
        let give_up = tokio::time::sleep(RELOAD_AFTER);
        tokio::pin!(give_up);
        loop {
            tokio::select! {
                biased;
                () = &mut give_up => return,
                ask = self.mailbox.recv() => match ask {
                    // As above: a client that is gone needs no answer.
                    Some(ask) => drop(ask.reply.send(Err(ErrorCode::NotCoordinator))),
                    None => return,
                }
            }
        }
    }

    /// Handles what is due and what was asked, as few batches as the bounds allow.
    async fn round(&mut self, inbox: &mut Vec<Ask<M>>) {
        let now = self.options.clock.now();
        let mut round = Round { outcomes: Vec::new(), bytes: 0 };
        while self.machine.next_deadline().is_some_and(|at| at <= now.mono) {
            let outcome = self.machine.on_deadline(now);
            self.take(outcome, &mut round, now);
            self.append_if_full(&mut round, now).await;
        }
        for ask in inbox.drain(..) {
            self.last_token += 1;
            self.waiting.insert(self.last_token, ask.reply);
            let outcome = self.machine.handle(self.last_token, ask.request, now);
            self.take(outcome, &mut round, now);
            self.append_if_full(&mut round, now).await;
        }
        self.append(round, now).await;
    }

    /// Replays what was decided; answers that rest on nothing uncommitted leave at once.
    fn take(&mut self, outcome: Outcome<M::Reply>, round: &mut Round<M::Reply>, now: Now) {
        let uncommitted =
            round.bytes > 0 || self.log.committed().is_none_or(|committed| committed < self.end);
        if outcome.records.is_empty() && !(outcome.barrier && uncommitted) {
            return self.answer(outcome.replies);
        }
        for record in &outcome.records {
            self.machine.replay(self.end, record, now.wall_ms);
            round.bytes += 1 + record.key.len() + record.value.as_ref().map_or(0, |value| value.len());
        }
        round.outcomes.push(outcome);
    }

    async fn append_if_full(&mut self, round: &mut Round<M::Reply>, now: Now) {
        if round.bytes >= ROUND_BYTES_MAX {
            let full = std::mem::replace(round, Round { outcomes: Vec::new(), bytes: 0 });
            self.append(full, now).await;
        }
    }

    async fn append(&mut self, round: Round<M::Reply>, now: Now) {
        if round.bytes > 0 {
            match self.log.append(build(&round.outcomes, now)).await {
                Ok(end) => {
                    self.machine.on_appended();
                    self.end = end;
                }
                Err(error) => {
                    tracing::warn!(
                        shard = self.name,
                        error = error.name(),
                        "coordinator records were refused"
                    );
                    let replies = self.machine.on_append_failed(round.outcomes, error, now);
                    return self.answer(replies);
                }
            }
        }
        let replies: Vec<_> = round.outcomes.into_iter().flat_map(|outcome| outcome.replies).collect();
        if !replies.is_empty() {
            let give_up = now.mono + self.options.commit_timeout;
            self.parked.push_back(Parked { end: self.end, give_up, replies });
        }
    }

    /// Lets answers go whose records are committed, and those that have waited too long with an error: their records
    /// may still be committed, as after any lost answer.
    fn release(&mut self, committed: Offset) {
        while let Some(parked) = self.parked.pop_front_if(|parked| parked.end <= committed) {
            self.answer(parked.replies);
        }
        if self.parked.is_empty() {
            return;
        }
        let now = self.options.clock.now().mono;
        while let Some(parked) = self.parked.pop_front_if(|parked| parked.give_up <= now) {
            tracing::warn!(
                shard = self.name,
                end = parked.end,
                committed,
                "records of a coordinator shard were not committed in time"
            );
            for (token, reply) in parked.replies {
                self.send(token, Ok(M::uncommitted(reply)));
            }
        }
    }

    fn answer(&mut self, replies: Vec<(Token, M::Reply)>) {
        for (token, reply) in replies {
            self.send(token, Ok(reply));
        }
    }

    fn send(&mut self, token: Token, answer: Result<M::Reply, ErrorCode>) {
        if let Some(reply) = self.waiting.remove(&token) {
            // A client that went away needs no answer; what was decided stands.
            let _ = reply.send(answer);
        }
    }

    /// How long the task may sleep; `None` when nothing waits for time.
    fn wake_after(&self) -> Option<Duration> {
        let give_up = self.parked.front().map(|parked| parked.give_up);
        let next = [self.machine.next_deadline(), give_up].into_iter().flatten().min()?;
        Some(next.saturating_sub(self.options.clock.now().mono))
    }
}

/// Replays the whole log, and waits until all of it is committed: a record that is not may yet disappear.
async fn load<M: StateMachine, L: ShardLog>(
    machine: &mut M,
    log: &mut L,
    options: &ShardOptions,
) -> Result<Offset, LoadError> {
    let _permit = options.loads.acquire().await.expect("this semaphore is never closed");
    let (mut next, end) = log.open().await?;
    while next < end {
        let chunk = log.read(next, end).await?;
        if chunk.next <= next {
            break;
        }
        for (offset, record, timestamp) in &chunk.records {
            machine.replay(*offset, record, *timestamp);
        }
        next = chunk.next;
    }
    loop {
        match log.committed() {
            Some(committed) if committed >= end => break,
            Some(_) => log.changed().await,
            None => return Err(LoadError::NotLeader { leader_epoch: -1 }),
        }
    }
    machine.on_loaded(options.clock.now());
    Ok(end)
}

/// One batch of all records, in order.
fn build<R>(outcomes: &[Outcome<R>], now: Now) -> RecordBatch {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    for (offset, record) in (0..).zip(outcomes.iter().flat_map(|outcome| &outcome.records)) {
        builder.append(offset, now.wall_ms, Some(&record.key), record.value.as_deref(), &[]);
    }
    builder.build()
}

#[cfg(test)]
mod tests;
