//! Partition logs on one machine.
