//! Read replicas.

use rds_api::{
    CreateDBInstanceReadReplicaInput, CreateDBInstanceReadReplicaOutput, DatabaseInsightsMode,
    PromoteReadReplicaInput, PromoteReadReplicaOutput, ReplicaMode,
};
use store::WriteTx;

use crate::error::{Error, Result, refuse};
use crate::modify::require_available;
use crate::store::{DbInstance, INSTANCES, Source, Status};
use crate::{
    Ctx, NETWORK, class, credentials, endpoint, instance, request, subnet_group, tags, view,
};

/// Read replicas of one instance.
///
/// AWS: "Working with DB instance read replicas".
const REPLICAS_MAX: usize = 15;

fn refuse_replica(input: &CreateDBInstanceReadReplicaInput) -> Result<()> {
    let given = Option::<String>::is_some;
    refuse(&[
        ("MultiAZ", input.multi_az == Some(true)),
        ("Iops", input.iops.is_some()),
        ("StorageThroughput", input.storage_throughput.is_some()),
        ("OptionGroupName", given(&input.option_group_name)),
        ("PubliclyAccessible", input.publicly_accessible == Some(true)),
        ("DBSubnetGroupName", given(&input.db_subnet_group_name)),
        ("MonitoringInterval", input.monitoring_interval.is_some_and(|seconds| seconds != 0)),
        ("MonitoringRoleArn", given(&input.monitoring_role_arn)),
        ("KmsKeyId", given(&input.kms_key_id)),
        ("PreSignedUrl", given(&input.pre_signed_url)),
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
        ("EnableCloudwatchLogsExports", !input.enable_cloudwatch_logs_exports.is_empty()),
        ("ProcessorFeatures", !input.processor_features.is_empty()),
        ("UseDefaultProcessorFeatures", input.use_default_processor_features == Some(true)),
        ("Domain", given(&input.domain) || given(&input.domain_fqdn) || given(&input.domain_ou)),
        ("DomainIAMRoleName", given(&input.domain_iam_role_name)),
        ("DomainAuthSecretArn", given(&input.domain_auth_secret_arn)),
        ("DomainDnsIps", !input.domain_dns_ips.is_empty()),
        ("ReplicaMode", input.replica_mode == Some(ReplicaMode::Mounted)),
        ("EnableCustomerOwnedIp", input.enable_customer_owned_ip == Some(true)),
        ("NetworkType", input.network_type.as_deref().is_some_and(|kind| kind != "IPV4")),
        ("MaxAllocatedStorage", input.max_allocated_storage.is_some()),
        ("BackupTarget", input.backup_target.as_deref().is_some_and(|place| place != "region")),
        ("CustomIamInstanceProfile", given(&input.custom_iam_instance_profile)),
        ("SourceDBClusterIdentifier", given(&input.source_db_cluster_identifier)),
        ("DedicatedLogVolume", input.dedicated_log_volume == Some(true)),
        ("UpgradeStorageConfig", input.upgrade_storage_config == Some(true)),
        ("CACertificateIdentifier", given(&input.ca_certificate_identifier)),
        ("AdditionalStorageVolumes", !input.additional_storage_volumes.is_empty()),
        ("TagSpecifications", !input.tag_specifications.is_empty()),
        ("DBCapacityReservationIdentifier", given(&input.db_capacity_reservation_identifier)),
    ])
}

fn require_source(source: &DbInstance) -> Result<()> {
    if source.follows().is_some() {
        return Err(Error::state(
            "A read replica of a read replica is not available in this Region.",
        ));
    }
    if !source.status.runs() {
        return Err(Error::state(format!(
            "The source DB instance {} is not in available state. Current state: {}",
            source.name,
            source.status.name()
        )));
    }
    if source.backup_retention_days == 0 {
        return Err(Error::state(
            "Automated backups are not enabled for this database instance. To enable automated \
             backups, use ModifyDBInstance to set the backup retention period to a non-zero value.",
        ));
    }
    Ok(())
}

/// A replica sizes its memory by its source's class, so its own must not be smaller.
fn class_for(source: &DbInstance, asked: Option<&str>) -> Result<String> {
    let name = request::class_name(asked.unwrap_or(&source.class))?;
    let memory = |name: &str| class::find(name).map(|class| class.memory_bytes);
    if memory(&name) < memory(&source.class) {
        return Err(Error::combination(format!(
            "The class of a read replica must have the memory of its source's, {}, in this Region.",
            source.class
        )));
    }
    Ok(name)
}

