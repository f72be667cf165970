//! Changes of a DB instance: at once, or in its maintenance window.

use nodes::parameter_group::family;
use rds_api::{
    DatabaseInsightsMode, MasterUserAuthenticationType, ModifyDBInstanceInput,
    ModifyDBInstanceOutput,
};
use store::WriteTx;

use crate::error::{Error, Result, refuse};
use crate::store::{DbInstance, INSTANCES, ManagedSecret, Status};
use crate::{Ctx, NETWORK, credentials, instance, parameter_group, request, view, window};

fn refuse_modify(input: &ModifyDBInstanceInput) -> Result<()> {
    let given = Option::<String>::is_some;
    refuse(&[
        ("DBSubnetGroupName", given(&input.db_subnet_group_name)),
        ("DBSecurityGroups", !input.db_security_groups.is_empty()),
        ("EngineVersion", given(&input.engine_version)),
        ("AllowMajorVersionUpgrade", input.allow_major_version_upgrade == Some(true)),
        ("Iops", input.iops.is_some()),
        ("StorageThroughput", input.storage_throughput.is_some()),
        ("OptionGroupName", given(&input.option_group_name)),
        ("NewDBInstanceIdentifier", given(&input.new_db_instance_identifier)),
        ("TdeCredentialArn", given(&input.tde_credential_arn)),
        ("TdeCredentialPassword", given(&input.tde_credential_password)),
        ("CACertificateIdentifier", given(&input.ca_certificate_identifier)),
        ("Domain", given(&input.domain) || given(&input.domain_fqdn) || given(&input.domain_ou)),
        ("DomainAuthSecretArn", given(&input.domain_auth_secret_arn)),
        ("DomainDnsIps", !input.domain_dns_ips.is_empty()),
        ("DisableDomain", input.disable_domain == Some(true)),
        ("DomainIAMRoleName", given(&input.domain_iam_role_name)),
        ("MonitoringInterval", input.monitoring_interval.is_some_and(|seconds| seconds != 0)),
        ("PubliclyAccessible", input.publicly_accessible == Some(true)),
        ("MonitoringRoleArn", given(&input.monitoring_role_arn)),
        ("PromotionTier", input.promotion_tier.is_some()),
        ("EnableIAMDatabaseAuthentication", input.enable_iam_database_authentication == Some(true)),
        (
            "DatabaseInsightsMode",
            input.database_insights_mode == Some(DatabaseInsightsMode::Advanced),
        ),
        ("EnablePerformanceInsights", input.enable_performance_insights == Some(true)),
        ("PerformanceInsightsKMSKeyId", given(&input.performance_insights_kms_key_id)),
        (
            "PerformanceInsightsRetentionPeriod",
            input.performance_insights_retention_period.is_some(),
        ),
        ("CloudwatchLogsExportConfiguration", input.cloudwatch_logs_export_configuration.is_some()),
        ("ProcessorFeatures", !input.processor_features.is_empty()),
        ("UseDefaultProcessorFeatures", input.use_default_processor_features == Some(true)),
        ("MaxAllocatedStorage", input.max_allocated_storage.is_some()),
        ("CertificateRotationRestart", input.certificate_rotation_restart.is_some()),
        ("ReplicaMode", input.replica_mode.is_some()),
        ("AutomationMode", input.automation_mode.is_some()),
        ("ResumeFullAutomationModeMinutes", input.resume_full_automation_mode_minutes.is_some()),
        ("EnableCustomerOwnedIp", input.enable_customer_owned_ip == Some(true)),
        ("NetworkType", input.network_type.as_deref().is_some_and(|kind| kind != "IPV4")),
        ("AwsBackupRecoveryPointArn", given(&input.aws_backup_recovery_point_arn)),
        ("RotateMasterUserPassword", input.rotate_master_user_password == Some(true)),
        ("MasterUserSecretKmsKeyId", given(&input.master_user_secret_kms_key_id)),
        ("MultiTenant", input.multi_tenant == Some(true)),
        ("DedicatedLogVolume", input.dedicated_log_volume == Some(true)),
        ("Engine", given(&input.engine)),
        ("AdditionalStorageVolumes", !input.additional_storage_volumes.is_empty()),
        ("DBCapacityReservationIdentifier", given(&input.db_capacity_reservation_identifier)),
        ("TagSpecifications", !input.tag_specifications.is_empty()),
        (
            "MasterUserAuthenticationType",
            input.master_user_authentication_type == Some(MasterUserAuthenticationType::IamDbAuth),
        ),
        ("EngineLifecycleSupport", given(&input.engine_lifecycle_support)),
    ])
}

