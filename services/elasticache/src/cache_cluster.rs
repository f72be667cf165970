//! Cache clusters: stand-alone nodes, and the nodes of replication groups.

use elasticache_api::{
    AZMode, CreateCacheClusterInput, CreateCacheClusterOutput, DeleteCacheClusterInput,
    DeleteCacheClusterOutput, DescribeCacheClustersInput, DescribeCacheClustersOutput, IpDiscovery,
    NetworkType, RebootCacheClusterInput, RebootCacheClusterOutput,
};
use nodes::parameter_group::family;
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::replication_group::{
    blank, check_failover, placing, require_available, require_ids_free, write_new,
};
use crate::store::{CACHES, Cache, Kind, NodeRecord, Status};
use crate::{
    Ctx, endpoint, listing, parameter_group, replication_group, request, subnet_group, tags, view,
};

/// The cache that holds the node called `id`, and the node.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<(Cache, NodeRecord)> {
    let id = id.to_ascii_lowercase();
    for cache in tx.scan(&CACHES, ())? {
        if let Some(node) = cache.nodes.iter().find(|node| node.cluster == id) {
            let node = node.clone();
            return Ok((cache, node));
        }
    }
    Err(Error::ClusterNotFound(id))
}

fn refuse_create(input: &CreateCacheClusterInput) -> Result<()> {
    let given = Option::<String>::is_some;
    refuse(&[
        ("AZMode", input.az_mode == Some(AZMode::CrossAz)),
        ("PreferredAvailabilityZones", input.preferred_availability_zones.len() > 1),
        ("CacheSecurityGroupNames", !input.cache_security_group_names.is_empty()),
        ("SnapshotArns", !input.snapshot_arns.is_empty()),
        ("SnapshotName", given(&input.snapshot_name)),
        ("SnapshotRetentionLimit", input.snapshot_retention_limit.is_some_and(|days| days != 0)),
        ("SnapshotWindow", given(&input.snapshot_window)),
        ("NotificationTopicArn", given(&input.notification_topic_arn)),
        ("AuthToken", given(&input.auth_token)),
        ("OutpostMode", input.outpost_mode.is_some()),
        ("PreferredOutpostArn", given(&input.preferred_outpost_arn)),
        ("PreferredOutpostArns", !input.preferred_outpost_arns.is_empty()),
        ("LogDeliveryConfigurations", !input.log_delivery_configurations.is_empty()),
        ("TransitEncryptionEnabled", input.transit_encryption_enabled == Some(true)),
        ("NetworkType", input.network_type.is_some_and(|kind| kind != NetworkType::Ipv4)),
        ("IpDiscovery", input.ip_discovery.is_some_and(|kind| kind != IpDiscovery::Ipv4)),
    ])
}

fn zones_asked(input: &CreateCacheClusterInput) -> Vec<String> {
    let first = input.preferred_availability_zones.first();
    input.preferred_availability_zone.iter().chain(first).take(1).cloned().collect()
}

async fn alone(ctx: &Ctx, input: &CreateCacheClusterInput, id: &str) -> Result<Cache> {
    if input.num_cache_nodes.is_some_and(|count| count != 1) {
        return Err(Error::value(
            "Cannot create a Redis or Valkey cluster with a NumCacheNodes parameter other than 1.",
        ));
    }
    let engine = input.engine.as_deref().ok_or_else(|| {
        Error::value("The parameter Engine must be provided and must not be blank.")
    })?;
    let engine = request::engine(&ctx.drivers, engine, input.engine_version.as_deref())?;
    let family = family(engine.0, engine.1);
    let asked = input.cache_parameter_group_name.as_deref();
    let parameter_group = parameter_group::for_cache(ctx, asked, &family).await?;
    let node_type = request::node_type(input.cache_node_type.as_deref())?;
    let port = request::port(engine.0, input.port)?;
    let window = input.preferred_maintenance_window.as_deref();
    let maintenance_window = request::maintenance(window, ctx.random())?;
    let groups = &input.security_group_ids;
    let placing = placing(ctx, input.cache_subnet_group_name.as_deref(), groups).await?;
    let subnets = request::subnets_for(&placing.group, &[], 1, &zones_asked(input))?;
    let mut cache = Cache {
        node_type,
        port,
        parameter_group,
        maintenance_window,
        auto_minor_version_upgrade: input.auto_minor_version_upgrade != Some(false),
        tags: tags::from(ctx, &input.tags)?,
        ..blank(ctx, Kind::Cluster, id, engine, &placing)?
    };
    for subnet in &subnets {
        cache.add_node(id.to_owned(), subnet);
    }
    cache.primary = cache.nodes.first().map(|node| node.id.clone()).unwrap_or_default();
    Ok(cache)
}

