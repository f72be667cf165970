//! Replication groups: made, described, deleted, failed over.

use base::Tags;
use elasticache_api::{
    ClusterMode, CreateReplicationGroupInput, CreateReplicationGroupOutput,
    DeleteReplicationGroupInput, DeleteReplicationGroupOutput, DescribeReplicationGroupsInput,
    DescribeReplicationGroupsOutput, Durability, IpDiscovery, NetworkType, TestFailoverInput,
    TestFailoverOutput,
};
use engine::EngineKind;
use kernel::quota::Quota;
use nodes::parameter_group::family;
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::store::{Applied, CACHES, Cache, Kind, Status, SubnetGroup, cluster_key, group_key};
use crate::{
    Ctx, NETWORK, endpoint, event, listing, parameter_group, request, secret, subnet_group, tags,
    view,
};

/// Nodes per region.
///
/// AWS: "Quotas for ElastiCache", nodes per Region.
const NODES_MAX: Quota = Quota { service: "elasticache", code: "L-DFE45DF3", default: 300 };

/// The replication group called `name`, however its letters are cased.
pub(crate) fn get(tx: &ReadTx<'_>, name: &str) -> Result<Cache> {
    let found = tx.get(&CACHES, group_key(name))?;
    found.ok_or_else(|| Error::GroupNotFound(name.to_owned()))
}

/// The group if it may be changed now.
pub(crate) fn require_available(cache: &Cache) -> Result<()> {
    if cache.status == Status::Available {
        return Ok(());
    }
    let text = format!("{} {} is not in available state.", noun(cache.kind), cache.name);
    Err(match cache.kind {
        Kind::Group => Error::InvalidGroupState(text),
        Kind::Cluster => Error::InvalidClusterState(text),
    })
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Group => "Replication group",
        Kind::Cluster => "Cache cluster",
    }
}

/// Where a new cache lies.
pub(crate) struct Placing {
    pub(crate) group: SubnetGroup,
    pub(crate) security_groups: Vec<String>,
}

/// Finds the subnet group and the security groups of a new cache.
pub(crate) async fn placing(ctx: &Ctx, group: Option<&str>, groups: &[String]) -> Result<Placing> {
    let group = subnet_group::for_cache(ctx, group).await?;
    let security_groups = NETWORK.security_groups(&ctx.client, &group.vpc, groups).await?;
    Ok(Placing { group, security_groups })
}

/// A record with no nodes yet.
pub(crate) fn blank(
    ctx: &Ctx,
    kind: Kind,
    name: &str,
    engine: (EngineKind, &str, String),
    placing: &Placing,
) -> Result<Cache> {
    let resource_id = request::resource_id(ctx.random());
    let mut cache = Cache {
        kind,
        name: name.to_owned(),
        description: String::new(),
        resource_id,
        status: Status::Creating,
        why: None,
        engine: engine.0,
        series: engine.1.to_owned(),
        version: engine.2,
        node_type: String::new(),
        port: engine.0.default_port(),
        automatic_failover: false,
        multi_az: false,
        subnet_group: placing.group.name.clone(),
        vpc: placing.group.vpc.clone(),
        groups: placing.security_groups.clone(),
        parameter_group: String::new(),
        nodes: Vec::new(),
        primary: String::new(),
        next_number: 1,
        secrets: Vec::new(),
        test_failover: false,
        maintenance_window: String::new(),
        auto_minor_version_upgrade: true,
        applied: Applied::default(),
        created: None,
        tags: Tags::new(),
    };
    cache.secrets = secret::make(&ctx.drivers, ctx.random(), &cache.place())?;
    Ok(cache)
}

