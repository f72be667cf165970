//! The nodes of a load balancer: one in each of its subnets, each with an interface, a public
//! address where the load balancer faces the internet, and a workload in the subnet's zone.
//!
//! A run of the task compares what is wanted with what was noted in [`NODES`] and what the zone's
//! supervisor says, and takes the next steps. Each effect outside is noted before the next one is
//! begun, and is asked for with a token or found by a tag, so that a run that was cut short is
//! repeated without a second effect. A node that a supervisor still runs is adopted: it is only
//! told the document anew.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::{AccountId, Arn, ResourceId, Zone};
use ec2_api::{
    AllocateAddressInput, AssociateAddressInput, CreateNetworkInterfaceInput,
    DeleteNetworkInterfaceInput, DescribeAddressesInput, DescribeNetworkInterfacesInput,
    DisassociateAddressInput, DomainType, ModifyNetworkInterfaceAttributeInput,
    NetworkInterfaceStatus, ReleaseAddressInput, TagSpecification,
};
use futures_util::future::join_all;
use kernel::names::{self, Name};
use kernel::{Client, Next, ServiceError, TaskError};
use machine::{
    EventKind, Kind, Limits, Machine, NetworkReach, Program, State, StopRequest, WorkloadSpec,
};
use proxy::{NodeIdentity, NodeStatus};
use store::{Scope, ScopedStore};

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::store::{
    Interface, LOAD_BALANCERS, LoadBalancer, NODES, Node, Place, PublicAddress, Scheme,
};
use crate::{NodeMessage, PRINCIPAL, TaskCtx, load_balancer, network};

/// How often nodes are looked at once they run.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often while one is missing.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a resolver may keep a load balancer's addresses.
///
/// AWS: "How Elastic Load Balancing works", "the TTL of the DNS entry is 60 seconds".
const NAME_TTL_SECS: u32 = 60;
/// What a node may use of memory.
const NODE_MEMORY_BYTES: u64 = 1 << 30;
/// How long requests under way have when a node is taken away.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// The tag by which an address is found again that a run cut short left behind.
const ADDRESS_TAG: &str = "elasticloadbalancing:node";

/// Every load balancer of the region, by its ARN.
pub(crate) async fn keys(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan_all(&LOAD_BALANCERS)).await?;
    Ok(all.into_iter().map(|(_, found)| found.arn.to_string()).collect())
}

/// Makes the nodes of one load balancer what they are to be.
pub(crate) async fn run(ctx: TaskCtx, key: String) -> Result<Next, TaskError> {
    let arn: Arn = key.parse()?;
    let account: AccountId = arn.account.parse()?;
    let store = ctx.store.scoped(Scope::new(account.clone(), ctx.region.clone()));
    let Some(plan) = store.read(|tx| Plan::read(tx, &key)).await? else { return Ok(Next::Idle) };
    let ec2 = ctx.service_client(&account, PRINCIPAL).await?;
    let site = Site { ctx: &ctx, store: &store, ec2: &ec2, lb: &plan.load_balancer };
    let (kept, gone) = site.nodes().await?;
    // What is to go leaves the name first, so that fewer clients meet it.
    if !gone.is_empty() {
        site.publish(&kept).await?;
    }
    for node in &gone {
        site.tear_down(node).await?;
    }
    if plan.load_balancer.deleting {
        site.forget().await?;
        return Ok(Next::Idle);
    }
    let looked = join_all(kept.into_iter().map(|node| site.look_after(node, &plan))).await;
    site.publish(&looked).await?;
    let all_alive = looked.iter().all(|node| node.alive);
    Ok(Next::Poll(if all_alive { WATCH_EVERY } else { RETRY_EVERY }))
}