/// Adds a replica of this id to a replication group, which decides about all else.
async fn replica(
    ctx: &Ctx,
    input: &CreateCacheClusterInput,
    id: &str,
    group: &str,
) -> Result<Cache> {
    let own = [
        ("NumCacheNodes", input.num_cache_nodes.is_some_and(|count| count != 1)),
        ("CacheNodeType", input.cache_node_type.is_some()),
        ("Engine", input.engine.is_some()),
        ("EngineVersion", input.engine_version.is_some()),
        ("CacheParameterGroupName", input.cache_parameter_group_name.is_some()),
        ("CacheSubnetGroupName", input.cache_subnet_group_name.is_some()),
        ("SecurityGroupIds", !input.security_group_ids.is_empty()),
        ("Port", input.port.is_some()),
        ("PreferredMaintenanceWindow", input.preferred_maintenance_window.is_some()),
        ("AutoMinorVersionUpgrade", input.auto_minor_version_upgrade.is_some()),
    ];
    if let Some((name, _)) = own.iter().find(|(_, given)| *given) {
        return Err(Error::combination(format!(
            "{name} cannot be specified with ReplicationGroupId: a replica has its group's."
        )));
    }
    let tags = tags::from(ctx, &input.tags)?;
    let write = |tx: &mut WriteTx<'_>| -> Result<Cache> {
        let mut cache = replication_group::get(tx, group)?;
        require_available(&cache)?;
        let subnets = subnet_group::get(tx, &cache.subnet_group)?;
        if cache.nodes.len() > request::REPLICAS_MAX {
            return Err(Error::value("A replication group can have at most 5 replicas."));
        }
        let id = id.to_owned();
        if cache.nodes.iter().any(|node| node.cluster == id) {
            return Err(Error::ClusterAlreadyExists(id));
        }
        require_ids_free(tx, &cache, &[&id])?;
        let chosen = request::subnets_for(&subnets, &cache.nodes, 1, &zones_asked(input))?;
        for subnet in &chosen {
            cache.add_node(id.clone(), subnet);
        }
        if let Some(node) = cache.nodes.last_mut() {
            node.tags.extend(tags.clone());
        }
        cache.status = Status::Modifying;
        check_failover(&cache)?;
        tx.put(&CACHES, &cache)?;
        Ok(cache)
    };
    ctx.store.write(write).await
}

/// Makes a cache cluster of one node, alone or as a replica of a replication group.
///
/// AWS: CreateCacheCluster.
pub(crate) async fn create_cache_cluster(
    ctx: Ctx,
    input: CreateCacheClusterInput,
) -> Result<CreateCacheClusterOutput> {
    refuse_create(&input)?;
    let id =
        request::identifier("CacheClusterId", &input.cache_cluster_id, request::CLUSTER_ID_MAX)?;
    let cache = match &input.replication_group_id {
        Some(group) => replica(&ctx, &input, &id, group).await?,
        None => {
            let cache = alone(&ctx, &input, &id).await?;
            write_new(&ctx, &cache).await?;
            cache
        }
    };
    let node = cache.nodes.iter().find(|node| node.cluster == id);
    let shown = node.map(|node| view::cluster(ctx.store.scope(), &cache, node, false));
    Ok(CreateCacheClusterOutput { cache_cluster: shown })
}