fn refuse_create(input: &CreateReplicationGroupInput) -> Result<()> {
    let given = Option::<String>::is_some;
    let shards = input.num_node_groups.is_some_and(|count| count != 1)
        || input.node_group_configuration.len() > 1;
    refuse(&[
        ("GlobalReplicationGroupId", given(&input.global_replication_group_id)),
        ("PrimaryClusterId", given(&input.primary_cluster_id)),
        ("NumNodeGroups", shards),
        ("ClusterMode", input.cluster_mode.is_some_and(|mode| mode != ClusterMode::Disabled)),
        ("CacheSecurityGroupNames", !input.cache_security_group_names.is_empty()),
        ("SnapshotArns", !input.snapshot_arns.is_empty()),
        ("SnapshotName", given(&input.snapshot_name)),
        ("ServerlessCacheSnapshotName", given(&input.serverless_cache_snapshot_name)),
        ("SnapshotRetentionLimit", input.snapshot_retention_limit.is_some_and(|days| days != 0)),
        ("SnapshotWindow", given(&input.snapshot_window)),
        ("NotificationTopicArn", given(&input.notification_topic_arn)),
        ("TransitEncryptionEnabled", input.transit_encryption_enabled == Some(true)),
        ("TransitEncryptionMode", input.transit_encryption_mode.is_some()),
        ("AuthToken", given(&input.auth_token)),
        ("AtRestEncryptionEnabled", input.at_rest_encryption_enabled == Some(true)),
        ("KmsKeyId", given(&input.kms_key_id)),
        ("UserGroupIds", !input.user_group_ids.is_empty()),
        ("LogDeliveryConfigurations", !input.log_delivery_configurations.is_empty()),
        ("DataTieringEnabled", input.data_tiering_enabled == Some(true)),
        ("NetworkType", input.network_type.is_some_and(|kind| kind != NetworkType::Ipv4)),
        ("IpDiscovery", input.ip_discovery.is_some_and(|kind| kind != IpDiscovery::Ipv4)),
        ("Durability", input.durability.is_some_and(|kind| kind != Durability::Default)),
    ])
}

/// How many nodes a request asks for, and in which zones, the primary's first.
fn nodes_asked(input: &CreateReplicationGroupInput) -> Result<(usize, Vec<String>)> {
    let shard = input.node_group_configuration.first();
    let replicas = match shard.and_then(|shard| shard.replica_count) {
        Some(count) => Some(count),
        None => input.replicas_per_node_group,
    };
    if let Some(shard) = shard {
        refuse(&[
            ("Slots", shard.slots.is_some()),
            ("PrimaryOutpostArn", shard.primary_outpost_arn.is_some()),
            ("ReplicaOutpostArns", !shard.replica_outpost_arns.is_empty()),
            (
                "NodeGroupId",
                shard.node_group_id.as_deref().is_some_and(|id| id != view::NODE_GROUP),
            ),
        ])?;
    }
    let asked = match (input.num_cache_clusters, replicas) {
        (Some(nodes), Some(replicas)) if nodes != replicas + 1 => {
            return Err(Error::combination(
                "NumCacheClusters and ReplicasPerNodeGroup contradict each other.",
            ));
        }
        (Some(nodes), _) => nodes,
        (None, Some(replicas)) => replicas.saturating_add(1),
        (None, None) => 1,
    };
    let count = usize::try_from(asked).unwrap_or_default();
    if !(1..=request::REPLICAS_MAX + 1).contains(&count) {
        return Err(Error::value(format!(
            "Invalid number of cache clusters: {asked}. Must be between 1 and {}.",
            request::REPLICAS_MAX + 1
        )));
    }
    let mut zones = input.preferred_cache_cluster_azs.clone();
    if let Some(shard) = shard.filter(|_| zones.is_empty()) {
        zones.extend(shard.primary_availability_zone.clone());
        if zones.is_empty() && !shard.replica_availability_zones.is_empty() {
            return Err(Error::combination(
                "ReplicaAvailabilityZones needs PrimaryAvailabilityZone.",
            ));
        }
        zones.extend(shard.replica_availability_zones.iter().cloned());
    }
    if !zones.is_empty() && zones.len() != count {
        return Err(Error::combination(format!(
            "The number of availability zones, {}, must be the number of cache clusters, {count}.",
            zones.len()
        )));
    }
    Ok((count, zones))
}