async fn replica_from(
    ctx: &Ctx,
    input: &CreateDBInstanceReadReplicaInput,
    source: &DbInstance,
) -> Result<DbInstance> {
    let name = request::identifier("DBInstanceIdentifier", &input.db_instance_identifier, 63)?;
    let group = subnet_group::of_instance(&ctx.store, source).await?;
    let groups = match input.vpc_security_group_ids.as_slice() {
        [] => NETWORK.security_groups(&ctx.client, &source.vpc, &[]).await?,
        asked => NETWORK.security_groups(&ctx.client, &source.vpc, asked).await?,
    };
    let same = |name: &String| name.eq_ignore_ascii_case(&source.parameter_group);
    refuse(&[(
        "DBParameterGroupName",
        input.db_parameter_group_name.as_ref().is_some_and(|name| !same(name)),
    )])?;
    let gib = input.allocated_storage.unwrap_or(source.allocated_storage);
    if gib < source.allocated_storage {
        return Err(Error::combination(
            "The allocated storage of a read replica can't be smaller than its source's.",
        ));
    }
    let storage_type = input.storage_type.as_deref().unwrap_or(&source.storage_type);
    let zone = input.availability_zone.as_deref();
    let subnets = request::subnets_for(&group, zone, false, ctx.random())?;
    let mut replica = DbInstance {
        class: class_for(source, input.db_instance_class.as_deref())?,
        allocated_storage: request::storage(source.engine, gib)?,
        storage_type: request::storage_type(Some(storage_type))?,
        master: source.master.clone(),
        database: source.database.clone(),
        port: match input.port {
            Some(_) => request::port(source.engine, input.port)?,
            None => source.port,
        },
        subnet_group: source.subnet_group.clone(),
        groups,
        parameter_group: source.parameter_group.clone(),
        backup_window: source.backup_window.clone(),
        maintenance_window: source.maintenance_window.clone(),
        deletion_protection: input.deletion_protection == Some(true),
        copy_tags_to_snapshot: input.copy_tags_to_snapshot == Some(true),
        auto_minor_version_upgrade: input
            .auto_minor_version_upgrade
            .unwrap_or(source.auto_minor_version_upgrade),
        source: Source::Replica { of: source.name.clone() },
        tags: tags::from(ctx, &input.tags)?,
        ..instance::blank(
            ctx.random(),
            &name,
            source.engine,
            &source.series,
            &source.version,
            source.vpc.clone(),
        )
    };
    let (from, to) = (source.place(), replica.place());
    replica.password = credentials::hand_on(&ctx.drivers, &from, &to, &source.password)?;
    let sealed = &source.cluster_secrets;
    replica.cluster_secrets = credentials::hand_on(&ctx.drivers, &from, &to, sealed)?;
    for subnet in &subnets {
        replica.add_node(&subnet.id, &subnet.zone);
    }
    replica.primary = replica.nodes.first().map(|node| node.id.clone()).unwrap_or_default();
    Ok(replica)
}

/// Makes a read replica of an instance.
///
/// AWS: CreateDBInstanceReadReplica.
pub(crate) async fn create_db_instance_read_replica(
    ctx: Ctx,
    input: CreateDBInstanceReadReplicaInput,
) -> Result<CreateDBInstanceReadReplicaOutput> {
    refuse_replica(&input)?;
    let asked = input.source_db_instance_identifier.as_deref().ok_or_else(|| {
        Error::value("The parameter SourceDBInstanceIdentifier must be provided.")
    })?;
    let prefix = endpoint::arn(ctx.store.scope(), "db", "");
    let source_name = asked.strip_prefix(&prefix).unwrap_or(asked);
    let source = ctx.store.read(|tx| instance::get(tx, source_name)).await?;
    require_source(&source)?;
    let replica = replica_from(&ctx, &input, &source).await?;
    let limit = instance::INSTANCES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| -> Result<DbInstance> {
        let mut source = instance::get(tx, source_name)?;
        require_source(&source)?;
        instance::require_free(tx, &replica.name, limit)?;
        let all = tx.scan(&INSTANCES, ())?;
        if all.iter().filter(|one| one.follows() == Some(&source.name)).count() >= REPLICAS_MAX {
            return Err(Error::InstanceQuotaExceeded(REPLICAS_MAX as u64));
        }
        // Nodes of one cluster have numbers of one row.
        let mut replica = replica.clone();
        for node in &mut replica.nodes {
            node.number = source.next_number;
            source.next_number += 1;
        }
        replica.next_number = source.next_number;
        tx.put(&INSTANCES, &source)?;
        tx.put(&INSTANCES, &replica)?;
        Ok(replica)
    };
    let replica = ctx.store.write(write).await?;
    let db_instance = Some(view::instance(&ctx, &replica).await?);
    Ok(CreateDBInstanceReadReplicaOutput { db_instance })
}

/// Makes a read replica an instance of its own.
///
/// AWS: PromoteReadReplica.
pub(crate) async fn promote_read_replica(
    ctx: Ctx,
    input: PromoteReadReplicaInput,
) -> Result<PromoteReadReplicaOutput> {
    refuse(&[("TagSpecifications", !input.tag_specifications.is_empty())])?;
    let days = request::retention(input.backup_retention_period)?;
    let write = |tx: &mut WriteTx<'_>| -> Result<DbInstance> {
        let mut replica = instance::get(tx, &input.db_instance_identifier)?;
        if replica.follows().is_none() {
            return Err(Error::state(format!(
                "DB Instance {} is not a read replica.",
                replica.name
            )));
        }
        require_available(&replica)?;
        if let Some(window) = &input.preferred_backup_window {
            request::check_windows(window, &replica.maintenance_window)?;
            replica.backup_window = window.to_ascii_lowercase();
        }
        replica.backup_retention_days = days;
        replica.promote = true;
        replica.status = Status::Modifying;
        tx.put(&INSTANCES, &replica)?;
        Ok(replica)
    };
    let replica = ctx.store.write(write).await?;
    let db_instance = Some(view::instance(&ctx, &replica).await?);
    Ok(PromoteReadReplicaOutput { db_instance })
}
