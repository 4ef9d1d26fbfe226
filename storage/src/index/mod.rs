//! Where in a segment an offset or a time is. Everything here can be rebuilt from the segment and is never trusted
//! further than the batch header it points to.

pub mod offset;
pub mod sparse;
pub mod time;
pub mod transaction;

pub use offset::{OffsetEntry, OffsetIndex};
pub use sparse::{IndexError, SparseIndex, Summary};
pub use time::{TimeEntry, TimeIndex};
pub use transaction::{AbortedTransaction, TransactionIndex};
