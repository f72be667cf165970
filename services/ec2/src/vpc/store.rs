//! The tables of networks.

use std::net::Ipv4Addr;

use base::{AccountId, Cidr, MacAddress, ResourceId, Timestamp, Zone};
use serde::{Deserialize, Serialize};
use store::{Index, Record, Table};

/// Declares that a record is found by its id.
macro_rules! by_id {
    ($($record:ty),+ $(,)?) => {$(
        impl Record for $record {
            type Key = ResourceId;

            fn key(&self) -> ResourceId {
                self.id.clone()
            }
        }
    )+};
}

by_id!(
    Vpc,
    Subnet,
    InternetGateway,
    RouteTable,
    NetworkAcl,
    SecurityGroup,
    DhcpOptions,
    Interface,
    InterfaceState,
    Address,
    NatGateway
);

/// A VPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Vpc {
    pub(crate) id: ResourceId,
    /// The primary block first.
    pub(crate) blocks: Vec<Block>,
    pub(crate) is_default: bool,
    pub(crate) tenancy: String,
    pub(crate) dhcp_options: Option<ResourceId>,
    pub(crate) dns_support: bool,
    pub(crate) dns_hostnames: bool,
    pub(crate) usage_metrics: bool,
    pub(crate) main_route_table: ResourceId,
    /// `rtbassoc-…` of the main route table.
    pub(crate) main_association: ResourceId,
    pub(crate) default_acl: ResourceId,
    pub(crate) default_group: ResourceId,
    pub(crate) created: Timestamp,
}

/// A block of a VPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// `vpc-cidr-assoc-…`.
    pub(crate) association: ResourceId,
    pub(crate) cidr: Cidr,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) id: ResourceId,
    pub(crate) vpc: ResourceId,
    pub(crate) zone: Zone,
    pub(crate) cidr: Cidr,
    pub(crate) default_for_az: bool,
    pub(crate) map_public_ip: bool,
    /// Whether host names come from the resource's id rather than its address.
    pub(crate) resource_names: bool,
    pub(crate) resource_name_a_record: bool,
    pub(crate) acl: ResourceId,
    /// `aclassoc-…`.
    pub(crate) acl_association: ResourceId,
    /// The explicit association; none means the VPC's main route table.
    pub(crate) route_table: Option<RouteAssociation>,
}

/// That a subnet uses a route table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RouteAssociation {
    /// `rtbassoc-…`.
    pub(crate) id: ResourceId,
    pub(crate) route_table: ResourceId,
}

/// An internet gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InternetGateway {
    pub(crate) id: ResourceId,
    pub(crate) vpc: Option<ResourceId>,
}

/// A route table. The local routes follow from the VPC's blocks and are not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RouteTable {
    pub(crate) id: ResourceId,
    pub(crate) vpc: ResourceId,
    pub(crate) routes: Vec<Route>,
}

/// A route that someone made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) destination: Cidr,
    pub(crate) target: RouteTarget,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RouteTarget {
    InternetGateway(ResourceId),
    NatGateway(ResourceId),
    Interface(ResourceId),
}

/// A network ACL, without the last entries that deny the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NetworkAcl {
    pub(crate) id: ResourceId,
    pub(crate) vpc: ResourceId,
    pub(crate) is_default: bool,
    pub(crate) entries: Vec<AclEntry>,
}

/// An entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AclEntry {
    pub(crate) number: u16,
    pub(crate) egress: bool,
    pub(crate) allow: bool,
    pub(crate) traffic: Traffic,
    pub(crate) peer: AclPeer,
}

/// The addresses that an entry is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum AclPeer {
    V4(Cidr),
    /// Kept as given: no VPC here carries IPv6, so it never matches.
    V6(String),
}

/// A kind of traffic as rules and entries describe it: protocol number (`-1` is all) and a range
/// of ports, or type and code for ICMP (`-1` is all).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traffic {
    pub(crate) protocol: i16,
    pub(crate) from: Option<i32>,
    pub(crate) to: Option<i32>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SecurityGroup {
    pub(crate) id: ResourceId,
    pub(crate) vpc: ResourceId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) rules: Vec<GroupRule>,
}

