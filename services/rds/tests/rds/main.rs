//! RDS over HTTP. Engines are real processes at addresses of the loopback; networks and machines
//! are played.

mod instance;
mod rules;
mod world;
