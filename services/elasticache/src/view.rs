//! Caches as clients see them.

use elasticache_api::{
    AutomaticFailoverStatus, CacheCluster, CacheNode, CacheParameterGroupStatus, ClusterMode,
    DataTieringStatus, Endpoint, IpDiscovery, MultiAZStatus, NetworkType, NodeGroup,
    NodeGroupMember, PendingModifiedValues, ReplicationGroup,
    ReplicationGroupPendingModifiedValues, SecurityGroupMembership,
};
use store::Scope;

use crate::endpoint;
use crate::store::{Cache, Kind, NodeRecord, Status};

/// The only node of a cache cluster.
pub(crate) const NODE: &str = "0001";

/// The only node group of a replication group.
pub(crate) const NODE_GROUP: &str = "0001";

fn at(address: String, cache: &Cache) -> Endpoint {
    Endpoint { address: Some(address), port: Some(i32::from(cache.port)) }
}

fn status_of(cache: &Cache, node: &NodeRecord) -> &'static str {
    match cache.status {
        Status::Creating | Status::Deleting | Status::CreateFailed => cache.status.name(),
        Status::Available | Status::Modifying => match node {
            NodeRecord { leaving: true, .. } => "deleting",
            NodeRecord { joined: false, .. } => "creating",
            NodeRecord { reboot: true, .. } | NodeRecord { serving: false, .. } => {
                "rebooting cluster nodes"
            }
            NodeRecord { .. } if cache.applied.node_type != cache.node_type => "modifying",
            NodeRecord { .. } => "available",
        },
    }
}

fn member(scope: &Scope, cache: &Cache, node: &NodeRecord) -> NodeGroupMember {
    let role = if node.id == cache.primary { "primary" } else { "replica" };
    NodeGroupMember {
        cache_cluster_id: Some(node.cluster.clone()),
        cache_node_id: Some(NODE.to_owned()),
        read_endpoint: node.joined.then(|| at(endpoint::node(scope, &node.cluster), cache)),
        preferred_availability_zone: Some(node.zone.to_string()),
        preferred_outpost_arn: None,
        current_role: node.joined.then(|| role.to_owned()),
    }
}

fn node_group(scope: &Scope, cache: &Cache) -> NodeGroup {
    NodeGroup {
        node_group_id: Some(NODE_GROUP.to_owned()),
        status: Some(cache.status.name().to_owned()),
        // The names lead nowhere before the first engine answered.
        primary_endpoint: cache.created.map(|_| at(endpoint::primary(scope, &cache.name), cache)),
        reader_endpoint: cache.created.map(|_| at(endpoint::reader(scope, &cache.name), cache)),
        slots: None,
        node_group_members: cache.nodes.iter().map(|node| member(scope, cache, node)).collect(),
    }
}

/// A replication group as `DescribeReplicationGroups` shows it.
pub(crate) fn group(scope: &Scope, cache: &Cache) -> ReplicationGroup {
    let failover = match cache.automatic_failover {
        true => AutomaticFailoverStatus::Enabled,
        false => AutomaticFailoverStatus::Disabled,
    };
    ReplicationGroup {
        replication_group_id: Some(cache.name.clone()),
        description: Some(cache.description.clone()),
        status: Some(cache.status.name().to_owned()),
        pending_modified_values: Some(ReplicationGroupPendingModifiedValues::default()),
        member_clusters: cache.nodes.iter().map(|node| node.cluster.clone()).collect(),
        node_groups: vec![node_group(scope, cache)],
        automatic_failover: Some(failover),
        multi_az: Some(if cache.multi_az {
            MultiAZStatus::Enabled
        } else {
            MultiAZStatus::Disabled
        }),
        snapshot_retention_limit: Some(0),
        cluster_enabled: Some(false),
        cache_node_type: Some(cache.node_type.clone()),
        auth_token_enabled: Some(false),
        transit_encryption_enabled: Some(false),
        at_rest_encryption_enabled: Some(false),
        arn: Some(endpoint::arn_of(scope, cache)),
        replication_group_create_time: cache.created,
        data_tiering: Some(DataTieringStatus::Disabled),
        auto_minor_version_upgrade: Some(cache.auto_minor_version_upgrade),
        network_type: Some(NetworkType::Ipv4),
        ip_discovery: Some(IpDiscovery::Ipv4),
        cluster_mode: Some(ClusterMode::Disabled),
        engine: Some(cache.engine.name().to_owned()),
        ..Default::default()
    }
}

