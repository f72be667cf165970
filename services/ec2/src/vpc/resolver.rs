//! The task that keeps the built-in that every VPC asks: one program a zone, which answers DNS
//! and instance metadata in the router of every VPC. All programs have the same configuration and
//! share the addresses, so that a zone that is lost takes no name with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::{ResourceId, Zone};
use kernel::{Next, Task, TaskError, names};
use machine::{Kind, Limits, NetworkReach, Program, State, StopRequest, WorkloadSpec};
use serde::{Deserialize, Serialize};
use store::{Record, Scope, Table, WriteTx};

use super::interface_view::{private_name, public_name};
use super::store::{INTERFACES, Interface, VPCS, Vpc};
use crate::error::{Error, Result};
use crate::{Drivers, TaskCtx, instance, region};

/// What the program that serves VPCs is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcServicesConfig {
    /// The names that it answers for.
    pub dns: dns::Zones,
    /// What instances may read of themselves.
    pub imds: imds::Metadata,
}

/// The workload's name in every zone.
const WORKLOAD: &str = "vpc-services";
/// How often the program is looked at when nothing changes.
const LOOK: Duration = Duration::from_secs(5);
/// How long the program has to end when it is asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How long answers about private names may be kept.
///
/// AWS: "Amazon DNS server".
const TTL_SECONDS: u32 = 60;

/// What a zone's program was told last, and which process it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    zone: Zone,
    pid: u32,
    fingerprint: String,
}

impl Record for Told {
    type Key = Zone;

    fn key(&self) -> Zone {
        self.zone.clone()
    }
}

const TOLD: Table<Told> = Table::global("ec2.vpc_services");

/// The secret that metadata tokens are sealed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TokenSecret {
    secret: String,
}

impl Record for TokenSecret {
    type Key = ();

    fn key(&self) {}
}

const TOKEN_SECRET: Table<TokenSecret> = Table::global("ec2.metadata_secret");

/// The reconciler of the programs.
pub(crate) fn task() -> Task<Drivers> {
    Task::keyed("ec2.resolver", zones, run).wakes_on(&[
        "ec2.vpcs",
        "ec2.interfaces",
        "ec2.instances",
        "ec2.role_credentials",
        "ec2.interface_states",
        "ec2.tags",
        names::TABLE,
    ])
}

/// The zones that have an interface.
async fn zones(ctx: TaskCtx) -> std::result::Result<Vec<String>, TaskError> {
    let interfaces = ctx.store.read(|tx| tx.scan_all(&INTERFACES)).await?;
    let zones: BTreeSet<String> =
        interfaces.into_iter().map(|(_, interface)| interface.zone.to_string()).collect();
    Ok(zones.into_iter().collect())
}

/// Tells the program of a zone what is so now, unless it knows.
pub(crate) async fn run(ctx: TaskCtx, zone: String) -> std::result::Result<Next, TaskError> {
    let zone = Zone::new(zone);
    // Nobody can be answered before the fabric has a router to listen in.
    let built = ctx.store.read(|tx| tx.scan_all(&super::store::INTERFACE_STATES)).await?;
    if built.is_empty() {
        return Ok(Next::Idle);
    }
    let told = ctx.store.read(|tx| tx.get(&TOLD, &zone)).await?;
    if ctx.drivers.machine.is_down(&zone) {
        if told.is_some() {
            tracing::warn!(%zone, "the zone was lost; another answers its names and metadata");
            ctx.store.write(|tx| tx.delete(&TOLD, &zone)).await?;
        }
        return Ok(Next::Poll(LOOK));
    }
    let (config, fingerprint) = config_of(&ctx).await?;
    let pid = running(&ctx, &zone).await?;
    if told.is_some_and(|told| told.pid == pid && told.fingerprint == fingerprint) {
        return Ok(Next::Poll(LOOK));
    }
    let message = serde_json::to_vec(&config)?;
    ctx.drivers.machine.call(&zone, WORKLOAD, message).await?;
    let told = Told { zone, pid, fingerprint };
    ctx.store.write(|tx| tx.put(&TOLD, &told)).await?;
    Ok(Next::Poll(LOOK))
}

