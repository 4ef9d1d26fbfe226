//! Client quotas in effect: which limits hold for a client or an address, and what was used of them (KIP-13, KIP-124,
//! KIP-219, KIP-599, KIP-612).
//!
//! Limits follow the cluster image; [`Quotas::apply`] alone writes them. A connection keeps the limits of its client and
//! looks them up anew when they change, so a request that nothing limits costs one load. Usage belongs to whatever the
//! winning quota was set for: one client, or all clients of a user.

mod charge;
mod limits;
mod metrics;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::Registry;
use tidemark_core::metadata::client_quota::{EntityType, QuotaMap};
use tidemark_core::metadata::{BrokerSettings, ClusterImage, QuotaKey};
use tidemark_core::quota::{QuotaWindow, WindowedRate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::clock::Clock;
use crate::transport;
pub use charge::{Charge, Payer, Throttle, timed};
use limits::{ClientLimits, Usages};
use metrics::QuotaMetrics;

/// The user of a connection that has not authenticated, which is every connection so far.
const ANONYMOUS: &str = "ANONYMOUS";
/// Addresses whose connections are counted at a time; past it the quiet ones are forgotten.
const ADDRESSES_MAX: usize = 16_384;
/// Connections over their address's rate that are held before they are closed; more are closed at once.
const HELD_MAX: usize = 1_024;
/// Time to resolve the hosts that quotas name; one that takes longer is not limited until the next change.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(5);

/// The limits of this node and their usage.
pub struct Quotas {
    clock: Clock,
    windows: Windows,
    metrics: QuotaMetrics,
    /// Which limits there are: 0 none at all, else a number that is new after every change.
    generation: AtomicU64,
    rules: ArcSwap<Rules>,
    usages: Usages,
    addresses: Mutex<HashMap<IpAddr, WindowedRate>>,
    held: Arc<Semaphore>,
    /// Held while limits change, so that an older image never replaces a newer one.
    changing: tokio::sync::Mutex<u64>,
}

/// How usage is sampled.
#[derive(Clone, Copy, Debug)]
struct Windows {
    clients: QuotaWindow,
    mutations: QuotaWindow,
}

/// The limits, as the image has them.
#[derive(Default)]
struct Rules {
    quotas: QuotaMap,
    /// Connections a second, by address.
    addresses: HashMap<IpAddr, f64>,
    /// Connections a second of any other address.
    other_addresses: Option<f64>,
}

/// A connection over its address's rate: it is closed after a rest.
pub struct HeldConnection {
    /// How long it is held.
    pub rest: Duration,
    /// Its place among the held ones; none when they are too many, and it is closed at once.
    pub place: Option<OwnedSemaphorePermit>,
}

impl Quotas {
    /// No limits yet; `settings` say how usage is sampled.
    pub fn new(
        settings: &BrokerSettings,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let windows = Windows {
            clients: QuotaWindow::new(settings.quota_window_num, settings.quota_window_size_seconds),
            mutations: QuotaWindow::new(
                settings.controller_quota_window_num,
                settings.controller_quota_window_size_seconds,
            ),
        };
        Ok(Arc::new(Quotas {
            clock,
            windows,
            metrics: QuotaMetrics::new(registry)?,
            generation: AtomicU64::new(0),
            rules: ArcSwap::default(),
            usages: Usages::default(),
            addresses: Mutex::default(),
            held: Arc::new(Semaphore::new(HELD_MAX)),
            changing: tokio::sync::Mutex::default(),
        }))
    }

    /// Keeps the limits in step with the image.
    pub async fn follow(self: Arc<Self>, mut images: watch::Receiver<Arc<ClusterImage>>) {
        while images.changed().await.is_ok() {
            let image = images.borrow_and_update().clone();
            self.apply(&image).await;
        }
    }

    /// Makes the quotas of an image those that hold, unless a newer one was applied.
    pub async fn apply(&self, image: &ClusterImage) {
        let mut applied = self.changing.lock().await;
        if image.version < *applied || image.quotas == self.rules.load().quotas {
            return;
        }
        *applied = image.version;
        let rules = Rules::new(image.quotas.clone()).await;
        let generation = if rules.quotas.is_empty() { 0 } else { image.version.max(1) };
        self.rules.store(Arc::new(rules));
        self.generation.store(generation, Ordering::Release);
    }

    /// What a request of this client is charged to; none when nothing limits it.
    pub fn charge(self: &Arc<Self>, payer: &mut Payer, client_id: Option<&str>) -> Option<Arc<Charge>> {
        match self.generation.load(Ordering::Acquire) {
            0 => None,
            generation => self.charge_limited(generation, payer, client_id.unwrap_or_default()),
        }
    }

    fn charge_limited(
        self: &Arc<Self>,
        generation: u64,
        payer: &mut Payer,
        client_id: &str,
    ) -> Option<Arc<Charge>> {
        let limits = match &payer.limits {
            Some(known) if known.is_of(client_id, generation) => Arc::clone(known),
            _ => {
                let quotas = &self.rules.load().quotas;
                let now = self.clock.now().mono;
                let limits = ClientLimits::find(
                    quotas,
                    (ANONYMOUS, client_id),
                    generation,
                    (&self.usages, &self.windows),
                    now,
                );
                let limits = Arc::new(limits);
                payer.limits = Some(Arc::clone(&limits));
                limits
            }
        };
        limits.is_any().then(|| Arc::new(Charge::new(Arc::clone(self), limits, Arc::clone(&payer.throttle))))
    }

    /// Counts a new connection of this address; over its rate the connection must not be served.
    pub fn connected(&self, address: IpAddr) -> Result<(), HeldConnection> {
        if self.generation.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let address = address.to_canonical();
        let rules = self.rules.load();
        let Some(quota) = rules.addresses.get(&address).copied().or(rules.other_addresses) else {
            return Ok(());
        };
        let now = self.clock.now().mono;
        let rest = {
            let mut addresses = self.lock_addresses();
            if addresses.len() >= ADDRESSES_MAX {
                addresses.retain(|_, rate| !rate.is_idle(now));
            }
            if addresses.len() >= ADDRESSES_MAX {
                // All of them are busy: a flood, of which none is worth remembering more than another.
                addresses.clear();
            }
            let rate = addresses.entry(address).or_insert_with(|| WindowedRate::new(self.windows.clients));
            rate.record(1.0, now);
            let rest = rate.rest(quota, now);
            if !rest.is_zero() {
                // It is not served, so it does not count.
                rate.record(-1.0, now);
            }
            rest
        };
        if rest.is_zero() {
            return Ok(());
        }
        let rest = rest.min(self.windows.clients.sample_time);
        self.metrics.throttled(QuotaKey::ConnectionCreationRate, rest);
        Err(HeldConnection { rest, place: self.held.clone().try_acquire_owned().ok() })
    }

    fn lock_addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, WindowedRate>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rules {
    async fn new(quotas: QuotaMap) -> Self {
        let mut rules = Rules::default();
        let mut named = Vec::new();
        for (entity, values) in &quotas {
            let limit = values.get(QuotaKey::ConnectionCreationRate.name());
            match (entity.0.get(&EntityType::Ip), limit) {
                (Some(None), Some(limit)) => rules.other_addresses = Some(*limit),
                (Some(Some(host)), Some(limit)) => named.push((host.clone(), *limit)),
                _ => {}
            }
        }
        let addresses = &mut rules.addresses;
        let resolved = tokio::time::timeout(RESOLVE_TIME_MAX, async {
            for (host, limit) in &named {
                if let Some(address) = transport::address_of(host).await {
                    addresses.insert(address.to_canonical(), *limit);
                }
            }
        });
        if resolved.await.is_err() {
            tracing::warn!("some hosts with a connection quota did not resolve in time and are not limited");
        }
        rules.quotas = quotas;
        rules
    }
}

#[cfg(test)]
mod tests;
