//! DB instances as clients see them.

use engine::Role;
use rds_api::{
    DBInstance, DBInstanceStatusInfo, DBParameterGroupStatus, Endpoint, MasterUserSecret,
    OptionGroupMembership, PendingModifiedValues, VpcSecurityGroupMembership,
};

use crate::error::Result;
use crate::store::{DbInstance, INSTANCES, ManagedSecret, Status};
use crate::{Ctx, cluster, endpoint, request, subnet_group, tags};

fn secret(secret: &ManagedSecret) -> MasterUserSecret {
    MasterUserSecret {
        secret_arn: Some(secret.arn.clone()),
        secret_status: Some("active".to_owned()),
        kms_key_id: None,
    }
}

fn pending(instance: &DbInstance) -> PendingModifiedValues {
    let hidden = instance.applied.password != instance.password_revision
        && instance.status == Status::Modifying;
    PendingModifiedValues {
        db_instance_class: instance.pending.class.clone(),
        allocated_storage: instance.pending.allocated_storage,
        storage_type: instance.pending.storage_type.clone(),
        multi_az: instance.pending.multi_az,
        port: instance.pending.port.map(i32::from),
        master_user_password: hidden.then(|| "****".to_owned()),
        ..Default::default()
    }
}

fn parameter_status(instance: &DbInstance) -> DBParameterGroupStatus {
    let other = instance.applied.parameter_group != instance.parameter_group;
    let waits = !instance.applied.class.is_empty() && other;
    let status =
        if waits || !instance.parameters_pending.is_empty() { "pending-reboot" } else { "in-sync" };
    DBParameterGroupStatus {
        db_parameter_group_name: Some(instance.parameter_group.clone()),
        parameter_apply_status: Some(status.to_owned()),
    }
}

/// What is seen of a read replica's following.
async fn replication(ctx: &Ctx, instance: &DbInstance) -> Result<Vec<DBInstanceStatusInfo>> {
    let Some(source) = instance.follows().filter(|_| instance.joined) else {
        return Ok(Vec::new());
    };
    let source = ctx.store.read(|tx| tx.get(&INSTANCES, source)).await?;
    let running = source.and_then(|source| ctx.drivers.clusters.held(&source.resource_id));
    let Some(running) = running else { return Ok(Vec::new()) };
    let status = running.cluster.status();
    let node = status.nodes.iter().find(|node| node.id == instance.primary);
    let broken = node.and_then(|node| node.broken.clone());
    let follows = node.is_some_and(|node| {
        node.role == Role::Replica && node.answers && node.lag.is_some() && node.broken.is_none()
    });
    let status = match (follows, &broken) {
        (true, _) => "replicating",
        (false, Some(_)) => "error",
        (false, None) => "stopped",
    };
    Ok(vec![DBInstanceStatusInfo {
        status_type: Some("read replication".to_owned()),
        normal: Some(follows),
        status: Some(status.to_owned()),
        message: broken,
    }])
}

fn address(ctx: &Ctx, instance: &DbInstance) -> Option<Endpoint> {
    // The name leads nowhere before the first engine answered.
    instance.created.map(|_| Endpoint {
        address: Some(endpoint::name(ctx.store.scope(), &instance.name)),
        port: Some(i32::from(instance.port)),
        hosted_zone_id: None,
    })
}

/// An instance as `DescribeDBInstances` shows it.
pub(crate) async fn instance(ctx: &Ctx, instance: &DbInstance) -> Result<DBInstance> {
    let group = subnet_group::of_instance(&ctx.store, instance).await?;
    let replicas = cluster::replicas_of(&ctx.store, &instance.name).await?;
    let scope = ctx.store.scope();
    let standby = instance.nodes.iter().find(|node| node.id != instance.primary);
    let membership = |id: &String| VpcSecurityGroupMembership {
        vpc_security_group_id: Some(id.clone()),
        status: Some(
            if instance.applied.groups == instance.groups { "active" } else { "adding" }.to_owned(),
        ),
    };
    let zone = instance.primary_node().map(|node| node.zone.to_string());
    Ok(DBInstance {
        db_instance_identifier: Some(instance.name.clone()),
        db_instance_class: Some(instance.applied_class()),
        engine: Some(instance.engine.name().to_owned()),
        db_instance_status: Some(instance.status.name().to_owned()),
        master_username: Some(instance.master.clone()),
        db_name: instance.database.clone(),
        endpoint: address(ctx, instance),
        allocated_storage: Some(instance.allocated_storage),
        instance_create_time: instance.created,
        preferred_backup_window: Some(instance.backup_window.clone()),
        backup_retention_period: Some(instance.backup_retention_days),
        vpc_security_groups: instance.groups.iter().map(membership).collect(),
        db_parameter_groups: vec![parameter_status(instance)],
        availability_zone: zone.filter(|_| instance.created.is_some()),
        db_subnet_group: Some(subnet_group::view(scope, &group)),
        preferred_maintenance_window: Some(instance.maintenance_window.clone()),
        pending_modified_values: Some(pending(instance)),
        multi_az: Some(instance.multi_az),
        engine_version: Some(instance.version.clone()),
        auto_minor_version_upgrade: Some(instance.auto_minor_version_upgrade),
        read_replica_source_db_instance_identifier: instance.follows().map(str::to_owned),
        read_replica_db_instance_identifiers: replicas.into_iter().map(|one| one.name).collect(),
        license_model: Some(request::license_of(instance.engine).to_owned()),
        option_group_memberships: vec![OptionGroupMembership {
            option_group_name: Some(request::option_group(instance.engine, &instance.series)),
            status: Some("in-sync".to_owned()),
        }],
        secondary_availability_zone: standby.map(|node| node.zone.to_string()),
        publicly_accessible: Some(false),
        status_infos: replication(ctx, instance).await?,
        storage_type: Some(instance.storage_type.clone()),
        db_instance_port: Some(0),
        storage_encrypted: Some(false),
        dbi_resource_id: Some(instance.resource_id.clone()),
        copy_tags_to_snapshot: Some(instance.copy_tags_to_snapshot),
        monitoring_interval: Some(0),
        db_instance_arn: Some(endpoint::arn(scope, "db", &instance.name)),
        iam_database_authentication_enabled: Some(false),
        performance_insights_enabled: Some(false),
        deletion_protection: Some(instance.deletion_protection),
        tag_list: tags::shown(&instance.tags),
        customer_owned_ip_enabled: Some(false),
        network_type: Some("IPV4".to_owned()),
        backup_target: Some("region".to_owned()),
        master_user_secret: instance.secret.as_ref().map(secret),
        multi_tenant: Some(false),
        dedicated_log_volume: Some(false),
        ..Default::default()
    })
}

impl DbInstance {
    /// The class that its nodes run with, or will.
    fn applied_class(&self) -> String {
        if self.applied.class.is_empty() { self.class.clone() } else { self.applied.class.clone() }
    }
}
