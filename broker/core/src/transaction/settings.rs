//! What an operator sets about transactions, under Kafka's names.

/// Settings of a transaction coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// `transaction.max.timeout.ms`: the longest a client may let its transactions be open.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`: an id that did nothing for so long is forgotten.
    pub id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`: transactions are aborted at multiples of this.
    pub timeout_check_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`: ids are forgotten at multiples of this.
    pub expiration_check_interval_ms: i64,
}

impl Default for TransactionSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        TransactionSettings {
            max_timeout_ms: 900_000,
            id_expiration_ms: 7 * 24 * 3_600_000,
            timeout_check_interval_ms: 10_000,
            expiration_check_interval_ms: 3_600_000,
        }
    }
}