/// Looks at the nodes at once when one of them ends, or a zone goes or comes back.
pub(crate) async fn follow_events(ctx: TaskCtx) -> Result<Next, TaskError> {
    let mut events = ctx.drivers.drivers.machine.events();
    loop {
        match events.recv().await {
            Ok(event) => {
                let concerns = match event.kind {
                    EventKind::SupervisorLost | EventKind::SupervisorBack => true,
                    EventKind::Exited(_) => event.id.starts_with(WORKLOAD_PREFIX),
                    EventKind::Started => false,
                };
                if concerns {
                    ctx.wake("elbv2.nodes");
                }
            }
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => ctx.wake("elbv2.nodes"),
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return Ok(Next::Idle),
        }
    }
}

const WORKLOAD_PREFIX: &str = "alb-";

/// The name of the workload behind an interface.
pub(crate) fn workload(interface: &ResourceId) -> String {
    format!("{WORKLOAD_PREFIX}{interface}")
}

/// Asks a node what it sees.
pub(crate) async fn status(machine: &dyn Machine, zone: &Zone, id: &str) -> Result<NodeStatus> {
    let message = serde_json::to_vec(&NodeMessage::Status).map_err(internal)?;
    let answer = call(machine, zone, id, message).await?;
    serde_json::from_slice(&answer).map_err(internal)
}

async fn call(machine: &dyn Machine, zone: &Zone, id: &str, message: Vec<u8>) -> Result<Vec<u8>> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, machine.call(zone, id, message)).await;
    answer.map_err(internal)?.map_err(internal)
}

fn internal(error: impl std::error::Error) -> Error {
    Error::Inside(ServiceError::internal(error))
}

/// One load balancer and the means to look after it.
struct Site<'a> {
    ctx: &'a TaskCtx,
    store: &'a ScopedStore,
    ec2: &'a Client,
    lb: &'a LoadBalancer,
}

