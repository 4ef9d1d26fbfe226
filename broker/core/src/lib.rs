//! Agreement between machines and over time.
