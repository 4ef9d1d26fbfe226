//! Unit tests of the image.
