//! How many connections there are, in all and from each address, and whether one more may come in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_core::metadata::BrokerSettings;

/// Counts open connections. Clone is cheap.
#[derive(Clone, Default)]
pub struct ConnectionLimits {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection that was let in; dropping it makes room.
pub struct Admitted {
    limits: ConnectionLimits,
    address: IpAddr,
}

/// Which limit keeps a connection out, by Kafka's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `max.connections`.
    #[error("max.connections is reached")]
    All,
    /// `max.connections.per.ip`.
    #[error("max.connections.per.ip is reached")]
    PerAddress,
}

impl ConnectionLimits {
    /// Lets a connection in, or says which limit keeps it out.
    pub fn admit(&self, address: IpAddr, settings: &BrokerSettings) -> Result<Admitted, Refused> {
        let limit = |value: i32| usize::try_from(value).unwrap_or(0);
        let mut counts = self.lock();
        if counts.all >= limit(settings.max_connections) {
            return Err(Refused::All);
        }
        let here = counts.by_address.entry(address).or_default();
        if *here >= limit(settings.max_connections_per_ip) {
            return Err(Refused::PerAddress);
        }
        *here += 1;
        counts.all += 1;
        Ok(Admitted { limits: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        counts.all -= 1;
        if let Some(here) = counts.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
