//! IPv4 address blocks.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 block in CIDR notation. Its address is the block's first: host bits are never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cidr {
    first: u32,
    prefix: u8,
}

/// The text is not a CIDR block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a CIDR block: {0}")]
pub struct ParseCidrError(pub String);

impl Cidr {
    /// Every address.
    pub const ALL: Self = Self { first: 0, prefix: 0 };

    /// The block of `prefix` bits (0 to 32, larger counts as 32) that holds `address`.
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { first: u32::from(address) & mask(prefix), prefix }
    }

    /// The block of one address.
    pub fn host(address: Ipv4Addr) -> Self {
        Self::containing(address, 32)
    }

    /// The first address.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first)
    }

    /// The last address.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first | !mask(self.prefix))
    }

    /// The number of leading bits, 0 to 32.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// How many addresses the block holds.
    pub fn size(&self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// The `offset`-th address, or nothing when the block is smaller.
    pub fn nth(&self, offset: u32) -> Option<Ipv4Addr> {
        (u64::from(offset) < self.size()).then(|| Ipv4Addr::from(self.first + offset))
    }

    /// Whether `address` lies in the block.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.first
    }

    /// Whether `other` lies wholly in the block.
    pub fn contains_block(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network())
    }

    /// Whether the blocks share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains_block(other) || other.contains_block(self)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    /// Host bits may be set; they are cleared, as EC2 does for route and rule sources.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseCidrError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(refuse)?;
        let address: Ipv4Addr = address.parse().map_err(|_| refuse())?;
        let prefix: u8 = prefix.parse().map_err(|_| refuse())?;
        if prefix > 32 {
            return Err(refuse());
        }
        Ok(Self::containing(address, prefix))
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl TryFrom<String> for Cidr {
    type Error = ParseCidrError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_cleared() {
        assert_eq!(cidr("10.1.2.3/16").to_string(), "10.1.0.0/16");
        assert_eq!(cidr("1.2.3.4/0"), Cidr::ALL);
    }

    #[test]
    fn blocks_know_what_they_hold() {
        let block = cidr("10.0.4.0/22");
        assert_eq!(block.size(), 1024);
        assert_eq!(block.broadcast(), Ipv4Addr::new(10, 0, 7, 255));
        assert!(block.contains_block(&cidr("10.0.6.0/24")));
        assert!(!block.contains_block(&cidr("10.0.0.0/16")));
        assert!(block.overlaps(&cidr("10.0.0.0/16")));
        assert!(!block.overlaps(&cidr("10.0.8.0/24")));
        assert_eq!(block.nth(1024), None);
        assert_eq!(Cidr::ALL.size(), 1 << 32);
    }

    #[test]
    fn text_that_is_no_block_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/-1", "a/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
