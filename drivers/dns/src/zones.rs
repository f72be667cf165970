//! The document: names and who may ask for them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that the resolvers of a region know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zones {
    /// Names that everybody may ask for: public names, with public addresses.
    pub shared: Names,
    /// The VPCs.
    pub vpcs: Vec<VpcNames>,
    /// Where the host asks, for `shared` only; nothing when it does not.
    pub host: Option<SocketAddr>,
    /// Resolvers that are asked for names outside the authoritative domains. Without one, such
    /// names do not exist.
    pub upstreams: Vec<SocketAddr>,
}

/// A VPC's resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VpcNames {
    /// The VPC's id. With an address, it identifies a listener between two documents.
    pub id: String,
    /// The network namespace to listen in; the process's own if there is none.
    pub namespace: Option<PathBuf>,
    /// The addresses to listen on, as base plus two and 169.254.169.253.
    pub addresses: Vec<IpAddr>,
    /// The port; 53 if it is not given.
    pub port: Option<u16>,
    /// Names of this VPC alone. They go before the shared ones.
    pub names: Names,
}

/// Names and what they stand for. Names are written without the last dot; case does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// What each name stands for. `*.domain` stands for every name below the domain that is not
    /// known otherwise, at any depth.
    pub records: BTreeMap<String, Records>,
    /// The name of each address.
    pub reverse: BTreeMap<Ipv4Addr, String>,
    /// Domains whose names are all known here: what is not in `records` does not exist. A wildcard
    /// does not reach into a domain that is listed beneath it.
    pub authoritative: Vec<String>,
}

/// What a name stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Records {
    /// Its addresses. They are handed out in turning order.
    pub addresses: Vec<Ipv4Addr>,
    /// Another name that it stands for; looked at only when there are no addresses.
    pub alias: Option<String>,
    /// Its texts.
    pub texts: Vec<String>,
    /// How long, in seconds, an answer may be kept; 60 if it is not given.
    pub ttl_seconds: Option<u32>,
}

impl Records {
    /// A name with these addresses.
    pub fn addresses(addresses: impl Into<Vec<Ipv4Addr>>) -> Self {
        Self { addresses: addresses.into(), ..Self::default() }
    }

    /// A name that stands for another.
    pub fn alias(name: impl Into<String>) -> Self {
        Self { alias: Some(name.into()), ..Self::default() }
    }

    /// How long an answer may be kept.
    ///
    /// AWS: "Load balancer DNS name" (a TTL of 60 seconds).
    pub(crate) fn ttl(&self) -> u32 {
        const TTL_DEFAULT_SECONDS: u32 = 60;
        self.ttl_seconds.unwrap_or(TTL_DEFAULT_SECONDS)
    }
}
