//! The broker-wide budget of request bytes in memory: a large frame is read only once its bytes fit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that requests may hold between their first byte and their answer. Clone is cheap.
#[derive(Clone)]
pub struct RequestBudget {
    permits: Arc<Semaphore>,
    bytes_max: u32,
}

impl RequestBudget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        RequestBudget { permits: Arc::new(Semaphore::new(bytes_max as usize)), bytes_max }
    }

    /// A share of `bytes`, if it is free now. A frame larger than the whole budget takes all of it.
    pub fn try_acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_many_owned(self.share(bytes)).ok()
    }

    /// Waits for a share of `bytes`, first come first served.
    pub async fn acquire(self, bytes: usize) -> OwnedSemaphorePermit {
        let share = self.share(bytes);
        self.permits.acquire_many_owned(share).await.expect("the budget is never closed")
    }

    /// Bytes in use now.
    pub fn used_bytes(&self) -> usize {
        self.bytes_max as usize - self.permits.available_permits()
    }

    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }
}
