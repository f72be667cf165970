//! Amazon EC2 and Amazon VPC, after the Amazon EC2 API Reference (2016-11-15).
//!
//! Two families share the crate: [`vpc`] keeps networks and has the fabric built, `instance` keeps
//! machines and has them run. Each names its operations, tasks and resource types in a `register`
//! function of its own, so that this table stays short.

mod access;
mod cfn;
mod error;
mod host;
mod image;
mod instance;
mod key_pair;
mod launch_template;
mod listing;
mod maker;
mod region;
mod store;
mod tags;
mod volume;
mod vpc;

use std::sync::Arc;

use kernel::Service;

pub use host::{Folders, Host, LocalHost};
pub use vpc::VpcServicesConfig;

/// What the service reaches the host with.
#[derive(Clone)]
pub struct Drivers {
    /// The VPC fabric.
    pub net: Arc<dyn net::Net>,
    /// How the fabric is laid out on the host.
    pub net_options: net::Options,
    /// Workloads in zones.
    pub machine: Arc<dyn machine::Machine>,
    /// Images, root volumes and what there is of memory.
    pub host: Arc<dyn Host>,
}

pub(crate) type Ctx = kernel::Ctx<Drivers>;
pub(crate) type TaskCtx = kernel::TaskCtx<Drivers>;

/// The service's table.
pub fn service(drivers: Drivers) -> Service<Drivers> {
    let service = Service::with(ec2_api::SERVICE, Arc::new(drivers)).access(access::RULES);
    let service = cfn::register_networks(region::register(tags::register(service)));
    instance::register(vpc::register(service))
}
