//! Caches over HTTP, with real engines as child processes.

mod group;
mod rules;
mod world;
