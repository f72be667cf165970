//! DB snapshots, and instances made from them.

use kernel::quota::Quota;
use nodes::parameter_group::family;
use rds_api::{
    CreateDBSnapshotInput, CreateDBSnapshotOutput, DBSnapshot, DeleteDBSnapshotInput,
    DeleteDBSnapshotOutput, DescribeDBSnapshotsInput, DescribeDBSnapshotsOutput,
    RestoreDBInstanceFromDBSnapshotInput, RestoreDBInstanceFromDBSnapshotOutput,
};
use store::{ReadTx, Scope, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::modify::require_available;
use crate::store::{
    DbInstance, INSTANCES, SNAPSHOTS, Snapshot, SnapshotKind, SnapshotStatus, Source, Status,
};
use crate::{
    Ctx, backup, credentials, endpoint, event, instance, listing, parameter_group, request, tags,
    view,
};

/// Manual snapshots per region.
///
/// AWS: "Quotas and constraints for Amazon RDS".
const SNAPSHOTS_MAX: Quota = Quota { service: "rds", code: "L-272F1212", default: 100 };

/// The snapshot called `name`.
pub(crate) fn get(tx: &ReadTx<'_>, name: &str) -> Result<Snapshot> {
    let found = tx.get(&SNAPSHOTS, name.to_ascii_lowercase())?;
    found.ok_or_else(|| Error::SnapshotNotFound(name.to_owned()))
}

fn kind_name(kind: SnapshotKind) -> &'static str {
    match kind {
        SnapshotKind::Manual => "manual",
        SnapshotKind::Automated => "automated",
    }
}

fn shown(scope: &Scope, snapshot: &Snapshot) -> DBSnapshot {
    let of = &snapshot.of;
    let (status, percent) = match snapshot.status {
        SnapshotStatus::Creating => ("creating", 0),
        SnapshotStatus::Available => ("available", 100),
        SnapshotStatus::Failed => ("failed", 0),
    };
    let size = i64::try_from(snapshot.size_bytes).ok();
    DBSnapshot {
        db_snapshot_identifier: Some(snapshot.name.clone()),
        db_instance_identifier: Some(of.name.clone()),
        snapshot_create_time: snapshot.created,
        engine: Some(of.engine.name().to_owned()),
        allocated_storage: Some(of.allocated_storage),
        status: Some(status.to_owned()),
        port: Some(i32::from(of.port)),
        availability_zone: of.primary_node().map(|node| node.zone.to_string()),
        vpc_id: Some(of.vpc.to_string()),
        instance_create_time: of.created,
        master_username: Some(of.master.clone()),
        engine_version: Some(of.version.clone()),
        license_model: Some(request::license_of(of.engine).to_owned()),
        snapshot_type: Some(kind_name(snapshot.kind).to_owned()),
        option_group_name: Some(request::option_group(of.engine, &of.series)),
        percent_progress: Some(percent),
        storage_type: Some(of.storage_type.clone()),
        encrypted: Some(false),
        db_snapshot_arn: Some(endpoint::arn(scope, "snapshot", &snapshot.name)),
        iam_database_authentication_enabled: Some(false),
        dbi_resource_id: Some(of.resource_id.clone()),
        tag_list: tags::shown(&snapshot.tags),
        snapshot_target: Some("region".to_owned()),
        original_snapshot_create_time: snapshot.created,
        snapshot_database_time: snapshot.created,
        multi_tenant: Some(false),
        dedicated_log_volume: Some(false),
        full_snapshot_size_in_bytes: size.filter(|_| snapshot.created.is_some()),
        ..Default::default()
    }
}

