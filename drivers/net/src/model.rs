//! What one namespace of the fabric should hold, as values that can be compared: the step between
//! the declaration and the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;

use base::{Cidr, MacAddress, ResourceId};

use crate::filter::Ruleset;
use crate::route::Way;

/// The hardware address of every router's end of a link, and of the internet namespace's.
/// Each link is a segment of its own, so one serves all.
pub(crate) const ROUTER_MAC: MacAddress = MacAddress([0x0a, 0x53, 0x4b, 0, 0, 1]);
/// The hardware address of the other end of links that carry no interface.
pub(crate) const FAR_MAC: MacAddress = MacAddress([0x0a, 0x53, 0x4b, 0, 0, 2]);

/// The name of an interface inside its own namespace.
pub(crate) const INSIDE: &str = "eth0";
/// The name of a VPC's link to the internet namespace.
pub(crate) const GATEWAY_LINK: &str = "igw";
/// The name of the internet namespace's link to the host.
pub(crate) const UPLINK: &str = "up";

/// The largest frame inside a VPC.
///
/// AWS: "Network maximum transmission unit (MTU) for your EC2 instance".
pub(crate) const VPC_MTU: u32 = 9001;
/// The largest frame through an internet gateway; the same page.
pub(crate) const INTERNET_MTU: u32 = 1500;

/// The contents of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Space {
    /// Links by name.
    pub(crate) links: BTreeMap<String, Link>,
    /// Addresses: link, address, prefix.
    pub(crate) addresses: BTreeSet<(String, Ipv4Addr, u8)>,
    /// Routes: table and destination, then the way.
    pub(crate) routes: BTreeMap<(u32, Cidr), Way<String>>,
    /// Fixed neighbours: link and address.
    pub(crate) neighbours: BTreeMap<(String, Ipv4Addr), MacAddress>,
    /// Which mark asks which table.
    pub(crate) rules: BTreeSet<(u32, u32)>,
    /// Filters and translations; a namespace without has no table.
    pub(crate) ruleset: Option<Ruleset>,
}

/// A link of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whether it is switched on.
    pub(crate) up: bool,
    /// What is at its other end.
    pub(crate) far: Far,
}

/// The other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Far {
    /// An interface in a namespace of its own.
    Interface(Attachment),
    /// The internet namespace, where the link is called so.
    Internet(String),
    /// A namespace that makes and removes the pair.
    Maker,
}

/// An interface as its own namespace has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Its id.
    pub(crate) id: ResourceId,
    /// Its hardware address.
    pub(crate) mac: MacAddress,
    /// Its subnet's router.
    pub(crate) router: Ipv4Addr,
    /// Its subnet's prefix.
    pub(crate) prefix: u8,
    /// Its addresses, the primary one first.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// Whether it is a NAT gateway, which translates what it is sent to its address.
    pub(crate) translates: bool,
}

impl Attachment {
    /// The alias of a finished link: its id and fingerprints of what is fixed and of its addresses.
    pub(crate) fn alias(&self) -> String {
        let translated = self.addresses.first().filter(|_| self.translates);
        let fixed = fingerprint(&(self.mac, self.router, self.prefix, translated));
        format!("{} {fixed:016x} {:016x}", self.id, fingerprint(&self.addresses))
    }

    /// The alias without the part that may change while the interface lives.
    pub(crate) fn fixed_part(alias: &str) -> &str {
        alias.rsplit_once(' ').map_or(alias, |(fixed, _)| fixed)
    }
}

/// The name of the router's end of an interface's link: at most 15 characters.
pub(crate) fn interface_link(id: &ResourceId) -> String {
    short_name('e', id)
}

/// The name of the internet namespace's end of a VPC's link.
pub(crate) fn vpc_link(id: &ResourceId) -> String {
    short_name('g', id)
}

fn short_name(kind: char, id: &ResourceId) -> String {
    let digits = id.as_str().rsplit('-').next().unwrap_or_default();
    let tail = digits.len().saturating_sub(14);
    format!("{kind}{}", digits.get(tail..).unwrap_or_default())
}

/// The routing table of a subnet: its block's first address, turned so that neighbouring subnets
/// fall into different buckets of the kernel's, and none meets the kernel's own tables.
pub(crate) fn subnet_table(subnet: Cidr) -> u32 {
    u32::from(subnet.network()).rotate_right(8)
}

/// The mark that packets from a subnet bear: its block's first address.
pub(crate) fn subnet_mark(subnet: Cidr) -> u32 {
    u32::from(subnet.network())
}

/// The Fowler-Noll-Vo hash (FNV-1a, 64 bits): unlike the standard library's it promises to stay.
#[derive(Debug)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A number that differs, in practice, between different values.
pub(crate) fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = Fnv::default();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_fit_and_differ() {
        let random = |text| ResourceId::parse("eni", text).unwrap();
        let (a, b) = (random("eni-0123456789abcdef0"), random("eni-0123456789abcdef1"));
        assert_eq!(interface_link(&a), "e3456789abcdef0");
        assert!(interface_link(&a).len() <= 15);
        assert_ne!(interface_link(&a), interface_link(&b));
        assert_eq!(vpc_link(&ResourceId::parse("vpc", "vpc-12345678").unwrap()), "g12345678");
    }

    #[test]
    fn subnet_tables_avoid_the_kernels_own() {
        for text in ["10.0.0.0/24", "10.0.253.0/24", "0.0.0.0/8", "172.31.254.0/24"] {
            let table = subnet_table(text.parse().unwrap());
            assert!(!(253..=255).contains(&table), "{text}");
        }
    }
}