/// A rule of a security group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupRule {
    /// `sgr-…`.
    pub(crate) id: ResourceId,
    pub(crate) egress: bool,
    pub(crate) traffic: Traffic,
    pub(crate) peer: GroupPeer,
    pub(crate) description: Option<String>,
}

/// The other side of a security group's rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GroupPeer {
    V4(Cidr),
    /// Kept as given: no VPC here carries IPv6, so it never matches.
    V6(String),
    Group(ResourceId),
    PrefixList(String),
}

/// A DHCP option set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DhcpOptions {
    pub(crate) id: ResourceId,
    pub(crate) is_default: bool,
    pub(crate) configurations: Vec<(String, Vec<String>)>,
}

/// An elastic network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) id: ResourceId,
    pub(crate) vpc: ResourceId,
    pub(crate) subnet: ResourceId,
    pub(crate) zone: Zone,
    pub(crate) kind: InterfaceKind,
    pub(crate) description: String,
    pub(crate) mac: MacAddress,
    /// The primary address first.
    pub(crate) addresses: Vec<PrivateAddress>,
    pub(crate) groups: Vec<ResourceId>,
    pub(crate) source_dest_check: bool,
    /// Whether it gets a public address of the pool while its instance runs.
    #[serde(default)]
    pub(crate) wants_public: bool,
    /// The AWS service that made it for itself, as `rds.amazonaws.com`.
    pub(crate) requester: Option<String>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) created: Timestamp,
}

/// What an interface is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum InterfaceKind {
    Interface,
    NatGateway,
}

/// A private address of an interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PrivateAddress {
    pub(crate) address: Ipv4Addr,
    pub(crate) public: Option<PublicAddress>,
}

/// The public address that stands for a private one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PublicAddress {
    pub(crate) address: Ipv4Addr,
    /// The elastic IP address and its association; none for an address that AWS assigned.
    pub(crate) elastic: Option<Elastic>,
}

/// That an elastic IP address stands for a private one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Elastic {
    /// `eipalloc-…`.
    pub(crate) allocation: ResourceId,
    /// `eipassoc-…`.
    pub(crate) association: ResourceId,
}

/// That an interface belongs to an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    /// `eni-attach-…`.
    pub(crate) id: ResourceId,
    pub(crate) instance: ResourceId,
    pub(crate) device_index: u16,
    pub(crate) delete_on_termination: bool,
    pub(crate) attached: Timestamp,
}

impl Interface {
    /// The primary private address.
    pub(crate) fn primary(&self) -> Ipv4Addr {
        self.addresses.first().map_or(Ipv4Addr::UNSPECIFIED, |first| first.address)
    }

    /// The public address of the primary private one.
    pub(crate) fn public(&self) -> Option<Ipv4Addr> {
        self.addresses.first()?.public.as_ref().map(|public| public.address)
    }

    /// The instance it is attached to.
    pub(crate) fn instance(&self) -> Option<&ResourceId> {
        self.attachment.as_ref().map(|attachment| &attachment.instance)
    }
}

/// What the fabric reports of an interface. Written by the fabric's task alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InterfaceState {
    pub(crate) id: ResourceId,
    pub(crate) up: bool,
}

/// An elastic IP address. What it is associated with stands in the interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Address {
    /// `eipalloc-…`.
    pub(crate) id: ResourceId,
    pub(crate) address: Ipv4Addr,
    /// The interface it is associated with.
    pub(crate) interface: Option<ResourceId>,
    /// The AWS service that holds it for itself.
    pub(crate) requester: Option<String>,
}

/// A public address that someone has. One row an address, whoever has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PublicLease {
    pub(crate) address: Ipv4Addr,
    pub(crate) account: AccountId,
    /// The elastic IP address or interface that has it.
    pub(crate) holder: ResourceId,
}

impl Record for PublicLease {
    type Key = u32;

    fn key(&self) -> u32 {
        u32::from(self.address)
    }
}

/// A NAT gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NatGateway {
    pub(crate) id: ResourceId,
    pub(crate) vpc: ResourceId,
    pub(crate) subnet: ResourceId,
    pub(crate) interface: ResourceId,
    pub(crate) private_address: Ipv4Addr,
    /// The elastic IP address, its public address and association; none for a private gateway.
    pub(crate) public: Option<NatAddress>,
    pub(crate) state: NatState,
    /// Code and text of why it could not be made.
    pub(crate) failure: Option<(String, String)>,
    pub(crate) created: Timestamp,
    pub(crate) deleted: Option<Timestamp>,
}

