//! Auto Scaling over HTTP, with EC2 and Elastic Load Balancing played by tables in memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what holds")]

mod capacity;
mod denied;
mod groups;
mod played;
