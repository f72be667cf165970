//! `AWS::ElastiCache::CacheCluster`.

use std::sync::Arc;

use async_trait::async_trait;
use elasticache_api::{
    CacheCluster, CreateCacheClusterInput, DeleteCacheClusterInput, DescribeCacheClustersInput,
    ModifyCacheClusterInput, error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::json;

use super::SOON;
use super::property::Object;

const PROPERTIES: &[Property] = &[
    Property::new("AutoMinorVersionUpgrade"),
    Property::new("AZMode"),
    Property::new("CacheNodeType").required().interrupts(),
    Property::new("CacheParameterGroupName"),
    Property::new("CacheSubnetGroupName").replaces(),
    Property::new("ClusterName").replaces(),
    Property::new("Engine").required().replaces(),
    Property::new("EngineVersion"),
    Property::new("IpDiscovery"),
    Property::new("NetworkType").replaces(),
    Property::new("NumCacheNodes").required(),
    Property::new("Port").replaces(),
    Property::new("PreferredAvailabilityZone").replaces(),
    Property::new("PreferredMaintenanceWindow"),
    Property::new("SnapshotRetentionLimit"),
    Property::new("Tags"),
    Property::new("TransitEncryptionEnabled").replaces(),
    Property::new("VpcSecurityGroupIds"),
];

pub(crate) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElastiCache::CacheCluster",
        properties: PROPERTIES,
        attributes: &["RedisEndpoint.Address", "RedisEndpoint.Port"],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn name(ctx: &ResourceCtx, properties: &Properties) -> Result<String, ServiceError> {
    super::name(ctx, properties, "ClusterName", crate::request::CLUSTER_ID_MAX)
}

async fn describe(ctx: &ResourceCtx, name: &str) -> Result<Option<CacheCluster>, ServiceError> {
    let input = DescribeCacheClustersInput {
        cache_cluster_id: Some(name.to_owned()),
        show_cache_node_info: Some(true),
        ..Default::default()
    };
    match ctx.client.call(input).await {
        Ok(found) => Ok(found.cache_clusters.into_iter().next()),
        Err(error) if error.code == shape::CACHE_CLUSTER_NOT_FOUND_FAULT => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        super::find_by_name(ctx, "cluster", name(ctx, properties)?).await
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let name = name(ctx, properties)?;
        let input = CreateCacheClusterInput {
            cache_cluster_id: name.clone(),
            az_mode: read.parsed("AZMode")?,
            preferred_availability_zone: read.text("PreferredAvailabilityZone")?,
            num_cache_nodes: read.parsed("NumCacheNodes")?,
            cache_node_type: read.text("CacheNodeType")?,
            engine: read.text("Engine")?,
            engine_version: read.text("EngineVersion")?,
            cache_parameter_group_name: read.text("CacheParameterGroupName")?,
            cache_subnet_group_name: read.text("CacheSubnetGroupName")?,
            security_group_ids: read.texts("VpcSecurityGroupIds")?,
            tags: super::wire(super::tags(ctx, properties)?),
            preferred_maintenance_window: read.text("PreferredMaintenanceWindow")?,
            port: read.parsed("Port")?,
            auto_minor_version_upgrade: read.parsed("AutoMinorVersionUpgrade")?,
            snapshot_retention_limit: read.parsed("SnapshotRetentionLimit")?,
            transit_encryption_enabled: read.parsed("TransitEncryptionEnabled")?,
            network_type: read.parsed("NetworkType")?,
            ip_discovery: read.parsed("IpDiscovery")?,
            ..Default::default()
        };
        ctx.client.call(input).await?;
        Ok(name)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let found = describe(ctx, physical_id).await?.unwrap_or_default();
        match found.cache_cluster_status.as_deref() {
            Some("available") => {}
            Some("create-failed") | None => {
                return Err(ServiceError::new(
                    shape::INVALID_CACHE_CLUSTER_STATE_FAULT,
                    format!(
                        "The cache cluster {physical_id} could not be created; its events tell why."
                    ),
                ));
            }
            Some(_) => return Ok(Progress::Wait(SOON)),
        }
        let node = found.cache_nodes.into_iter().next().unwrap_or_default();
        let endpoint = node.endpoint.unwrap_or_default();
        let port = endpoint.port.unwrap_or_default().to_string();
        Ok(Progress::Done(Attributes::from([
            ("RedisEndpoint.Address".to_owned(), json!(endpoint.address)),
            ("RedisEndpoint.Port".to_owned(), json!(port)),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let read = Object::of(new);
        let input = ModifyCacheClusterInput {
            cache_cluster_id: physical_id.to_owned(),
            num_cache_nodes: read.parsed("NumCacheNodes")?,
            az_mode: read.parsed("AZMode")?,
            security_group_ids: read.texts("VpcSecurityGroupIds")?,
            preferred_maintenance_window: read.text("PreferredMaintenanceWindow")?,
            cache_parameter_group_name: read.text("CacheParameterGroupName")?,
            engine_version: read.text("EngineVersion")?,
            auto_minor_version_upgrade: read.parsed("AutoMinorVersionUpgrade")?,
            snapshot_retention_limit: read.parsed("SnapshotRetentionLimit")?,
            cache_node_type: read.text("CacheNodeType")?,
            ip_discovery: read.parsed("IpDiscovery")?,
            apply_immediately: Some(true),
            ..Default::default()
        };
        ctx.client.call(input).await?;
        let arn = super::arn(ctx, "cluster", physical_id);
        super::update_tags(ctx, &arn, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let Some(found) = describe(ctx, physical_id).await? else {
            return Ok(Progress::Done(Attributes::new()));
        };
        if found.cache_cluster_status.as_deref() != Some("deleting") {
            let input = DeleteCacheClusterInput {
                cache_cluster_id: physical_id.to_owned(),
                ..Default::default()
            };
            let done = ctx.client.call(input).await;
            super::deleted(done, shape::CACHE_CLUSTER_NOT_FOUND_FAULT)?;
        }
        Ok(Progress::Wait(SOON))
    }
}
