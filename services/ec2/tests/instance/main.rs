//! Instances and what they are made from, over HTTP and with simulated drivers.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![expect(clippy::indexing_slicing, reason = "a test ends where it cannot go on")]

mod access;
mod cfn;
mod changes;
mod images;
mod keys;
mod launch;
mod lifecycle;
mod region;
mod templates;
mod zones;