/// Tells the account's cache clusters, those in replication groups among them.
///
/// AWS: DescribeCacheClusters.
pub(crate) async fn describe_cache_clusters(
    ctx: Ctx,
    input: DescribeCacheClustersInput,
) -> Result<DescribeCacheClustersOutput> {
    let scope = ctx.store.scope();
    let mut all = Vec::new();
    if let Some(asked) = &input.cache_cluster_id {
        let prefix = endpoint::arn(scope, "cluster", "");
        let id = asked.strip_prefix(&prefix).unwrap_or(asked);
        all.push(ctx.store.read(|tx| get(tx, id)).await?);
    } else {
        let caches: Vec<Cache> = ctx.store.read(|tx| tx.scan(&CACHES, ())).await?;
        for cache in caches {
            let hidden = input.show_cache_clusters_not_in_replication_groups == Some(true)
                && cache.kind == Kind::Group;
            let nodes = cache.nodes.clone();
            all.extend(nodes.into_iter().filter(|_| !hidden).map(|node| (cache.clone(), node)));
        }
    }
    let key = |one: &(Cache, NodeRecord)| one.1.cluster.clone();
    let (page, marker) = listing::page(all, input.marker.as_deref(), input.max_records, key)?;
    let show = input.show_cache_node_info == Some(true);
    let shown = page.iter().map(|(cache, node)| view::cluster(scope, cache, node, show));
    Ok(DescribeCacheClustersOutput { marker, cache_clusters: shown.collect() })
}

/// Deletes a cache cluster, or takes a replica out of its replication group.
///
/// AWS: DeleteCacheCluster.
pub(crate) async fn delete_cache_cluster(
    ctx: Ctx,
    input: DeleteCacheClusterInput,
) -> Result<DeleteCacheClusterOutput> {
    refuse(&[("FinalSnapshotIdentifier", input.final_snapshot_identifier.is_some())])?;
    let write = |tx: &mut WriteTx<'_>| -> Result<(Cache, NodeRecord)> {
        let (mut cache, mut node) = get(tx, &input.cache_cluster_id)?;
        if cache.status == Status::Deleting || node.leaving {
            return Err(Error::InvalidClusterState(format!(
                "Cache cluster {} is already being deleted.",
                node.cluster
            )));
        }
        if cache.kind == Kind::Group {
            require_available(&cache)?;
            if node.id == cache.primary {
                return Err(Error::InvalidClusterState(format!(
                    "Cache cluster {} is serving as primary for replication group {} and cannot \
                     be deleted.",
                    node.cluster, cache.name
                )));
            }
            if cache.automatic_failover && cache.staying().count() == 2 {
                return Err(Error::InvalidClusterState(format!(
                    "Cache cluster {} is the last read replica of replication group {}, whose \
                     automatic failover is enabled, and cannot be deleted.",
                    node.cluster, cache.name
                )));
            }
            node.leaving = true;
            for known in cache.nodes.iter_mut().filter(|known| known.id == node.id) {
                known.leaving = true;
            }
            cache.status = Status::Modifying;
        } else {
            cache.status = Status::Deleting;
        }
        tx.put(&CACHES, &cache)?;
        Ok((cache, node))
    };
    let (cache, node) = ctx.store.write(write).await?;
    let shown = view::cluster(ctx.store.scope(), &cache, &node, false);
    Ok(DeleteCacheClusterOutput { cache_cluster: Some(shown) })
}

/// Starts the node of a cache cluster again; parameters that waited for that are in force then.
///
/// AWS: RebootCacheCluster.
pub(crate) async fn reboot_cache_cluster(
    ctx: Ctx,
    input: RebootCacheClusterInput,
) -> Result<RebootCacheClusterOutput> {
    let unknown = input.cache_node_ids_to_reboot.iter().find(|id| *id != view::NODE);
    if let Some(id) = unknown {
        return Err(Error::value(format!("The following cache nodes do not exist: [{id}]")));
    }
    if input.cache_node_ids_to_reboot.is_empty() {
        return Err(Error::value("CacheNodeIdsToReboot must not be empty."));
    }
    let write = |tx: &mut WriteTx<'_>| -> Result<(Cache, NodeRecord)> {
        let (mut cache, mut node) = get(tx, &input.cache_cluster_id)?;
        if cache.status != Status::Available {
            return Err(Error::InvalidClusterState(format!(
                "Cache cluster {} is not in available state.",
                node.cluster
            )));
        }
        node.reboot = true;
        for known in cache.nodes.iter_mut().filter(|known| known.id == node.id) {
            known.reboot = true;
        }
        cache.status = Status::Modifying;
        tx.put(&CACHES, &cache)?;
        Ok((cache, node))
    };
    let (cache, node) = ctx.store.write(write).await?;
    let shown = view::cluster(ctx.store.scope(), &cache, &node, false);
    Ok(RebootCacheClusterOutput { cache_cluster: Some(shown) })
}
