//! Amazon RDS for MariaDB and PostgreSQL, after the Amazon RDS API Reference (2014-10-31).
//!
//! A DB instance is a primary and, in Multi-AZ, a standby in another zone; read replicas are nodes
//! of their source's cluster. Handlers write what is wanted; the task `rds.instances` makes it so
//! with the engine driver, `rds.watch` keeps each cluster whole, `rds.machine` passes on that a
//! process has ended.

mod access;
mod backup;
mod cfn;
mod class;
mod cluster;
mod converge;
mod create;
mod credentials;
mod delete;
mod endpoint;
mod engine_version;
mod error;
mod event;
mod instance;
mod listing;
mod log_file;
mod modify;
mod parameter;
mod parameter_group;
mod reconcile;
mod replica;
mod request;
mod snapshot;
mod state;
mod store;
mod subnet_group;
mod tags;
mod view;
mod window;

use std::path::PathBuf;
use std::sync::Arc;

use kernel::{Service, Task};

pub use cluster::Rds;

/// What the service reaches the host with.
#[derive(Clone)]
pub struct Drivers {
    /// The VPC fabric.
    pub net: Arc<dyn net::Net>,
    /// Workloads in zones.
    pub machine: Arc<dyn machine::Machine>,
    /// The engines.
    pub engines: Arc<engine::Engines>,
    /// The folder of databases and snapshots.
    pub data_dir: PathBuf,
    /// Seals passwords at rest.
    pub cipher: kernel::cipher::Cipher,
}

pub(crate) type Ctx = kernel::Ctx<Rds>;
pub(crate) type TaskCtx = kernel::TaskCtx<Rds>;

/// What RDS calls what it asks EC2 for.
pub(crate) const NETWORK: nodes::Words =
    nodes::Words { description: "RDSNetworkInterface", subnet_group: "DB subnet group" };

/// The service's name as a caller.
pub(crate) const PRINCIPAL: &str = "rds.amazonaws.com";

/// The service's table.
pub fn service(drivers: Drivers) -> Service<Rds> {
    let service = Service::with(rds_api::SERVICE, Arc::new(Rds::new(drivers)))
        .access(access::RULES)
        .resource_tags(tags::of_arn)
        .operation(instance::create_db_instance)
        .operation(instance::describe_db_instances)
        .operation(modify::modify_db_instance)
        .operation(state::delete_db_instance)
        .operation(state::reboot_db_instance)
        .operation(state::start_db_instance)
        .operation(state::stop_db_instance)
        .operation(replica::create_db_instance_read_replica)
        .operation(replica::promote_read_replica)
        .operation(snapshot::create_db_snapshot)
        .operation(snapshot::delete_db_snapshot)
        .operation(snapshot::describe_db_snapshots)
        .operation(snapshot::restore_db_instance_from_db_snapshot)
        .operation(subnet_group::create_db_subnet_group)
        .operation(subnet_group::delete_db_subnet_group)
        .operation(subnet_group::describe_db_subnet_groups)
        .operation(subnet_group::modify_db_subnet_group);
    with_parameters(service)
        .operation(engine_version::describe_db_engine_versions)
        .operation(engine_version::describe_orderable_db_instance_options)
        .operation(event::describe_events)
        .operation(log_file::describe_db_log_files)
        .operation(log_file::download_db_log_file_portion)
        .operation(tags::add_tags_to_resource)
        .operation(tags::list_tags_for_resource)
        .operation(tags::remove_tags_from_resource)
        .task(
            Task::keyed("rds.instances", reconcile::keys, reconcile::run)
                .wakes_on(&["rds.instances", "rds.parameter_groups"]),
        )
        .task(Task::keyed(cluster::WATCH, cluster::watched, cluster::watch))
        .task(Task::new("rds.machine", cluster::follow_machine))
        .resource_type(cfn::instance::resource_type())
        .resource_type(cfn::subnet_group::resource_type())
        .resource_type(cfn::parameter_group::resource_type())
}

fn with_parameters(service: Service<Rds>) -> Service<Rds> {
    service
        .operation(parameter_group::create_db_parameter_group)
        .operation(parameter_group::delete_db_parameter_group)
        .operation(parameter_group::describe_db_parameter_groups)
        .operation(parameter::describe_db_parameters)
        .operation(parameter::describe_engine_default_parameters)
        .operation(parameter::modify_db_parameter_group)
        .operation(parameter::reset_db_parameter_group)
}
