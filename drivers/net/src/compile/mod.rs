//! From the declaration to the contents of each namespace. All of it is plain computation.

mod filters;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use base::{Cidr, ResourceId, Zone};

use crate::fabric::{Interface, NatGateway, Subnet, Target, Vpc};

use crate::model::{
    Attachment, FAR_MAC, Far, GATEWAY_LINK, Link, ROUTER_MAC, Space, UPLINK, interface_link,
    subnet_mark, subnet_table, vpc_link,
};
use crate::route::{MAIN, Way};
use crate::{
    Admission, DNS_ADDRESS, Error, Fabric, METADATA_ADDRESS, Options, Result, TIME_ADDRESS,
};

pub(crate) use filters::{PUBLIC_IN, nat_gateway};

/// The address that a VPC's router sends to on its link to the internet namespace, and the other
/// way round. Fixed neighbours stand for them, so neither exists anywhere.
const FAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);

/// What was asked for beside the declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Overlay {
    /// Zones whose links are down.
    pub(crate) zones: BTreeSet<Zone>,
    /// Interfaces whose links are down.
    pub(crate) interfaces: BTreeSet<ResourceId>,
    /// Interfaces that reach each other whatever the declaration says, by the cohort's name.
    #[serde(default)]
    pub(crate) cohorts: BTreeMap<String, BTreeMap<ResourceId, Admission>>,
}

impl Overlay {
    /// Whether an interface is closed to all but its cohort.
    fn closes(&self, eni: &ResourceId) -> bool {
        let found = self.cohorts.values().filter_map(|members| members.get(eni));
        found.into_iter().any(|admission| *admission == Admission::Cohort)
    }
}

/// An interface, a NAT gateway's included, with all that the compiler asks about it.
#[derive(Debug)]
pub(crate) struct Port<'a> {
    /// The id of its interface.
    pub(crate) id: &'a ResourceId,
    /// Its link's name.
    pub(crate) link: String,
    /// Its subnet.
    pub(crate) subnet: &'a Subnet,
    /// Its addresses, the primary one first.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// Its public addresses: private, public.
    pub(crate) public: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Whether its link is up.
    pub(crate) up: bool,
    /// Whether nobody but its cohort may reach it.
    pub(crate) closed: bool,
    /// What it belongs to.
    pub(crate) owner: Owner<'a>,
}

/// What an interface belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// A workload.
    Workload(&'a Interface),
    /// A NAT gateway.
    Gateway(&'a NatGateway),
}

impl Port<'_> {
    /// Whether what is neither from nor for its addresses is dropped.
    pub(crate) fn checked(&self) -> bool {
        match self.owner {
            Owner::Workload(eni) => eni.source_dest_check,
            Owner::Gateway(_) => false,
        }
    }

    fn attachment(&self) -> Attachment {
        let mac = match self.owner {
            Owner::Workload(eni) => eni.mac,
            Owner::Gateway(nat) => nat.mac,
        };
        Attachment {
            id: self.id.clone(),
            mac,
            router: self.subnet.router().unwrap_or_else(|| self.subnet.cidr.network()),
            prefix: self.subnet.cidr.prefix(),
            addresses: self.addresses.clone(),
            translates: matches!(self.owner, Owner::Gateway(_)),
        }
    }
}

/// All interfaces of a VPC.
pub(crate) fn ports<'a>(vpc: &'a Vpc, overlay: &Overlay) -> Result<Vec<Port<'a>>> {
    let subnets: BTreeMap<_, _> = vpc.subnets.iter().map(|subnet| (&subnet.id, subnet)).collect();
    let find = |id: &ResourceId| {
        let missing = || Error::Invalid(format!("{} has no {id}", vpc.id));
        subnets.get(id).copied().ok_or_else(missing)
    };
    let up = |id: &ResourceId, zone: &Zone| {
        !overlay.zones.contains(zone) && !overlay.interfaces.contains(id)
    };
    let workload = |eni: &'a Interface| {
        Ok(Port {
            id: &eni.id,
            link: interface_link(&eni.id),
            subnet: find(&eni.subnet)?,
            addresses: eni.addresses.clone(),
            public: eni.public.clone(),
            up: up(&eni.id, &eni.zone),
            closed: overlay.closes(&eni.id),
            owner: Owner::Workload(eni),
        })
    };
    let gateway = |nat: &'a NatGateway| {
        let public = nat.public_address.map(|public| (nat.private_address, public));
        Ok(Port {
            id: &nat.interface,
            link: interface_link(&nat.interface),
            subnet: find(&nat.subnet)?,
            addresses: vec![nat.private_address],
            public: public.into_iter().collect(),
            up: up(&nat.interface, &nat.zone),
            closed: false,
            owner: Owner::Gateway(nat),
        })
    };
    let own = vpc.interfaces.iter().map(workload);
    own.chain(vpc.nat_gateways.iter().map(gateway)).collect()
}

