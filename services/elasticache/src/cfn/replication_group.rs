//! `AWS::ElastiCache::ReplicationGroup`.

use std::sync::Arc;

use async_trait::async_trait;
use elasticache_api::{
    CreateReplicationGroupInput, DecreaseReplicaCountInput, DeleteReplicationGroupInput,
    DescribeReplicationGroupsInput, Endpoint, IncreaseReplicaCountInput,
    ModifyReplicationGroupInput, NodeGroupConfiguration, ReplicationGroup, error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

use super::SOON;
use super::property::Object;

const PROPERTIES: &[Property] = &[
    Property::new("AtRestEncryptionEnabled").replaces(),
    Property::new("AutoMinorVersionUpgrade"),
    Property::new("AutomaticFailoverEnabled"),
    Property::new("CacheNodeType").interrupts(),
    Property::new("CacheParameterGroupName"),
    Property::new("CacheSubnetGroupName").replaces(),
    Property::new("ClusterMode").replaces(),
    Property::new("DataTieringEnabled").replaces(),
    Property::new("Engine").replaces(),
    Property::new("EngineVersion"),
    Property::new("IpDiscovery"),
    Property::new("MultiAZEnabled"),
    Property::new("NetworkType").replaces(),
    Property::new("NodeGroupConfiguration").replaces(),
    Property::new("NumCacheClusters"),
    Property::new("NumNodeGroups").replaces(),
    Property::new("Port").replaces(),
    Property::new("PreferredCacheClusterAZs").replaces(),
    Property::new("PreferredMaintenanceWindow"),
    Property::new("ReplicasPerNodeGroup"),
    Property::new("ReplicationGroupDescription").required(),
    Property::new("ReplicationGroupId").replaces(),
    Property::new("SecurityGroupIds"),
    Property::new("SnapshotRetentionLimit"),
    Property::new("Tags"),
    Property::new("TransitEncryptionEnabled"),
];

pub(crate) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElastiCache::ReplicationGroup",
        properties: PROPERTIES,
        attributes: &[
            "PrimaryEndPoint.Address",
            "PrimaryEndPoint.Port",
            "ReaderEndPoint.Address",
            "ReaderEndPoint.Port",
            "ReadEndPoint.Addresses",
            "ReadEndPoint.Addresses.List",
            "ReadEndPoint.Ports",
            "ReadEndPoint.Ports.List",
        ],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn name(ctx: &ResourceCtx, properties: &Properties) -> Result<String, ServiceError> {
    super::name(ctx, properties, "ReplicationGroupId", crate::request::GROUP_ID_MAX)
}

fn shards(properties: &Properties) -> Result<Vec<NodeGroupConfiguration>, ServiceError> {
    let known = &[
        "NodeGroupId",
        "PrimaryAvailabilityZone",
        "ReplicaAvailabilityZones",
        "ReplicaCount",
        "Slots",
    ];
    let one = |item: &Json| {
        let item = Object::from(item, "NodeGroupConfiguration", known)?;
        Ok(NodeGroupConfiguration {
            node_group_id: item.text("NodeGroupId")?,
            slots: item.text("Slots")?,
            replica_count: item.parsed("ReplicaCount")?,
            primary_availability_zone: item.text("PrimaryAvailabilityZone")?,
            replica_availability_zones: item.texts("ReplicaAvailabilityZones")?,
            ..Default::default()
        })
    };
    Object::of(properties).list("NodeGroupConfiguration")?.iter().map(one).collect()
}

async fn describe(ctx: &ResourceCtx, name: &str) -> Result<Option<ReplicationGroup>, ServiceError> {
    let input = DescribeReplicationGroupsInput {
        replication_group_id: Some(name.to_owned()),
        ..Default::default()
    };
    match ctx.client.call(input).await {
        Ok(found) => Ok(found.replication_groups.into_iter().next()),
        Err(error) if error.code == shape::REPLICATION_GROUP_NOT_FOUND_FAULT => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many nodes the properties ask for.
fn nodes(properties: &Properties) -> Result<Option<i32>, ServiceError> {
    let read = Object::of(properties);
    let replicas: Option<i32> = read.parsed("ReplicasPerNodeGroup")?;
    Ok(read.parsed("NumCacheClusters")?.or(replicas.map(|replicas| replicas.saturating_add(1))))
}

/// The replicas that are missing or too many: how many there are to be, if that is another number.
fn replicas_wanted(group: &ReplicationGroup, properties: &Properties) -> Option<(i32, bool)> {
    let wanted = nodes(properties).ok().flatten()?;
    let present = i32::try_from(group.member_clusters.len()).ok()?;
    (wanted != present).then_some((wanted - 1, wanted > present))
}

fn attributes(group: &ReplicationGroup) -> Attributes {
    let shard = group.node_groups.first().cloned().unwrap_or_default();
    let mut all = Attributes::new();
    let mut put = |name: &str, value: Json| {
        all.insert(name.to_owned(), value);
    };
    let port = |endpoint: &Endpoint| endpoint.port.unwrap_or_default().to_string();
    for (name, endpoint) in
        [("PrimaryEndPoint", &shard.primary_endpoint), ("ReaderEndPoint", &shard.reader_endpoint)]
    {
        if let Some(endpoint) = endpoint {
            put(&format!("{name}.Address"), json!(endpoint.address));
            put(&format!("{name}.Port"), json!(port(endpoint)));
        }
    }
    let replica = |member: &&elasticache_api::NodeGroupMember| {
        member.current_role.as_deref() == Some("replica")
    };
    let members = shard.node_group_members.iter().filter(replica);
    let read: Vec<_> = members.filter_map(|member| member.read_endpoint.clone()).collect();
    let addresses: Vec<_> = read.iter().filter_map(|one| one.address.clone()).collect();
    let ports: Vec<_> = read.iter().map(port).collect();
    put("ReadEndPoint.Addresses", json!(addresses.join(",")));
    put("ReadEndPoint.Addresses.List", json!(addresses));
    put("ReadEndPoint.Ports", json!(ports.join(",")));
    put("ReadEndPoint.Ports.List", json!(ports));
    all
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        super::find_by_name(ctx, "replicationgroup", name(ctx, properties)?).await
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let name = name(ctx, properties)?;
        let input = CreateReplicationGroupInput {
            replication_group_id: name.clone(),
            replication_group_description: read
                .text("ReplicationGroupDescription")?
                .unwrap_or_default(),
            automatic_failover_enabled: read.parsed("AutomaticFailoverEnabled")?,
            multi_az_enabled: read.parsed("MultiAZEnabled")?,
            num_cache_clusters: read.parsed("NumCacheClusters")?,
            preferred_cache_cluster_azs: read.texts("PreferredCacheClusterAZs")?,
            num_node_groups: read.parsed("NumNodeGroups")?,
            replicas_per_node_group: read.parsed("ReplicasPerNodeGroup")?,
            node_group_configuration: shards(properties)?,
            cache_node_type: read.text("CacheNodeType")?,
            engine: read.text("Engine")?,
            engine_version: read.text("EngineVersion")?,
            cache_parameter_group_name: read.text("CacheParameterGroupName")?,
            cache_subnet_group_name: read.text("CacheSubnetGroupName")?,
            security_group_ids: read.texts("SecurityGroupIds")?,
            tags: super::wire(super::tags(ctx, properties)?),
            preferred_maintenance_window: read.text("PreferredMaintenanceWindow")?,
            port: read.parsed("Port")?,
            auto_minor_version_upgrade: read.parsed("AutoMinorVersionUpgrade")?,
            snapshot_retention_limit: read.parsed("SnapshotRetentionLimit")?,
            transit_encryption_enabled: read.parsed("TransitEncryptionEnabled")?,
            at_rest_encryption_enabled: read.parsed("AtRestEncryptionEnabled")?,
            data_tiering_enabled: read.parsed("DataTieringEnabled")?,
            network_type: read.parsed("NetworkType")?,
            ip_discovery: read.parsed("IpDiscovery")?,
            cluster_mode: read.parsed("ClusterMode")?,
            ..Default::default()
        };
        ctx.client.call(input).await?;
        Ok(name)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let Some(group) = describe(ctx, physical_id).await? else {
            return Err(ServiceError::new(
                shape::REPLICATION_GROUP_NOT_FOUND_FAULT,
                format!("ReplicationGroup {physical_id} not found."),
            ));
        };
        match group.status.as_deref() {
            Some("available") => {}
            Some("create-failed") => {
                return Err(ServiceError::new(
                    shape::INVALID_REPLICATION_GROUP_STATE_FAULT,
                    format!(
                        "The replication group {physical_id} could not be created; its \
                         events tell why."
                    ),
                ));
            }
            Some(_) | None => return Ok(Progress::Wait(SOON)),
        }
        let Some((replicas, more)) = replicas_wanted(&group, properties) else {
            return Ok(Progress::Done(attributes(&group)));
        };
        // An update changes the number of nodes once all else is in force.
        let replication_group_id = physical_id.to_owned();
        if more {
            let input = IncreaseReplicaCountInput {
                replication_group_id,
                new_replica_count: Some(replicas),
                apply_immediately: true,
                ..Default::default()
            };
            ctx.client.call(input).await?;
        } else {
            let input = DecreaseReplicaCountInput {
                replication_group_id,
                new_replica_count: Some(replicas),
                apply_immediately: true,
                ..Default::default()
            };
            ctx.client.call(input).await?;
        }
        Ok(Progress::Wait(SOON))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let read = Object::of(new);
        let input = ModifyReplicationGroupInput {
            replication_group_id: physical_id.to_owned(),
            replication_group_description: read.text("ReplicationGroupDescription")?,
            automatic_failover_enabled: read.parsed("AutomaticFailoverEnabled")?,
            multi_az_enabled: read.parsed("MultiAZEnabled")?,
            cache_node_type: read.text("CacheNodeType")?,
            engine_version: read.text("EngineVersion")?,
            cache_parameter_group_name: read.text("CacheParameterGroupName")?,
            security_group_ids: read.texts("SecurityGroupIds")?,
            preferred_maintenance_window: read.text("PreferredMaintenanceWindow")?,
            auto_minor_version_upgrade: read.parsed("AutoMinorVersionUpgrade")?,
            snapshot_retention_limit: read.parsed("SnapshotRetentionLimit")?,
            transit_encryption_enabled: read.parsed("TransitEncryptionEnabled")?,
            ip_discovery: read.parsed("IpDiscovery")?,
            apply_immediately: Some(true),
            ..Default::default()
        };
        ctx.client.call(input).await?;
        let arn = super::arn(ctx, "replicationgroup", physical_id);
        super::update_tags(ctx, &arn, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let Some(group) = describe(ctx, physical_id).await? else {
            return Ok(Progress::Done(Attributes::new()));
        };
        if group.status.as_deref() != Some("deleting") {
            let input = DeleteReplicationGroupInput {
                replication_group_id: physical_id.to_owned(),
                ..Default::default()
            };
            let done = ctx.client.call(input).await;
            super::deleted(done, shape::REPLICATION_GROUP_NOT_FOUND_FAULT)?;
        }
        Ok(Progress::Wait(SOON))
    }
}
