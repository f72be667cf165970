//! Real engines under real faults: no acknowledged commit is lost, and clusters become whole again.

mod mariadb;
mod postgres;
mod stories;
mod support;
mod valkey;