/// The process of a zone's program, which is started where it does not run.
async fn running(ctx: &TaskCtx, zone: &Zone) -> std::result::Result<u32, TaskError> {
    let machine = &ctx.drivers.machine;
    let found = |list: Vec<machine::WorkloadStatus>| {
        let own = list.into_iter().find(|workload| workload.id == WORKLOAD);
        own.and_then(|own| match own.state {
            State::Running { pid, .. } => Some(pid),
            State::Starting | State::Exited { .. } => None,
        })
    };
    if let Some(pid) = found(machine.list(zone).await?) {
        return Ok(pid);
    }
    let spec = WorkloadSpec {
        id: WORKLOAD.to_owned(),
        kind: Kind::Program(Program {
            args: vec!["program".to_owned(), WORKLOAD.to_owned()],
            env: Vec::new(),
            reach: NetworkReach::All,
        }),
        netns: Some(ctx.drivers.net.internet_namespace()),
        limits: Limits::default(),
        stop: StopRequest::terminate(GRACE),
    };
    machine.start(zone, spec).await?;
    let pid = found(machine.list(zone).await?);
    pid.ok_or_else(|| TaskError::new("the program that serves VPCs ended at once"))
}

async fn config_of(ctx: &TaskCtx) -> std::result::Result<(VpcServicesConfig, String), TaskError> {
    let all_names = names::all(&ctx.store).await?;
    let secret = token_secret(ctx).await?;
    let read = |tx: &store::ReadTx<'_>| {
        let vpcs = tx.scan_all(&VPCS)?;
        let interfaces = tx.scan_all(&INTERFACES)?;
        let metadata = instance::metadata::documents(tx, &ctx.region)?;
        Ok::<_, Error>((vpcs, interfaces, metadata))
    };
    let (vpcs, interfaces, mut metadata) = ctx.store.read(read).await?;
    let directory = Directory { ctx, vpcs: &vpcs, interfaces: &interfaces, names: &all_names };
    let built = directory.built();
    let vpc_metadata = built.iter().map(|vpc| imds::VpcMetadata {
        id: vpc.id.to_string(),
        namespace: Some(ctx.drivers.net.router_namespace(&vpc.id)),
        address: None,
        instances: metadata.remove(&vpc.id).unwrap_or_default(),
    });
    let imds = imds::Metadata { token_secret: secret, vpcs: vpc_metadata.collect() };
    let config = VpcServicesConfig { dns: directory.zones(&built), imds };
    let fingerprint = kernel::token::fingerprint(&config);
    Ok((config, fingerprint))
}

async fn token_secret(ctx: &TaskCtx) -> Result<String> {
    use base64::Engine as _;
    if let Some(known) = ctx.store.read(|tx| tx.get(&TOKEN_SECRET, ())).await? {
        return Ok(known.secret);
    }
    let mut bytes = [0; 32];
    ctx.random().fill(&mut bytes);
    let fresh = TokenSecret { secret: base64::engine::general_purpose::STANDARD.encode(bytes) };
    let write = |tx: &mut WriteTx<'_>| match tx.get(&TOKEN_SECRET, ())? {
        Some(known) => Ok::<_, Error>(known.secret),
        None => {
            tx.put(&TOKEN_SECRET, &fresh)?;
            Ok(fresh.secret.clone())
        }
    };
    ctx.store.write(write).await
}

/// All that names are made from.
struct Directory<'a> {
    ctx: &'a TaskCtx,
    vpcs: &'a [(Scope, Vpc)],
    interfaces: &'a [(Scope, Interface)],
    names: &'a [(Scope, names::Name)],
}

