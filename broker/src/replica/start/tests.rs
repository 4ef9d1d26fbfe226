//! Names and journals at the start.
