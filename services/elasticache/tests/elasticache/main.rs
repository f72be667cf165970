//! Caches over HTTP, with real engines as child processes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is its failure"
)]

mod cluster;
mod group;
mod rules;
mod world;
