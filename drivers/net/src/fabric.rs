//! The declaration of a network: what [`crate::Net::apply`] makes true.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use base::{Cidr, MacAddress, ResourceId, Zone};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// All networks of an install.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fabric {
    /// The block that public addresses come from; equal to [`crate::Options::public_pool`].
    pub public_pool: Cidr,
    /// The VPCs, in any order. Two may have the same addresses.
    pub vpcs: Vec<Vpc>,
}

/// A VPC: a network of its own with one router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: ResourceId,
    /// Its blocks, the primary one first.
    pub cidrs: Vec<Cidr>,
    /// The attached internet gateway.
    pub internet_gateway: Option<ResourceId>,
    /// Its subnets.
    pub subnets: Vec<Subnet>,
    /// Its interfaces, those of NAT gateways excepted.
    pub interfaces: Vec<Interface>,
    /// Its security groups. A rule that names a group that is not here matches nothing.
    pub security_groups: Vec<SecurityGroup>,
    /// Its network ACLs.
    pub network_acls: Vec<NetworkAcl>,
    /// Its route tables.
    pub route_tables: Vec<RouteTable>,
    /// Its NAT gateways.
    pub nat_gateways: Vec<NatGateway>,
    /// Addresses on the router beside DNS, metadata and time, which are always there.
    pub service_addresses: Vec<ServiceAddress>,
}

impl Vpc {
    /// The address of the VPC's DNS resolver: its first block's third address.
    ///
    /// AWS: "Amazon DNS server".
    pub fn resolver(&self) -> Option<Ipv4Addr> {
        self.cidrs.first().and_then(|cidr| cidr.nth(2))
    }
}

/// An address on a VPC's router that every interface reaches, whatever its groups say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// The TCP ports that answer on it.
    pub tcp_ports: Vec<u16>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: ResourceId,
    /// Its zone.
    pub zone: Zone,
    /// Its block, inside one of the VPC's.
    pub cidr: Cidr,
    /// The network ACL it is associated with.
    pub network_acl: ResourceId,
    /// The route table it is associated with.
    pub route_table: ResourceId,
}

impl Subnet {
    /// The router's address in the subnet: its second.
    ///
    /// AWS: "Subnet CIDR blocks".
    pub fn router(&self) -> Option<Ipv4Addr> {
        self.cidr.nth(1)
    }
}

/// An elastic network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-…`.
    pub id: ResourceId,
    /// The subnet it is in.
    pub subnet: ResourceId,
    /// The subnet's zone.
    pub zone: Zone,
    /// Its hardware address.
    pub mac: MacAddress,
    /// Its private addresses, the primary one first. At least one, all inside the subnet.
    pub addresses: Vec<Ipv4Addr>,
    /// Public addresses: (private, public), translated one to one.
    pub public: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// The security groups it is in. Without one, nothing passes.
    pub security_groups: Vec<ResourceId>,
    /// Whether packets that are neither from nor for its own addresses are dropped.
    pub source_dest_check: bool,
}

/// A security group: what its members may receive and send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: ResourceId,
    /// What may come in.
    pub ingress: Vec<Rule>,
    /// What may go out.
    pub egress: Vec<Rule>,
}

/// A rule of a security group; it always allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// The traffic.
    pub protocol: Protocol,
    /// The other side: the source of ingress, the destination of egress.
    pub peer: Peer,
}

/// The other side of a security group's rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    /// A block of addresses.
    Cidr(Cidr),
    /// The private addresses of a group's members, as they come and go.
    Group(ResourceId),
}

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// Everything.
    All,
    /// TCP to a destination port of the range, both ends included.
    Tcp {
        /// First port.
        from: u16,
        /// Last port.
        to: u16,
    },
    /// UDP to a destination port of the range, both ends included.
    Udp {
        /// First port.
        from: u16,
        /// Last port.
        to: u16,
    },
    /// ICMP, of one type and code where they are given. A code without a type is not possible.
    Icmp {
        /// The type, any when absent.
        icmp_type: Option<u8>,
        /// The code, any when absent.
        code: Option<u8>,
    },
    /// Another protocol by its number.
    Other(u8),
}

/// A network ACL: ordered, stateless rules at a subnet's border. What no entry matches is denied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// `acl-…`.
    pub id: ResourceId,
    /// Entries for traffic into the subnet.
    pub ingress: Vec<Entry>,
    /// Entries for traffic out of the subnet.
    pub egress: Vec<Entry>,
}

/// An entry of a network ACL. The one with the lowest number that matches decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, unique within a direction.
    pub number: u16,
    /// Whether it allows; it denies otherwise.
    pub allow: bool,
    /// The traffic.
    pub protocol: Protocol,
    /// The source of ingress, the destination of egress.
    pub cidr: Cidr,
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: ResourceId,
    /// Its routes; the longest matching prefix decides. The VPC's own blocks are local
    /// whether listed or not.
    pub routes: Vec<Route>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub destination: Cidr,
    /// By which way.
    pub target: Target,
}

