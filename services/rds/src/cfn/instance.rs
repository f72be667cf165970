//! `AWS::RDS::DBInstance`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use rds_api::{
    CreateDBInstanceInput, CreateDBInstanceReadReplicaInput, CreateDBSnapshotInput, DBInstance,
    DeleteDBInstanceInput, DescribeDBSnapshotsInput, ModifyDBInstanceInput,
    RestoreDBInstanceFromDBSnapshotInput,
};
use serde_json::json;

use super::{boolean, instance_of, is, list, number, set_tags, tags, text};

/// How soon an instance that is on its way is looked at again.
const SOON: Duration = Duration::from_millis(500);

const PROPERTIES: &[Property] = &[
    Property::new("AllocatedStorage"),
    Property::new("ApplyImmediately"),
    Property::new("AutoMinorVersionUpgrade"),
    Property::new("AvailabilityZone").replaces(),
    Property::new("BackupRetentionPeriod"),
    Property::new("CopyTagsToSnapshot"),
    Property::new("DBInstanceClass").interrupts(),
    Property::new("DBInstanceIdentifier").replaces(),
    Property::new("DBName").replaces(),
    Property::new("DBParameterGroupName"),
    Property::new("DBSnapshotIdentifier").replaces(),
    Property::new("DBSubnetGroupName").replaces(),
    Property::new("DeletionProtection"),
    Property::new("Engine").replaces(),
    Property::new("EngineVersion").replaces(),
    Property::new("LicenseModel"),
    Property::new("ManageMasterUserPassword"),
    Property::new("MasterUserPassword"),
    Property::new("MasterUsername").replaces(),
    Property::new("MultiAZ"),
    Property::new("Port").interrupts(),
    Property::new("PreferredBackupWindow"),
    Property::new("PreferredMaintenanceWindow"),
    Property::new("PubliclyAccessible"),
    Property::new("SourceDBInstanceIdentifier").replaces(),
    Property::new("StorageEncrypted").replaces(),
    Property::new("StorageType"),
    Property::new("Tags"),
    Property::new("VPCSecurityGroups"),
];

const ATTRIBUTES: &[&str] = &[
    "DBInstanceArn",
    "DbiResourceId",
    "Endpoint.Address",
    "Endpoint.Port",
    "MasterUserSecret.SecretArn",
];

/// The resource type.
pub(crate) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::RDS::DBInstance",
        properties: PROPERTIES,
        attributes: ATTRIBUTES,
        handler: Arc::new(Instance),
    }
}

struct Instance;

fn name_of(ctx: &ResourceCtx, properties: &Properties) -> String {
    let own = text(properties, "DBInstanceIdentifier");
    // An identifier holds no two hyphens in a row, and its suffix is what makes it unique.
    let generated = || ctx.generated_name(63).replace("--", "-");
    own.unwrap_or_else(generated).to_ascii_lowercase()
}

fn replica(
    ctx: &ResourceCtx,
    name: &str,
    source: String,
    properties: &Properties,
) -> Result<CreateDBInstanceReadReplicaInput, ServiceError> {
    Ok(CreateDBInstanceReadReplicaInput {
        db_instance_identifier: name.to_owned(),
        source_db_instance_identifier: Some(source),
        db_instance_class: text(properties, "DBInstanceClass"),
        availability_zone: text(properties, "AvailabilityZone"),
        port: number(properties, "Port")?,
        multi_az: boolean(properties, "MultiAZ")?,
        auto_minor_version_upgrade: boolean(properties, "AutoMinorVersionUpgrade")?,
        db_parameter_group_name: text(properties, "DBParameterGroupName"),
        publicly_accessible: boolean(properties, "PubliclyAccessible")?,
        tags: tags(ctx, properties),
        db_subnet_group_name: text(properties, "DBSubnetGroupName"),
        vpc_security_group_ids: list(properties, "VPCSecurityGroups"),
        storage_type: text(properties, "StorageType"),
        copy_tags_to_snapshot: boolean(properties, "CopyTagsToSnapshot")?,
        deletion_protection: boolean(properties, "DeletionProtection")?,
        allocated_storage: number(properties, "AllocatedStorage")?,
        ..Default::default()
    })
}

