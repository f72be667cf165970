//! Real engines under real faults: no acknowledged commit is lost, and clusters become whole again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails where it stands, and tells its figures"
)]

mod mariadb;
mod parameters;
mod postgres;
mod stories;
mod support;
mod valkey;
