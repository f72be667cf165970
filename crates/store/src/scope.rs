//! Whose rows a transaction sees.

use std::fmt;

use base::{AccountId, Region};
use serde::{Deserialize, Serialize};

/// An account in a region: what the keys of most tables start with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

impl Scope {
    /// AWS's name for the place of resources that have no region; scans of account-wide tables
    /// give it as the rows' region.
    pub const GLOBAL_REGION: &'static str = "aws-global";

    /// The scope of `account` in `region`.
    pub fn new(account: AccountId, region: Region) -> Self {
        Self { account, region }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}