impl Site<'_> {
    /// The nodes to keep, noting those that are new, and those to take away.
    async fn nodes(&self) -> Result<(Vec<Node>, Vec<Node>)> {
        let noted = self.store.read(|tx| load_balancer::nodes(tx, &self.lb.arn)).await?;
        let wanted: &[Place] = if self.lb.deleting { &[] } else { &self.lb.places };
        let (mut kept, gone): (Vec<_>, Vec<_>) =
            noted.into_iter().partition(|node| wanted.contains(&node.place));
        for place in wanted {
            if !kept.iter().any(|node| node.place == *place) {
                let node = Node {
                    load_balancer: self.lb.arn.clone(),
                    place: place.clone(),
                    token: self.ctx.random().uuid(),
                    interface: None,
                    address: None,
                    alive: false,
                };
                self.note(&node).await?;
                kept.push(node);
            }
        }
        Ok((kept, gone))
    }

    async fn note(&self, node: &Node) -> Result<()> {
        Ok(self.store.write(|tx| tx.put(&NODES, node)).await?)
    }

    /// Takes a node as far as it goes, and says whether it answers.
    async fn look_after(&self, mut node: Node, plan: &Plan) -> Node {
        let provided = self.provide(&mut node).await;
        let served = match &node.interface {
            Some(interface) => self.serve(&node.place.zone, interface, plan).await,
            None => Ok(false),
        };
        for error in provided.as_ref().err().into_iter().chain(served.as_ref().err()) {
            let subnet = &node.place.subnet;
            tracing_note(&self.lb.name, subnet, error);
        }
        node.alive = provided.is_ok() && served.unwrap_or(false);
        node
    }

    /// The node's interface, its security groups and its public address.
    async fn provide(&self, node: &mut Node) -> Result<()> {
        if node.interface.is_none() {
            self.make_interface(node).await?;
        }
        self.set_groups(node).await?;
        if self.lb.scheme == Scheme::InternetFacing {
            self.make_address(node).await?;
        }
        Ok(())
    }

    async fn make_interface(&self, node: &mut Node) -> Result<()> {
        let wanted = &self.lb.security_groups;
        let input = CreateNetworkInterfaceInput {
            client_token: Some(node.token.clone()),
            subnet_id: node.place.subnet.to_string(),
            // As AWS writes it: `ELB app/name/id`.
            description: Some(format!("ELB {}", self.lb.arn.name())),
            groups: wanted.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let made = self.ec2.call(input).await?.network_interface.unwrap_or_default();
        let private = made.private_ip_address.and_then(|address| address.parse().ok());
        node.interface = Some(Interface {
            id: network::id("eni", made.network_interface_id.as_deref())?,
            private: private.ok_or_else(|| unexpected("an interface without an address"))?,
            security_groups: wanted.clone(),
        });
        self.note(node).await
    }

    async fn set_groups(&self, node: &mut Node) -> Result<()> {
        let wanted = &self.lb.security_groups;
        let Some(interface) = node.interface.as_mut().filter(|it| it.security_groups != *wanted)
        else {
            return Ok(());
        };
        let input = ModifyNetworkInterfaceAttributeInput {
            network_interface_id: interface.id.to_string(),
            groups: wanted.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        self.ec2.call(input).await?;
        interface.security_groups.clone_from(wanted);
        self.note(node).await
    }

    async fn make_address(&self, node: &mut Node) -> Result<()> {
        if node.address.is_none() {
            let (allocation, public) = match self.address_left_behind(node).await? {
                Some(found) => found,
                None => self.allocate(node).await?,
            };
            node.address = Some(PublicAddress { allocation, public, association: None });
            self.note(node).await?;
        }
        let (Some(address), Some(interface)) = (&mut node.address, &node.interface) else {
            return Ok(());
        };
        if address.association.is_none() {
            let input = AssociateAddressInput {
                allocation_id: Some(address.allocation.clone()),
                network_interface_id: Some(interface.id.to_string()),
                allow_reassociation: Some(true),
                ..Default::default()
            };
            let association = self.ec2.call(input).await?.association_id;
            address.association =
                Some(association.ok_or_else(|| unexpected("no association's id"))?);
            self.note(node).await?;
        }
        Ok(())
    }

    async fn address_left_behind(&self, node: &Node) -> Result<Option<(String, Ipv4Addr)>> {
        let filters = vec![network::filter(&format!("tag:{ADDRESS_TAG}"), [node.token.as_str()])];
        let output =
            self.ec2.call(DescribeAddressesInput { filters, ..Default::default() }).await?;
        output
            .addresses
            .into_iter()
            .next()
            .map(|it| read(it.allocation_id, it.public_ip))
            .transpose()
    }

    async fn allocate(&self, node: &Node) -> Result<(String, Ipv4Addr)> {
        let tag = |key: &str, value: &str| ec2_api::Tag {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        let input = AllocateAddressInput {
            domain: Some(DomainType::Vpc),
            tag_specifications: vec![TagSpecification {
                resource_type: Some("elastic-ip".to_owned()),
                tags: vec![tag(ADDRESS_TAG, &node.token)],
            }],
            ..Default::default()
        };
        let output = self.ec2.call(input).await?;
        read(output.allocation_id, output.public_ip)
    }

    /// Has the node's workload run with the newest document; true when it answers.
    async fn serve(&self, zone: &Zone, interface: &Interface, plan: &Plan) -> Result<bool> {
        let fleet = &self.ctx.drivers;
        let machine = &*fleet.drivers.machine;
        let id = workload(&interface.id);
        let known = machine.list(zone).await.map_err(internal)?;
        match known.into_iter().find(|workload| workload.id == id).map(|found| found.state) {
            Some(State::Running { .. }) => {}
            Some(State::Starting) => return Ok(false),
            Some(State::Exited { .. }) | None => {
                fleet.told().remove(&id);
                if !self.interface_is_there(interface).await? {
                    return Ok(false);
                }
                machine.start(zone, self.spec(&id, interface)).await.map_err(internal)?;
            }
        }
        let identity = NodeIdentity {
            id: interface.id.to_string(),
            zone: zone.to_string(),
            address: IpAddr::V4(interface.private),
        };
        let config = plan.config(identity, &fleet.drivers.cipher)?;
        let message = serde_json::to_vec(&NodeMessage::Configure(config)).map_err(internal)?;
        let told = fleet.told().get(&id) == Some(&message);
        if !told {
            let answer = call(machine, zone, &id, message.clone()).await?;
            if !answer.is_empty() {
                let fault = String::from_utf8_lossy(&answer);
                return Err(unexpected(&format!("the node refused its document: {fault}")));
            }
            fleet.told().insert(id.clone(), message);
        }
        match status(machine, zone, &id).await {
            Ok(_) => Ok(true),
            Err(error) => {
                // It may have been started anew behind our back; tell it again next time.
                fleet.told().remove(&id);
                Err(error)
            }
        }
    }

    /// Whether EC2 has the interface up.
    async fn interface_is_there(&self, interface: &Interface) -> Result<bool> {
        let network_interface_ids = vec![interface.id.to_string()];
        let input = DescribeNetworkInterfacesInput { network_interface_ids, ..Default::default() };
        let output = self.ec2.call(input).await?;
        let status = output.network_interfaces.first().and_then(|found| found.status);
        Ok(match status {
            Some(
                NetworkInterfaceStatus::Available
                | NetworkInterfaceStatus::Associated
                | NetworkInterfaceStatus::InUse,
            ) => true,
            Some(NetworkInterfaceStatus::Attaching | NetworkInterfaceStatus::Detaching) | None => {
                false
            }
        })
    }

    fn spec(&self, id: &str, interface: &Interface) -> WorkloadSpec {
        let args = ["program", "alb-node"].map(str::to_owned).to_vec();
        WorkloadSpec {
            id: id.to_owned(),
            kind: Kind::Program(Program { args, env: Vec::new(), reach: NetworkReach::Own }),
            netns: Some(self.ctx.drivers.drivers.net.eni_namespace(&interface.id)),
            limits: Limits { memory_bytes: Some(NODE_MEMORY_BYTES), ..Limits::default() },
            stop: StopRequest::terminate(STOP_GRACE),
        }
    }

    /// Writes down what was seen: which nodes answer, the addresses behind the name, and that the
    /// load balancer is active once one answered.
    async fn publish(&self, nodes: &[Node]) -> Result<()> {
        let name = name(self.lb, nodes);
        let arn = self.lb.arn.to_string();
        self.store
            .write(|tx| {
                let Some(lb) = tx.get(&LOAD_BALANCERS, &arn)? else { return Ok(()) };
                for node in nodes {
                    if tx.get(&NODES, store::Record::key(node))?.as_ref() != Some(node) {
                        tx.put(&NODES, node)?;
                    }
                }
                if !lb.deleting {
                    names::set(tx, &name)?;
                    if !lb.was_active && nodes.iter().any(|node| node.alive) {
                        tx.put(&LOAD_BALANCERS, &LoadBalancer { was_active: true, ..lb })?;
                    }
                }
                Ok::<_, Error>(())
            })
            .await
    }

    /// Takes a node away with all that was made for it.
    async fn tear_down(&self, node: &Node) -> Result<()> {
        if let Some(interface) = &node.interface {
            let id = workload(&interface.id);
            match self.ctx.drivers.drivers.machine.remove(&node.place.zone, &id).await {
                // What ran in a zone that is down ended with it.
                Ok(()) | Err(machine::Error::ZoneDown { .. }) => {}
                Err(error) => return Err(internal(error)),
            }
            self.ctx.drivers.told().remove(&id);
        }
        self.release_address(node).await?;
        for network_interface_id in self.interfaces_of(node).await? {
            let input = DeleteNetworkInterfaceInput { network_interface_id, ..Default::default() };
            gone(self.ec2.call(input).await, "InvalidNetworkInterfaceID.NotFound")?;
        }
        let key = store::Record::key(node);
        self.store.write(|tx| tx.delete(&NODES, &key)).await?;
        Ok(())
    }

    /// The node's interface, also one that a run cut short made and did not note.
    async fn interfaces_of(&self, node: &Node) -> Result<Vec<String>> {
        if let Some(interface) = &node.interface {
            return Ok(vec![interface.id.to_string()]);
        }
        let filters = vec![
            network::filter("description", [format!("ELB {}", self.lb.arn.name())]),
            network::filter("subnet-id", [node.place.subnet.as_str()]),
        ];
        let input = DescribeNetworkInterfacesInput { filters, ..Default::default() };
        let found = self.ec2.call(input).await?.network_interfaces;
        Ok(found.into_iter().filter_map(|it| it.network_interface_id).collect())
    }

    async fn release_address(&self, node: &Node) -> Result<()> {
        let allocation = match &node.address {
            Some(address) => Some(address.allocation.clone()),
            None if self.lb.scheme == Scheme::InternetFacing => {
                self.address_left_behind(node).await?.map(|(allocation, _)| allocation)
            }
            None => None,
        };
        if let Some(association) = node.address.as_ref().and_then(|it| it.association.clone()) {
            let input = DisassociateAddressInput {
                association_id: Some(association),
                ..Default::default()
            };
            gone(self.ec2.call(input).await, "InvalidAssociationID.NotFound")?;
        }
        if let Some(allocation) = allocation {
            let input =
                ReleaseAddressInput { allocation_id: Some(allocation), ..Default::default() };
            gone(self.ec2.call(input).await, "InvalidAllocationID.NotFound")?;
        }
        Ok(())
    }

    /// Forgets a load balancer whose nodes are gone.
    async fn forget(&self) -> Result<()> {
        let arn = self.lb.arn.to_string();
        self.store
            .write(|tx| {
                names::remove(tx, &self.lb.dns_name)?;
                tx.delete(&LOAD_BALANCERS, &arn)?;
                Ok::<_, Error>(())
            })
            .await
    }
}

/// What the load balancer's name stands for: the addresses of the nodes that answer. A name of an
/// internal load balancer is resolved outside too, to the private addresses, as AWS does.
fn name(lb: &LoadBalancer, nodes: &[Node]) -> Name {
    let of = |node: &Node| match lb.scheme {
        Scheme::Internal => node.interface.as_ref().map(|interface| interface.private),
        Scheme::InternetFacing => node.address.as_ref().map(|address| address.public),
    };
    let mut addresses: Vec<Ipv4Addr> =
        nodes.iter().filter(|node| node.alive).filter_map(of).collect();
    addresses.sort();
    Name {
        name: lb.dns_name.clone(),
        owner: lb.arn.to_string(),
        inside: addresses.clone(),
        outside: addresses,
        vpcs: Vec::new(),
        ttl_secs: NAME_TTL_SECS,
    }
}

fn read(allocation: Option<String>, public: Option<String>) -> Result<(String, Ipv4Addr)> {
    let public = public.and_then(|address| address.parse().ok());
    allocation.zip(public).ok_or_else(|| unexpected("an address without id or number"))
}

fn unexpected(what: &str) -> Error {
    Error::Inside(ServiceError::internal(what))
}

/// Success also when there was nothing to take away.
fn gone<T>(result: Result<T, ServiceError>, not_found: &str) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.code == not_found => Ok(()),
        Err(error) => Err(Error::Inside(error)),
    }
}

fn tracing_note(load_balancer: &str, subnet: &ResourceId, error: &Error) {
    let cause = if let Error::Inside(inside) = error { inside.cause.as_deref() } else { None };
    let cause = cause.unwrap_or_default();
    tracing::info!(load_balancer, %subnet, %error, cause, "a node is not ready");
}
