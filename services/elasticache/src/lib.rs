//! Amazon ElastiCache for Valkey and Redis OSS, after the Amazon ElastiCache API Reference
//! (2015-02-02).
//!
//! A replication group is a primary and its replicas, each a process with an interface of its own;
//! a cache cluster that is in no group is one such node. Handlers write what is wanted; the task
//! `elasticache.caches` makes it so with the engine driver, `elasticache.watch` keeps each group
//! whole, `elasticache.machine` passes on that a process has ended.

mod access;
mod cache_cluster;
mod cfn;
mod cluster;
mod converge;
mod create;
mod delete;
mod endpoint;
mod engine_version;
mod error;
mod event;
mod listing;
mod modify;
mod node_type;
mod parameter;
mod parameter_group;
mod reconcile;
mod replica;
mod replication_group;
mod request;
mod secret;
mod store;
mod subnet_group;
mod tags;
mod view;
mod window;

use std::path::PathBuf;
use std::sync::Arc;

use kernel::{Service, Task};

pub use cluster::ElastiCache;

/// What the service reaches the host with.
#[derive(Clone)]
pub struct Drivers {
    /// The VPC fabric.
    pub net: Arc<dyn net::Net>,
    /// Workloads in zones.
    pub machine: Arc<dyn machine::Machine>,
    /// The engines.
    pub engines: Arc<engine::Engines>,
    /// The folder of the nodes' data.
    pub data_dir: PathBuf,
    /// Seals passwords at rest.
    pub cipher: kernel::cipher::Cipher,
}

pub(crate) type Ctx = kernel::Ctx<ElastiCache>;
pub(crate) type TaskCtx = kernel::TaskCtx<ElastiCache>;

/// What ElastiCache calls what it asks EC2 for.
pub(crate) const NETWORK: nodes::Words =
    nodes::Words { description: "ElastiCache", subnet_group: "cache subnet group" };

/// The service's name as a caller.
pub(crate) const PRINCIPAL: &str = "elasticache.amazonaws.com";

/// The service's table.
pub fn service(drivers: Drivers) -> Service<ElastiCache> {
    Service::with(elasticache_api::SERVICE, Arc::new(ElastiCache::new(drivers)))
        .access(access::RULES)
        .resource_tags(tags::of_arn)
        .operation(replication_group::create_replication_group)
        .operation(replication_group::describe_replication_groups)
        .operation(replication_group::delete_replication_group)
        .operation(replication_group::test_failover)
        .operation(modify::modify_replication_group)
        .operation(modify::modify_cache_cluster)
        .operation(replica::increase_replica_count)
        .operation(replica::decrease_replica_count)
        .operation(cache_cluster::create_cache_cluster)
        .operation(cache_cluster::describe_cache_clusters)
        .operation(cache_cluster::delete_cache_cluster)
        .operation(cache_cluster::reboot_cache_cluster)
        .operation(subnet_group::create_cache_subnet_group)
        .operation(subnet_group::delete_cache_subnet_group)
        .operation(subnet_group::describe_cache_subnet_groups)
        .operation(subnet_group::modify_cache_subnet_group)
        .operation(parameter_group::create_cache_parameter_group)
        .operation(parameter_group::delete_cache_parameter_group)
        .operation(parameter_group::describe_cache_parameter_groups)
        .operation(parameter::describe_cache_parameters)
        .operation(parameter::modify_cache_parameter_group)
        .operation(engine_version::describe_cache_engine_versions)
        .operation(event::describe_events)
        .operation(tags::add_tags_to_resource)
        .operation(tags::list_tags_for_resource)
        .operation(tags::remove_tags_from_resource)
        .task(
            Task::keyed("elasticache.caches", reconcile::keys, reconcile::run)
                .wakes_on(&["elasticache.caches", "elasticache.parameter_groups"]),
        )
        .task(Task::keyed(cluster::WATCH, cluster::watched, cluster::watch))
        .task(Task::new("elasticache.machine", cluster::follow_machine))
        .resource_type(cfn::replication_group())
        .resource_type(cfn::subnet_group())
        .resource_type(cfn::parameter_group())
        .resource_type(cfn::cache_cluster())
}