/// Takes a snapshot of an instance while it serves.
///
/// AWS: CreateDBSnapshot.
pub(crate) async fn create_db_snapshot(
    ctx: Ctx,
    input: CreateDBSnapshotInput,
) -> Result<CreateDBSnapshotOutput> {
    let name = request::identifier("DBSnapshotIdentifier", &input.db_snapshot_identifier, 255)?;
    let given = tags::from(&ctx, &input.tags)?;
    let limit = SNAPSHOTS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let (now, id) = (ctx.now(), ctx.random().uuid());
    let folder = backup::folder_name(&ctx.random().uuid());
    let write = |tx: &mut WriteTx<'_>| -> Result<Snapshot> {
        let mut instance = instance::get(tx, &input.db_instance_identifier)?;
        require_available(&instance)?;
        if instance.follows().is_some() {
            return Err(Error::state(
                "Snapshots of read replicas are not available in this Region.",
            ));
        }
        if tx.contains(&SNAPSHOTS, &name)? {
            return Err(Error::SnapshotAlreadyExists(name.clone()));
        }
        let all = tx.scan(&SNAPSHOTS, ())?;
        let manual = all.iter().filter(|one| one.kind == SnapshotKind::Manual).count();
        if u64::try_from(manual).unwrap_or(u64::MAX) >= limit {
            return Err(Error::SnapshotQuotaExceeded(limit));
        }
        let mut snapshot = backup::new(&instance, &name, SnapshotKind::Manual, &folder, now);
        snapshot.tags.extend(given.clone());
        tx.put(&SNAPSHOTS, &snapshot)?;
        instance.status = Status::BackingUp;
        tx.put(&INSTANCES, &instance)?;
        let told = event::Told::of_snapshot("creation", "Creating manual snapshot");
        event::write(tx, ctx.store.scope(), now, &id, &name, &told)?;
        Ok(snapshot)
    };
    let snapshot = ctx.store.write(write).await?;
    Ok(CreateDBSnapshotOutput { db_snapshot: Some(shown(ctx.store.scope(), &snapshot)) })
}

/// Tells the account's DB snapshots.
///
/// AWS: DescribeDBSnapshots.
pub(crate) async fn describe_db_snapshots(
    ctx: Ctx,
    input: DescribeDBSnapshotsInput,
) -> Result<DescribeDBSnapshotsOutput> {
    refuse(&[
        ("IncludeShared", input.include_shared == Some(true)),
        ("IncludePublic", input.include_public == Some(true)),
    ])?;
    let kind = match input.snapshot_type.as_deref() {
        None => None,
        Some(known @ ("manual" | "automated")) => Some(known),
        // None is shared, public or made by AWS Backup.
        Some(other @ ("shared" | "public" | "awsbackup")) => Some(other),
        Some(other) => return Err(Error::value(format!("Invalid snapshot type: {other}"))),
    };
    let all: Vec<Snapshot> = match &input.db_snapshot_identifier {
        Some(asked) => {
            let prefix = endpoint::arn(ctx.store.scope(), "snapshot", "");
            let name = asked.strip_prefix(&prefix).unwrap_or(asked);
            vec![ctx.store.read(|tx| get(tx, name)).await?]
        }
        None => ctx.store.read(|tx| tx.scan(&SNAPSHOTS, ())).await?,
    };
    let mut passing = Vec::new();
    for snapshot in all {
        let look_up = |name: &str| match name {
            "db-instance-id" => Some(vec![
                snapshot.of.name.clone(),
                endpoint::arn(ctx.store.scope(), "db", &snapshot.of.name),
            ]),
            "db-snapshot-id" => Some(vec![snapshot.name.clone()]),
            "dbi-resource-id" => Some(vec![snapshot.of.resource_id.clone()]),
            "snapshot-type" => Some(vec![kind_name(snapshot.kind).to_owned()]),
            "engine" => Some(vec![snapshot.of.engine.name().to_owned()]),
            _ => None,
        };
        let of = input.db_instance_identifier.as_ref();
        let resource = input.dbi_resource_id.as_ref();
        let passes = listing::passes(&input.filters, look_up)?
            && of.is_none_or(|name| name.eq_ignore_ascii_case(&snapshot.of.name))
            && resource.is_none_or(|id| *id == snapshot.of.resource_id)
            && kind.is_none_or(|kind| kind == kind_name(snapshot.kind));
        if passes {
            passing.push(snapshot);
        }
    }
    let (page, marker) =
        listing::page(passing, input.marker.as_deref(), input.max_records, |one| one.name.clone())?;
    let db_snapshots = page.iter().map(|one| shown(ctx.store.scope(), one)).collect();
    Ok(DescribeDBSnapshotsOutput { marker, db_snapshots })
}

