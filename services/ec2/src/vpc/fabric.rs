//! The task that has the fabric built: it reads the networks of all accounts, declares them to
//! the driver and writes down what the driver reports. It is on the way of every instance that
//! starts, so it runs at every change of a network's table and does all in one step.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use base::{Cidr, ResourceId};
use kernel::{Next, Task, TaskError};
use store::{ReadTx, Record, Scope, Table, WriteTx};

use super::store::{
    AclEntry, AclPeer, GroupPeer, GroupRule, INTERFACE_STATES, INTERFACES, INTERNET_GATEWAYS,
    Interface, InterfaceKind, InterfaceState, InternetGateway, NAT_GATEWAYS, NETWORK_ACLS,
    NatGateway, NatState, NetworkAcl, ROUTE_TABLES, Route, RouteTable, RouteTarget,
    SECURITY_GROUPS, SUBNETS, SecurityGroup, Subnet, VPCS, Vpc,
};
use super::{nat_gateway, traffic};
use crate::error::{Error, Result};
use crate::{Drivers, TaskCtx};

/// The reconciler of the fabric.
pub(crate) fn task() -> Task<Drivers> {
    Task::new("ec2.fabric", run).wakes_on(&[
        "ec2.vpcs",
        "ec2.subnets",
        "ec2.internet_gateways",
        "ec2.route_tables",
        "ec2.network_acls",
        "ec2.security_groups",
        "ec2.interfaces",
        "ec2.nat_gateways",
    ])
}

async fn run(ctx: TaskCtx) -> std::result::Result<Next, TaskError> {
    let networks = ctx.store.read(Networks::read).await?;
    let options = &ctx.drivers.net_options;
    let compiler = Compiler { networks: &networks, endpoint: options.endpoint_address() };
    let fabric = net::Fabric { public_pool: options.public_pool, vpcs: compiler.vpcs() };
    ctx.drivers.net.apply(fabric).await?;
    let observed = ctx.drivers.net.observe().await?;
    let up = |id: &ResourceId| observed.interfaces.get(id).is_some_and(|state| state.up);
    let changes = networks.changes(ctx.now(), up);
    if !changes.is_empty() {
        let (store, now) = (&ctx.store, ctx.now());
        store.write(|tx| changes.write(tx, now)).await?;
    }
    let waiting = networks.interfaces.iter().any(|(_, eni)| !up(&eni.id));
    if waiting {
        // The driver took the declaration but a link is not up yet: look again soon.
        return Ok(Next::Poll(std::time::Duration::from_millis(200)));
    }
    let forget = networks.nats.iter().filter_map(|(_, nat)| nat.deleted).min();
    Ok(forget.map_or(Next::Idle, |deleted| Next::At(deleted + nat_gateway::REMEMBERED)))
}

/// All networks of the region, as they lie in the store.
struct Networks {
    vpcs: Vec<(Scope, Vpc)>,
    subnets: Vec<(Scope, Subnet)>,
    gateways: Vec<(Scope, InternetGateway)>,
    tables: Vec<(Scope, RouteTable)>,
    acls: Vec<(Scope, NetworkAcl)>,
    groups: Vec<(Scope, SecurityGroup)>,
    interfaces: Vec<(Scope, Interface)>,
    states: BTreeMap<ResourceId, (Scope, bool)>,
    nats: Vec<(Scope, NatGateway)>,
}

impl Networks {
    fn read(tx: &ReadTx<'_>) -> Result<Self> {
        fn all<R: Record>(tx: &ReadTx<'_>, table: &Table<R>) -> Result<Vec<(Scope, R)>> {
            Ok(tx.scan_all(table)?)
        }
        let states = all(tx, &INTERFACE_STATES)?;
        Ok(Self {
            vpcs: all(tx, &VPCS)?,
            subnets: all(tx, &SUBNETS)?,
            gateways: all(tx, &INTERNET_GATEWAYS)?,
            tables: all(tx, &ROUTE_TABLES)?,
            acls: all(tx, &NETWORK_ACLS)?,
            groups: all(tx, &SECURITY_GROUPS)?,
            interfaces: all(tx, &INTERFACES)?,
            states: states.into_iter().map(|(s, state)| (state.id, (s, state.up))).collect(),
            nats: all(tx, &NAT_GATEWAYS)?,
        })
    }

    /// What has to be written after a look at the fabric.
    fn changes(&self, now: base::Timestamp, up: impl Fn(&ResourceId) -> bool) -> Changes {
        let known = |id: &ResourceId| self.states.get(id).is_some_and(|(_, up)| *up);
        let fresh = self.interfaces.iter().filter(|(_, eni)| up(&eni.id) && !known(&eni.id));
        let alive: BTreeSet<&ResourceId> = self.interfaces.iter().map(|(_, e)| &e.id).collect();
        let stale = self.states.iter().filter(|(id, _)| !alive.contains(id));
        let due = |nat: &NatGateway| match nat.state {
            NatState::Pending | NatState::Deleting => true,
            NatState::Available => false,
            NatState::Failed | NatState::Deleted => {
                nat.deleted.is_some_and(|deleted| now.since(deleted) >= nat_gateway::REMEMBERED)
            }
        };
        let nats = self.nats.iter().filter(|(_, nat)| due(nat));
        Changes {
            up: fresh.map(|(scope, eni)| (scope.clone(), eni.id.clone())).collect(),
            gone: stale.map(|(id, (scope, _))| (scope.clone(), id.clone())).collect(),
            nats: nats
                .map(|(scope, nat)| (scope.clone(), nat.id.clone(), up(&nat.interface)))
                .collect(),
        }
    }
}