/// Checks what is asked of failover against the nodes.
pub(crate) fn check_failover(cache: &Cache) -> Result<()> {
    let nodes = cache.staying().count();
    if cache.automatic_failover && nodes < 2 {
        return Err(Error::combination(
            "Replication group with automatic failover enabled must have at least one replica.",
        ));
    }
    if !cache.automatic_failover && nodes > 1 {
        return Err(Error::combination(
            "AutomaticFailoverEnabled must be true for a replication group with replicas: a \
             replica always takes over for a lost primary in this Region.",
        ));
    }
    if !cache.multi_az {
        return Ok(());
    }
    let first = cache.nodes.first().map(|node| &node.zone);
    let spread = cache.staying().any(|node| Some(&node.zone) != first);
    match (cache.automatic_failover, spread) {
        (false, _) => Err(Error::combination(
            "Automatic failover must be enabled for Multi-AZ to be enabled.",
        )),
        (true, false) => Err(Error::combination(
            "Multi-AZ needs cache clusters in at least two availability zones.",
        )),
        (true, true) => Ok(()),
    }
}

async fn cache_from(ctx: &Ctx, input: &CreateReplicationGroupInput) -> Result<Cache> {
    refuse_create(input)?;
    let name = request::identifier(
        "ReplicationGroupId",
        &input.replication_group_id,
        request::GROUP_ID_MAX,
    )?;
    if input.replication_group_description.is_empty() {
        return Err(Error::value("ReplicationGroupDescription must not be blank."));
    }
    let (count, zones) = nodes_asked(input)?;
    let engine = input.engine.as_deref().unwrap_or("redis");
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
    let subnets = request::subnets_for(&placing.group, &[], count, &zones)?;
    let mut cache = Cache {
        description: input.replication_group_description.clone(),
        node_type,
        port,
        automatic_failover: input.automatic_failover_enabled == Some(true),
        multi_az: input.multi_az_enabled == Some(true),
        parameter_group,
        maintenance_window,
        auto_minor_version_upgrade: input.auto_minor_version_upgrade != Some(false),
        tags: tags::from(ctx, &input.tags)?,
        ..blank(ctx, Kind::Group, &name, engine, &placing)?
    };
    for subnet in &subnets {
        cache.add_member(subnet);
    }
    cache.primary = cache.nodes.first().map(|node| node.id.clone()).unwrap_or_default();
    check_failover(&cache)?;
    Ok(cache)
}

/// Refuses ids of cache clusters that are taken.
pub(crate) fn require_ids_free(tx: &ReadTx<'_>, cache: &Cache, ids: &[&String]) -> Result<()> {
    for other in tx.scan(&CACHES, ())? {
        let same = other.resource_id == cache.resource_id;
        for node in other.nodes.iter().filter(|_| !same) {
            if ids.contains(&&node.cluster) {
                return Err(Error::ClusterAlreadyExists(node.cluster.clone()));
            }
        }
    }
    Ok(())
}

/// Writes a new cache, if its name and those of its nodes are free and the quota allows.
pub(crate) async fn write_new(ctx: &Ctx, cache: &Cache) -> Result<()> {
    let limit = NODES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        match cache.kind {
            Kind::Group if tx.contains(&CACHES, group_key(&cache.name))? => {
                return Err(Error::GroupAlreadyExists(cache.name.clone()));
            }
            Kind::Cluster if tx.contains(&CACHES, cluster_key(&cache.name))? => {
                return Err(Error::ClusterAlreadyExists(cache.name.clone()));
            }
            Kind::Group | Kind::Cluster => {}
        }
        let ids: Vec<_> = cache.nodes.iter().map(|node| &node.cluster).collect();
        require_ids_free(tx, cache, &ids)?;
        require_quota(tx, cache.nodes.len(), limit)?;
        tx.put(&CACHES, cache)?;
        Ok(())
    };
    ctx.store.write(write).await
}

fn require_quota(tx: &ReadTx<'_>, more: usize, limit: u64) -> Result<()> {
    let known: usize = tx.scan(&CACHES, ())?.iter().map(|cache| cache.nodes.len()).sum();
    if u64::try_from(known + more).unwrap_or(u64::MAX) > limit {
        return Err(Error::NodeQuotaExceeded(limit));
    }
    Ok(())
}

