//! Instances and what they are made from, over HTTP and with simulated drivers.

mod access;
mod cfn;
mod images;
mod keys;
mod launch;
mod lifecycle;
mod region;
mod templates;
