//! Images: read-only root trees built out of distribution packages and shared by all workloads.

mod debian;

pub use debian::mmdebstrap_extract;
pub(crate) use debian::{lock, remove_tree, require, run};