/// The way that a route takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// To the VPC's interfaces.
    Local,
    /// Out by the internet gateway.
    InternetGateway,
    /// To a NAT gateway.
    NatGateway(ResourceId),
    /// To an interface, whose workload forwards.
    Interface(ResourceId),
    /// Nowhere: the target is gone.
    Blackhole,
}

/// A NAT gateway: an interface of its own that translates what is routed to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NatGateway {
    /// `nat-…`.
    pub id: ResourceId,
    /// Its interface (`eni-…`), which is not among the VPC's [`Vpc::interfaces`].
    pub interface: ResourceId,
    /// The subnet it is in.
    pub subnet: ResourceId,
    /// The subnet's zone.
    pub zone: Zone,
    /// Its interface's hardware address.
    pub mac: MacAddress,
    /// Its private address.
    pub private_address: Ipv4Addr,
    /// Its public address; a private NAT gateway has none.
    pub public_address: Option<Ipv4Addr>,
}

impl Fabric {
    /// Looks for contradictions, so that what is applied is applied whole.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the first one found.
    pub(crate) fn check(&self) -> Result<()> {
        let mut vpcs = BTreeSet::new();
        let mut interfaces = BTreeSet::new();
        let mut public = BTreeSet::new();
        for vpc in &self.vpcs {
            require(vpcs.insert(&vpc.id), || format!("{} is declared twice", vpc.id))?;
            vpc.check()?;
            let own = vpc.interfaces.iter().map(|eni| &eni.id);
            for id in own.chain(vpc.nat_gateways.iter().map(|nat| &nat.interface)) {
                require(interfaces.insert(id), || format!("{id} is declared twice"))?;
            }
            let nat = vpc.nat_gateways.iter().filter_map(|nat| nat.public_address);
            let pairs = vpc.interfaces.iter().flat_map(|eni| &eni.public).map(|pair| pair.1);
            for address in nat.chain(pairs) {
                let inside = self.public_pool.contains(address)
                    && u32::from(address) - u32::from(self.public_pool.network()) > 3;
                require(inside, || format!("public address {address} is not of the pool"))?;
                let fresh = public.insert(address);
                require(fresh, || format!("public address {address} is used twice"))?;
            }
        }
        Ok(())
    }
}

impl Fabric {
    /// Whether there is an interface, a NAT gateway's included, with this id.
    pub(crate) fn has_interface(&self, id: &ResourceId) -> bool {
        self.vpcs.iter().any(|vpc| {
            vpc.interfaces.iter().any(|own| own.id == *id)
                || vpc.nat_gateways.iter().any(|own| own.interface == *id)
        })
    }
}

impl Vpc {
    fn check(&self) -> Result<()> {
        require(!self.cidrs.is_empty(), || format!("{} has no block", self.id))?;
        let acls: BTreeSet<_> = self.network_acls.iter().map(|acl| &acl.id).collect();
        let tables: BTreeSet<_> = self.route_tables.iter().map(|table| &table.id).collect();
        let groups: BTreeSet<_> = self.security_groups.iter().map(|group| &group.id).collect();
        let mut subnets = BTreeMap::new();
        for subnet in &self.subnets {
            let Subnet { id, cidr, network_acl, route_table, .. } = subnet;
            let inside = self.cidrs.iter().any(|block| block.contains_block(cidr));
            require(inside && cidr.prefix() <= 28, || format!("{cidr} of {id} is not possible"))?;
            let overlap = subnets.values().any(|other: &Cidr| other.overlaps(cidr));
            require(!overlap, || format!("{cidr} of {id} overlaps another subnet"))?;
            require(acls.contains(network_acl), || format!("{id} names no {network_acl}"))?;
            require(tables.contains(route_table), || format!("{id} names no {route_table}"))?;
            subnets.insert(id, *cidr);
        }
        let mut taken = BTreeSet::new();
        let mut place = |id: &ResourceId, subnet: &ResourceId, address: Ipv4Addr| {
            let cidr = subnets.get(subnet);
            let cidr = cidr.ok_or_else(|| Error::Invalid(format!("{id} is in no {subnet}")))?;
            require(cidr.contains(address), || format!("{address} of {id} is not in {cidr}"))?;
            require(taken.insert(address), || format!("{address} of {id} is used twice"))
        };
        for eni in &self.interfaces {
            require(!eni.addresses.is_empty(), || format!("{} has no address", eni.id))?;
            eni.addresses.iter().try_for_each(|address| place(&eni.id, &eni.subnet, *address))?;
            for (private, _) in &eni.public {
                let own = eni.addresses.contains(private);
                require(own, || format!("{private} is not an address of {}", eni.id))?;
            }
            for group in &eni.security_groups {
                require(groups.contains(group), || format!("{} names no {group}", eni.id))?;
            }
        }
        self.nat_gateways
            .iter()
            .try_for_each(|nat| place(&nat.interface, &nat.subnet, nat.private_address))
    }
}

fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Invalid(reason())) }
}