/// The contents of a VPC's router.
///
/// # Errors
///
/// [`Error::Invalid`] when two interfaces' ids are too alike to name two links.
pub(crate) fn router(vpc: &Vpc, overlay: &Overlay) -> Result<Space> {
    let ports = ports(vpc, overlay)?;
    let mut space = Space::default();
    for port in &ports {
        let link = Link { up: port.up, far: Far::Interface(port.attachment()) };
        if space.links.insert(port.link.clone(), link).is_some() {
            return Err(Error::Invalid(format!("the id {} is too like another", port.id)));
        }
        for address in port.addresses.iter().filter(|_| port.up) {
            let mac = port.attachment().mac;
            space.neighbours.insert((port.link.clone(), *address), mac);
            let way = Way::Link(port.link.clone(), None);
            space.routes.insert((MAIN, Cidr::host(*address)), way);
        }
    }
    if vpc.internet_gateway.is_some() {
        let link = Link { up: true, far: Far::Internet(vpc_link(&vpc.id)) };
        space.links.insert(GATEWAY_LINK.to_owned(), link);
        space.neighbours.insert((GATEWAY_LINK.to_owned(), FAR_ADDRESS), FAR_MAC);
    }
    own_addresses(vpc, &mut space);
    let nothing = [Cidr::ALL].into_iter().chain(vpc.cidrs.iter().copied());
    for block in nothing {
        space.routes.insert((MAIN, block), Way::Blackhole);
    }
    for subnet in &vpc.subnets {
        space.rules.insert((subnet_mark(subnet.cidr), subnet_table(subnet.cidr)));
        subnet_routes(vpc, subnet, &ports, &mut space);
    }
    space.ruleset = Some(filters::router(vpc, &ports, overlay));
    Ok(space)
}

fn own_addresses(vpc: &Vpc, space: &mut Space) {
    let fixed = [DNS_ADDRESS, METADATA_ADDRESS, TIME_ADDRESS].into_iter().chain(vpc.resolver());
    let routers = vpc.subnets.iter().filter_map(Subnet::router);
    let services = vpc.service_addresses.iter().map(|service| service.address);
    for address in fixed.chain(routers).chain(services) {
        space.addresses.insert(("lo".to_owned(), address, 32));
    }
}

/// The routes that traffic from a subnet finds, in a table of the subnet's own.
fn subnet_routes(vpc: &Vpc, subnet: &Subnet, ports: &[Port<'_>], space: &mut Space) {
    let table = subnet_table(subnet.cidr);
    let to_port = |id: &ResourceId| {
        let port = ports.iter().find(|port| port.id == id && port.up)?;
        Some(Way::Link(port.link.clone(), port.addresses.first().copied()))
    };
    let own = vpc.route_tables.iter().find(|own| own.id == subnet.route_table);
    space.routes.insert((table, Cidr::ALL), Way::Blackhole);
    for block in &vpc.cidrs {
        space.routes.insert((table, *block), Way::Throw);
    }
    for route in own.iter().flat_map(|own| &own.routes) {
        let way = match &route.target {
            Target::Local => Some(Way::Throw),
            Target::InternetGateway => vpc
                .internet_gateway
                .as_ref()
                .map(|_| Way::Link(GATEWAY_LINK.to_owned(), Some(FAR_ADDRESS))),
            Target::NatGateway(id) => {
                let nat = vpc.nat_gateways.iter().find(|nat| nat.id == *id);
                nat.and_then(|nat| to_port(&nat.interface))
            }
            Target::Interface(id) => to_port(id),
            Target::Blackhole => None,
        };
        space.routes.insert((table, route.destination), way.unwrap_or(Way::Blackhole));
    }
}

/// The contents of the internet namespace.
pub(crate) fn internet(options: &Options, fabric: &Fabric) -> Space {
    let mut space = Space::default();
    let mut link = |name: String| {
        space.links.insert(name, Link { up: true, far: Far::Maker });
    };
    link(UPLINK.to_owned());
    for vpc in fabric.vpcs.iter().filter(|vpc| vpc.internet_gateway.is_some()) {
        link(vpc_link(&vpc.id));
    }
    for vpc in fabric.vpcs.iter().filter(|vpc| vpc.internet_gateway.is_some()) {
        let name = vpc_link(&vpc.id);
        space.neighbours.insert((name.clone(), FAR_ADDRESS), ROUTER_MAC);
        let nat = vpc.nat_gateways.iter().filter_map(|nat| nat.public_address);
        let own = vpc.interfaces.iter().flat_map(|eni| &eni.public).map(|pair| pair.1);
        for address in own.chain(nat) {
            let way = Way::Link(name.clone(), Some(FAR_ADDRESS));
            space.routes.insert((MAIN, Cidr::host(address)), way);
        }
    }
    let pool = options.public_pool;
    space.addresses.insert((UPLINK.to_owned(), options.internet_address(), 32));
    space.addresses.insert(("lo".to_owned(), options.endpoint_address(), 32));
    let outside = Way::Link(UPLINK.to_owned(), Some(options.host_address()));
    space.routes.insert((MAIN, Cidr::ALL), outside);
    let host = Cidr::host(options.host_address());
    space.routes.insert((MAIN, host), Way::Link(UPLINK.to_owned(), None));
    space.routes.insert((MAIN, pool), Way::Blackhole);
    space.ruleset = Some(filters::internet(options));
    space
}

/// What the fabric adds to the host's own namespace.
pub(crate) fn host(options: &Options) -> Space {
    let mut space = Space::default();
    let name = host_link(options);
    let link = Link { up: true, far: Far::Internet(UPLINK.to_owned()) };
    space.links.insert(name.clone(), link);
    space.addresses.insert((name.clone(), options.host_address(), 32));
    let way = Way::Link(name, Some(options.internet_address()));
    space.routes.insert((MAIN, options.public_pool), way);
    space.ruleset = options.egress.then(|| filters::host(options));
    space
}

/// The name of the host's link to the internet namespace.
pub(crate) fn host_link(options: &Options) -> String {
    format!("{}igw", options.prefix)
}