/// What the fabric's task writes.
struct Changes {
    up: Vec<(Scope, ResourceId)>,
    gone: Vec<(Scope, ResourceId)>,
    nats: Vec<(Scope, ResourceId, bool)>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.up.is_empty() && self.gone.is_empty() && self.nats.is_empty()
    }

    fn write(&self, tx: &mut WriteTx<'_>, now: base::Timestamp) -> Result<()> {
        for (scope, id) in &self.up {
            let mut tx = tx.scope(scope);
            if tx.contains(&INTERFACES, id)? {
                tx.put(&INTERFACE_STATES, &InterfaceState { id: id.clone(), up: true })?;
            }
        }
        for (scope, id) in &self.gone {
            tx.scope(scope).delete(&INTERFACE_STATES, id)?;
        }
        for (scope, id, up) in &self.nats {
            nat_gateway::observed(&mut tx.scope(scope), now, id, *up)?;
        }
        Ok::<_, Error>(())
    }
}

/// Turns what lies in the store into what the driver is told.
struct Compiler<'a> {
    networks: &'a Networks,
    /// The only address behind the prefix list of S3.
    endpoint: Ipv4Addr,
}

impl Compiler<'_> {
    /// The VPCs that have an interface; nobody could tell whether others are there.
    fn vpcs(&self) -> Vec<net::Vpc> {
        let used: BTreeSet<&ResourceId> =
            self.networks.interfaces.iter().map(|(_, eni)| &eni.vpc).collect();
        let vpcs = self.networks.vpcs.iter().map(|(_, vpc)| vpc);
        vpcs.filter(|vpc| used.contains(&vpc.id)).map(|vpc| self.vpc(vpc)).collect()
    }

    fn vpc(&self, vpc: &Vpc) -> net::Vpc {
        let all = self.networks;
        let gateway = all.gateways.iter().map(|(_, gateway)| gateway);
        let gateway = gateway.into_iter().find(|g| g.vpc.as_ref() == Some(&vpc.id));
        let subnets = all.subnets.iter().map(|(_, subnet)| subnet);
        let own = subnets.filter(|subnet| subnet.vpc == vpc.id);
        let groups = all.groups.iter().map(|(_, group)| group);
        let acls = all.acls.iter().map(|(_, acl)| acl);
        let tables = all.tables.iter().map(|(_, table)| table);
        let interfaces = all.interfaces.iter().map(|(_, eni)| eni);
        let plain = |eni: &&Interface| eni.vpc == vpc.id && eni.kind == InterfaceKind::Interface;
        net::Vpc {
            id: vpc.id.clone(),
            cidrs: vpc.blocks.iter().map(|block| block.cidr).collect(),
            internet_gateway: gateway.map(|gateway| gateway.id.clone()),
            subnets: own.map(|subnet| subnet_of(vpc, subnet)).collect(),
            interfaces: interfaces
                .filter(plain)
                .map(|eni| interface_of(eni, gateway.is_some()))
                .collect(),
            security_groups: groups
                .filter(|group| group.vpc == vpc.id)
                .map(|group| self.group(group))
                .collect(),
            network_acls: acls.filter(|acl| acl.vpc == vpc.id).map(acl_of).collect(),
            route_tables: tables
                .filter(|table| table.vpc == vpc.id)
                .map(|table| self.table(table, gateway))
                .collect(),
            nat_gateways: self.nats(vpc, gateway),
            service_addresses: Vec::new(),
        }
    }

    fn group(&self, group: &SecurityGroup) -> net::SecurityGroup {
        let rules = |egress| {
            let own = group.rules.iter().filter(move |rule| rule.egress == egress);
            own.filter_map(|rule| self.rule(rule)).collect()
        };
        net::SecurityGroup { id: group.id.clone(), ingress: rules(false), egress: rules(true) }
    }

    fn rule(&self, rule: &GroupRule) -> Option<net::Rule> {
        let peer = match &rule.peer {
            GroupPeer::V4(cidr) => net::Peer::Cidr(*cidr),
            GroupPeer::Group(id) => net::Peer::Group(id.clone()),
            GroupPeer::PrefixList(_) => net::Peer::Cidr(Cidr::host(self.endpoint)),
            GroupPeer::V6(_) => return None,
        };
        Some(net::Rule { protocol: traffic::compiled(&rule.traffic)?, peer })
    }

    fn table(&self, table: &RouteTable, gateway: Option<&InternetGateway>) -> net::RouteTable {
        let route = |route: &Route| net::Route {
            destination: route.destination,
            target: self.target(table, gateway, &route.target),
        };
        net::RouteTable { id: table.id.clone(), routes: table.routes.iter().map(route).collect() }
    }

    fn target(
        &self,
        table: &RouteTable,
        gateway: Option<&InternetGateway>,
        target: &RouteTarget,
    ) -> net::Target {
        match target {
            RouteTarget::InternetGateway(id) if gateway.is_some_and(|g| g.id == *id) => {
                net::Target::InternetGateway
            }
            RouteTarget::NatGateway(id) if self.has_nat(table, gateway, id) => {
                net::Target::NatGateway(id.clone())
            }
            RouteTarget::Interface(id) if self.has_interface(table, id) => {
                net::Target::Interface(id.clone())
            }
            RouteTarget::InternetGateway(_)
            | RouteTarget::NatGateway(_)
            | RouteTarget::Interface(_) => net::Target::Blackhole,
        }
    }

    fn has_nat(
        &self,
        table: &RouteTable,
        gateway: Option<&InternetGateway>,
        id: &ResourceId,
    ) -> bool {
        let mut nats = self.networks.nats.iter().map(|(_, nat)| nat);
        nats.any(|nat| nat.id == *id && nat.vpc == table.vpc && is_built(nat, gateway))
    }

    fn has_interface(&self, table: &RouteTable, id: &ResourceId) -> bool {
        let mut interfaces = self.networks.interfaces.iter().map(|(_, eni)| eni);
        interfaces.any(|eni| {
            eni.id == *id && eni.vpc == table.vpc && eni.kind == InterfaceKind::Interface
        })
    }

    fn nats(&self, vpc: &Vpc, gateway: Option<&InternetGateway>) -> Vec<net::NatGateway> {
        let nats = self.networks.nats.iter().map(|(_, nat)| nat);
        let built = nats.filter(|nat| nat.vpc == vpc.id && is_built(nat, gateway));
        let with_interface = built.filter_map(|nat| {
            let mut interfaces = self.networks.interfaces.iter().map(|(_, eni)| eni);
            interfaces.find(|eni| eni.id == nat.interface).map(|eni| (nat, eni))
        });
        let declared = with_interface.map(|(nat, eni)| net::NatGateway {
            id: nat.id.clone(),
            interface: eni.id.clone(),
            subnet: eni.subnet.clone(),
            zone: eni.zone.clone(),
            mac: eni.mac,
            private_address: nat.private_address,
            public_address: nat.public.as_ref().map(|public| public.address),
        });
        declared.collect()
    }
}

