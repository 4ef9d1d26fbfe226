//! What one request is charged, and the rest that its connection must take (KIP-219).
//!
//! An answer leaves at once and says how long the client should rest; the connection then starts no further request for
//! that time. Request time is what this node's threads spend on a request: its decoding and every poll of its handler,
//! not the time it waits for data, disks or other members. It counts in percent of one thread.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_core::metadata::QuotaKey;

use super::Quotas;
use super::limits::ClientLimits;

/// A connection's side: whose limits hold for it, and its rest.
#[derive(Default)]
pub struct Payer {
    pub(super) limits: Option<Arc<ClientLimits>>,
    /// Where its requests leave the rest they ask for.
    pub throttle: Arc<Throttle>,
}

/// A rest that a connection's requests asked for and the connection has not begun.
#[derive(Default)]
pub struct Throttle(AtomicU64);

impl Throttle {
    /// Asks for a rest from now on.
    fn ask(&self, rest: Duration) {
        self.0.fetch_max(u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The longest rest asked for since the last call.
    pub fn take(&self) -> Option<Duration> {
        // A swap locks the cache line; most connections never rest.
        if self.0.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(Duration::from_nanos(self.0.swap(0, Ordering::Relaxed)))
    }
}

/// What one request used; made only for clients that something limits.
pub struct Charge {
    quotas: Arc<Quotas>,
    limits: Arc<ClientLimits>,
    throttle: Arc<Throttle>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Time of threads spent, but for the turn that runs.
    spent: Duration,
    /// When the turn that runs began.
    turn: Option<Duration>,
    /// The longest rest asked for.
    rest: Duration,
    is_time_charged: bool,
}

impl Charge {
    pub(super) fn new(quotas: Arc<Quotas>, limits: Arc<ClientLimits>, throttle: Arc<Throttle>) -> Self {
        let turn = limits.request.is_some().then(|| quotas.clock.now().mono);
        Charge { quotas, limits, throttle, state: Mutex::new(State { turn, ..State::default() }) }
    }

    /// Counts a produce request.
    pub fn produced(&self, bytes: usize) {
        let Some(limit) = &self.limits.produce else { return };
        let now = self.quotas.clock.now().mono;
        let rest = {
            let mut rate = limit.usage();
            rate.record(bytes as f64, now);
            rate.rest(limit.quota, now)
        };
        self.rest(QuotaKey::ProducerByteRate, rest);
    }

    /// Bytes that one fetch may carry: what its quota allows in a whole window.
    pub fn fetch_bytes_max(&self) -> usize {
        let window = &self.quotas.windows.clients;
        self.limits.fetch.as_ref().map_or(usize::MAX, |limit| window.allowance(limit.quota) as usize)
    }

    /// Counts the records of a fetch; false when the client is over a quota and must get none. Then they do not count.
    ///
    /// After a window without any, records leave however many they are: a batch larger than the allowance of a
    /// window would never be read otherwise.
    pub fn fetched(&self, bytes: usize) -> bool {
        let now = self.quotas.clock.now().mono;
        let (mut rest, mut is_first) = (Duration::ZERO, false);
        if let (Some(limit), true) = (&self.limits.fetch, bytes > 0) {
            let mut rate = limit.usage();
            is_first = rate.is_idle(now);
            rate.record(bytes as f64, now);
            rest = rate.rest(limit.quota, now);
        }
        self.rest(QuotaKey::ConsumerByteRate, rest);
        let may_leave = self.settle() == 0 || is_first;
        if let (Some(limit), false) = (&self.limits.fetch, may_leave) {
            limit.usage().record(-(bytes as f64), now);
        }
        may_leave
    }

    /// Whether changes of topics are limited for this client.
    pub fn limits_mutations(&self) -> bool {
        self.limits.mutation.is_some()
    }

    /// Counts partitions that are created or deleted. A strict request is refused (false) while tokens are owed; another
    /// goes through and rests.
    pub fn mutated(&self, partitions: usize, is_strict: bool) -> bool {
        let Some(limit) = &self.limits.mutation else { return true };
        let now = self.quotas.clock.now().mono;
        let (rest, is_admitted) = {
            let mut bucket = limit.usage();
            let owed = bucket.rest(limit.quota, now);
            if is_strict && !owed.is_zero() {
                (owed, false)
            } else {
                bucket.spend(partitions as f64, limit.quota, now);
                (if is_strict { owed } else { bucket.rest(limit.quota, now) }, true)
            }
        };
        self.rest(QuotaKey::ControllerMutationRate, rest);
        is_admitted
    }

    /// Counts the time spent, once, and says for how many milliseconds the client must rest.
    pub fn settle(&self) -> i32 {
        if let Some(rest) = self.charge_time() {
            self.rest(QuotaKey::RequestPercentage, rest);
        }
        // Rounded up: a rest that is said is never shorter than the one that is kept.
        i32::try_from(self.state().rest.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    }

    fn charge_time(&self) -> Option<Duration> {
        let limit = self.limits.request.as_ref()?;
        let now = self.quotas.clock.now().mono;
        let spent = {
            let mut state = self.state();
            if std::mem::replace(&mut state.is_time_charged, true) {
                return None;
            }
            state.spent + state.turn.map_or(Duration::ZERO, |began| now.saturating_sub(began))
        };
        let mut rate = limit.usage();
        rate.record(spent.as_secs_f64() * 100.0, now);
        // Longer rests would starve group members of their heartbeats.
        Some(rate.rest(limit.quota, now).min(self.quotas.windows.clients.sample_time))
    }

    fn rest(&self, key: QuotaKey, rest: Duration) {
        if rest.is_zero() {
            return;
        }
        self.quotas.metrics.throttled(key, rest);
        self.throttle.ask(rest);
        let mut state = self.state();
        state.rest = state.rest.max(rest);
    }

    fn turn_begins(&self) {
        if self.limits.request.is_some() {
            let now = self.quotas.clock.now().mono;
            self.state().turn.get_or_insert(now);
        }
    }

    fn turn_ends(&self) {
        if self.limits.request.is_some() {
            let now = self.quotas.clock.now().mono;
            let mut state = self.state();
            if let Some(began) = state.turn.take() {
                state.spent += now.saturating_sub(began);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a request's work, counting its turns.
pub async fn timed<T>(charge: Option<Arc<Charge>>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let Some(charge) = &charge else { return work.as_mut().poll(cx) };
        charge.turn_begins();
        let polled = work.as_mut().poll(cx);
        charge.turn_ends();
        polled
    })
    .await
}