/// Deletes a manual snapshot.
///
/// AWS: DeleteDBSnapshot.
pub(crate) async fn delete_db_snapshot(
    ctx: Ctx,
    input: DeleteDBSnapshotInput,
) -> Result<DeleteDBSnapshotOutput> {
    let (now, id) = (ctx.now(), ctx.random().uuid());
    let write = |tx: &mut WriteTx<'_>| -> Result<Snapshot> {
        let snapshot = get(tx, &input.db_snapshot_identifier)?;
        if snapshot.kind == SnapshotKind::Automated {
            return Err(Error::InvalidSnapshotState(
                "Automated snapshots cannot be deleted; they go with their retention period."
                    .to_owned(),
            ));
        }
        let is_it = |source: &Source| match source {
            Source::Snapshot { name, .. } => *name == snapshot.name,
            Source::Nothing | Source::Replica { .. } => false,
        };
        let restoring = tx
            .scan(&INSTANCES, ())?
            .iter()
            .any(|instance| instance.status == Status::Creating && is_it(&instance.source));
        if snapshot.status == SnapshotStatus::Creating || restoring {
            return Err(Error::InvalidSnapshotState(format!(
                "Cannot delete the snapshot {} because it is in use.",
                snapshot.name
            )));
        }
        tx.delete(&SNAPSHOTS, &snapshot.name)?;
        let told = event::Told::of_snapshot("deletion", "Deleted manual snapshot");
        event::write(tx, ctx.store.scope(), now, &id, &snapshot.name, &told)?;
        Ok(snapshot)
    };
    let snapshot = ctx.store.write(write).await?;
    let folder = ctx.drivers.drivers.data_dir.join("snapshots").join(&snapshot.folder);
    backup::remove_folder(&folder).await?;
    Ok(DeleteDBSnapshotOutput { db_snapshot: Some(shown(ctx.store.scope(), &snapshot)) })
}

fn refuse_restore(input: &RestoreDBInstanceFromDBSnapshotInput) -> Result<()> {
    let given = Option::<String>::is_some;
    refuse(&[
        ("PubliclyAccessible", input.publicly_accessible == Some(true)),
        ("DBName", given(&input.db_name)),
        ("Iops", input.iops.is_some()),
        ("StorageThroughput", input.storage_throughput.is_some()),
        ("OptionGroupName", given(&input.option_group_name)),
        ("TdeCredentialArn", given(&input.tde_credential_arn)),
        ("TdeCredentialPassword", given(&input.tde_credential_password)),
        ("Domain", given(&input.domain) || given(&input.domain_fqdn) || given(&input.domain_ou)),
        ("DomainAuthSecretArn", given(&input.domain_auth_secret_arn)),
        ("DomainDnsIps", !input.domain_dns_ips.is_empty()),
        ("DomainIAMRoleName", given(&input.domain_iam_role_name)),
        ("EnableIAMDatabaseAuthentication", input.enable_iam_database_authentication == Some(true)),
        ("EnableCloudwatchLogsExports", !input.enable_cloudwatch_logs_exports.is_empty()),
        ("ProcessorFeatures", !input.processor_features.is_empty()),
        ("UseDefaultProcessorFeatures", input.use_default_processor_features == Some(true)),
        ("EnableCustomerOwnedIp", input.enable_customer_owned_ip == Some(true)),
        ("NetworkType", input.network_type.as_deref().is_some_and(|kind| kind != "IPV4")),
        ("BackupTarget", input.backup_target.as_deref().is_some_and(|place| place != "region")),
        ("CustomIamInstanceProfile", given(&input.custom_iam_instance_profile)),
        ("DBClusterSnapshotIdentifier", given(&input.db_cluster_snapshot_identifier)),
        ("DBCapacityReservationIdentifier", given(&input.db_capacity_reservation_identifier)),
        ("DedicatedLogVolume", input.dedicated_log_volume == Some(true)),
        ("CACertificateIdentifier", given(&input.ca_certificate_identifier)),
        ("EngineLifecycleSupport", given(&input.engine_lifecycle_support)),
        ("AdditionalStorageVolumes", !input.additional_storage_volumes.is_empty()),
        ("TagSpecifications", !input.tag_specifications.is_empty()),
        ("ManageMasterUserPassword", input.manage_master_user_password == Some(true)),
        ("MasterUserSecretKmsKeyId", given(&input.master_user_secret_kms_key_id)),
    ])
}