/// Makes a replication group: a primary and its replicas.
///
/// AWS: CreateReplicationGroup.
pub(crate) async fn create_replication_group(
    ctx: Ctx,
    input: CreateReplicationGroupInput,
) -> Result<CreateReplicationGroupOutput> {
    let cache = cache_from(&ctx, &input).await?;
    write_new(&ctx, &cache).await?;
    let shown = view::group(ctx.store.scope(), &cache);
    Ok(CreateReplicationGroupOutput { replication_group: Some(shown) })
}

/// Tells the account's replication groups.
///
/// AWS: DescribeReplicationGroups.
pub(crate) async fn describe_replication_groups(
    ctx: Ctx,
    input: DescribeReplicationGroupsInput,
) -> Result<DescribeReplicationGroupsOutput> {
    let scope = ctx.store.scope();
    let all: Vec<Cache> = match &input.replication_group_id {
        Some(asked) => {
            let prefix = endpoint::arn(scope, "replicationgroup", "");
            let name = asked.strip_prefix(&prefix).unwrap_or(asked);
            vec![ctx.store.read(|tx| get(tx, name)).await?]
        }
        None => {
            let mut all: Vec<Cache> = ctx.store.read(|tx| tx.scan(&CACHES, ())).await?;
            all.retain(|cache| cache.kind == Kind::Group);
            all
        }
    };
    let (page, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, |one| one.name.clone())?;
    let shown = page.iter().map(|cache| view::group(scope, cache)).collect();
    Ok(DescribeReplicationGroupsOutput { marker, replication_groups: shown })
}

/// Deletes a replication group with all its nodes.
///
/// AWS: DeleteReplicationGroup.
pub(crate) async fn delete_replication_group(
    ctx: Ctx,
    input: DeleteReplicationGroupInput,
) -> Result<DeleteReplicationGroupOutput> {
    refuse(&[
        ("RetainPrimaryCluster", input.retain_primary_cluster == Some(true)),
        ("FinalSnapshotIdentifier", input.final_snapshot_identifier.is_some()),
    ])?;
    let write = |tx: &mut WriteTx<'_>| -> Result<Cache> {
        let mut cache = get(tx, &input.replication_group_id)?;
        if cache.status == Status::Deleting {
            return Err(Error::InvalidGroupState(format!(
                "Replication group {} has status deleting which is not valid for deletion.",
                cache.name
            )));
        }
        cache.status = Status::Deleting;
        tx.put(&CACHES, &cache)?;
        Ok(cache)
    };
    let cache = ctx.store.write(write).await?;
    let shown = view::group(ctx.store.scope(), &cache);
    Ok(DeleteReplicationGroupOutput { replication_group: Some(shown) })
}

/// Ends the primary's process, so that a replica takes over.
///
/// AWS: TestFailover.
pub(crate) async fn test_failover(
    ctx: Ctx,
    input: TestFailoverInput,
) -> Result<TestFailoverOutput> {
    let now = ctx.now();
    let ids = [ctx.random().uuid()];
    let write = |tx: &mut WriteTx<'_>| -> Result<Cache> {
        let mut cache = get(tx, &input.replication_group_id)?;
        if input.node_group_id != view::NODE_GROUP {
            return Err(Error::NodeGroupNotFound(input.node_group_id.clone()));
        }
        require_available(&cache)?;
        if !cache.automatic_failover {
            return Err(Error::InvalidGroupState(
                "Automatic failover must be enabled to test it.".to_owned(),
            ));
        }
        cache.status = Status::Modifying;
        cache.test_failover = true;
        tx.put(&CACHES, &cache)?;
        let text = format!("Test Failover API called for node group {}", input.node_group_id);
        event::write_all(tx, now, &ids, &[event::Told::of_cache(&cache, text)])?;
        Ok(cache)
    };
    let cache = ctx.store.write(write).await?;
    let shown = view::group(ctx.store.scope(), &cache);
    Ok(TestFailoverOutput { replication_group: Some(shown) })
}
