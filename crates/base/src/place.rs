//! Where a resource lives: partition, region, zone, account.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The partition that Skyhold plays.
#[derive(Debug, Clone, Copy)]
pub struct Partition;

impl Partition {
    /// Its name in ARNs.
    pub const NAME: &'static str = "aws";
    /// The DNS suffix of its endpoints.
    pub const DNS_SUFFIX: &'static str = "amazonaws.com";
}

/// A region's name, as `ap-northeast-2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(String);

impl Region {
    /// The region called `name`; any lower-case name with digits and dashes is one.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region's zones, in order. Every region here has four, `a` to `d`, as Seoul has.
    pub fn zones(&self) -> Vec<Zone> {
        ['a', 'b', 'c', 'd'].iter().map(|letter| Zone(format!("{self}{letter}"))).collect()
    }

    /// The short code that AWS builds zone ids of, as `apne2`.
    ///
    /// AWS: "AWS Availability Zone IDs".
    pub fn short_code(&self) -> String {
        let mut parts = self.0.split('-');
        let area = parts.next().unwrap_or_default();
        let direction = parts.next().unwrap_or_default();
        let number = parts.next_back().unwrap_or_default();
        let direction = match direction {
            "northeast" => "ne",
            "northwest" => "nw",
            "southeast" => "se",
            "southwest" => "sw",
            other => other.get(..1).unwrap_or_default(),
        };
        format!("{area}{direction}{number}")
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Availability Zone's name, as `ap-northeast-2a`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zone(String);

impl Zone {
    /// The zone called `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region it is in: the name without its letter.
    pub fn region(&self) -> Region {
        Region(self.0.trim_end_matches(|c: char| c.is_ascii_lowercase()).to_owned())
    }

    /// The zone's id, as `apne2-az1`. Here zone `a` is `az1` for every account.
    pub fn zone_id(&self) -> String {
        let letter = self.0.bytes().next_back().unwrap_or(b'a');
        format!("{}-az{}", self.region().short_code(), letter.saturating_sub(b'a') + 1)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An AWS account: twelve digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AccountId(String);

/// The text is not twelve digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an account id: {0}")]
pub struct ParseAccountIdError(pub String);

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = ParseAccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if !well_formed {
            return Err(ParseAccountIdError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> Self {
        account.0
    }
}

impl TryFrom<String> for AccountId {
    type Error = ParseAccountIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_carry_aws_names_and_ids() {
        let region = Region::new("ap-northeast-2");
        let zones = region.zones();
        assert_eq!(zones.len(), 4);
        assert_eq!(zones[0].as_str(), "ap-northeast-2a");
        assert_eq!(zones[3].zone_id(), "apne2-az4");
        assert_eq!(zones[1].region(), region);
        assert_eq!(Region::new("us-east-1").short_code(), "use1");
    }

    #[test]
    fn accounts_are_twelve_digits() {
        assert!("123456789012".parse::<AccountId>().is_ok());
        for text in ["", "12345678901", "1234567890123", "12345678901x"] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }
}
