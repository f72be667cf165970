//! A region with ElastiCache in it: an EC2 that hands out loopback addresses, a machine that runs
//! engines as child processes of the test, a fabric that carries everything.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base::{ResourceId, Timestamp, Zone};
use ec2_api as ec2;
use elasticache_api as cache;
use engine::{Engine, EngineKind, Engines, Owner, RootCommand};
use kernel::{Service, ServiceDef, ServiceError};
use machine::{
    Event, EventKind, Exec, Exit, Kind, Machine, Output, State, Stop, WorkloadSpec, WorkloadStatus,
};
use net::{Fabric, InterfaceState, Net, Observed};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Cloud, TestClient, poll};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast};

/// What EC2 has made.
#[derive(Default)]
pub(crate) struct Addresses {
    block: u8,
    next: AtomicU32,
    made: Mutex<BTreeMap<String, (ResourceId, Ipv4Addr)>>,
    pub(crate) deleted: Mutex<Vec<String>>,
}

impl Addresses {
    fn interface(&self, token: &str) -> (ResourceId, Ipv4Addr) {
        let mut made = self.made.lock().unwrap();
        made.entry(token.to_owned())
            .or_insert_with(|| {
                let number = self.next.fetch_add(1, Ordering::SeqCst) + 1;
                let id = ResourceId::parse("eni", &format!("eni-0{number:016x}")).unwrap();
                let host = std::process::id() % 250;
                let host = u8::try_from(host).unwrap();
                (id, Ipv4Addr::new(127, self.block, host, u8::try_from(number).unwrap()))
            })
            .clone()
    }
}

type Ec2 = kernel::Ctx<Addresses>;
const ZONES: [(&str, &str); 3] =
    [("subnet-0000000a", "a"), ("subnet-0000000b", "b"), ("subnet-0000001a", "a")];
pub(crate) const SUBNETS: [&str; 2] = ["subnet-0000000a", "subnet-0000000b"];
const VPC: &str = "vpc-00000001";
pub(crate) const GROUP: &str = "sg-00000001";

async fn describe_subnets(
    _: Ec2,
    input: ec2::DescribeSubnetsInput,
) -> Result<ec2::DescribeSubnetsOutput, ServiceError> {
    let subnet = |(id, zone): &(&str, &str)| ec2::Subnet {
        subnet_id: Some((*id).to_owned()),
        vpc_id: Some(VPC.to_owned()),
        availability_zone: Some(format!("{}{zone}", testkit::REGION)),
        ..Default::default()
    };
    let wanted = |(id, _): &&(&str, &str)| input.subnet_ids.iter().any(|one| one == id);
    let subnets: Vec<_> = ZONES.iter().filter(wanted).map(subnet).collect();
    if subnets.len() < input.subnet_ids.len() {
        return Err(ServiceError::new("InvalidSubnetID.NotFound", "no such subnet"));
    }
    Ok(ec2::DescribeSubnetsOutput { subnets, ..Default::default() })
}

async fn describe_security_groups(
    _: Ec2,
    input: ec2::DescribeSecurityGroupsInput,
) -> Result<ec2::DescribeSecurityGroupsOutput, ServiceError> {
    if input.group_ids.iter().any(|id| id != GROUP) {
        return Err(ServiceError::new("InvalidGroup.NotFound", "no such group"));
    }
    let group = ec2::SecurityGroup {
        group_id: Some(GROUP.to_owned()),
        vpc_id: Some(VPC.to_owned()),
        ..Default::default()
    };
    Ok(ec2::DescribeSecurityGroupsOutput { security_groups: vec![group], ..Default::default() })
}

async fn describe_vpcs(
    _: Ec2,
    _: ec2::DescribeVpcsInput,
) -> Result<ec2::DescribeVpcsOutput, ServiceError> {
    Ok(ec2::DescribeVpcsOutput::default())
}

async fn create_network_interface(
    ctx: Ec2,
    input: ec2::CreateNetworkInterfaceInput,
) -> Result<ec2::CreateNetworkInterfaceOutput, ServiceError> {
    assert_eq!(ctx.caller.invoked_by.as_deref(), Some("elasticache.amazonaws.com"));
    let (id, address) = ctx.drivers.interface(&input.client_token.unwrap());
    let network_interface = Some(ec2::NetworkInterface {
        network_interface_id: Some(id.to_string()),
        private_ip_address: Some(address.to_string()),
        ..Default::default()
    });
    Ok(ec2::CreateNetworkInterfaceOutput { network_interface, client_token: None })
}

