//! Load driver and floor.
