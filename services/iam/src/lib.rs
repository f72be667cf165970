//! AWS Identity and Access Management, after the IAM API Reference (2010-05-08).

mod directory;
mod store;

pub use directory::{Directory, FirstAccount, KeyPair};