async fn delete_network_interface(
    ctx: Ec2,
    input: ec2::DeleteNetworkInterfaceInput,
) -> Result<ec2::DeleteNetworkInterfaceOutput, ServiceError> {
    ctx.drivers.deleted.lock().unwrap().push(input.network_interface_id);
    Ok(ec2::DeleteNetworkInterfaceOutput {})
}

/// A fabric that carries every interface of the played EC2.
struct Carrier(Arc<Addresses>);

#[async_trait]
impl Net for Carrier {
    async fn apply(&self, _: Fabric) -> net::Result<()> {
        Ok(())
    }
    async fn observe(&self) -> net::Result<Observed> {
        let made = self.0.made.lock().unwrap();
        let up = InterfaceState { up: true, ..Default::default() };
        Ok(Observed { interfaces: made.values().map(|(id, _)| (id.clone(), up)).collect() })
    }
    fn eni_namespace(&self, _: &ResourceId) -> PathBuf {
        "/proc/self/ns/net".into()
    }
    fn router_namespace(&self, _: &ResourceId) -> PathBuf {
        "/proc/self/ns/net".into()
    }
    fn internet_namespace(&self) -> PathBuf {
        "/proc/self/ns/net".into()
    }
    async fn set_zone_link(&self, _: &Zone, _: bool) -> net::Result<()> {
        Ok(())
    }
    async fn set_eni_link(&self, _: &ResourceId, _: bool) -> net::Result<()> {
        Ok(())
    }
    async fn destroy(&self) -> net::Result<()> {
        Ok(())
    }
}

/// How long a workload has to end in order.
const GRACE: Duration = Duration::from_secs(5);

struct Child {
    zone: Zone,
    pid: u32,
    ended: Arc<AtomicBool>,
    gone: Arc<Notify>,
}

/// A machine that runs engines as child processes of the test.
pub(crate) struct Children {
    all: Mutex<HashMap<String, Child>>,
    events: broadcast::Sender<Event>,
    closed: AtomicBool,
    addresses: Arc<Addresses>,
}

