//! Unit tests of the record codec.
