//! Changes of replication groups and cache clusters.

use elasticache_api::{
    AZMode, ClusterMode, Durability, IpDiscovery, ModifyCacheClusterInput,
    ModifyCacheClusterOutput, ModifyReplicationGroupInput, ModifyReplicationGroupOutput,
};
use nodes::parameter_group::family;
use store::{Record, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::replication_group::{check_failover, get, require_available};
use crate::store::{CACHES, Cache, Kind, Status};
use crate::{Ctx, NETWORK, cache_cluster, parameter_group, request, view};

/// What a change of either kind can say.
#[derive(Default)]
struct Change {
    node_type: Option<String>,
    groups: Vec<String>,
    parameter_group: Option<String>,
    maintenance_window: Option<String>,
    auto_minor_version_upgrade: Option<bool>,
}

/// Checks what is asked about engine and version: only what runs already.
fn check_engine(cache: &Cache, engine: Option<&str>, version: Option<&str>) -> Result<()> {
    if engine.is_some_and(|engine| engine != cache.engine.name()) {
        return Err(Error::combination("The engine cannot be changed in this Region."));
    }
    let same = |version: &str| version == cache.version || version == cache.series;
    if version.is_some_and(|version| !same(version)) {
        return Err(Error::combination(format!(
            "The engine version cannot be changed from {} in this Region.",
            cache.version
        )));
    }
    Ok(())
}

impl Change {
    /// Checks the change against `cache`.
    async fn check(&mut self, ctx: &Ctx, cache: &Cache, now: bool) -> Result<()> {
        if let Some(node_type) = &self.node_type {
            request::node_type(Some(node_type))?;
            if *node_type != cache.node_type && !now {
                return Err(Error::combination(
                    "ApplyImmediately must be true for a change of CacheNodeType: changes are not \
                     kept for the maintenance window in this Region.",
                ));
            }
        }
        if !self.groups.is_empty() {
            self.groups = NETWORK.security_groups(&ctx.client, &cache.vpc, &self.groups).await?;
        }
        if let Some(asked) = self.parameter_group.take() {
            let family = family(cache.engine, &cache.series);
            let found = parameter_group::for_cache(ctx, Some(&asked), &family).await?;
            self.parameter_group = Some(found);
        }
        if let Some(window) = self.maintenance_window.take() {
            self.maintenance_window = Some(request::maintenance(Some(&window), ctx.random())?);
        }
        Ok(())
    }

    /// Wants the change of `cache` from now on.
    fn apply(&self, cache: &mut Cache) {
        let takes_time = self.node_type.as_ref().is_some_and(|it| *it != cache.node_type)
            || (!self.groups.is_empty() && self.groups != cache.groups)
            || self.parameter_group.as_ref().is_some_and(|it| *it != cache.parameter_group);
        let set = |place: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                place.clone_from(value);
            }
        };
        set(&mut cache.node_type, &self.node_type);
        set(&mut cache.parameter_group, &self.parameter_group);
        set(&mut cache.maintenance_window, &self.maintenance_window);
        if !self.groups.is_empty() {
            cache.groups.clone_from(&self.groups);
        }
        if let Some(on) = self.auto_minor_version_upgrade {
            cache.auto_minor_version_upgrade = on;
        }
        if takes_time {
            cache.status = Status::Modifying;
        }
    }
}

fn refuse_group(input: &ModifyReplicationGroupInput) -> Result<()> {
    let given = Option::<String>::is_some;
    let node_group = input.node_group_id.as_deref().is_some_and(|id| id != view::NODE_GROUP);
    refuse(&[
        ("NodeGroupId", node_group),
        ("SnapshottingClusterId", given(&input.snapshotting_cluster_id)),
        ("CacheSecurityGroupNames", !input.cache_security_group_names.is_empty()),
        ("NotificationTopicArn", given(&input.notification_topic_arn)),
        ("NotificationTopicStatus", given(&input.notification_topic_status)),
        ("SnapshotRetentionLimit", input.snapshot_retention_limit.is_some_and(|days| days != 0)),
        ("SnapshotWindow", given(&input.snapshot_window)),
        ("AuthToken", given(&input.auth_token)),
        ("AuthTokenUpdateStrategy", input.auth_token_update_strategy.is_some()),
        ("UserGroupIdsToAdd", !input.user_group_ids_to_add.is_empty()),
        ("UserGroupIdsToRemove", !input.user_group_ids_to_remove.is_empty()),
        ("RemoveUserGroups", input.remove_user_groups == Some(true)),
        ("LogDeliveryConfigurations", !input.log_delivery_configurations.is_empty()),
        ("IpDiscovery", input.ip_discovery.is_some_and(|kind| kind != IpDiscovery::Ipv4)),
        ("TransitEncryptionEnabled", input.transit_encryption_enabled == Some(true)),
        ("TransitEncryptionMode", input.transit_encryption_mode.is_some()),
        ("ClusterMode", input.cluster_mode.is_some_and(|mode| mode != ClusterMode::Disabled)),
        ("Durability", input.durability.is_some_and(|kind| kind != Durability::Default)),
    ])
}