impl Children {
    fn signal(&self, id: &str, signal: Signal) -> Option<(Arc<AtomicBool>, Arc<Notify>)> {
        let all = self.all.lock().unwrap();
        let child = all.get(id)?;
        if !child.ended.load(Ordering::SeqCst) {
            let mut pids = vec![child.pid];
            if signal == Signal::KILL {
                let path = format!("/proc/{0}/task/{0}/children", child.pid);
                let text = std::fs::read_to_string(path).unwrap_or_default();
                pids.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            for pid in pids {
                let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
            }
        }
        Some((child.ended.clone(), child.gone.clone()))
    }

    /// Kills a workload as a crash would.
    pub(crate) fn kill(&self, id: &str) {
        self.signal(id, Signal::KILL);
    }

    /// The processes of the workloads that run.
    pub(crate) fn pids(&self) -> BTreeMap<String, u32> {
        let all = self.all.lock().unwrap();
        let alive = all.iter().filter(|(_, child)| !child.ended.load(Ordering::SeqCst));
        alive.map(|(id, child)| (id.clone(), child.pid)).collect()
    }

    /// The workloads that run.
    pub(crate) fn running(&self) -> Vec<String> {
        let all = self.all.lock().unwrap();
        let alive = all.iter().filter(|(_, child)| !child.ended.load(Ordering::SeqCst));
        alive.map(|(id, _)| id.clone()).collect()
    }

    /// Signals a workload and waits until it is gone; kills it when that takes too long.
    async fn end(&self, id: &str, signal: Signal) {
        let Some((ended, gone)) = self.signal(id, signal) else { return };
        let waiting = gone.notified();
        if ended.load(Ordering::SeqCst) {
            return;
        }
        if tokio::time::timeout(GRACE, waiting).await.is_ok() {
            return;
        }
        let waiting = gone.notified();
        self.signal(id, Signal::KILL);
        if !ended.load(Ordering::SeqCst) {
            waiting.await;
        }
    }

    fn clean(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for id in self.running() {
            self.signal(&id, Signal::KILL);
        }
    }
}

#[async_trait]
impl Machine for Children {
    async fn start(&self, zone: &Zone, spec: WorkloadSpec) -> machine::Result<()> {
        let Kind::Process(process) = spec.kind else { panic!("an engine is a process") };
        if self.closed.load(Ordering::SeqCst) {
            return Err(machine::Error::Refused("the test is over".to_owned()));
        }
        let bind = process.root.binds.first().unwrap();
        let owner = Owner { uid: process.uid, gid: process.gid };
        // Nodes have namespaces of their own elsewhere; here each keeps to its own address.
        let (_, address) = self.addresses.interface(spec.id.strip_prefix("cache-").unwrap());
        let mut argv = process.argv.clone();
        argv.extend(["--bind".to_owned(), address.to_string()]);
        let command = RootCommand::new(&process.root.layers[0], owner, argv)
            .envs(&process.env)
            .bind(&bind.source, "/data");
        let mut child = command.command().spawn().unwrap();
        let (ended, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let kept = Child {
            zone: zone.clone(),
            pid: child.id().unwrap(),
            ended: ended.clone(),
            gone: gone.clone(),
        };
        self.all.lock().unwrap().insert(spec.id.clone(), kept);
        let (events, zone, id) = (self.events.clone(), zone.clone(), spec.id);
        #[expect(clippy::disallowed_methods, reason = "the reaper ends with its child")]
        tokio::spawn(async move {
            let _ = child.wait().await;
            ended.store(true, Ordering::SeqCst);
            gone.notify_waiters();
            let kind = EventKind::Exited(Exit::Signal(9));
            let _ = events.send(Event { zone, id, kind });
        });
        Ok(())
    }
    async fn stop(&self, _: &Zone, id: &str, how: Stop) -> machine::Result<()> {
        let signal = match how {
            Stop::Graceful { .. } => Signal::TERM,
            Stop::Kill => Signal::KILL,
        };
        self.end(id, signal).await;
        Ok(())
    }
    async fn remove(&self, zone: &Zone, id: &str) -> machine::Result<()> {
        self.stop(zone, id, Stop::Kill).await?;
        self.all.lock().unwrap().remove(id);
        Ok(())
    }
    async fn reboot(&self, _: &Zone, _: &str) -> machine::Result<()> {
        unreachable!("ElastiCache stops and starts")
    }
    async fn list(&self, zone: &Zone) -> machine::Result<Vec<WorkloadStatus>> {
        let all = self.all.lock().unwrap();
        let status = |(id, child): (&String, &Child)| {
            let (pid, since) = (child.pid, Timestamp::default());
            let ended = child.ended.load(Ordering::SeqCst);
            let state = if ended {
                State::Exited { exit: Exit::Signal(9), at: since }
            } else {
                State::Running { pid, since, frozen: false }
            };
            WorkloadStatus { id: id.clone(), state, observed: since }
        };
        Ok(all.iter().filter(|(_, child)| child.zone == *zone).map(status).collect())
    }
    async fn call(&self, _: &Zone, _: &str, _: Vec<u8>) -> machine::Result<Vec<u8>> {
        unreachable!("engines take no calls")
    }
    async fn console(&self, _: &Zone, _: &str, _: usize) -> machine::Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
    async fn freeze(&self, _: &Zone, _: &str) -> machine::Result<()> {
        Ok(())
    }
    async fn thaw(&self, _: &Zone, _: &str) -> machine::Result<()> {
        Ok(())
    }
    async fn exec(&self, _: &Zone, _: &str, _: Exec) -> machine::Result<Output> {
        Err(machine::Error::Refused("no".to_owned()))
    }
}

/// A region of one test.
pub(crate) struct World {
    cloud: Option<Cloud>,
    pub(crate) machine: Arc<Children>,
    pub(crate) addresses: Arc<Addresses>,
    data: PathBuf,
}

impl World {
    /// A region whose nodes have addresses in `127.block`.
    pub(crate) async fn new(block: u8) -> Self {
        let (events, _) = broadcast::channel(64);
        let addresses = Arc::new(Addresses { block, ..Default::default() });
        let machine = Arc::new(Children {
            all: Mutex::default(),
            events,
            closed: AtomicBool::new(false),
            addresses: addresses.clone(),
        });
        let place = format!("cache-{}-{block}", std::process::id());
        let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(place);
        let mut world = Self { cloud: None, machine, addresses, data };
        world.cloud = Some(Cloud::start(world.services()).await);
        world
    }

    /// Unpacks an engine before anything waits for it: the first time it is downloaded.
    pub(crate) async fn unpacked(self, kind: EngineKind, version: &str) -> Self {
        let engines = engines();
        let root = engines.ensure(&Engine { kind, version: version.to_owned() }).await.unwrap();
        engines.template(&root).await.unwrap();
        self
    }

    fn services(&self) -> Vec<ServiceDef> {
        let ec2 = Service::with(ec2::SERVICE, self.addresses.clone())
            .operation(describe_subnets)
            .operation(describe_security_groups)
            .operation(describe_vpcs)
            .operation(create_network_interface)
            .operation(delete_network_interface);
        let drivers = ::elasticache::Drivers {
            net: Arc::new(Carrier(self.addresses.clone())),
            machine: self.machine.clone(),
            engines: Arc::new(engines()),
            data_dir: self.data.clone(),
            cipher: kernel::cipher::Cipher::new([1; 32], Arc::new(Sevens)),
        };
        vec![ec2.into(), ::elasticache::service(drivers).into()]
    }