impl Directory<'_> {
    /// The VPCs that the fabric has: those with an interface.
    fn built(&self) -> Vec<&Vpc> {
        let used: BTreeSet<&ResourceId> = self.interfaces.iter().map(|(_, eni)| &eni.vpc).collect();
        self.vpcs.iter().map(|(_, vpc)| vpc).filter(|vpc| used.contains(&vpc.id)).collect()
    }

    fn zones(&self, built: &[&Vpc]) -> dns::Zones {
        let options = &self.ctx.drivers.net_options;
        dns::Zones {
            shared: self.shared(),
            vpcs: built.iter().map(|vpc| self.of_vpc(vpc)).collect(),
            host: Some(SocketAddr::new(IpAddr::V4(options.endpoint_address()), 53)),
            upstreams: Vec::new(),
        }
    }

    /// What everybody is told: public names, and that AWS's endpoints are here.
    fn shared(&self) -> dns::Names {
        let region = &self.ctx.region;
        let endpoint = self.ctx.drivers.net_options.endpoint_address();
        let mut records = BTreeMap::new();
        let mut reverse = BTreeMap::new();
        records.insert("*.amazonaws.com".to_owned(), record(vec![endpoint], TTL_SECONDS));
        for (_, interface) in self.interfaces {
            for private in &interface.addresses {
                if let Some(public) = &private.public {
                    let name = public_name(region, public.address);
                    records.insert(name.clone(), record(vec![public.address], TTL_SECONDS));
                    reverse.insert(public.address, name);
                }
            }
        }
        for (_, name) in self.names.iter().filter(|(_, name)| !name.outside.is_empty()) {
            records.insert(name.name.clone(), record(name.outside.clone(), name.ttl_secs));
        }
        // What AWS calls these names here is all there is: they must not fall to the endpoints.
        let authoritative = vec![
            region::public_domain(region),
            format!("{region}.elb.amazonaws.com"),
            format!("elb.{region}.amazonaws.com"),
            format!("{region}.rds.amazonaws.com"),
            "cache.amazonaws.com".to_owned(),
        ];
        dns::Names { records, reverse, authoritative }
    }

    /// What the members of one VPC are told before that.
    fn of_vpc(&self, vpc: &Vpc) -> dns::VpcNames {
        let region = &self.ctx.region;
        let mut records = BTreeMap::new();
        let mut reverse = BTreeMap::new();
        let own = self.interfaces.iter().map(|(_, eni)| eni).filter(|eni| eni.vpc == vpc.id);
        for private in own.flat_map(|eni| &eni.addresses) {
            let name = private_name(region, private.address);
            records.insert(name.clone(), record(vec![private.address], TTL_SECONDS));
            reverse.insert(private.address, name);
            if let Some(public) = private.public.as_ref().filter(|_| vpc.dns_hostnames) {
                let name = public_name(region, public.address);
                records.insert(name, record(vec![private.address], TTL_SECONDS));
            }
        }
        let sees = |name: &names::Name| {
            name.vpcs.is_empty() || name.vpcs.iter().any(|id| id == vpc.id.as_str())
        };
        for (_, name) in self.names.iter().filter(|(_, name)| sees(name)) {
            if !name.inside.is_empty() {
                records.insert(name.name.clone(), record(name.inside.clone(), name.ttl_secs));
            }
        }
        let resolver = vpc.blocks.first().and_then(|block| block.cidr.nth(2));
        let addresses = resolver.into_iter().chain([net::DNS_ADDRESS]).map(IpAddr::V4);
        dns::VpcNames {
            id: vpc.id.to_string(),
            namespace: Some(self.ctx.drivers.net.router_namespace(&vpc.id)),
            // A VPC without DNS support has nobody to ask at these addresses.
            addresses: addresses.filter(|_| vpc.dns_support).collect(),
            port: None,
            names: dns::Names {
                records,
                reverse,
                authoritative: vec![region::private_domain(region)],
            },
        }
    }
}

fn record(addresses: Vec<std::net::Ipv4Addr>, ttl_seconds: u32) -> dns::Records {
    dns::Records { ttl_seconds: Some(ttl_seconds), ..dns::Records::addresses(addresses) }
}
