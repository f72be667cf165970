//! Networks over HTTP, with simulated drivers.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]
#![expect(clippy::indexing_slicing, reason = "a test ends where something is missing")]
#![expect(clippy::too_many_lines, reason = "a story of a test is told in one piece")]

mod address;
mod cfn;
mod fabric;
mod group;
mod interface;
mod network;
mod region;
mod routes;
mod tags;
