//! A region with RDS in it, on a host that is played but for the engines.

use std::net::Ipv4Addr;
use std::sync::Arc;

use engine::EngineKind;
use kernel::ServiceDef;
use node_testkit::Host;
pub(crate) use node_testkit::{GROUP, SUBNETS};
use rds_api as rds;
use testkit::{Cloud, TestClient, poll};

/// A region of one test. Its control plane ends before the host's processes do.
pub(crate) struct World {
    cloud: Option<Cloud>,
    pub(crate) host: Host,
}

impl World {
    /// A region whose nodes have addresses in `127.block`.
    pub(crate) async fn new(block: u8) -> Self {
        let host = Host::new(block, "rds.amazonaws.com", env!("CARGO_TARGET_TMPDIR"));
        let mut world = Self { cloud: None, host };
        world.cloud = Some(Cloud::start(world.services()).await);
        world
    }

    /// Unpacks an engine before anything waits for it: the first time it is downloaded.
    pub(crate) async fn unpacked(self, kind: EngineKind, version: &str) -> Self {
        self.host.unpack(kind, version).await;
        self.subnet_group().await;
        self
    }

    fn services(&self) -> Vec<ServiceDef> {
        let drivers = ::rds::Drivers {
            net: self.host.net.clone(),
            machine: self.host.machine.clone(),
            engines: Arc::new(self.host.engines()),
            data_dir: self.host.data().to_owned(),
            cipher: node_testkit::cipher(),
        };
        vec![self.host.ec2(), ::rds::service(drivers).into()]
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
        let input = rds::CreateDBSubnetGroupInput {
            db_subnet_group_name: "data".to_owned(),
            db_subnet_group_description: "two zones".to_owned(),
            subnet_ids: SUBNETS.map(str::to_owned).to_vec(),
            tags: Vec::new(),
        };
        self.root().call(input).await.unwrap();
    }

    pub(crate) async fn instance(&self, name: &str) -> Option<rds::DBInstance> {
        let input = rds::DescribeDBInstancesInput {
            db_instance_identifier: Some(name.to_owned()),
            ..Default::default()
        };
        self.root().call(input).await.ok()?.db_instances.into_iter().next()
    }

    /// Waits until an instance is available and returns it.
    pub(crate) async fn available(&self, name: &str) -> rds::DBInstance {
        let check = || async {
            let found = self.instance(name).await?;
            let status = found.db_instance_status.clone();
            assert_ne!(status.as_deref(), Some("failed"));
            (status.as_deref() == Some("available")).then_some(found)
        };
        poll::until(&format!("{name} to be available"), check).await
    }

    /// Where the name of an instance leads.
    pub(crate) async fn resolve(&self, instance: &rds::DBInstance) -> Ipv4Addr {
        let wanted = instance.endpoint.clone().unwrap().address.unwrap();
        let all = kernel::names::all(self.cloud().kernel.store()).await.unwrap();
        let found = all.into_iter().find(|(_, name)| name.name == wanted).unwrap();
        assert_eq!(found.1.ttl_secs, 5);
        found.1.inside[0]
    }
}

/// An instance as most tests want it.
pub(crate) fn mariadb(name: &str) -> rds::CreateDBInstanceInput {
    rds::CreateDBInstanceInput {
        db_instance_identifier: name.to_owned(),
        engine: "mariadb".to_owned(),
        engine_version: Some("10.11".to_owned()),
        db_instance_class: "db.t3.micro".to_owned(),
        allocated_storage: Some(20),
        master_username: Some("admin".to_owned()),
        master_user_password: Some("correct-horse".to_owned()),
        db_name: Some("shop".to_owned()),
        db_subnet_group_name: Some("data".to_owned()),
        vpc_security_group_ids: vec![GROUP.to_owned()],
        ..Default::default()
    }
}
