//! [`Net`]: what becomes of messages between nodes: how long they take, which are lost, in which order they come.
//!
//! Replication speaks over connections as TCP gives them: in order, and nothing after something that was lost. Everything
//! else is a call of its own: lost, late, and in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemark_protocol::types::BrokerId;

use super::plan::Plan;
use crate::rng::Rng;

/// One direction between two nodes.
type Link = (BrokerId, BrokerId);

/// One direction of one connection: sender and connection, named by the follower's node and number.
type Stream = (BrokerId, BrokerId, u64);

/// The network.
#[derive(Default)]
pub struct Net {
    cut: BTreeSet<Link>,
    isolated: BTreeSet<BrokerId>,
    /// Links that are slow until then, by so much.
    slow: BTreeMap<Link, (Duration, Duration)>,
    /// When the last message of a stream arrives.
    last: BTreeMap<Stream, Duration>,
    /// Connections that lost something.
    dead: BTreeSet<(BrokerId, u64)>,
}

impl Net {
    /// Whether a message sent now passes.
    pub fn connects(&self, from: BrokerId, to: BrokerId) -> bool {
        from == to
            || !(self.cut.contains(&(from, to))
                || self.isolated.contains(&from)
                || self.isolated.contains(&to))
    }

    /// Both ways.
    pub fn connects_both(&self, a: BrokerId, b: BrokerId) -> bool {
        self.connects(a, b) && self.connects(b, a)
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: BrokerId, to: BrokerId) {
        self.cut.insert((from, to));
    }

    /// Restores one direction.
    pub fn mend(&mut self, from: BrokerId, to: BrokerId) {
        self.cut.remove(&(from, to));
    }

    /// Cuts a node off.
    pub fn isolate(&mut self, id: BrokerId) {
        self.isolated.insert(id);
    }

    /// … and brings it back.
    pub fn join(&mut self, id: BrokerId) {
        self.isolated.remove(&id);
    }

    /// A direction gets slower by `by` until `until`.
    pub fn slow(&mut self, from: BrokerId, to: BrokerId, until: Duration, by: Duration) {
        self.slow.insert((from, to), (until, by));
    }

    /// Everything works again.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.isolated.clear();
        self.slow.clear();
    }

    /// When a call sent now arrives; `None` when it is lost.
    pub fn call(
        &mut self,
        from: BrokerId,
        to: BrokerId,
        now: Duration,
        plan: &Plan,
        rng: &mut Rng,
    ) -> Option<Duration> {
        let is_lost = !self.connects(from, to) || rng.below(1000) < plan.loss_permille;
        let delay = self.delay(from, to, now, plan, rng);
        (!is_lost).then_some(now + delay)
    }

    /// When a message of a connection arrives; `None` when it is lost, and the connection with it.
    pub fn stream(
        &mut self,
        from: BrokerId,
        to: BrokerId,
        connection: (BrokerId, u64),
        now: Duration,
        plan: &Plan,
        rng: &mut Rng,
    ) -> Option<Duration> {
        let is_lost = !self.connects(from, to) || rng.below(4000) < plan.loss_permille;
        let delay = self.delay(from, to, now, plan, rng);
        if is_lost {
            self.dead.insert(connection);
        }
        if self.dead.contains(&connection) {
            return None;
        }
        let last = self.last.entry((from, connection.0, connection.1)).or_default();
        *last = (now + delay).max(*last + Duration::from_micros(1));
        Some(*last)
    }

    /// The connection is over: what is still on its way may arrive, nothing more is sent.
    pub fn kill(&mut self, connection: (BrokerId, u64)) {
        self.dead.insert(connection);
    }

    /// Whether the connection is over.
    pub fn is_dead(&self, connection: (BrokerId, u64)) -> bool {
        self.dead.contains(&connection)
    }

    fn delay(&self, from: BrokerId, to: BrokerId, now: Duration, plan: &Plan, rng: &mut Rng) -> Duration {
        if from == to {
            return Duration::from_micros(1);
        }
        let more = self.slow.get(&(from, to)).filter(|(until, _)| *until > now).map(|(_, by)| *by);
        Duration::from_micros(50 + rng.below(plan.delay_us)) + more.unwrap_or_default()
    }
}