/// What a change needs that is not in its own record.
struct Found {
    groups: Option<Vec<String>>,
    parameter_group: Option<String>,
    password: Option<(Vec<u8>, Option<ManagedSecret>)>,
}

/// A new password, and the secret that keeps it where one shall.
async fn new_password(
    ctx: &Ctx,
    input: &ModifyDBInstanceInput,
    before: &DbInstance,
) -> Result<Option<(Vec<u8>, Option<ManagedSecret>)>> {
    let managed = input.manage_master_user_password;
    let stays_managed = before.secret.is_some() && managed != Some(false);
    let (password, secret) = match (&input.master_user_password, managed) {
        (Some(_), Some(true)) => {
            return Err(Error::combination(
                "You can't specify MasterUserPassword for an instance with \
                 ManageMasterUserPassword enabled.",
            ));
        }
        (Some(_), _) if stays_managed => {
            return Err(Error::combination(
                "You can't specify MasterUserPassword for an instance with \
                 ManageMasterUserPassword enabled.",
            ));
        }
        (Some(password), _) => (password.clone(), None),
        (None, Some(true)) if before.secret.is_none() => {
            let password = credentials::make_password(ctx.random());
            let secret = instance::keep_secret(ctx, before, &password).await?;
            (password, Some(secret))
        }
        (None, Some(false)) if before.secret.is_some() => {
            return Err(Error::combination(
                "MasterUserPassword must be specified when ManageMasterUserPassword is turned off.",
            ));
        }
        (None, _) => return Ok(None),
    };
    if before.follows().is_some() {
        return Err(Error::combination("The master user of a read replica is that of its source."));
    }
    credentials::check_password(before.engine, &password)?;
    Ok(Some((ctx.drivers.drivers.cipher.seal(&before.place(), password.as_bytes()), secret)))
}

fn require_source(before: &DbInstance, input: &ModifyDBInstanceInput) -> Result<()> {
    let of_replica = before.follows().is_some();
    if of_replica && input.multi_az == Some(true) {
        return Err(Error::combination("Multi-AZ read replicas are not available in this Region."));
    }
    if of_replica && input.db_parameter_group_name.is_some() {
        return Err(Error::combination(
            "A read replica has the parameter group of its source in this Region.",
        ));
    }
    if of_replica && input.backup_retention_period.is_some_and(|days| days > 0) {
        return Err(Error::combination(
            "Backups of read replicas are not available in this Region.",
        ));
    }
    Ok(())
}

/// Changes that interrupt, or that AWS leaves to the maintenance window.
fn want(instance: &mut DbInstance, input: &ModifyDBInstanceInput) -> Result<()> {
    if let Some(class) = &input.db_instance_class {
        let class = request::class_name(class)?;
        instance.pending.class = (class != instance.class).then_some(class);
    }
    if let Some(gib) = input.allocated_storage {
        let gib = request::storage(instance.engine, gib)?;
        if gib < instance.allocated_storage {
            return Err(Error::combination(
                "Requested storage size can't be smaller than the current storage size.",
            ));
        }
        instance.pending.allocated_storage = (gib != instance.allocated_storage).then_some(gib);
    }
    if let Some(kind) = &input.storage_type {
        let kind = request::storage_type(Some(kind))?;
        instance.pending.storage_type = (kind != instance.storage_type).then_some(kind);
    }
    if let Some(multi_az) = input.multi_az {
        instance.pending.multi_az = (multi_az != instance.multi_az).then_some(multi_az);
    }
    Ok(())
}

