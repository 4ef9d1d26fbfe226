//! What becomes of replicas when disks are wiped, rot, fill up or fail: three brokers in this process, each on a disk of its own.

mod disks;
mod replicas;
