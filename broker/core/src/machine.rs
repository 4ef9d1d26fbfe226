//! The shape of every coordinator: a state machine whose log is one partition of an internal topic.
//!
//! Decide, write, apply: [`StateMachine::handle`] decides and returns records; the shell replays and appends them; only
//! [`StateMachine::replay`] changes what must survive, and loading a shard is the same replay. State that need not
//! survive (waiting requests, timers) may change while deciding.
//!
//! ```text
//!            handle ──► Outcome{records, replies}
//!                          │ replay each record at once, so that the next request sees its effect
//!                          ▼
//!            append the records of some outcomes as one batch
//!              accepted ──► on_appended ──► high watermark passes the batch ──► replies leave
//!              refused  ──► on_append_failed: undo, and answer those requests with an error
//! ```
//! A shell has at most one batch in flight between replay and acceptance, so undoing is undoing the last batch.

use std::time::Duration;

use bytes::Bytes;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, Offset, TimestampMs};

/// Names a waiting request; the shell maps it to the channel its answer leaves by. Never used twice by one shell.
pub type Token = u64;

/// One record of a coordinator's log; a missing value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// What the record is about; compaction keeps the newest record of a key.
    pub key: Bytes,
    /// The new state of the key, or `None` when it is gone.
    pub value: Option<Bytes>,
}

/// What a decision came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<R> {
    /// To be replayed now and appended, all or none, in this order.
    pub records: Vec<CoordinatorRecord>,
    /// Answers, to this request or to others that waited. They leave once the records are committed.
    pub replies: Vec<(Token, R)>,
    /// There are no records, but the answers tell of state whose records may not be committed yet: they leave once
    /// everything appended before them is committed.
    pub barrier: bool,
}

impl<R> Outcome<R> {
    /// Nothing to write, nothing to say: the request waits, or was news.
    pub fn none() -> Self {
        Outcome { records: Vec::new(), replies: Vec::new(), barrier: false }
    }

    /// One answer that leaves at once.
    pub fn reply(token: Token, reply: R) -> Self {
        Outcome { records: Vec::new(), replies: vec![(token, reply)], barrier: false }
    }

    /// One answer that leaves once everything appended so far is committed.
    pub fn read(token: Token, reply: R) -> Self {
        Outcome { records: Vec::new(), replies: vec![(token, reply)], barrier: true }
    }

    /// Whether there is neither a record nor an answer.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.replies.is_empty()
    }
}

/// A coordinator of one shard, without a clock, a disk or a runtime.
pub trait StateMachine {
    /// What is asked of it.
    type Request;
    /// What it answers.
    type Reply;

    /// Decides about one request. Its answer comes in this outcome or in a later one, under the same token.
    fn handle(&mut self, token: Token, request: Self::Request, now: Now) -> Outcome<Self::Reply>;

    /// Applies one record: of an outcome just returned, or of the log while loading. A record that cannot be read
    /// is skipped: newer software may have written it.
    fn replay(&mut self, offset: Offset, record: &CoordinatorRecord, timestamp: TimestampMs);

    /// The whole log is replayed: the machine starts its timers and takes requests from now on.
    fn on_loaded(&mut self, now: Now);

    /// Everything replayed so far is in the log: nothing of it will be undone.
    fn on_appended(&mut self);

    /// The log refused the batch of these outcomes, which were replayed in this order. Undoes their effect and gives
    /// the answers to send instead, for the tokens in `failed` and for others concerned.
    fn on_append_failed(
        &mut self,
        failed: Vec<Outcome<Self::Reply>>,
        error: ErrorCode,
        now: Now,
    ) -> Vec<(Token, Self::Reply)>;

    /// The answer to send instead of one that waited too long for what it tells of to be committed. That still stands, as
    /// after any lost answer.
    fn uncommitted(reply: Self::Reply) -> Self::Reply;

    /// When [`StateMachine::on_deadline`] is next due, as `Now::mono`; `None` when nothing waits for time.
    fn next_deadline(&self) -> Option<Duration>;

    /// Does what fell due by `now`.
    fn on_deadline(&mut self, now: Now) -> Outcome<Self::Reply>;
}