async fn restored_from(
    ctx: &Ctx,
    input: &RestoreDBInstanceFromDBSnapshotInput,
    snapshot: &Snapshot,
) -> Result<DbInstance> {
    let of = &snapshot.of;
    let name = request::identifier("DBInstanceIdentifier", &input.db_instance_identifier, 63)?;
    if input.engine.as_deref().is_some_and(|engine| engine != of.engine.name()) {
        return Err(Error::combination("The engine must be that of the snapshot."));
    }
    request::license(of.engine, input.license_model.as_deref())?;
    let family = family(of.engine, &of.series);
    let asked = input.db_parameter_group_name.as_deref();
    let parameter_group = parameter_group::for_instance(ctx, asked, &family).await?;
    let groups = &input.vpc_security_group_ids;
    let placing = instance::placing(ctx, input.db_subnet_group_name.as_deref(), groups).await?;
    let multi_az = input.multi_az == Some(true);
    let zone = input.availability_zone.as_deref();
    let subnets = request::subnets_for(&placing.group, zone, multi_az, ctx.random())?;
    let gib = input.allocated_storage.unwrap_or(of.allocated_storage);
    if gib < of.allocated_storage {
        return Err(Error::combination(
            "The allocated storage can't be smaller than that of the snapshot.",
        ));
    }
    let (backup_window, maintenance_window) =
        request::windows(input.preferred_backup_window.as_deref(), None, ctx.random())?;
    let class = input.db_instance_class.as_deref().unwrap_or(&of.class);
    let storage_type = input.storage_type.as_deref().unwrap_or(&of.storage_type);
    let days = input.backup_retention_period.unwrap_or(of.backup_retention_days);
    let folder = snapshot.folder.clone();
    let mut restored = DbInstance {
        class: request::class_name(class)?,
        allocated_storage: request::storage(of.engine, gib)?,
        storage_type: request::storage_type(Some(storage_type))?,
        master: of.master.clone(),
        database: of.database.clone(),
        port: match input.port {
            Some(_) => request::port(of.engine, input.port)?,
            None => of.port,
        },
        multi_az,
        subnet_group: placing.group.name.clone(),
        groups: placing.security_groups,
        parameter_group,
        backup_retention_days: request::retention(Some(days))?,
        backup_window,
        maintenance_window,
        deletion_protection: input.deletion_protection == Some(true),
        copy_tags_to_snapshot: input.copy_tags_to_snapshot.unwrap_or(of.copy_tags_to_snapshot),
        auto_minor_version_upgrade: input
            .auto_minor_version_upgrade
            .unwrap_or(of.auto_minor_version_upgrade),
        source: Source::Snapshot { name: snapshot.name.clone(), folder },
        tags: tags::from(ctx, &input.tags)?,
        ..instance::blank(
            ctx.random(),
            &name,
            of.engine,
            &of.series,
            &of.version,
            placing.group.vpc,
        )
    };
    let (from, to) = (of.place(), restored.place());
    restored.password = credentials::hand_on(&ctx.drivers, &from, &to, &of.password)?;
    let sealed = &of.cluster_secrets;
    restored.cluster_secrets = credentials::hand_on(&ctx.drivers, &from, &to, sealed)?;
    for subnet in &subnets {
        restored.add_node(&subnet.id, &subnet.zone);
    }
    restored.primary = restored.nodes.first().map(|node| node.id.clone()).unwrap_or_default();
    Ok(restored)
}

/// Makes an instance with the data of a snapshot.
///
/// AWS: RestoreDBInstanceFromDBSnapshot.
pub(crate) async fn restore_db_instance_from_db_snapshot(
    ctx: Ctx,
    input: RestoreDBInstanceFromDBSnapshotInput,
) -> Result<RestoreDBInstanceFromDBSnapshotOutput> {
    refuse_restore(&input)?;
    let asked = input
        .db_snapshot_identifier
        .as_deref()
        .ok_or_else(|| Error::value("The parameter DBSnapshotIdentifier must be provided."))?;
    let prefix = endpoint::arn(ctx.store.scope(), "snapshot", "");
    let name = asked.strip_prefix(&prefix).unwrap_or(asked);
    let snapshot = ctx.store.read(|tx| get(tx, name)).await?;
    if snapshot.status != SnapshotStatus::Available {
        return Err(Error::InvalidSnapshotState(format!(
            "The DB snapshot {} is not in the available state.",
            snapshot.name
        )));
    }
    let restored = restored_from(&ctx, &input, &snapshot).await?;
    instance::write_new(&ctx, &restored).await?;
    let db_instance = Some(view::instance(&ctx, &restored).await?);
    Ok(RestoreDBInstanceFromDBSnapshotOutput { db_instance })
}
