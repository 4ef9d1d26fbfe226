//! ProducerIds: the ids this shard may hand out, and who waits for one.
//!
//! The shell gets ids from the controller, which never gives one twice. An id that was taken for a decision the log refused
//! is not used again.

use std::collections::VecDeque;
use std::sync::Arc;

use tidemark_protocol::types::ProducerId;

use super::request::{EndRequest, InitRequest};
use crate::machine::Token;

/// Requests that may wait for an id; those above it are told to come again, as if the shard were still loading.
pub const WAITING_MAX: usize = 10_000;

/// What waits for an id, to be decided anew once there is one.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// A new transactional id, or one whose epochs are used up.
    Init(Token, InitRequest),
    /// The end of a transaction that uses up its epochs.
    End(Token, EndRequest),
    /// The same, by time.
    Timeout(Arc<str>),
}

/// Ids, and those who wait for one.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    free: VecDeque<ProducerId>,
    waiting: VecDeque<Waiting>,
    /// How many the worker was asked for and has not brought.
    asked: usize,
}

impl ProducerIds {
    /// An id, if there is one.
    pub fn take(&mut self) -> Option<ProducerId> {
        self.free.pop_front()
    }

    /// Has `who` wait for an id; gives it back if too many do.
    pub fn wait(&mut self, who: Waiting) -> Result<(), Waiting> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(who);
        }
        self.waiting.push_back(who);
        Ok(())
    }

    /// How many ids the worker is to ask for now: those that wait and were not asked for. One request at a time.
    pub fn wanted(&mut self) -> usize {
        if self.asked > 0 {
            return 0;
        }
        self.asked = self.waiting.len().saturating_sub(self.free.len());
        self.asked
    }

    /// The worker's question got lost on its way.
    pub fn ask_again(&mut self) {
        self.asked = 0;
    }

    /// The worker brought some.
    pub fn brought(&mut self, ids: Vec<ProducerId>) {
        self.asked = 0;
        self.free.extend(ids);
    }

    /// The first of those who wait, if there is an id for it.
    pub fn next_served(&mut self) -> Option<Waiting> {
        if self.can_serve() { self.waiting.pop_front() } else { None }
    }

    /// Whether somebody waits and there is an id.
    pub fn can_serve(&self) -> bool {
        !self.free.is_empty() && !self.waiting.is_empty()
    }

    /// There are none to be had: everybody who waits.
    pub fn give_up(&mut self) -> Vec<Waiting> {
        self.asked = 0;
        self.waiting.drain(..).collect()
    }
}