fn change(
    instance: &mut DbInstance,
    input: &ModifyDBInstanceInput,
    found: &Found,
    now: base::Timestamp,
) -> Result<()> {
    request::license(instance.engine, input.license_model.as_deref())?;
    let before = instance.clone();
    want(instance, input)?;
    // A change of the port restarts the engine whatever ApplyImmediately says.
    if input.db_port_number.is_some() {
        instance.port = request::port(instance.engine, input.db_port_number)?;
    }
    if let Some((sealed, secret)) = &found.password {
        instance.password.clone_from(sealed);
        instance.password_revision += 1;
        instance.secret.clone_from(secret);
    }
    if let Some(groups) = &found.groups {
        instance.groups.clone_from(groups);
    }
    if let Some(group) = &found.parameter_group {
        instance.parameter_group.clone_from(group);
    }
    if let Some(days) = input.backup_retention_period {
        instance.backup_retention_days = request::retention(Some(days))?;
    }
    let backup = input.preferred_backup_window.as_ref().unwrap_or(&instance.backup_window);
    let maintenance =
        input.preferred_maintenance_window.as_ref().unwrap_or(&instance.maintenance_window);
    let windows = (backup.to_ascii_lowercase(), maintenance.to_ascii_lowercase());
    request::check_windows(&windows.0, &windows.1)?;
    (instance.backup_window, instance.maintenance_window) = windows;
    instance.next_backup = window::daily(&instance.backup_window)
        .filter(|_| instance.backup_retention_days > 0)
        .map(|window| window.next_start(now));
    instance.deletion_protection =
        input.deletion_protection.unwrap_or(instance.deletion_protection);
    instance.copy_tags_to_snapshot =
        input.copy_tags_to_snapshot.unwrap_or(instance.copy_tags_to_snapshot);
    instance.auto_minor_version_upgrade =
        input.auto_minor_version_upgrade.unwrap_or(instance.auto_minor_version_upgrade);
    let waits = instance.pending != Default::default();
    if input.apply_immediately == Some(true) && waits {
        instance.take_pending();
    } else {
        instance.pending_since = waits.then_some(now);
    }
    let works = before.class != instance.class
        || before.allocated_storage != instance.allocated_storage
        || before.multi_az != instance.multi_az
        || before.port != instance.port
        || before.groups != instance.groups
        || before.password_revision != instance.password_revision;
    if works {
        instance.status = Status::Modifying;
    }
    Ok(())
}

/// Changes a DB instance.
///
/// AWS: ModifyDBInstance.
pub(crate) async fn modify_db_instance(
    ctx: Ctx,
    input: ModifyDBInstanceInput,
) -> Result<ModifyDBInstanceOutput> {
    refuse_modify(&input)?;
    let before = ctx.store.read(|tx| instance::get(tx, &input.db_instance_identifier)).await?;
    require_available(&before)?;
    require_source(&before, &input)?;
    let groups = &input.vpc_security_group_ids;
    let found = Found {
        groups: if groups.is_empty() {
            None
        } else {
            Some(NETWORK.security_groups(&ctx.client, &before.vpc, groups).await?)
        },
        parameter_group: match &input.db_parameter_group_name {
            Some(name) => {
                let family = family(before.engine, &before.series);
                Some(parameter_group::for_instance(&ctx, Some(name), &family).await?)
            }
            None => None,
        },
        password: new_password(&ctx, &input, &before).await?,
    };
    let now = ctx.now();
    let write = |tx: &mut WriteTx<'_>| -> Result<DbInstance> {
        let mut instance = instance::get(tx, &input.db_instance_identifier)?;
        require_available(&instance)?;
        change(&mut instance, &input, &found, now)?;
        tx.put(&INSTANCES, &instance)?;
        Ok(instance)
    };
    let instance = ctx.store.write(write).await?;
    Ok(ModifyDBInstanceOutput { db_instance: Some(view::instance(&ctx, &instance).await?) })
}

/// Refuses what an instance must be available for.
pub(crate) fn require_available(instance: &DbInstance) -> Result<()> {
    if instance.status == Status::Available {
        return Ok(());
    }
    Err(Error::state(format!(
        "Database instance is not in available state. Current state: {}",
        instance.status.name()
    )))
}
