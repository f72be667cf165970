//! The VPC fabric: a declaration of VPCs, subnets, interfaces, rules and routes goes in, and the
//! host's network namespaces, links, routes and filters become equal to it.
//!
//! Each VPC is a router namespace; each interface (ENI) is a namespace of its own joined to the
//! router by a veth pair. There is no bridge: every packet, inside a subnet too, crosses the
//! router's forward hook, where one table of rules sees it. All VPCs with an internet gateway
//! meet in one internet namespace, which owns the public pool and is joined to the host.
//! The namespaces are held by bind mounts under the run folder, so they outlive this process: a
//! new process adopts them.

mod compile;
mod error;
mod fabric;
mod filter;
mod linux;
mod model;
mod namespace;
mod netlink;
mod probe;
mod record;
mod route;
mod sim;
mod socket;
mod space;
mod worker;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use async_trait::async_trait;
use base::{Cidr, ResourceId, Zone};

pub use error::{Error, Result};
pub use fabric::{
    Entry, Fabric, Interface, NatGateway, NetworkAcl, Peer, Protocol, Route, RouteTable, Rule,
    SecurityGroup, ServiceAddress, Subnet, Target, Vpc,
};
pub use linux::LinuxNet;
pub use probe::{Probe, probe};
pub use sim::SimNet;
pub use socket::{in_namespace, tcp_connect, tcp_listen, tcp_socket, udp_bind};

/// The address of the instance metadata service, in every VPC.
///
/// AWS: "Use the Instance Metadata Service to access instance metadata".
pub const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The link-local address of the VPC's DNS resolver.
///
/// AWS: "Amazon DNS server".
pub const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

/// The address of the time service.
///
/// AWS: "Amazon Time Sync Service".
pub const TIME_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 123);

/// Builds the fabric and keeps it equal to what is declared.
#[async_trait]
pub trait Net: Send + Sync + 'static {
    /// Makes the host's fabric equal to `desired` by applying the difference to what is there.
    /// The first call of a process adopts what an earlier one left and removes its orphans.
    /// Each VPC's filters and address translation change in one atomic step, and the flows of
    /// unchanged parts go on undisturbed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the declaration contradicts itself (nothing has changed then),
    /// [`Error::Kernel`] when the host refuses a step; a later call starts from what is
    /// really there.
    async fn apply(&self, desired: Fabric) -> Result<()>;

    /// What the host says about each interface and NAT gateway, by the id of its ENI.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] when the host cannot be asked.
    async fn observe(&self) -> Result<Observed>;

    /// The bind-mounted network namespace of an interface. It exists once the interface was
    /// applied; a workload joins it by this path.
    fn eni_namespace(&self, eni: &ResourceId) -> PathBuf;

    /// The bind-mounted network namespace of a VPC's router, where [`DNS_ADDRESS`],
    /// [`METADATA_ADDRESS`], [`TIME_ADDRESS`] and [`Vpc::resolver`] live.
    fn router_namespace(&self, vpc: &ResourceId) -> PathBuf;

    /// The bind-mounted network namespace between the VPCs and the outside, where
    /// [`Options::endpoint_address`] lives.
    fn internet_namespace(&self) -> PathBuf;

    /// Takes the links of all interfaces of `zone` down, or restores them. Interfaces that are
    /// applied later follow.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] when the host refuses.
    async fn set_zone_link(&self, zone: &Zone, up: bool) -> Result<()>;

    /// Cuts a single interface off, or restores it. One whose zone is down stays down.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when an interface that was not applied is to be cut off,
    /// [`Error::Kernel`] when the host refuses.
    async fn set_eni_link(&self, eni: &ResourceId, up: bool) -> Result<()>;

    /// Lets the interfaces of a cohort reach each other, whatever network ACLs and security groups
    /// say: what a service's own machines have to say to each other is no traffic of the
    /// customer's. Replaces the cohort's earlier members; without any there is no cohort. A member
    /// may be named before it is declared; one that is declared no more is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] when the host refuses.
    async fn set_cohort(&self, name: &str, members: Cohort) -> Result<()>;

    /// Removes everything this install made on the host.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] when the host refuses.
    async fn destroy(&self) -> Result<()>;
}

/// Interfaces that belong together, each with who else may reach it.
pub type Cohort = BTreeMap<ResourceId, Admission>;

/// Who may reach an interface of a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Admission {
    /// The cohort, and whomever its security groups admit.
    Groups,
    /// The cohort alone. Others find its ports closed.
    Cohort,
}

/// Where and under which names an install builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder for the namespaces' bind mounts (`netns/`) and the record of what was applied.
    pub run_dir: PathBuf,
    /// One to eight lower-case letters or digits that begin every host-visible name, so that
    /// several installs live side by side.
    pub prefix: String,
    /// Whether interfaces with a public address may reach beyond the host. It turns the host's
    /// `ip_forward` on and masquerades the pool; both are put back by [`Net::destroy`].
    pub egress: bool,
    /// The block that public addresses come from. Its first four addresses are the fabric's own.
    pub public_pool: Cidr,
}

impl Options {
    /// The host's own address on the link to the internet namespace: the pool's second.
    pub fn host_address(&self) -> Ipv4Addr {
        reserved(self.public_pool, 1)
    }

    /// The internet namespace's address on the link to the host: the pool's third.
    pub fn internet_address(&self) -> Ipv4Addr {
        reserved(self.public_pool, 2)
    }

    /// An address in the internet namespace for the region's public service endpoints: the
    /// pool's fourth. Interfaces with a way to the internet gateway reach it, and the host does.
    pub fn endpoint_address(&self) -> Ipv4Addr {
        reserved(self.public_pool, 3)
    }
}

fn reserved(pool: Cidr, offset: u32) -> Ipv4Addr {
    pool.nth(offset).unwrap_or_else(|| pool.network())
}

/// What the host says about the fabric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// By the id of the interface (`eni-…`), NAT gateways' interfaces included.
    pub interfaces: BTreeMap<ResourceId, InterfaceState>,
}

/// What the host says about one interface, seen from the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InterfaceState {
    /// Whether both ends of its link are up.
    pub up: bool,
    /// Bytes that the workload received.
    pub rx_bytes: u64,
    /// Packets that the workload received.
    pub rx_packets: u64,
    /// Bytes that the workload sent.
    pub tx_bytes: u64,
    /// Packets that the workload sent.
    pub tx_packets: u64,
}
