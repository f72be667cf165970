//! A region with EC2 in it, on a host that exists in memory only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ec2::{Drivers, Host};
use ec2_api::{
    DescribeInstancesInput, Instance, InstanceStateName, RunInstancesInput, RunInstancesOutput,
};
use machine::{Error, Image, ImageRecipe, SimMachine};
use net::SimNet;
use protocol::ServiceError;
use testkit::{Cloud, TestClient};

/// What tests know of the host's memory: less than the largest types have.
const MEMORY: u64 = 16 << 30;

/// Images and volumes as names in tables.
#[derive(Default)]
pub(crate) struct SimHost {
    pub(crate) volumes: Mutex<BTreeMap<String, u64>>,
    snapshots: Mutex<Vec<String>>,
    /// Why images cannot be built, if they cannot.
    pub(crate) broken: Mutex<Option<String>>,
}

fn image(id: &str, mut below: Vec<PathBuf>) -> Image {
    below.insert(0, PathBuf::from(format!("/images/{id}/root")));
    Image { id: id.to_owned(), layers: below, size_bytes: 1 << 20, build_time: Duration::ZERO }
}

#[async_trait]
impl Host for SimHost {
    async fn image(&self, recipe: ImageRecipe) -> machine::Result<Image> {
        if let Some(lack) = self.broken.lock().unwrap().clone() {
            return Err(Error::HostLacks(lack));
        }
        Ok(image(recipe.name(), Vec::new()))
    }

    async fn built_image(&self, recipe: ImageRecipe) -> machine::Result<Option<Image>> {
        self.image(recipe).await.map(Some)
    }

    async fn snapshot(&self, volume: &str, below: Vec<PathBuf>) -> machine::Result<Image> {
        self.snapshots.lock().unwrap().push(volume.to_owned());
        Ok(image(&format!("snapshot-{volume}"), below))
    }

    async fn remove_snapshot(&self, _id: &str) -> machine::Result<()> {
        Ok(())
    }

    async fn create_volume(&self, id: &str, size_bytes: u64) -> machine::Result<PathBuf> {
        self.volumes.lock().unwrap().entry(id.to_owned()).or_insert(size_bytes);
        Ok(PathBuf::from("/volumes").join(id))
    }

    async fn copy_volume(&self, _from: &str, id: &str) -> machine::Result<PathBuf> {
        self.create_volume(id, 0).await
    }

    async fn delete_volume(&self, id: &str) -> machine::Result<()> {
        self.volumes.lock().unwrap().remove(id);
        Ok(())
    }

    async fn volumes(&self) -> machine::Result<Vec<String>> {
        Ok(self.volumes.lock().unwrap().keys().cloned().collect())
    }

    fn memory_bytes(&self) -> u64 {
        MEMORY
    }
}

/// A region and the drivers under it.
pub(crate) struct Lab {
    pub(crate) cloud: Cloud,
    pub(crate) machine: Arc<SimMachine>,
    pub(crate) host: Arc<SimHost>,
    pub(crate) root: TestClient,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let (machine, host) = (Arc::new(SimMachine::new()), Arc::new(SimHost::default()));
        let cloud = Cloud::start(vec![service(&machine, &host).into()]).await;
        let root = cloud.root();
        Self { cloud, machine, host, root }
    }

    /// Stops the region and starts it anew; what runs goes on.
    pub(crate) async fn restart(self) -> Self {
        let Self { cloud, machine, host, root } = self;
        drop(root);
        let cloud = cloud.restart(vec![service(&machine, &host).into()]).await;
        let root = cloud.root();
        Self { cloud, machine, host, root }
    }

    /// The id of Debian's image.
    pub(crate) async fn debian(&self) -> String {
        let input = ec2_api::DescribeImagesInput {
            owners: vec!["136693071363".to_owned()],
            filters: vec![filter("name", "debian-12-amd64-*")],
            ..Default::default()
        };
        let found = self.root.call(input).await.unwrap();
        found.images[0].image_id.clone().unwrap()
    }

    /// What it takes to launch `count` small instances.
    pub(crate) async fn launch(&self, count: i32) -> RunInstancesInput {
        RunInstancesInput {
            image_id: Some(self.debian().await),
            instance_type: Some("t3.micro".to_owned()),
            min_count: count,
            max_count: count,
            ..Default::default()
        }
    }

    pub(crate) async fn run(
        &self,
        input: RunInstancesInput,
    ) -> Result<RunInstancesOutput, ServiceError> {
        self.root.call(input).await
    }

    /// Launches one instance and waits until it runs.
    pub(crate) async fn running(&self, input: RunInstancesInput) -> Instance {
        let made = self.run(input).await.unwrap();
        let id = made.instances[0].instance_id.clone().unwrap();
        self.until(&id, InstanceStateName::Running).await
    }

    pub(crate) async fn describe(&self, id: &str) -> Instance {
        let input =
            DescribeInstancesInput { instance_ids: vec![id.to_owned()], ..Default::default() };
        let found = self.root.call(input).await.unwrap();
        found.reservations[0].instances[0].clone()
    }

    /// Waits until an instance is in `state`.
    pub(crate) async fn until(&self, id: &str, state: InstanceStateName) -> Instance {
        testkit::poll::until(&format!("{id} to be {state}"), || async {
            let instance = self.describe(id).await;
            let is = instance.state.as_ref().and_then(|s| s.name) == Some(state);
            is.then_some(instance)
        })
        .await
    }
}

fn service(machine: &Arc<SimMachine>, host: &Arc<SimHost>) -> kernel::Service<Drivers> {
    ec2::service(Drivers {
        net: Arc::new(SimNet::new()),
        net_options: net::Options {
            run_dir: PathBuf::from("/nonexistent"),
            prefix: "t".to_owned(),
            egress: false,
            public_pool: "198.18.0.0/15".parse().unwrap(),
        },
        machine: machine.clone(),
        host: host.clone(),
    })
}

pub(crate) fn filter(name: &str, value: &str) -> ec2_api::Filter {
    ec2_api::Filter { name: Some(name.to_owned()), values: vec![value.to_owned()] }
}

/// The code of an error.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> String {
    result.unwrap_err().code
}
