//! RDS over HTTP. Engines are real processes at addresses of the loopback; networks and machines
//! are played.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod instance;
mod operations;
mod rules;
mod world;
