//! Networks over HTTP, with simulated drivers.

mod address;
mod cfn;
mod fabric;
mod group;
mod interface;
mod network;
mod region;
mod routes;
mod tags;