fn restored(
    ctx: &ResourceCtx,
    name: &str,
    snapshot: String,
    properties: &Properties,
) -> Result<RestoreDBInstanceFromDBSnapshotInput, ServiceError> {
    Ok(RestoreDBInstanceFromDBSnapshotInput {
        db_instance_identifier: name.to_owned(),
        db_snapshot_identifier: Some(snapshot),
        db_instance_class: text(properties, "DBInstanceClass"),
        port: number(properties, "Port")?,
        availability_zone: text(properties, "AvailabilityZone"),
        db_subnet_group_name: text(properties, "DBSubnetGroupName"),
        multi_az: boolean(properties, "MultiAZ")?,
        publicly_accessible: boolean(properties, "PubliclyAccessible")?,
        auto_minor_version_upgrade: boolean(properties, "AutoMinorVersionUpgrade")?,
        license_model: text(properties, "LicenseModel"),
        db_name: text(properties, "DBName"),
        engine: text(properties, "Engine"),
        tags: tags(ctx, properties),
        storage_type: text(properties, "StorageType"),
        vpc_security_group_ids: list(properties, "VPCSecurityGroups"),
        copy_tags_to_snapshot: boolean(properties, "CopyTagsToSnapshot")?,
        db_parameter_group_name: text(properties, "DBParameterGroupName"),
        deletion_protection: boolean(properties, "DeletionProtection")?,
        allocated_storage: number(properties, "AllocatedStorage")?,
        backup_retention_period: number(properties, "BackupRetentionPeriod")?,
        preferred_backup_window: text(properties, "PreferredBackupWindow"),
        manage_master_user_password: boolean(properties, "ManageMasterUserPassword")?,
        ..Default::default()
    })
}

fn fresh(
    ctx: &ResourceCtx,
    name: &str,
    properties: &Properties,
) -> Result<CreateDBInstanceInput, ServiceError> {
    Ok(CreateDBInstanceInput {
        db_instance_identifier: name.to_owned(),
        db_name: text(properties, "DBName"),
        allocated_storage: number(properties, "AllocatedStorage")?,
        db_instance_class: text(properties, "DBInstanceClass").unwrap_or_default(),
        engine: text(properties, "Engine").unwrap_or_default(),
        master_username: text(properties, "MasterUsername"),
        master_user_password: text(properties, "MasterUserPassword"),
        vpc_security_group_ids: list(properties, "VPCSecurityGroups"),
        availability_zone: text(properties, "AvailabilityZone"),
        db_subnet_group_name: text(properties, "DBSubnetGroupName"),
        preferred_maintenance_window: text(properties, "PreferredMaintenanceWindow"),
        db_parameter_group_name: text(properties, "DBParameterGroupName"),
        backup_retention_period: number(properties, "BackupRetentionPeriod")?,
        preferred_backup_window: text(properties, "PreferredBackupWindow"),
        port: number(properties, "Port")?,
        multi_az: boolean(properties, "MultiAZ")?,
        engine_version: text(properties, "EngineVersion"),
        auto_minor_version_upgrade: boolean(properties, "AutoMinorVersionUpgrade")?,
        license_model: text(properties, "LicenseModel"),
        publicly_accessible: boolean(properties, "PubliclyAccessible")?,
        tags: tags(ctx, properties),
        storage_type: text(properties, "StorageType"),
        storage_encrypted: boolean(properties, "StorageEncrypted")?,
        copy_tags_to_snapshot: boolean(properties, "CopyTagsToSnapshot")?,
        deletion_protection: boolean(properties, "DeletionProtection")?,
        manage_master_user_password: boolean(properties, "ManageMasterUserPassword")?,
        ..Default::default()
    })
}

fn attributes(instance: &DBInstance) -> Attributes {
    let mut all = Attributes::new();
    let mut put = |name: &str, value: Option<&String>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), json!(value));
        }
    };
    put("DBInstanceArn", instance.db_instance_arn.as_ref());
    put("DbiResourceId", instance.dbi_resource_id.as_ref());
    let endpoint = instance.endpoint.as_ref();
    put("Endpoint.Address", endpoint.and_then(|endpoint| endpoint.address.as_ref()));
    let port = endpoint.and_then(|endpoint| endpoint.port).map(|port| port.to_string());
    put("Endpoint.Port", port.as_ref());
    let secret = instance.master_user_secret.as_ref();
    put("MasterUserSecret.SecretArn", secret.and_then(|secret| secret.secret_arn.as_ref()));
    all
}

/// What of a text differs between two templates.
fn changed(old: &Properties, new: &Properties, name: &str) -> Option<String> {
    text(new, name).filter(|_| old.get(name) != new.get(name))
}

fn modified(
    name: &str,
    old: &Properties,
    new: &Properties,
) -> Result<ModifyDBInstanceInput, ServiceError> {
    let differs = |name: &str| old.get(name) != new.get(name);
    let number = |name: &str| if differs(name) { number(new, name) } else { Ok(None) };
    let boolean = |name: &str| if differs(name) { boolean(new, name) } else { Ok(None) };
    let groups =
        if differs("VPCSecurityGroups") { list(new, "VPCSecurityGroups") } else { Vec::new() };
    Ok(ModifyDBInstanceInput {
        db_instance_identifier: name.to_owned(),
        // CloudFormation applies at once unless the template says otherwise.
        apply_immediately: Some(super::boolean(new, "ApplyImmediately")?.unwrap_or(true)),
        allocated_storage: number("AllocatedStorage")?,
        db_instance_class: changed(old, new, "DBInstanceClass"),
        vpc_security_group_ids: groups,
        master_user_password: changed(old, new, "MasterUserPassword"),
        db_parameter_group_name: changed(old, new, "DBParameterGroupName"),
        backup_retention_period: number("BackupRetentionPeriod")?,
        preferred_backup_window: changed(old, new, "PreferredBackupWindow"),
        preferred_maintenance_window: changed(old, new, "PreferredMaintenanceWindow"),
        multi_az: boolean("MultiAZ")?,
        auto_minor_version_upgrade: boolean("AutoMinorVersionUpgrade")?,
        license_model: changed(old, new, "LicenseModel"),
        storage_type: changed(old, new, "StorageType"),
        copy_tags_to_snapshot: boolean("CopyTagsToSnapshot")?,
        db_port_number: number("Port")?,
        publicly_accessible: boolean("PubliclyAccessible")?,
        deletion_protection: boolean("DeletionProtection")?,
        manage_master_user_password: boolean("ManageMasterUserPassword")?,
        ..Default::default()
    })
}