fn parameter_status(cache: &Cache, node: &NodeRecord) -> CacheParameterGroupStatus {
    let applying = node.joined && cache.applied.parameter_group != cache.parameter_group;
    let status = match (applying, node.stale) {
        (true, _) => "applying",
        (false, true) => "pending-reboot",
        (false, false) => "in-sync",
    };
    CacheParameterGroupStatus {
        cache_parameter_group_name: Some(cache.parameter_group.clone()),
        parameter_apply_status: Some(status.to_owned()),
        cache_node_ids_to_reboot: if node.stale { vec![NODE.to_owned()] } else { Vec::new() },
    }
}

fn cache_node(scope: &Scope, cache: &Cache, node: &NodeRecord) -> CacheNode {
    CacheNode {
        cache_node_id: Some(NODE.to_owned()),
        cache_node_status: Some(status_of(cache, node).to_owned()),
        cache_node_create_time: node.created,
        endpoint: node.joined.then(|| at(endpoint::node(scope, &node.cluster), cache)),
        parameter_group_status: parameter_status(cache, node).parameter_apply_status,
        customer_availability_zone: Some(node.zone.to_string()),
        ..Default::default()
    }
}

/// A node as `DescribeCacheClusters` shows it; its inside only where it is asked for.
pub(crate) fn cluster(
    scope: &Scope,
    cache: &Cache,
    node: &NodeRecord,
    show_node: bool,
) -> CacheCluster {
    let membership = |id: &String| SecurityGroupMembership {
        security_group_id: Some(id.clone()),
        status: Some(
            if cache.applied.groups == cache.groups { "active" } else { "modifying" }.to_owned(),
        ),
    };
    let scaling = !cache.applied.node_type.is_empty() && cache.applied.node_type != cache.node_type;
    CacheCluster {
        cache_cluster_id: Some(node.cluster.clone()),
        cache_node_type: Some(
            if scaling { &cache.applied.node_type } else { &cache.node_type }.clone(),
        ),
        engine: Some(cache.engine.name().to_owned()),
        engine_version: Some(cache.version.clone()),
        cache_cluster_status: Some(status_of(cache, node).to_owned()),
        num_cache_nodes: Some(1),
        preferred_availability_zone: Some(node.zone.to_string()),
        cache_cluster_create_time: node.created,
        preferred_maintenance_window: Some(cache.maintenance_window.clone()),
        pending_modified_values: Some(PendingModifiedValues {
            cache_node_type: scaling.then(|| cache.node_type.clone()),
            ..Default::default()
        }),
        cache_parameter_group: Some(parameter_status(cache, node)),
        cache_subnet_group_name: Some(cache.subnet_group.clone()),
        cache_nodes: if show_node { vec![cache_node(scope, cache, node)] } else { Vec::new() },
        auto_minor_version_upgrade: Some(cache.auto_minor_version_upgrade),
        security_groups: cache.groups.iter().map(membership).collect(),
        replication_group_id: (cache.kind == Kind::Group).then(|| cache.name.clone()),
        snapshot_retention_limit: Some(0),
        auth_token_enabled: Some(false),
        transit_encryption_enabled: Some(false),
        at_rest_encryption_enabled: Some(false),
        arn: Some(endpoint::arn(scope, "cluster", &node.cluster)),
        replication_group_log_delivery_enabled: Some(false),
        network_type: Some(NetworkType::Ipv4),
        ip_discovery: Some(IpDiscovery::Ipv4),
        ..Default::default()
    }
}
