//! Caches over HTTP, with real engines as child processes.

mod cluster;
mod group;
mod rules;
mod world;
