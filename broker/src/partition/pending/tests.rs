//! Filled in with the writer.