/// The elastic IP address of a NAT gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NatAddress {
    pub(crate) allocation: ResourceId,
    pub(crate) association: ResourceId,
    pub(crate) address: Ipv4Addr,
}

/// The state of a NAT gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NatState {
    Pending,
    Failed,
    Available,
    Deleting,
    Deleted,
}

/// That an account's default network was made once; who deletes it does not get it back unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AccountNetwork {
    pub(crate) made: Timestamp,
}

impl Record for AccountNetwork {
    type Key = ();

    fn key(&self) {}
}

pub(crate) const VPCS: Table<Vpc> = Table::new("ec2.vpcs");
pub(crate) const SUBNETS: Table<Subnet> =
    Table::new("ec2.subnets").with_indexes(&[&SUBNETS_BY_VPC]);
pub(crate) const SUBNETS_BY_VPC: Index<Subnet, ResourceId> =
    Index::new(|| SUBNETS, "vpc", |subnet| vec![subnet.vpc.clone()]);
pub(crate) const INTERNET_GATEWAYS: Table<InternetGateway> = Table::new("ec2.internet_gateways");
pub(crate) const ROUTE_TABLES: Table<RouteTable> =
    Table::new("ec2.route_tables").with_indexes(&[&ROUTE_TABLES_BY_VPC]);
pub(crate) const ROUTE_TABLES_BY_VPC: Index<RouteTable, ResourceId> =
    Index::new(|| ROUTE_TABLES, "vpc", |table| vec![table.vpc.clone()]);
pub(crate) const NETWORK_ACLS: Table<NetworkAcl> =
    Table::new("ec2.network_acls").with_indexes(&[&NETWORK_ACLS_BY_VPC]);
pub(crate) const NETWORK_ACLS_BY_VPC: Index<NetworkAcl, ResourceId> =
    Index::new(|| NETWORK_ACLS, "vpc", |acl| vec![acl.vpc.clone()]);
pub(crate) const SECURITY_GROUPS: Table<SecurityGroup> =
    Table::new("ec2.security_groups").with_indexes(&[&SECURITY_GROUPS_BY_VPC]);
pub(crate) const SECURITY_GROUPS_BY_VPC: Index<SecurityGroup, ResourceId> =
    Index::new(|| SECURITY_GROUPS, "vpc", |group| vec![group.vpc.clone()]);
pub(crate) const DHCP_OPTIONS: Table<DhcpOptions> = Table::new("ec2.dhcp_options");
pub(crate) const INTERFACES: Table<Interface> = Table::new("ec2.interfaces").with_indexes(&[
    &INTERFACES_BY_SUBNET,
    &INTERFACES_BY_GROUP,
    &INTERFACES_BY_INSTANCE,
    &INTERFACES_BY_ATTACHMENT,
]);
pub(crate) const INTERFACES_BY_SUBNET: Index<Interface, ResourceId> =
    Index::new(|| INTERFACES, "subnet", |eni| vec![eni.subnet.clone()]);
pub(crate) const INTERFACES_BY_GROUP: Index<Interface, ResourceId> =
    Index::new(|| INTERFACES, "group", |eni| eni.groups.clone());
pub(crate) const INTERFACES_BY_INSTANCE: Index<Interface, ResourceId> =
    Index::new(|| INTERFACES, "instance", |eni| eni.instance().cloned().into_iter().collect());
pub(crate) const INTERFACES_BY_ATTACHMENT: Index<Interface, ResourceId> = Index::new(
    || INTERFACES,
    "attachment",
    |eni| eni.attachment.iter().map(|attachment| attachment.id.clone()).collect(),
);
pub(crate) const INTERFACE_STATES: Table<InterfaceState> = Table::new("ec2.interface_states");
pub(crate) const ADDRESSES: Table<Address> = Table::new("ec2.addresses");
pub(crate) const PUBLIC_LEASES: Table<PublicLease> = Table::global("ec2.public_leases");
pub(crate) const NAT_GATEWAYS: Table<NatGateway> = Table::new("ec2.nat_gateways");
pub(crate) const ACCOUNT_NETWORKS: Table<AccountNetwork> = Table::new("ec2.account_networks");