/// A replica cannot be chosen while failover is automatic.
fn check_primary(cache: &Cache, asked: Option<&str>) -> Result<()> {
    let Some(asked) = asked else { return Ok(()) };
    let member = cache.nodes.iter().find(|node| node.cluster.eq_ignore_ascii_case(asked));
    let member = member.ok_or_else(|| Error::ClusterNotFound(asked.to_owned()))?;
    if member.id == cache.primary {
        return Ok(());
    }
    Err(Error::combination(
        "Manual promotion of a read replica is not allowed while automatic failover is enabled.",
    ))
}

/// Changes a replication group.
///
/// AWS: ModifyReplicationGroup.
pub(crate) async fn modify_replication_group(
    ctx: Ctx,
    input: ModifyReplicationGroupInput,
) -> Result<ModifyReplicationGroupOutput> {
    refuse_group(&input)?;
    let cache = ctx.store.read(|tx| get(tx, &input.replication_group_id)).await?;
    let mut change = Change {
        node_type: input.cache_node_type.clone(),
        groups: input.security_group_ids.clone(),
        parameter_group: input.cache_parameter_group_name.clone(),
        maintenance_window: input.preferred_maintenance_window.clone(),
        auto_minor_version_upgrade: input.auto_minor_version_upgrade,
    };
    change.check(&ctx, &cache, input.apply_immediately == Some(true)).await?;
    let write = |tx: &mut WriteTx<'_>| -> Result<Cache> {
        let mut cache = get(tx, &input.replication_group_id)?;
        require_available(&cache)?;
        check_engine(&cache, input.engine.as_deref(), input.engine_version.as_deref())?;
        check_primary(&cache, input.primary_cluster_id.as_deref())?;
        change.apply(&mut cache);
        if let Some(text) = &input.replication_group_description {
            cache.description.clone_from(text);
        }
        cache.automatic_failover =
            input.automatic_failover_enabled.unwrap_or(cache.automatic_failover);
        cache.multi_az = input.multi_az_enabled.unwrap_or(cache.multi_az);
        check_failover(&cache)?;
        tx.put(&CACHES, &cache)?;
        Ok(cache)
    };
    let cache = ctx.store.write(write).await?;
    let shown = view::group(ctx.store.scope(), &cache);
    Ok(ModifyReplicationGroupOutput { replication_group: Some(shown) })
}

fn refuse_cluster(input: &ModifyCacheClusterInput) -> Result<()> {
    let given = Option::<String>::is_some;
    refuse(&[
        ("NumCacheNodes", input.num_cache_nodes.is_some_and(|count| count != 1)),
        ("CacheNodeIdsToRemove", !input.cache_node_ids_to_remove.is_empty()),
        ("AZMode", input.az_mode == Some(AZMode::CrossAz)),
        ("NewAvailabilityZones", !input.new_availability_zones.is_empty()),
        ("CacheSecurityGroupNames", !input.cache_security_group_names.is_empty()),
        ("NotificationTopicArn", given(&input.notification_topic_arn)),
        ("NotificationTopicStatus", given(&input.notification_topic_status)),
        ("SnapshotRetentionLimit", input.snapshot_retention_limit.is_some_and(|days| days != 0)),
        ("SnapshotWindow", given(&input.snapshot_window)),
        ("AuthToken", given(&input.auth_token)),
        ("AuthTokenUpdateStrategy", input.auth_token_update_strategy.is_some()),
        ("LogDeliveryConfigurations", !input.log_delivery_configurations.is_empty()),
        ("IpDiscovery", input.ip_discovery.is_some_and(|kind| kind != IpDiscovery::Ipv4)),
        ("ScaleConfig", input.scale_config.is_some()),
    ])
}

/// Changes a cache cluster that is in no replication group.
///
/// AWS: ModifyCacheCluster.
pub(crate) async fn modify_cache_cluster(
    ctx: Ctx,
    input: ModifyCacheClusterInput,
) -> Result<ModifyCacheClusterOutput> {
    refuse_cluster(&input)?;
    let (cache, _) = ctx.store.read(|tx| cache_cluster::get(tx, &input.cache_cluster_id)).await?;
    if cache.kind == Kind::Group {
        return Err(Error::combination(format!(
            "The cache cluster is part of the replication group {}: modify that.",
            cache.name
        )));
    }
    let mut change = Change {
        node_type: input.cache_node_type.clone(),
        groups: input.security_group_ids.clone(),
        parameter_group: input.cache_parameter_group_name.clone(),
        maintenance_window: input.preferred_maintenance_window.clone(),
        auto_minor_version_upgrade: input.auto_minor_version_upgrade,
    };
    change.check(&ctx, &cache, input.apply_immediately == Some(true)).await?;
    let write = |tx: &mut WriteTx<'_>| -> Result<Cache> {
        let found = tx.get(&CACHES, cache.key())?;
        let mut cache = found.ok_or_else(|| Error::ClusterNotFound(cache.name.clone()))?;
        require_available(&cache)?;
        check_engine(&cache, input.engine.as_deref(), input.engine_version.as_deref())?;
        change.apply(&mut cache);
        tx.put(&CACHES, &cache)?;
        Ok(cache)
    };
    let cache = ctx.store.write(write).await?;
    let node = cache.primary_node();
    let shown = node.map(|node| view::cluster(ctx.store.scope(), &cache, node, false));
    Ok(ModifyCacheClusterOutput { cache_cluster: shown })
}