/// The name of the snapshot that a deletion policy asks for: the same for the same instance.
fn snapshot_name(ctx: &ResourceCtx, physical_id: &str) -> String {
    let suffix: String = ctx.token.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    let stem: String = physical_id.chars().take(200).collect();
    format!("{stem}-snapshot-{suffix}").to_ascii_lowercase()
}

#[async_trait]
impl ResourceHandler for Instance {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let name = name_of(ctx, properties);
        let own = |tag: &rds_api::Tag| {
            let key = tag.key.as_deref();
            let id = |name: &str| tag.value.as_ref() == ctx.tags.get(name);
            key == Some("aws:cloudformation:stack-id") && id("aws:cloudformation:stack-id")
        };
        let found = instance_of(ctx, &name).await?;
        Ok(found.filter(|instance| instance.tag_list.iter().any(own)).map(|_| name))
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        if let Some(name) = self.find(ctx, properties).await? {
            return Ok(name);
        }
        let name = name_of(ctx, properties);
        let source = text(properties, "SourceDBInstanceIdentifier");
        match (source, text(properties, "DBSnapshotIdentifier")) {
            (Some(source), _) => {
                ctx.client.call(replica(ctx, &name, source, properties)?).await?;
            }
            (None, Some(snapshot)) => {
                ctx.client.call(restored(ctx, &name, snapshot, properties)?).await?;
            }
            (None, None) => {
                ctx.client.call(fresh(ctx, &name, properties)?).await?;
            }
        }
        Ok(name)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let found = instance_of(ctx, physical_id).await?.ok_or_else(|| {
            ServiceError::new("NotFound", format!("DBInstance {physical_id} not found."))
        })?;
        match found.db_instance_status.as_deref() {
            // A daily snapshot does not make an instance less than it should be.
            Some("available" | "backing-up") => Ok(Progress::Done(attributes(&found))),
            Some(status @ ("failed" | "incompatible-parameters" | "deleting" | "stopped")) => {
                Err(ServiceError::new(
                    "NotStabilized",
                    format!("DB instance {physical_id} is in state {status}; its events tell why."),
                ))
            }
            Some(_) | None => Ok(Progress::Wait(SOON)),
        }
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        ctx.client.call(modified(physical_id, old, new)?).await?;
        let arn = format!("arn:aws:rds:{}:{}:db:{physical_id}", ctx.region, ctx.account);
        set_tags(ctx, &arn, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        match instance_of(ctx, physical_id).await? {
            None => return Ok(Progress::Done(Attributes::new())),
            Some(found) if found.db_instance_status.as_deref() == Some("deleting") => {
                return Ok(Progress::Wait(SOON));
            }
            Some(_) => {}
        }
        let input = DeleteDBInstanceInput {
            db_instance_identifier: physical_id.to_owned(),
            skip_final_snapshot: Some(true),
            ..Default::default()
        };
        match ctx.client.call(input).await {
            Err(error) if !is(&error, "DBInstanceNotFound") => Err(error),
            Ok(_) | Err(_) => Ok(Progress::Wait(SOON)),
        }
    }

    async fn snapshot(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let name = snapshot_name(ctx, physical_id);
        let input = DescribeDBSnapshotsInput {
            db_snapshot_identifier: Some(name.clone()),
            ..Default::default()
        };
        match ctx.client.call(input).await {
            Ok(found) => {
                let first = found.db_snapshots.first();
                let status = first.and_then(|one| one.status.as_deref());
                if status == Some("available") {
                    return Ok(Progress::Done(Attributes::new()));
                }
                return Ok(Progress::Wait(SOON));
            }
            Err(error) if is(&error, "DBSnapshotNotFound") => {}
            Err(error) => return Err(error),
        }
        let input = CreateDBSnapshotInput {
            db_snapshot_identifier: name,
            db_instance_identifier: physical_id.to_owned(),
            tags: Vec::new(),
        };
        ctx.client.call(input).await?;
        Ok(Progress::Wait(SOON))
    }
}
