//! What a node's host does to processes and links, with played ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base::{Region, ResourceId, Zone};
use engine::{
    CacheAccess, ClusterSpec, EngineKind, EngineProcess, EngineRoot, Host, Node, Role, Secrets,
    Start, user_of,
};
use machine::{Exit, Machine, SimMachine, State};
use net::{Admission, Net, SimNet};
use nodes::{Admits, Clusters, Owner, Parts, Place, Running, Terms};
use store::Scope;

const TERMS: Terms = Terms {
    prefix: "db",
    stop_grace: Duration::from_secs(1),
    scratch_bytes: 1 << 20,
    pids_max: 10,
};

/// The record of a cluster: who takes writes.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<String>>);

#[async_trait]
impl Owner for Record {
    async fn primary_changed(&self, node: &str) -> io::Result<()> {
        node.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

struct World {
    net: Arc<SimNet>,
    machine: Arc<SimMachine>,
    record: Record,
    running: Arc<Running>,
    folder: tempfile::TempDir,
    _clusters: Clusters,
}

fn zone(number: u32) -> Zone {
    Zone::new(format!("ap-northeast-2{}", if number == 1 { 'a' } else { 'b' }))
}

fn eni(number: u32) -> ResourceId {
    ResourceId::parse("eni", &format!("eni-{number:017x}")).unwrap()
}

fn vpc() -> ResourceId {
    ResourceId::parse("vpc", "vpc-00000001").unwrap()
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number * 256 + 10)
}

impl World {
    /// A pair in two zones and a replica in the second.
    async fn new() -> Self {
        let (net, machine) = (Arc::new(SimNet::new()), Arc::new(SimMachine::new()));
        net.apply(fabric()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kind = EngineKind::MariaDb;
        let root = EngineRoot {
            path: folder.path().to_owned(),
            kind,
            series: "10.11",
            version: "10.11.1".to_owned(),
        };
        let secrets = Secrets { management: "m".to_owned(), replication: "r".to_owned() };
        let spec = ClusterSpec {
            root,
            secrets,
            parameters: engine::Parameters::new(),
            memory_bytes: 1 << 30,
            cache_access: CacheAccess::Open,
            tls: None,
        };
        let roles = [(1, Role::Primary), (2, Role::Standby), (3, Role::Replica)];
        let node = |(number, role): (u32, Role)| {
            let admits = match role {
                Role::Primary | Role::Standby => Admits::ClientsOfThePrimary,
                Role::Replica => Admits::Clients,
            };
            let place = Place {
                zone: zone(number),
                eni: eni(number),
                vpc: vpc(),
                vcpus: 2,
                memory_bytes: 1 << 30,
                hostname: "shop".to_owned(),
                admits,
            };
            (node(&folder, number), role, place)
        };
        let record = Record::default();
        let parts = Parts {
            id: "cluster".to_owned(),
            scope: Scope::new("123456789012".parse().unwrap(), Region::new("ap-northeast-2")),
            key: "shop".to_owned(),
            primary: "n1".to_owned(),
            spec,
            nodes: roles.map(node).to_vec(),
            owner: Box::new(record.clone()),
            terms: TERMS,
            net: net.clone(),
            machine: machine.clone(),
        };
        let clusters = Clusters::default();
        let running = clusters.of("cluster", async { Ok::<_, Failure>(parts) }).await.unwrap();
        Self { net, machine, record, running, folder, _clusters: clusters }
    }

    fn node(&self, number: u32) -> Node {
        node(&self.folder, number)
    }

    /// Starts a node as an engine would be.
    async fn start(&self, number: u32) {
        let process = self.process(number);
        self.running.host.start(&self.node(number), &process).await.unwrap();
    }

    fn process(&self, number: u32) -> EngineProcess {
        let root = self.running.root.clone();
        let secrets = Secrets { management: "m".to_owned(), replication: "r".to_owned() };
        let spec = ClusterSpec {
            root,
            secrets,
            parameters: engine::Parameters::new(),
            memory_bytes: 1 << 30,
            cache_access: CacheAccess::Open,
            tls: None,
        };
        spec.process(&self.node(number), Start::Primary { standby: None }).unwrap()
    }

    async fn is_up(&self, number: u32) -> bool {
        self.net.observe().await.unwrap().interfaces[&eni(number)].up
    }

    async fn lives(&self, number: u32) -> bool {
        let all = self.machine.list(&zone(number)).await.unwrap_or_default();
        all.iter().any(|one| matches!(one.state, State::Starting | State::Running { .. }))
    }

    fn closed(&self) -> Vec<u32> {
        let cohort = self.net.cohort("db-cluster").unwrap();
        (1..=3).filter(|number| cohort[&eni(*number)] == Admission::Cohort).collect()
    }
}

fn node(folder: &tempfile::TempDir, number: u32) -> Node {
    Node {
        id: format!("n{number}"),
        number,
        zone: zone(number).to_string(),
        address: address(number).into(),
        port: 3306,
        volume: folder.path().join(format!("n{number}")),
        owner: user_of(EngineKind::MariaDb),
    }
}

fn fabric() -> net::Fabric {
    let id = |kind: &str| ResourceId::parse(kind, &format!("{kind}-00000001")).unwrap();
    let subnet = |number: u32| net::Subnet {
        id: ResourceId::parse("subnet", &format!("subnet-{number:08x}")).unwrap(),
        zone: zone(number),
        cidr: base::Cidr::containing(address(number), 24),
        network_acl: id("acl"),
        route_table: id("rtb"),
    };
    let interface = |number: u32| net::Interface {
        id: eni(number),
        subnet: subnet(number).id,
        zone: zone(number),
        mac: base::MacAddress([2, 0, 0, 0, 0, u8::try_from(number).unwrap()]),
        addresses: vec![address(number)],
        public: Vec::new(),
        security_groups: vec![id("sg")],
        source_dest_check: true,
    };
    let vpc = net::Vpc {
        id: vpc(),
        cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        internet_gateway: None,
        subnets: (1..=3).map(subnet).collect(),
        interfaces: (1..=3).map(interface).collect(),
        security_groups: vec![net::SecurityGroup {
            id: id("sg"),
            ingress: Vec::new(),
            egress: Vec::new(),
        }],
        network_acls: vec![net::NetworkAcl {
            id: id("acl"),
            ingress: Vec::new(),
            egress: Vec::new(),
        }],
        route_tables: vec![net::RouteTable { id: id("rtb"), routes: Vec::new() }],
        nat_gateways: Vec::new(),
        service_addresses: Vec::new(),
    };
    net::Fabric { public_pool: "198.18.0.0/15".parse().unwrap(), vpcs: vec![vpc] }
}

#[tokio::test]
async fn a_process_that_can_be_killed_is_fenced_while_its_link_is_up() {
    let world = World::new().await;
    world.start(1).await;
    world.running.host.fence(&world.node(1)).await.unwrap();
    assert!(!world.lives(1).await);
    assert!(world.is_up(1).await, "nobody is told that the process is gone");
    // So is one that ended by itself.
    world.start(2).await;
    world.machine.end(&zone(2), "db-n2", Exit::Signal(9));
    world.running.host.fence(&world.node(2)).await.unwrap();
    assert!(world.is_up(2).await);
}

#[tokio::test]
async fn what_cannot_be_seen_to_have_ended_is_cut_off() {
    let world = World::new().await;
    world.start(1).await;
    world.machine.kill_zone(&zone(1));
    world.running.host.fence(&world.node(1)).await.unwrap();
    assert!(!world.is_up(1).await);
    // It comes back with its zone.
    world.machine.start_zone(&zone(1));
    world.start(1).await;
    assert!(world.is_up(1).await);
    // A network that does not obey is no fence.
    world.machine.kill_zone(&zone(1));
    world.net.fail("no kernel");
    assert!(world.running.host.fence(&world.node(1)).await.is_err());
}

#[tokio::test]
async fn a_standby_is_closed_to_clients_until_it_takes_over() {
    let world = World::new().await;
    assert_eq!(world.closed(), [2]);
    world.running.host.primary_changed(&world.node(2)).await.unwrap();
    assert_eq!(*world.record.0.lock().unwrap(), "n2");
    assert_eq!(world.closed(), [1]);
    // Clients are not led to a node that is not open to them.
    world.net.fail("no kernel");
    assert!(world.running.host.primary_changed(&world.node(1)).await.is_err());
    assert_eq!(*world.record.0.lock().unwrap(), "n2");
    world.net.recover();
    world.running.host.forget("n3").await.unwrap();
    assert!(!world.net.cohort("db-cluster").unwrap().contains_key(&eni(3)));
}

#[tokio::test]
async fn a_node_is_started_once_and_only_where_it_has_a_place() {
    let world = World::new().await;
    world.start(1).await;
    let again = world.running.host.start(&world.node(1), &world.process(1)).await.unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    let stranger = world.running.host.stop(&world.node(9)).await.unwrap_err();
    assert_eq!(stranger.kind(), io::ErrorKind::NotFound);
    world.running.host.stop(&world.node(1)).await.unwrap();
    assert!(!world.lives(1).await);
}
