//! What operators see of a node: logs on standard error, metrics and health on the admin port.
//!
//! Owners count what happens in handles of their own; this folder only reads them, when somebody asks. There is no global
//! registry: two brokers in one process do not mix. Names are `tidemark_<part>_<noun>_<unit>[_total]` in base units, those of
//! the process itself are the ones every Prometheus dashboard knows (`process_*`).

pub mod admin;
pub mod cluster;
pub mod events;
pub mod families;
pub mod health;
pub mod logs;
pub mod node;
pub mod process;

pub use admin::Admin;
pub use events::EventLog;
pub use health::{Health, Phase};
pub use node::NodeSources;
