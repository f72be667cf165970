//! A region with EC2 in it, whose fabric and machines exist in memory only.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ec2::{Drivers, Host};
use ec2_api::*;
use machine::{Error, Image, ImageRecipe, SimMachine};
use net::SimNet;
use protocol::ServiceError;
use testkit::{Cloud, TestClient};

/// A host on which nothing can be built: no test of networks needs it.
struct NoHost;

fn lacks<T>() -> machine::Result<T> {
    Err(Error::HostLacks("everything".to_owned()))
}

#[async_trait]
impl Host for NoHost {
    async fn image(&self, _: ImageRecipe) -> machine::Result<Image> {
        lacks()
    }
    async fn built_image(&self, _: ImageRecipe) -> machine::Result<Option<Image>> {
        lacks()
    }
    async fn snapshot(&self, _: &str, _: Vec<PathBuf>) -> machine::Result<Image> {
        lacks()
    }
    async fn remove_snapshot(&self, _: &str) -> machine::Result<()> {
        lacks()
    }
    async fn create_volume(&self, _: &str, _: u64) -> machine::Result<PathBuf> {
        lacks()
    }
    async fn copy_volume(&self, _: &str, _: &str) -> machine::Result<PathBuf> {
        lacks()
    }
    async fn delete_volume(&self, _: &str) -> machine::Result<()> {
        lacks()
    }
    async fn volumes(&self) -> machine::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn memory_bytes(&self) -> u64 {
        1 << 30
    }
}

/// A region and the drivers under it.
pub(crate) struct Lab {
    pub(crate) cloud: Cloud,
    pub(crate) net: Arc<SimNet>,
    pub(crate) machine: Arc<SimMachine>,
    pub(crate) root: TestClient,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let (net, machine) = (Arc::new(SimNet::new()), Arc::new(SimMachine::new()));
        machine.answer_with(|_, _| Ok(Vec::new()));
        let service = ec2::service(Drivers {
            net: net.clone(),
            net_options: net::Options {
                run_dir: PathBuf::from("/nonexistent"),
                prefix: "t".to_owned(),
                egress: false,
                public_pool: "198.18.0.0/15".parse().unwrap(),
            },
            machine: machine.clone(),
            host: Arc::new(NoHost),
        });
        let cloud = Cloud::start(vec![service.into()]).await;
        let root = cloud.root();
        Self { cloud, net, machine, root }
    }

    pub(crate) async fn vpc(&self, cidr: &str) -> String {
        let input = CreateVpcInput { cidr_block: Some(cidr.to_owned()), ..Default::default() };
        self.root.call(input).await.unwrap().vpc.unwrap().vpc_id.unwrap()
    }

    pub(crate) async fn subnet(&self, vpc: &str, cidr: &str) -> String {
        self.try_subnet(vpc, cidr).await.unwrap().subnet_id.unwrap()
    }

    pub(crate) async fn try_subnet(&self, vpc: &str, cidr: &str) -> Result<Subnet, ServiceError> {
        let input = CreateSubnetInput {
            vpc_id: vpc.to_owned(),
            cidr_block: Some(cidr.to_owned()),
            ..Default::default()
        };
        Ok(self.root.call(input).await?.subnet.unwrap())
    }

    pub(crate) async fn interface(&self, subnet: &str) -> NetworkInterface {
        let input =
            CreateNetworkInterfaceInput { subnet_id: subnet.to_owned(), ..Default::default() };
        self.root.call(input).await.unwrap().network_interface.unwrap()
    }

    pub(crate) async fn gateway(&self, vpc: &str) -> String {
        let made = self.root.call(CreateInternetGatewayInput::default()).await.unwrap();
        let id = made.internet_gateway.unwrap().internet_gateway_id.unwrap();
        self.attach(&id, vpc).await.unwrap();
        id
    }

    pub(crate) async fn attach(&self, gateway: &str, vpc: &str) -> Result<(), ServiceError> {
        let input = AttachInternetGatewayInput {
            internet_gateway_id: gateway.to_owned(),
            vpc_id: vpc.to_owned(),
            dry_run: None,
        };
        self.root.call(input).await.map(|_| ())
    }

    pub(crate) async fn allocate(&self) -> Result<AllocateAddressOutput, ServiceError> {
        self.root.call(AllocateAddressInput::default()).await
    }

    pub(crate) async fn main_table(&self, vpc: &str) -> RouteTable {
        let filters = vec![filter("vpc-id", vpc), filter("association.main", "true")];
        let input = DescribeRouteTablesInput { filters, ..Default::default() };
        self.root.call(input).await.unwrap().route_tables.remove(0)
    }

    /// Waits until the fabric has what `found` looks for.
    pub(crate) async fn built<T>(
        &self,
        what: &str,
        found: impl Fn(&net::Fabric) -> Option<T>,
    ) -> T {
        testkit::poll::until(what, || async { self.net.applied().as_ref().and_then(&found) }).await
    }
}

pub(crate) fn filter(name: &str, value: &str) -> Filter {
    Filter { name: Some(name.to_owned()), values: vec![value.to_owned()] }
}

/// The code of an error.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> String {
    result.unwrap_err().code
}
