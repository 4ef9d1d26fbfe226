//! `tidemark`: the one binary.

fn main() {}