/// Whether a NAT gateway is to be in the fabric: a public one needs a way out.
fn is_built(nat: &NatGateway, gateway: Option<&InternetGateway>) -> bool {
    let alive = matches!(nat.state, NatState::Pending | NatState::Available);
    alive && (nat.public.is_none() || gateway.is_some())
}

fn subnet_of(vpc: &Vpc, subnet: &Subnet) -> net::Subnet {
    let explicit = subnet.route_table.as_ref().map(|own| own.route_table.clone());
    net::Subnet {
        id: subnet.id.clone(),
        zone: subnet.zone.clone(),
        cidr: subnet.cidr,
        network_acl: subnet.acl.clone(),
        route_table: explicit.unwrap_or_else(|| vpc.main_route_table.clone()),
    }
}

fn interface_of(eni: &Interface, has_way_out: bool) -> net::Interface {
    let pair = |private: &super::store::PrivateAddress| {
        private.public.as_ref().map(|public| (private.address, public.address))
    };
    let public = eni.addresses.iter().filter_map(pair).filter(|_| has_way_out);
    net::Interface {
        id: eni.id.clone(),
        subnet: eni.subnet.clone(),
        zone: eni.zone.clone(),
        mac: eni.mac,
        addresses: eni.addresses.iter().map(|private| private.address).collect(),
        public: public.collect(),
        security_groups: eni.groups.clone(),
        source_dest_check: eni.source_dest_check,
    }
}

fn acl_of(acl: &NetworkAcl) -> net::NetworkAcl {
    let entries = |egress| {
        let own = acl.entries.iter().filter(move |entry| entry.egress == egress);
        let mut entries: Vec<net::Entry> = own.filter_map(entry_of).collect();
        entries.sort_by_key(|entry| entry.number);
        entries
    };
    net::NetworkAcl { id: acl.id.clone(), ingress: entries(false), egress: entries(true) }
}

fn entry_of(entry: &AclEntry) -> Option<net::Entry> {
    let cidr = match &entry.peer {
        AclPeer::V4(cidr) => *cidr,
        AclPeer::V6(_) => return None,
    };
    let protocol = traffic::compiled(&entry.traffic)?;
    Some(net::Entry { number: entry.number, allow: entry.allow, protocol, cidr })
}
