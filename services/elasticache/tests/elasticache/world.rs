//! A region with ElastiCache in it, on a host that is played but for the engines.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use elasticache_api as cache;
use engine::EngineKind;
use kernel::ServiceDef;
use node_testkit::Host;
pub(crate) use node_testkit::{GROUP, SUBNETS};
use testkit::{Cloud, TestClient, poll};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A region of one test. Its control plane ends before the host's processes do.
pub(crate) struct World {
    cloud: Option<Cloud>,
    pub(crate) host: Host,
}

impl World {
    /// A region whose nodes have addresses in `127.block`.
    pub(crate) async fn new(block: u8) -> Self {
        let host = Host::new(block, "elasticache.amazonaws.com", env!("CARGO_TARGET_TMPDIR"));
        let mut world = Self { cloud: None, host };
        world.cloud = Some(Cloud::start(world.services()).await);
        world
    }

    /// Unpacks an engine before anything waits for it: the first time it is downloaded.
    pub(crate) async fn unpacked(self, kind: EngineKind, version: &str) -> Self {
        self.host.unpack(kind, version).await;
        self
    }

    fn services(&self) -> Vec<ServiceDef> {
        let drivers = ::elasticache::Drivers {
            net: self.host.net.clone(),
            machine: self.host.machine.clone(),
            engines: Arc::new(self.host.engines()),
            data_dir: self.host.data().to_owned(),
            cipher: node_testkit::cipher(),
        };
        vec![self.host.ec2(), ::elasticache::service(drivers).into()]
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
        format!("cache-{}", self.host.addresses.node_at(address))
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
