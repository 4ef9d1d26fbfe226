//! The limits of one client, and the usage that they are held against.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_core::metadata::QuotaKey;
use tidemark_core::metadata::client_quota::{self, EntityType, QuotaEntity, QuotaMap};
use tidemark_core::quota::{TokenBucket, WindowedRate};

use super::Windows;

/// Usages remembered at a time; past it those that no connection holds are forgotten, idle ones first.
const USAGES_MAX: usize = 65_536;

/// A limit in units a second and what was used of it.
pub(super) struct Limit<U> {
    pub(super) quota: f64,
    usage: Arc<Mutex<U>>,
}

/// All limits of one client, as of one generation of the quotas.
pub(super) struct ClientLimits {
    client_id: String,
    generation: u64,
    pub(super) produce: Option<Limit<WindowedRate>>,
    pub(super) fetch: Option<Limit<WindowedRate>>,
    pub(super) request: Option<Limit<WindowedRate>>,
    pub(super) mutation: Option<Limit<TokenBucket>>,
}

/// Whose usage it is: of what the winning quota was set for, by the client's own names.
type Subject = (QuotaKey, Option<String>, Option<String>);

/// Usage by subject.
#[derive(Default)]
pub(super) struct Usages {
    rates: Mutex<HashMap<Subject, Arc<Mutex<WindowedRate>>>>,
    buckets: Mutex<HashMap<Subject, Arc<Mutex<TokenBucket>>>>,
}

impl<U> Limit<U> {
    /// The usage, for the moment it takes to count.
    pub(super) fn usage(&self) -> MutexGuard<'_, U> {
        lock(&self.usage)
    }
}

impl ClientLimits {
    /// Looks the limits of a user's client up.
    pub(super) fn find(
        quotas: &QuotaMap,
        client: (&str, &str),
        generation: u64,
        (usages, windows): (&Usages, &Windows),
        now: Duration,
    ) -> Self {
        let find = |key| {
            let (entity, quota) = client_quota::quota_of(quotas, client.0, client.1, key)?;
            Some((subject(key, entity, client), quota))
        };
        let rate = |key| {
            let (subject, quota) = find(key)?;
            let usage = remembered(
                &usages.rates,
                subject,
                || WindowedRate::new(windows.clients),
                |rate| rate.is_idle(now),
            );
            Some(Limit { quota, usage })
        };
        let bucket = |key| {
            let (subject, quota) = find(key)?;
            let usage = remembered(
                &usages.buckets,
                subject,
                || TokenBucket::new(windows.mutations),
                |bucket| bucket.is_full(quota, now),
            );
            Some(Limit { quota, usage })
        };
        ClientLimits {
            client_id: client.1.to_owned(),
            generation,
            produce: rate(QuotaKey::ProducerByteRate),
            fetch: rate(QuotaKey::ConsumerByteRate),
            request: rate(QuotaKey::RequestPercentage),
            mutation: bucket(QuotaKey::ControllerMutationRate),
        }
    }

    /// Whether these are the limits of this client as of this generation.
    pub(super) fn is_of(&self, client_id: &str, generation: u64) -> bool {
        self.generation == generation && self.client_id == client_id
    }

    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        self.produce.is_some() || self.fetch.is_some() || self.request.is_some() || self.mutation.is_some()
    }
}

/// A default stands for each name by itself: its usage is the name's own.
fn subject(key: QuotaKey, entity: &QuotaEntity, (user, client_id): (&str, &str)) -> Subject {
    let of = |kind, name: &str| entity.0.contains_key(&kind).then(|| name.to_owned());
    (key, of(EntityType::User, user), of(EntityType::ClientId, client_id))
}

fn remembered<U>(
    usages: &Mutex<HashMap<Subject, Arc<Mutex<U>>>>,
    subject: Subject,
    fresh: impl FnOnce() -> U,
    mut is_idle: impl FnMut(&mut U) -> bool,
) -> Arc<Mutex<U>> {
    let mut usages = lock(usages);
    if usages.len() >= USAGES_MAX {
        usages.retain(|_, usage| Arc::strong_count(usage) > 1 || !is_idle(&mut lock(usage)));
    }
    if usages.len() >= USAGES_MAX {
        usages.retain(|_, usage| Arc::strong_count(usage) > 1);
    }
    Arc::clone(usages.entry(subject).or_insert_with(|| Arc::new(Mutex::new(fresh()))))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