    pub(crate) fn cloud(&self) -> &Cloud {
        self.cloud.as_ref().unwrap()
    }

    pub(crate) fn root(&self) -> TestClient {
        self.cloud().root()
    }

    /// Stops the control plane and starts it anew; the engines run on.
    pub(crate) async fn restart(&mut self) {
        let cloud = self.cloud.take().unwrap();
        self.cloud = Some(cloud.restart(self.services()).await);
    }

    /// Makes a subnet group over two zones.
    pub(crate) async fn subnet_group(&self) {
        let input = cache::CreateCacheSubnetGroupInput {
            cache_subnet_group_name: "data".to_owned(),
            cache_subnet_group_description: "two zones".to_owned(),
            subnet_ids: SUBNETS.map(str::to_owned).to_vec(),
            tags: Vec::new(),
        };
        self.root().call(input).await.unwrap();
    }

    pub(crate) async fn group(&self, name: &str) -> Option<cache::ReplicationGroup> {
        let input = cache::DescribeReplicationGroupsInput {
            replication_group_id: Some(name.to_owned()),
            ..Default::default()
        };
        self.root().call(input).await.ok()?.replication_groups.into_iter().next()
    }

    /// Waits until a group is available and returns it.
    pub(crate) async fn available(&self, name: &str) -> cache::ReplicationGroup {
        let check = || async {
            let found = self.group(name).await?;
            let status = found.status.clone();
            assert_ne!(status.as_deref(), Some("create-failed"));
            (status.as_deref() == Some("available")).then_some(found)
        };
        poll::until(&format!("{name} to be available"), check).await
    }

    /// The id of the cache cluster that takes writes.
    pub(crate) async fn primary(&self, name: &str) -> String {
        let group = self.group(name).await.unwrap();
        let members = group.node_groups[0].node_group_members.iter();
        let mut primary = members.filter(|one| one.current_role.as_deref() == Some("primary"));
        primary.next().and_then(|one| one.cache_cluster_id.clone()).unwrap()
    }

    /// Where a name leads.
    pub(crate) async fn resolve(&self, endpoint: &cache::Endpoint) -> Vec<Ipv4Addr> {
        let wanted = endpoint.address.as_ref().unwrap();
        let all = kernel::names::all(self.cloud().kernel.store()).await.unwrap();
        let found = all.into_iter().find(|(_, name)| name.name == *wanted);
        found.map(|(_, name)| name.inside).unwrap_or_default()
    }

    /// The workload at an address.
    pub(crate) fn workload(&self, address: Ipv4Addr) -> String {
        let made = self.addresses.made.lock().unwrap();
        let found = made.iter().find(|(_, (_, at))| *at == address);
        format!("cache-{}", found.unwrap().0)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.cloud.take());
        self.machine.clean();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn engines() -> Engines {
    Engines::new(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engines"))
}

struct Sevens;

impl base::Random for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A port that nobody on this machine uses now.
pub(crate) fn free_port() -> i32 {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    i32::from(listener.local_addr().unwrap().port())
}

/// A group as most tests want it: a primary and a replica.
pub(crate) fn valkey(name: &str) -> cache::CreateReplicationGroupInput {
    cache::CreateReplicationGroupInput {
        replication_group_id: name.to_owned(),
        replication_group_description: "sessions".to_owned(),
        engine: Some("valkey".to_owned()),
        cache_node_type: Some("cache.t3.micro".to_owned()),
        num_cache_clusters: Some(2),
        automatic_failover_enabled: Some(true),
        multi_az_enabled: Some(true),
        cache_subnet_group_name: Some("data".to_owned()),
        security_group_ids: vec![GROUP.to_owned()],
        port: Some(free_port()),
        ..Default::default()
    }
}

/// Says one command to a cache and returns the first line of its answer.
pub(crate) async fn say(address: Ipv4Addr, port: i32, command: &str) -> std::io::Result<String> {
    let port = u16::try_from(port).unwrap();
    let talk = async {
        let mut stream = TcpStream::connect((address, port)).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next_line().await?.unwrap_or_default();
        // A text comes after its length.
        if first.starts_with('$') {
            Ok(lines.next_line().await?.unwrap_or_default())
        } else {
            Ok(first)
        }
    };
    tokio::time::timeout(Duration::from_secs(2), talk).await?
}
